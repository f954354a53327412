"""From an estimator's parameters and data to a fit that is ready to run."""

from copy import copy
from functools import partial
from importlib.util import find_spec
from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.callback import ProgressBar
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples

from sknpcnn import blocks, fitted, inputs
from sknpcnn.batches import Array
from sknpcnn.brief import brief
from sknpcnn.checkpoints import Checkpoint
from sknpcnn.constraints import check_together, read
from sknpcnn.description import IndescribableError, described
from sknpcnn.fingerprint import data_digest, fingerprint
from sknpcnn.fitting import Fit, Forgotten, Validation, plan_of
from sknpcnn.kernels.memory import root_of
from sknpcnn.losses import Loss, named_or_own
from sknpcnn.network import Network
from sknpcnn.outcome import warn_of_bad_end
from sknpcnn.samples import Samples
from sknpcnn.standard import standard_of
from sknpcnn.start import initial_parameters
from sknpcnn.targets import Target, found
from sknpcnn.training import TrainingState


@np.errstate(all="ignore")  # what is computed here becomes parameters, which training checks
def begin(
    estimator: Any,
    samples: Samples,
    image: inputs.Image,
    target: Target,
    loss: str | Loss,
    going_on: bool,
    table: bool,
    held_out: Samples | None = None,
    early_stopping: bool = False,
    stream: bool = False,
    checkpoint_dir: Any = None,
) -> Fit:
    """Make a fit: a new one, or one that goes on from what the estimator holds.

    In a ``table`` each column is scaled on its own. ``held_out`` are validation data of the user's
    own; without them, early stopping splits some samples off. For a ``stream``, schedules count on
    ``max_iter`` epochs in all, else on so many more.
    """
    params = read(estimator)
    check_together(params)
    scorer = _scorer_of(estimator, params["scoring"])
    architecture = fitted.architecture_of(estimator, image, table, going_on)
    network = Network(blocks.build(architecture, image), image, target.n_outputs)
    if not going_on:
        blocks.warn_of_two_outputs(architecture["layers"], target.n_outputs)
    seed = int(check_random_state(params["random_state"]).randint(2**31 - 1))
    state = fitted.state_of(estimator, network.layout, seed) if going_on else None
    checkpoint = None
    if checkpoint_dir is not None:
        origin = _origin_of(estimator, seed, state)
        data = [samples, held_out]
        digest = data_digest(data)
        layout = image, table and not going_on  # which is what the first fit has found
        name = fingerprint(estimator, target.attributes(), digest, layout, origin)
        checkpoint = Checkpoint(
            params["checkpoint_dir"],
            name,
            _stopping(estimator),
            lambda: data_digest(data) == digest,
            any(isinstance(root_of(some.X), np.memmap) for some in data if some is not None),
        )
        if origin is None:  # any seed will do: that of the first call
            seed = checkpoint.agree_on_seed(seed)
    if state is not None:
        seed = state.seed
        _check_unchanged(params, state.theta.dtype, estimator)

    if early_stopping and held_out is None:
        samples, held_out = inputs.split_off(samples, target, params["validation_fraction"], seed)
    if going_on:
        standard = fitted.standard_of(estimator)
    else:
        dtype = _dtype(params["dtype"], samples.X)
        channels = samples.X.shape[1] if table else image[2]
        standard = standard_of(samples, channels, dtype) if params["standardize"] else None
    if state is None:
        with network.explaining_memory():
            constant = target.constant(samples, named_or_own(loss))
            theta = initial_parameters(network, samples, standard, seed, dtype, constant)
        state = TrainingState(theta, {}, seed)

    before = None if stream else state.epoch
    plan = plan_of(params, image, len(samples), before, named_or_own(loss), target)
    rule = type(plan.optimizer).__name__
    if rule != state.rule or set(state.memory) != set(plan.optimizer.state_names()):
        n_trained = network.layout.n_trained
        with network.explaining_memory():
            state.memory, state.step = plan.optimizer.start(state.theta[:n_trained]), 0
        state.rule = rule
    fit = Fit(
        network=network,
        architecture=architecture,
        features=fitted.features_of(estimator),
        samples=samples,
        standard=standard,
        plan=plan,
        loss=loss,
        state=state,
        history=list(estimator._history) if going_on else [],
        samples_before=estimator.t_ if going_on else 0,
        seen_before=getattr(estimator, "_seen", ()) if going_on else (),
        forgotten=Forgotten(*_forgotten_by(estimator)) if going_on else Forgotten(),
        validation=None if held_out is None else Validation(held_out),
        early_stopping=early_stopping,
        tol=params["tol"],
        n_iter_no_change=params["n_iter_no_change"],
        verbose=int(params["verbose"]),
        checkpoint=checkpoint,
    )
    if fit.validation is not None and scorer is not None:
        fit.validation.score = _score_of(scorer, estimator, fit, fit.validation.samples)
    return fit


