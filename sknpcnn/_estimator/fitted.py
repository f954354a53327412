"""Converts between a fitted estimator's attributes and the network that they describe.

The attributes are arrays and plain values only: the vector of parameters, the mean and scale of the
input, and the hyperparameters of the network.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import wraps
from math import nan
from typing import Any, TypeVar
from weakref import ref

import numpy as np

from sknpcnn._engine.engine import Engine
from sknpcnn._engine.workers import workers_for
from sknpcnn._estimator import blocks, inputs
from sknpcnn._estimator.layout import Image
from sknpcnn._estimator.protocol import AnyEstimator, Estimator
from sknpcnn._network.balance import add_counts
from sknpcnn._network.batches import Array, Rows
from sknpcnn._network.network import MIN_ROWS_TO_FOLD, Network
from sknpcnn._network.parameters import Layout
from sknpcnn._network.prediction import predict_on_all_cores
from sknpcnn._network.standard import Standard, warn_of_other_scale
from sknpcnn._training.fit import Fit
from sknpcnn._training.state import TrainingState
from sknpcnn._training.targets import Target, of_fitted
from sknpcnn._values.arrays import to_numpy
from sknpcnn._values.brief import brief
from sknpcnn.losses import Loss, named_or_own

_AnyEstimatorT = TypeVar("_AnyEstimatorT", bound=AnyEstimator)
_EstimatorT = TypeVar("_EstimatorT", bound=Estimator)
_ValueT = TypeVar("_ValueT")


def architecture_of(
    estimator: Estimator, image: Image, table: bool, resumes: bool
) -> dict[str, Any]:
    """Return the hyperparameters of the network, with "auto" resolved."""
    names = (*blocks.ARCHITECTURE, "layers")
    found = deepcopy({name: getattr(estimator, name) for name in names})  # lists are mutable
    if found["layers"] is not None:
        return found
    if resumes and estimator._architecture["layers"] is None:
        chosen = estimator._architecture
    else:
        chosen = blocks.choose_architecture(found, image, table)
    return {name: chosen[name] if blocks.is_auto(value) else value for name, value in found.items()}


def attributes_of(fit: Fit, theta: Array, resumable: bool) -> dict[str, Any]:
    """Return the fitted attributes; with ``resumable`` also the state to resume training from."""
    history, state, forgotten = fit.history, fit.state, fit.forgotten
    losses = [row["train_loss"] for row in history]
    validated = fit.validation is not None
    progress = {"memory": state.memory, **state.to_values()}
    return {
        **fit.features,
        **fit.plan.target.attributes(),
        "image_shape_": fit.network.image,
        "n_iter_": fit.n_epochs_total,
        "t_": fit.samples_before + fit.epochs_run * len(fit.samples),
        "n_layers_": len(fit.network.summary()),
        "loss_": losses[-1] if losses else nan,
        "best_loss_": None if fit.early_stopping else _lowest_loss(losses, forgotten.lowest_loss),
        "loss_curve_": losses,
        "validation_scores_": [row["validation_score"] for row in history] if validated else None,
        "_theta": theta,
        "_standard": None if fit.standard is None else (fit.standard.mean, fit.standard.scale),
        "_architecture": fit.architecture,
        "_loss": fit.loss,
        "_history": history,
        "_forgotten": tuple(forgotten),
        "_seen": add_counts(fit.seen_before, fit.samples.counts, fit.epochs_run),
        "_progress": progress if resumable else None,
    }


def _lowest_loss(losses: list[float], before: float) -> float:
    return min(*losses, before) if losses else nan


MAX_KEPT_MEMORY = 2**23
"""The most memory that an estimator keeps between two predictions, in bytes."""


class _DerivedObjects:
    """Objects derived from a fitted estimator, cached outside of it so that it stays small."""

    def __init__(self, estimator: Estimator) -> None:
        self.architecture = estimator._architecture  # every fit makes a new dict
        image = estimator.image_shape_
        steps = blocks.build_layers(self.architecture, image)
        self.network = Network(steps, image, target_of(estimator).n_outputs)
        self.engines: deque[tuple[Array, Engine]] = deque(maxlen=1)
        """An idle engine, and the parameters that its tapes read."""


class _WeakIdentityDict:
    """A dictionary with weak keys that are compared by identity."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[ref[Any], _DerivedObjects]] = {}

    def __getitem__(self, key: Any) -> _DerivedObjects:
        return self._found[id(key)][1]

    def __setitem__(self, key: Any, value: _DerivedObjects) -> None:
        address, found = id(key), self._found
        found[address] = ref(key, lambda dead: found.pop(address, None)), value

    def get(self, key: Any) -> _DerivedObjects | None:
        return self._found.get(id(key), (None, None))[1]


