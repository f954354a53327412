"""What a fitted estimator holds, and how that becomes a network again.

It holds arrays and plain values only: the vector of parameters, what the input is shifted and
scaled by, and the hyperparameters that the network was made of.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from math import nan
from typing import Any
from weakref import ref

import numpy as np

from sknpcnn import blocks, inputs
from sknpcnn.arrays import to_numpy
from sknpcnn.balance import add_counts
from sknpcnn.batches import Array, Rows
from sknpcnn.blas import threads_for
from sknpcnn.brief import brief
from sknpcnn.engine import Engine
from sknpcnn.fitting import Fit
from sknpcnn.layout import Image
from sknpcnn.losses import Loss, named_or_own
from sknpcnn.network import FOLD, Network
from sknpcnn.parameters import Layout
from sknpcnn.standard import Standard, warn_of_other_scale
from sknpcnn.targets import Target, of_fitted
from sknpcnn.training import TrainingState


def architecture_of(estimator: Any, image: Image, table: bool, going_on: bool) -> dict[str, Any]:
    """Read the hyperparameters that make the network, with what "auto" stands for."""
    names = (*blocks.ARCHITECTURE, "layers")
    found = deepcopy({name: getattr(estimator, name) for name in names})  # lists may change
    if found["layers"] is not None:
        return found
    if going_on and estimator._architecture["layers"] is None:
        chosen = estimator._architecture
    else:
        chosen = blocks.chosen(found, image, table)
    return {name: chosen[name] if blocks.is_auto(value) else value for name, value in found.items()}


def attributes_of(fit: Fit, theta: Array, keep: bool) -> dict[str, Any]:
    """Collect the fitted attributes; with ``keep`` also what training needs to go on."""
    history, state, forgotten = fit.history, fit.state, fit.forgotten
    losses = [row["train_loss"] for row in history]
    validated = fit.validation is not None
    progress = {"memory": state.memory, **state.to_values()}
    return {
        **fit.features,
        **fit.plan.target.attributes(),
        "image_shape_": fit.network.image,
        "n_iter_": fit.epochs_known,
        "t_": fit.samples_before + fit.epochs_run * len(fit.samples),
        "n_layers_": len(fit.network.summary()),
        "loss_": losses[-1] if losses else nan,
        "best_loss_": None if fit.early_stopping else _lowest(losses, forgotten.lowest_loss),
        "loss_curve_": losses,
        "validation_scores_": [row["validation_score"] for row in history] if validated else None,
        "_theta": theta,
        "_standard": None if fit.standard is None else (fit.standard.mean, fit.standard.scale),
        "_architecture": fit.architecture,
        "_loss": fit.loss,
        "_history": history,
        "_forgotten": tuple(forgotten),
        "_seen": add_counts(fit.seen_before, fit.samples.counts, fit.epochs_run),
        "_progress": progress if keep else None,
    }


def _lowest(losses: list[float], before: float) -> float:
    return min(*losses, before) if losses else nan


# The most memory that a classifier keeps between two predictions, in bytes.
KEPT = 2**23


class _Made:
    """What has been made of a fitted classifier, and does not belong to it: pickles do without."""

    def __init__(self, estimator: Any) -> None:
        self.architecture = estimator._architecture  # a new one for every fit
        image = estimator.image_shape_
        steps = blocks.build(self.architecture, image)
        self.network = Network(steps, image, target_of(estimator).n_outputs)
        self.engines: deque[tuple[Array, Engine]] = deque(maxlen=1)
        """An engine that nobody uses, and the parameters that its tapes read."""


class _ByIdentity:
    """A dictionary that forgets its keys when nobody has them, and does not compare them."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[ref[Any], _Made]] = {}

    def __getitem__(self, key: Any) -> _Made:
        return self._found[id(key)][1]

    def __setitem__(self, key: Any, made: _Made) -> None:
        place, found = id(key), self._found
        found[place] = ref(key, lambda gone: found.pop(place, None)), made

    def get(self, key: Any) -> _Made | None:
        return self._found.get(id(key), (None, None))[1]


_made = _ByIdentity()


def _made_of(estimator: Any) -> _Made:
    made = _made.get(estimator)
    if made is None or made.architecture is not estimator._architecture:
        made = _made[estimator] = _Made(estimator)
    return made


def snapshot(estimator: Any) -> Any:
    """Copy an estimator as it is at this moment, with what has been made of it.

    Whoever works with the copy sees one model, whole, whatever other threads do meanwhile.
    """
    copied = object.__new__(type(estimator))
    copied.__dict__ = vars(estimator).copy()  # in one step
    if hasattr(copied, "_architecture"):
        made = _made.get(estimator)
        if made is None or made.architecture is not copied._architecture:
            made = _made[estimator] = _Made(copied)
        _made[copied] = made
    return copied