def untrained(estimator: Any, X: Any, sample_weight: Any = None) -> Any:
    """Fit an estimator to images without training it: its weights stay as they start."""
    estimator._validate_params()
    y = np.zeros(_num_samples(X), int)
    chosen = inputs.loss_for(estimator, y, fitted=None)
    loss = named_or_own(chosen)
    if loss.targets == "labels":
        y = np.stack([y, y], axis=1)
    X, y, image, table = inputs.rows_to_fit(estimator, X, y, loss, reset=True)
    weights = inputs.weights_of(sample_weight, X)
    target = found(y, weights, loss)
    samples = inputs.samples_of(X, y, target, weights)
    fit = begin(estimator, samples, image, target, chosen, going_on=False, table=table)
    fitted.publish(estimator, fitted.attributes_of(fit, fit.state.theta, keep=False))
    return estimator


def own_validation(
    estimator: Any,
    image: inputs.Image,
    target: Target,
    loss: Loss,
    X: Any,
    y: Any,
    sample_weight: Any,
) -> Samples | None:
    """Check the validation data that the user has given, if any."""
    if X is None:
        for name, value in (("y_val", y), ("sample_weight_val", sample_weight)):
            if value is not None:
                raise ValueError(f"{name} is provided, but X_val was not provided.")
        return None
    if y is None:
        raise ValueError("X_val is provided, but y_val was not provided.")
    with inputs.naming("X_val"):
        X = inputs.rows_to_predict(estimator, X, image, "X_val")
    with inputs.naming("y_val"):
        y = inputs.y_to_validate(y, "y_val", loss)
    if len(X) != len(y):
        raise ValueError(f"X_val holds {len(X)} samples, but y_val {len(y)}.")
    with inputs.naming("sample_weight_val"):
        length = np.shape(sample_weight)[:1]
        if length not in ((), (len(X),)):  # one number serves all
            raise ValueError(f"X_val holds {len(X)} samples, but sample_weight_val {length[0]}.")
    weights = inputs.weights_of(sample_weight, X, "sample_weight_val")
    class_weight = getattr(estimator, "class_weight", None)  # a regressor has none
    return inputs.samples_of(X, y, target, weights, class_weight, "y_val")


def run_with_callbacks(estimator: Any, fit: Fit, X: Array, y: Array, sample_weight: Any) -> None:
    """Run a fit as a task of scikit-learn's callbacks, with a task for each epoch."""
    if any(map(_shows_nothing, getattr(estimator, "_skl_callbacks", []))):
        fit.verbose = max(fit.verbose, 1)
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    data = {"X": X, "y": y, "metadata": metadata}
    root = estimator._init_callback_context(max_subtasks=fit.plan.max_iter)
    root.call_on_fit_task_begin(estimator=estimator, **data)

    def model() -> dict[str, Any]:
        return fitted.attributes_of(fit, fit.state.theta.copy(), keep=False)

    def begin_epoch() -> Any:
        return root.subcontext(task_name="epoch").call_on_fit_task_begin(
            estimator=estimator, **data
        )

    def end_epoch(task: Any) -> bool:
        return task.call_on_fit_task_end(
            estimator=estimator, **data, reconstruction_attributes=model
        )

    run = partial(fit.run, fit.plan.max_iter, estimator.n_jobs, begin_epoch, end_epoch)
    if fit.checkpoint is None:
        run(alone=_is_alone(estimator))
    elif not fit.checkpoint.begin(fit):
        run(keep=partial(fit.checkpoint.keep, fit), alone=_is_alone(estimator))
    warn_of_bad_end(fit)
    root.call_on_fit_task_end(estimator=estimator, **data, reconstruction_attributes=model)


_OWN_SCORES = ClassifierMixin.score, RegressorMixin.score
"""scikit-learn's own, which predict and compare."""


def _scorer_of(estimator: Any, scoring: Any) -> Any:
    """Return the scorer of the validation data; None where their loss is what counts."""
    if isinstance(scoring, str) and scoring == "loss":  # comparing a scorer may do anything
        return None
    with inputs.naming("scoring"):
        return check_scoring(estimator, scoring)