_derived_objects = _WeakIdentityDict()


def _derived_objects_of(estimator: Estimator) -> _DerivedObjects:
    derived = _derived_objects.get(estimator)
    if derived is None or derived.architecture is not estimator._architecture:
        derived = _derived_objects[estimator] = _DerivedObjects(estimator)
    return derived


def atomic_copy(estimator: _AnyEstimatorT) -> _AnyEstimatorT:
    """Return a copy that stays consistent, whatever other threads do to the estimator meanwhile."""
    copied = object.__new__(type(estimator))
    copied.__dict__ = vars(estimator).copy()  # atomic
    return copied


def snapshot(estimator: _EstimatorT) -> _EstimatorT:
    """Copy an estimator atomically, with its derived objects: the copy stays one model."""
    copied = atomic_copy(estimator)
    if hasattr(copied, "_architecture"):
        derived = _derived_objects.get(estimator)
        if derived is None or derived.architecture is not copied._architecture:
            derived = _derived_objects[estimator] = _DerivedObjects(copied)
        _derived_objects[copied] = derived
    return copied


def attribute(compute: Callable[[_EstimatorT], _ValueT]) -> Callable[[_EstimatorT], _ValueT]:
    """Raise AttributeError where an attribute cannot be computed, as scikit-learn expects it.

    Its diagram, like other tools, reads all attributes of whatever state an estimator is in.
    """

    @wraps(compute)
    def computed(estimator: _EstimatorT) -> _ValueT:
        owner = f"{type(estimator).__name__} has no {compute.__name__}"
        if not hasattr(estimator, "_theta"):
            raise AttributeError(f"{owner} before fit.")
        try:
            return compute(estimator)
        except Exception as error:
            raise AttributeError(
                f"{owner}: its fitted attributes were changed, and do not fit together any more "
                f"({type(error).__name__}: {error})."
            ) from error

    return computed


def publish(estimator: AnyEstimator, attributes: Mapping[str, Any]) -> None:
    """Set all fitted attributes of an estimator atomically, so that no thread sees only some.

    ``feature_names_in_`` is removed if it is not among them.
    """
    state = {**vars(estimator), **attributes}
    if "feature_names_in_" not in attributes:
        state.pop("feature_names_in_", None)
    estimator.__dict__ = state


def features_of(estimator: Estimator) -> dict[str, Any]:
    """Return the attributes that the validation of X sets about its features."""
    names = ("n_features_in_", "feature_names_in_", "_sample_shape")
    return {name: getattr(estimator, name) for name in names if hasattr(estimator, name)}


def network_of(estimator: Estimator) -> Network:
    """Return the network of a fitted estimator; it does not hold the parameters."""
    return _derived_objects_of(estimator).network


def find_layer(estimator: Estimator, requested: Any) -> str:
    """Return the name of a layer; raise unless it is one of ``summary()``."""
    names = [name for name, _ in network_of(estimator).steps[1:]]
    # a subclass may override comparison
    name = str.__str__(requested) if isinstance(requested, str) else None
    if name not in names:
        raise ValueError(f"layer={brief(requested)}; needed: one of {', '.join(names)}, or None.")
    return name


@np.errstate(all="ignore")  # checked below
def outputs_of(
    estimator: Estimator, X: Array, layer: str | None = None, warn: bool = True
) -> Array:
    """Compute the outputs of a fitted estimator's network for rows: logits, or those of a layer.

    The rows must have been checked. Raises if the network overflows, and with ``warn`` warns of
    rows on another scale than those of the training data.
    """
    network, theta = network_of(estimator), estimator._theta
    standard = standard_of(estimator)
    rows = Rows(X, estimator.image_shape_, standard)
    batch_size = inputs.prediction_batch_size(network, theta.dtype)
    with engine_for(estimator, len(rows) if layer is None else None) as engine:
        prediction = network.prediction(theta, rows, engine, layer)
        outputs = predict_on_all_cores(prediction, batch_size, engine)
    inputs.check_no_overflow(outputs)
    if warn and standard is not None:
        warn_of_other_scale(X, standard)
    return outputs


