"""Makes samples of the user's data: encoded, weighted, and perhaps a fraction held out."""

import warnings
from numbers import Number
from typing import Any, NamedTuple

import numpy as np

from sknpcnn._estimator import fitted, inputs
from sknpcnn._estimator.inputs import naming, refuse_huge_integers
from sknpcnn._estimator.layout import Image
from sknpcnn._estimator.private import check_sample_weight
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._kernels.randomness import keyed
from sknpcnn._network.balance import Seen, add_counts, balanced_weights
from sknpcnn._network.batches import Array
from sknpcnn._network.samples import Samples, content_ids
from sknpcnn._training.classes import Classes
from sknpcnn._training.targets import Target, found, of_fitted
from sknpcnn._values.arrays import to_numpy
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import plain_real
from sknpcnn.losses import Loss, named_or_own


class TrainingData(NamedTuple):
    """What a fit is made of, besides parameters."""

    samples: Samples
    image: Image
    target: Target
    loss: str | Loss
    """By its name where it has one."""
    table: bool
    """Whether X is a table instead of images."""


def read_data(
    estimator: Estimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any = None,
    resumes: bool = False,
    stream: bool = False,
    classes: Any = None,
) -> TrainingData:
    """Check the data of a fit, and find the target: in y, or in what the estimator was fitted to.

    The ``classes`` of a ``stream`` are given, as later calls may bring others than this one.
    """
    y = to_numpy(y, "y")
    chosen = inputs.choose_loss(estimator, y, fitted.loss_of(estimator) if resumes else None)
    loss = named_or_own(chosen)
    has_classes = stream and loss.targets != "reals"
    if has_classes:
        inputs.check_classes(estimator, classes, loss, y)
    X, y, image, table = inputs.check_training_data(estimator, X, y, loss, reset=not resumes)
    weights = check_weights(sample_weight, X)
    target = of_fitted(estimator, loss) if resumes or has_classes else found(y, weights, loss)
    seen = getattr(estimator, "_seen", ()) if stream and resumes else ()
    samples = make_samples(X, y, target, weights, class_weight, seen=seen)
    return TrainingData(samples, image, target, chosen, table)


@np.errstate(all="ignore")  # weights are relative: underflow to zero is fine
def make_samples(
    X: Array,
    y: Array,
    target: Target,
    weights: Array | None = None,
    class_weight: Any = None,
    name: str = "y",
    seen: Seen = (),
) -> Samples:
    """Encode y and apply class weights; samples of weight zero are left out.

    ``name`` is the name of y in error messages, ``y`` or ``y_val``. ``seen`` holds the weight of
    each class in earlier calls, which "balanced" weights include.
    """
    targets = target.encode(y, name)
    counts = target.counts(targets, weights)
    if class_weight is not None:
        weights = np.ones(len(X)) if weights is None else weights
        by_class = _class_weights(class_weight, target, name, add_counts(seen, counts))
        weights = _rescale(weights * _rescale(by_class)[targets])
        if not weights.any():
            raise ValueError(
                f"class_weight={brief(class_weight)}; needed: a weight above 0 for a class that "
                f"{name} holds."
            )
    index = np.arange(len(X)) if weights is None else np.flatnonzero(weights)
    return Samples(X, targets, weights, index, y, counts)


@np.errstate(all="ignore")
def check_weights(given: Any, X: Array, name: str = "sample_weight") -> Array | None:
    """Return checked sample weights: one per sample, or a single one for all."""
    given = to_numpy(given, name)
    return None if given is None else _rescale(_weights(given, X, name))


def _class_weights(class_weight: Any, target: Target, name: str, seen: Seen) -> Array:
    if not isinstance(target, Classes):
        raise ValueError(
            f"class_weight={brief(class_weight)} weighs samples by their class, but y is an "
            "indicator matrix, where a sample may have several labels. Give sample_weight."
        )
    if isinstance(class_weight, dict):
        return _weights_from_dict(class_weight, target.classes, name)
    return balanced_weights(seen)


def _weights(given: Any, X: Array, name: str) -> Array:
    """Check sample weights: one per sample, or a single one for all."""
    with naming(name), refuse_huge_integers(name):
        if isinstance(given, Number) and ((number := plain_real(given)) is None or number < 0):
            raise ValueError(
                f"{name}={brief(given)}; needed: a finite number of at least 0, or one for each "
                "sample."
            )
        weights: Array = check_sample_weight(
            given, X, dtype=np.float64, ensure_non_negative=True, copy=True
        )
        return weights


def _rescale(weights: Array) -> Array:
    """Scale extreme weights, which are relative, so that their sums and products are finite."""
    largest = weights.max(initial=0.0)
    if largest == 0 or 1e-100 < largest < 1e100:
        return weights
    _, exponent = np.frexp(largest)
    scaled: Array = np.ldexp(weights, -exponent)  # a power of two, so that no digit changes
    return scaled


def _weights_from_dict(class_weight: Any, classes: Array, name: str) -> Array:
    """Return the weight of each class from a dict; classes that it does not name weigh 1."""
    known = classes.tolist()
    weights = {
        label: float(weight) if isinstance(weight, bool) else plain_real(weight)
        for label, weight in class_weight.items()
    }
    valid = {
        label: weight for label, weight in weights.items() if weight is not None and weight >= 0
    }
    if len(valid) < len(weights):
        raise ValueError(
            f"class_weight={brief(class_weight)}; needed: finite numbers of at least 0."
        )
    unknown = list(class_weight.keys() - set(known))
    # warn only once, for the training labels
    if unknown and name == "y" and any(label not in class_weight for label in known):
        warnings.warn(
            f"class_weight names {brief(unknown)}, which the labels {brief(known)} do not "
            "hold; those that it does not name weigh 1.",
            stacklevel=10,
        )
    return np.array([valid.get(label, 1.0) for label in known])


@np.errstate(all="ignore")
def split_off_validation(
    samples: Samples, target: Target, fraction: float, seed: int
) -> tuple[Samples, Samples]:
    """Split into training and validation samples: that fraction of the weight of each class.

    Without classes it is that fraction of the weight of all samples.

    The side of a sample depends on its content, not its position. So copies of a sample are always
    on the same side: no training sample is used for validation, and a sample of weight two is
    treated like two copies.
    """
    ids = keyed(content_ids(samples), seed)
    strata = target.strata(samples.targets[samples.index])
    weights = samples.weights_at(samples.index)
    weights = np.ones(len(samples)) if weights is None else weights
    held_out = np.zeros(len(samples), bool)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        unique, copies = np.unique(ids[members], return_inverse=True)
        weight = np.bincount(copies, weights[members])
        # the first ones in order of their ids whose weight is closest to the fraction; at least
        # one, and never all of them
        error = np.abs(np.cumsum(weight) - fraction * weight.sum())
        n_held_out = min(int(error.argmin()) + 1, len(unique) - 1)
        held_out[members] = copies < n_held_out
    if not held_out.any():
        raise ValueError(
            f"early_stopping=True needs {'a class with ' * isinstance(target, Classes)}at least "
            f"two different samples, to hold out validation_fraction={fraction} of them; n_samples "
            f"= {len(samples)} given. Give X_val "
            "and y_val, more samples, or early_stopping=False."
        )
    return samples.at(samples.index[~held_out]), samples.at(samples.index[held_out])