def _origin_of(estimator: Any, seed: int, state: TrainingState | None) -> Any:
    """Collect what training starts from; None for a new network from any seed."""
    if state is None:
        return None if estimator.random_state is None else seed
    results = [{**row, "seconds": 0.0} for row in estimator._history]
    return [vars(state), results, _forgotten_by(estimator), estimator._standard]


def _forgotten_by(estimator: Any) -> tuple[Any, ...]:
    """Return what a classifier has forgotten: nothing, if it comes from a pickle of before."""
    return getattr(estimator, "_forgotten", Forgotten())


def _stopping(estimator: Any) -> str | None:
    """Describe the callbacks that may stop a fit; None where it is to go on after that."""
    callbacks = getattr(estimator, "_skl_callbacks", [])
    if any(getattr(callback, "resumable", False) for callback in callbacks):
        return None
    own = [c for c in callbacks if not type(c).__module__.startswith("sklearn.")]
    try:
        return described(own)
    except IndescribableError:  # nobody can tell whether they are the same the next time
        return None


def _shows_nothing(callback: Any) -> bool:
    """Return whether this is a bar that nobody sees: in a notebook it needs ipywidgets."""
    if not isinstance(callback, ProgressBar):
        return False
    import rich  # which a ProgressBar needs

    return rich.get_console().is_jupyter and find_spec("ipywidgets") is None


def _is_alone(estimator: Any) -> bool:
    """Tell whether this is the fit that the user has called, perhaps by a pipeline."""
    above = getattr(estimator, "_parent_callback_ctx", None)
    while above is not None and above.estimator_name == "Pipeline":
        above = above.parent
    return above is None


def _score_of(scorer: Any, estimator: Any, fit: Fit, samples: Samples) -> Any:
    """Make a function that scores the model with given parameters on the validation data.

    scikit-learn's own scorers only hand X on to the model. They are given a model whose outputs are
    those that the loss was computed from, whatever X is; a scorer of the user's own is given a copy
    of the validation data, for as long as it looks at it.
    """
    index = samples.index
    y = fit.plan.target.decode(samples.targets[index])
    weights = samples.weights_at(index)
    weighted = weights is not None and _takes_weights(scorer)
    extra = {"sample_weight": weights} if weighted else {}
    own = callable(estimator.scoring) or type(estimator).score not in _OWN_SCORES

    def score(theta: Array, outputs: Array) -> float:
        model = copy(estimator)
        # the epoch that is being scored is not in the history yet
        row = {"train_loss": np.nan, "validation_score": np.nan}
        so_far = copy(fit)
        so_far.history = [*fit.history, row]
        for name, value in fitted.attributes_of(so_far, theta, keep=False).items():
            setattr(model, name, value)
        vars(model).pop("feature_names_in_", None)  # which X has no longer
        if own:
            return float(scorer(model, samples.X[index], y, **extra))

        model._model_and_outputs = lambda X: (model, outputs)
        return float(scorer(model, samples.X, y, **extra))

    return score


def _takes_weights(scorer: Any) -> bool:
    """Tell whether a scorer makes a difference between samples."""
    if hasattr(scorer, "_accept_sample_weight"):  # scikit-learn's all have the argument
        return scorer._accept_sample_weight()
    return "sample_weight" in signature(scorer).parameters


def _check_unchanged(params: dict[str, Any], dtype: np.dtype, estimator: Any) -> None:
    """Refuse parameters that only a new fit could change."""
    changed = []
    if params["dtype"] is not None and np.dtype(params["dtype"]) != dtype:
        changed.append(f"dtype={brief(params['dtype'])}")
    if params["standardize"] != (estimator._standard is not None):
        changed.append(f"standardize={params['standardize']!r}")
    if changed:
        raise ValueError(
            f"{' and '.join(changed)} is not what the fit that is to be continued began with. "
            "Set it back, set warm_start=False, or fit a clone."
        )


def _dtype(dtype: Any, X: Array) -> np.dtype:
    """Compute in double only for data in double, as MLPClassifier does."""
    if dtype is not None:
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype={brief(dtype)}; needed: float32, float64 or None.")
        return np.dtype(dtype)
    return np.dtype(np.float64 if X.dtype.kind == "f" and X.dtype.itemsize >= 8 else np.float32)