@contextmanager
def engine_for(estimator: Estimator, n_images: int | None) -> Iterator[Engine]:
    """Provide an engine to predict with.

    For a few images (not None) it is kept for the next call, with the values derived from the
    parameters: otherwise allocating and clearing memory would take as long as the arithmetic.
    """
    theta, n_threads = estimator._theta, workers_for(estimator.n_jobs)
    if n_images is None or n_images >= MIN_ROWS_TO_FOLD:
        with Engine(n_threads, theta.dtype) as engine:
            yield engine
        return
    engines = _derived_objects_of(estimator).engines
    known = None
    with suppress(IndexError):
        known, engine = engines.pop()  # removed, so that no other thread uses it
    if known is not theta or engine.n_threads != n_threads:
        engine = Engine(n_threads, theta.dtype, derived={})
    with engine:
        yield engine
    if engine.size() <= MAX_KEPT_MEMORY:
        engines.append((theta, engine))


def loss_of(estimator: Estimator) -> Loss:
    """Return the loss that an estimator was fitted with."""
    return named_or_own(estimator._loss)


def target_of(estimator: Estimator) -> Target:
    """Return the target of a fitted estimator."""
    return of_fitted(estimator, loss_of(estimator))


def predictions(estimator: Estimator, outputs: Array) -> Array:
    """Convert outputs of the network to predictions in the format of y."""
    predicted = target_of(estimator).predict(outputs, loss_of(estimator))
    inputs.check_finite_predictions(predicted)
    return predicted


def standard_of(estimator: Estimator) -> Standard | None:
    """Return the mean and scale by which a fitted estimator standardizes its input."""
    return None if estimator._standard is None else Standard(*estimator._standard)


def state_of(estimator: Estimator, layout: Layout, seed: int) -> TrainingState:
    """Return the state to resume training from: the saved one, or a new one for fitted parameters.

    Learning rates of layers may have changed, and layers may have been frozen; but the network must
    have arrays of the same shapes.
    """
    before = network_of(estimator).layout
    given, known = layout.shapes(), before.shapes()
    if given != known:
        changed = [name for name in {**known, **given} if given.get(name) != known.get(name)]
        shapes = [f"{name} {known.get(name)} -> {given.get(name)}" for name in changed]
        raise ValueError(
            f"The network has changed since the previous fit: {', '.join(shapes)}. "
            "Set the parameters back, set warm_start=False, or fit a clone."
        )
    progress = estimator._progress
    theta = layout.reorder(estimator._theta, before)
    if progress is None:
        return TrainingState(theta, {}, seed, epoch=estimator.n_iter_)
    memory = {name: layout.reorder(array, before) for name, array in progress["memory"].items()}
    return TrainingState(theta, **{**progress, "memory": memory}).copy()


def with_weights(network: Network, theta: Array, weights: Mapping[str, Any]) -> Array:
    """Return a copy of the parameters with some replaced; raise if a name or shape is wrong."""
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"weights is a {type(weights).__name__}; needed: a dict such as get_weights() returns."
        )
    replaced = theta.copy()
    arrays = dict(network.layout.arrays(replaced))
    for name, values in weights.items():
        if name not in arrays:
            raise ValueError(
                f"weights holds {brief(name)}, but the network has no such array. Its arrays are: "
                f"{', '.join(arrays)}."
            )
        given = np.asarray(to_numpy(values, f"weights[{brief(name)}]"))
        if given.shape != arrays[name].shape:
            raise ValueError(
                f"weights[{brief(name)}] has the shape {given.shape}; needed: {arrays[name].shape}."
            )
        if given.dtype.kind in "biuf":
            with np.errstate(all="ignore"):  # too large for float32 becomes infinite
                arrays[name][...] = given
        if given.dtype.kind not in "biuf" or not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"weights[{brief(name)}] holds values that are not finite numbers in {theta.dtype}."
            )
        minimum = network.layout.parameters[name].minimum
        if (arrays[name] < minimum).any():
            raise ValueError(
                f"weights[{brief(name)}] holds values below {minimum:g}; "
                f"needed: {minimum:g} or more."
            )
    return replaced
