"""Prepares a fit from an estimator's parameters and data."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from sknpcnn._estimator import blocks, fitted, inputs
from sknpcnn._estimator.constraints import check_combinations, read_params
from sknpcnn._estimator.private import num_samples
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._estimator.sampling import (
    TrainingData,
    check_weights,
    make_samples,
    read_data,
    split_off_validation,
)
from sknpcnn._estimator.scoring import make_validation_score, scorer_of
from sknpcnn._kernels.memory import root_of
from sknpcnn._network.batches import Array
from sknpcnn._network.network import Network
from sknpcnn._network.samples import Samples
from sknpcnn._network.standard import measure_standard
from sknpcnn._training.checkpoints import Checkpoint
from sknpcnn._training.description import IndescribableError, described
from sknpcnn._training.fingerprint import data_digest, fingerprint
from sknpcnn._training.fit import Fit, Forgotten, Validation, make_plan
from sknpcnn._training.initialization import initial_parameters
from sknpcnn._training.state import TrainingState
from sknpcnn._values.brief import brief
from sknpcnn.losses import named_or_own


@np.errstate(all="ignore")  # training checks that parameters are finite
def prepare_fit(
    estimator: Estimator,
    read: TrainingData,
    resumes: bool,
    held_out: Samples | None = None,
    early_stopping: bool = False,
    stream: bool = False,
    checkpoint_dir: Any = None,
) -> Fit:
    """Prepare a new fit, or one that ``resumes`` training from the estimator's fitted state.

    In a table each column is scaled separately. ``held_out`` holds validation data given by the
    user; without it, early stopping splits off some of the samples. Schedules assume ``max_iter``
    epochs in total for a ``stream``, and otherwise ``max_iter`` epochs in addition.
    """
    samples, image, target, loss, table = read
    params = read_params(estimator)
    check_combinations(params)
    scorer = scorer_of(estimator, params["scoring"])
    architecture = fitted.architecture_of(estimator, image, table, resumes)
    network = Network(blocks.build_layers(architecture, image), image, target.n_outputs)
    if not resumes:
        blocks.warn_of_two_outputs(architecture["layers"], target.n_outputs)
    seed = int(check_random_state(params["random_state"]).randint(2**31 - 1))
    state = fitted.state_of(estimator, network.layout, seed) if resumes else None
    checkpoint = None
    if checkpoint_dir is not None:
        origin = _origin_of(estimator, seed, state)
        data = [samples, held_out]
        digest = data_digest(data)
        layout = image, table and not resumes  # as the first fit has it
        kind, given = type(estimator), estimator.get_params(deep=False)
        name = fingerprint(kind, given, target.attributes(), digest, layout, origin)
        checkpoint = Checkpoint(
            params["checkpoint_dir"],
            name,
            _describe_stopping(estimator),
            lambda: data_digest(data) == digest,
            any(isinstance(root_of(some.X), np.memmap) for some in data if some is not None),
        )
        if origin is None:  # any seed will do, so take that of the first call
            seed = checkpoint.agree_on_seed(seed)
    if state is not None:
        seed = state.seed
        _check_fixed_parameters(params, state.theta.dtype, estimator)

    if early_stopping and held_out is None:
        samples, held_out = split_off_validation(
            samples, target, params["validation_fraction"], seed
        )
    if resumes:
        standard = fitted.standard_of(estimator)
    else:
        dtype = _choose_dtype(params["dtype"], samples.X)
        channels = samples.X.shape[1] if table else image[2]
        standard = measure_standard(samples, channels, dtype) if params["standardize"] else None
    if state is None:
        with network.explaining_memory_errors():
            constant = target.constant(samples, named_or_own(loss))
            theta = initial_parameters(network, samples, standard, seed, dtype, constant)
        state = TrainingState(theta, {}, seed)

    before = None if stream else state.epoch
    plan = make_plan(params, image, len(samples), before, named_or_own(loss), target)
    rule = type(plan.optimizer).__name__
    if rule != state.rule or set(state.memory) != set(plan.optimizer.state_names()):
        n_trained = network.layout.n_trained
        with network.explaining_memory_errors():
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
        history=list(estimator._history) if resumes else [],
        samples_before=estimator.t_ if resumes else 0,
        seen_before=getattr(estimator, "_seen", ()) if resumes else (),
        forgotten=Forgotten(*_forgotten_by(estimator)) if resumes else Forgotten(),
        validation=None if held_out is None else Validation(held_out),
        early_stopping=early_stopping,
        tol=params["tol"],
        n_iter_no_change=params["n_iter_no_change"],
        verbose=int(params["verbose"]),
        checkpoint=checkpoint,
    )
    if fit.validation is not None and scorer is not None:
        fit.validation.score = make_validation_score(scorer, estimator, fit, fit.validation.samples)
    return fit


def prepare_untrained(estimator: Estimator, X: Any, sample_weight: Any = None) -> None:
    """Fit an estimator without training: it keeps its initial weights."""
    estimator._validate_params()
    y = np.zeros(num_samples(X), int)
    if named_or_own(inputs.choose_loss(estimator, y, fitted=None)).targets == "labels":
        y = np.stack([y, y], axis=1)
    fit = prepare_fit(estimator, read_data(estimator, X, y, sample_weight), resumes=False)
    fitted.publish(estimator, fitted.attributes_of(fit, fit.state.theta, resumable=False))


def check_validation_data(
    estimator: Estimator, read: TrainingData, X: Any, y: Any, sample_weight: Any
) -> Samples | None:
    """Check the validation data given by the user, if any."""
    if X is None:
        for name, value in (("y_val", y), ("sample_weight_val", sample_weight)):
            if value is not None:
                raise ValueError(f"{name} is provided, but X_val was not provided.")
        return None
    if y is None:
        raise ValueError("X_val is provided, but y_val was not provided.")
    with inputs.naming("X_val"):
        X = inputs.check_prediction_data(estimator, X, read.image, "X_val")
    with inputs.naming("y_val"):
        y = inputs.check_y(y, "y_val", named_or_own(read.loss), caller=7)
    if len(X) != len(y):
        raise ValueError(f"X_val holds {len(X)} samples, but y_val {len(y)}.")
    with inputs.naming("sample_weight_val"):
        length = np.shape(sample_weight)[:1]
        if length not in ((), (len(X),)):  # a single weight applies to all samples
            raise ValueError(f"X_val holds {len(X)} samples, but sample_weight_val {length[0]}.")
    weights = check_weights(sample_weight, X, "sample_weight_val")
    class_weight = getattr(estimator, "class_weight", None)  # regressors do not have it
    return make_samples(X, y, read.target, weights, class_weight, "y_val")


def _origin_of(estimator: Estimator, seed: int, state: TrainingState | None) -> Any:
    """Return all that training starts from; None for a new network with an arbitrary seed."""
    if state is None:
        return None if estimator.random_state is None else seed
    results = [{**row, "seconds": 0.0} for row in estimator._history]
    return [vars(state), results, _forgotten_by(estimator), estimator._standard]


def _forgotten_by(estimator: Estimator) -> tuple[Any, ...]:
    """Return the summary of dropped epochs; older pickles do not have one."""
    return getattr(estimator, "_forgotten", Forgotten())


def _describe_stopping(estimator: Estimator) -> str | None:
    """Describe the callbacks that may stop a fit; None if a stopped fit is to be resumed."""
    callbacks = getattr(estimator, "_skl_callbacks", [])
    if any(getattr(callback, "resumable", False) for callback in callbacks):
        return None
    own = [c for c in callbacks if not type(c).__module__.startswith("sklearn.")]
    try:
        return described(own)
    except IndescribableError:  # so it is unknown whether they are the same next time
        return None


def _check_fixed_parameters(params: dict[str, Any], dtype: np.dtype, estimator: Estimator) -> None:
    """Raise if parameters have changed that only a new fit can change."""
    changed = []
    if params["dtype"] is not None and np.dtype(params["dtype"]) != dtype:
        changed.append(f"dtype={brief(params['dtype'])}")
    if params["standardize"] != (estimator._standard is not None):
        changed.append(f"standardize={params['standardize']!r}")
    if changed:
        raise ValueError(
            f"{' and '.join(changed)} cannot be changed when training resumes. "
            "Set it back, set warm_start=False, or fit a clone."
        )


def _choose_dtype(dtype: Any, X: Array) -> np.dtype:
    """Return the dtype of the network: double only for data in double, as in MLPClassifier."""
    if dtype is not None:
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype={brief(dtype)}; needed: float32, float64 or None.")
        chosen: np.dtype = np.dtype(dtype)
        return chosen
    return np.dtype(np.float64 if X.dtype.kind == "f" and X.dtype.itemsize >= 8 else np.float32)