def publish(estimator: Any, attributes: Mapping[str, Any]) -> None:
    """Give an estimator all its fitted attributes in one step, so that nobody sees a part of them.

    Names of features are gone where there are none among the new attributes.
    """
    state = {**vars(estimator), **attributes}
    if "feature_names_in_" not in attributes:
        state.pop("feature_names_in_", None)
    estimator.__dict__ = state


def features_of(estimator: Any) -> dict[str, Any]:
    """Collect what scikit-learn's validation has found out about the features of X."""
    names = ("n_features_in_", "feature_names_in_")
    return {name: getattr(estimator, name) for name in names if hasattr(estimator, name)}


def network_of(estimator: Any) -> Network:
    """Return the network that a classifier was fitted with; it holds no parameters."""
    return _made_of(estimator).network


@np.errstate(all="ignore")  # the check below tells what is not finite
def outputs_of(estimator: Any, X: Array, last: str | None = None) -> Array:
    """Compute what a fitted classifier's network makes of rows: logits, or what a layer puts out.

    The rows have been checked; what the network makes of them is refused where it overflows.
    """
    network, theta = network_of(estimator), estimator._theta
    standard = standard_of(estimator)
    rows = Rows(X, estimator.image_shape_, standard)
    at_once = inputs.rows_at_once(network, theta.dtype)
    if last is None:
        with engine_for(estimator, len(rows)) as engine:
            outputs = network.logits(theta, rows, engine, at_once)
    else:
        with Engine(threads_for(estimator.n_jobs), theta.dtype) as engine:
            outputs = network.outputs(theta, rows, engine, at_once, last)
    inputs.check_no_overflow(outputs)
    if standard is not None:
        warn_of_other_scale(X, standard)
    return outputs


@contextmanager
def engine_for(estimator: Any, n_images: int) -> Iterator[Engine]:
    """Provide the threads and the memory to predict with.

    For a few images it is kept until the next time, with what was made of the parameters: else
    finding and clearing memory would take as long as the arithmetic.
    """
    theta, n_threads = estimator._theta, threads_for(estimator.n_jobs)
    if n_images >= FOLD:
        with Engine(n_threads, theta.dtype) as engine:
            yield engine
        return
    engines = _made_of(estimator).engines
    known = None
    with suppress(IndexError):
        known, engine = engines.pop()  # and no other thread has it now
    if known is not theta or engine.n_threads != n_threads:
        engine = Engine(n_threads, theta.dtype, derived={})
    with engine:
        yield engine
    if engine.size() <= KEPT:
        engines.append((theta, engine))


def loss_of(estimator: Any) -> Loss:
    """Return the loss that an estimator was fitted with."""
    return named_or_own(estimator._loss)


def target_of(estimator: Any) -> Target:
    """Return what a fitted estimator predicts."""
    return of_fitted(estimator, loss_of(estimator))


def predictions(estimator: Any, outputs: Array) -> Array:
    """Turn outputs of the network into predictions, of the form of y."""
    return target_of(estimator).predict(outputs, loss_of(estimator))


def standard_of(estimator: Any) -> Standard | None:
    """Return what a fitted classifier shifts and scales its input by."""
    return None if estimator._standard is None else Standard(*estimator._standard)


def state_of(estimator: Any, layout: Layout, seed: int) -> TrainingState:
    """Return the state to go on training from: all of it, or new memories for fitted parameters.

    Layers may be trained in another way than before, at another rate or not at all; but the arrays
    of the network must be the same.
    """
    before = network_of(estimator).layout
    given, known = layout.shapes(), before.shapes()
    if given != known:
        changed = [name for name in {**known, **given} if given.get(name) != known.get(name)]
        shapes = [f"{name} {known.get(name)} -> {given.get(name)}" for name in changed]
        raise ValueError(
            f"The network has changed since the fit that is to be continued: {', '.join(shapes)}. "
            "Set the parameters back, set warm_start=False, or fit a clone."
        )
    kept = estimator._progress
    theta = layout.reorder(estimator._theta, before)
    if kept is None:
        return TrainingState(theta, {}, seed, epoch=estimator.n_iter_)
    memory = {name: layout.reorder(array, before) for name, array in kept["memory"].items()}
    return TrainingState(theta, **{**kept, "memory": memory}).copy()


def with_weights(network: Network, theta: Array, weights: Mapping[str, Any]) -> Array:
    """Copy the parameters with some of them replaced, after a look at every name and shape."""
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"weights is a {type(weights).__name__}; needed: a dict such as get_weights() returns."
        )
    replaced = theta.copy()
    arrays = dict(network.layout.arrays(replaced))
    for name, values in weights.items():
        if name not in arrays:
            raise ValueError(
                f"weights names {brief(name)}, which this network has not. Its arrays are: "
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
                f"weights[{brief(name)}] holds something that is not a finite number in "
                f"{theta.dtype}."
            )
        least = network.layout.parameters[name].minimum
        if (arrays[name] < least).any():
            raise ValueError(
                f"weights[{brief(name)}] holds values below {least:g}; needed: {least:g} or more."
            )
    return replaced
