"""What the user hands in, checked and flattened: X, y, weights, and the shape of an image."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils._chunking import get_chunk_n_rows
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from sknpcnn.arrays import to_numpy
from sknpcnn.balance import Seen, add_counts, balanced_weights
from sknpcnn.batches import Array
from sknpcnn.brief import brief, shortened
from sknpcnn.checks import plain_real
from sknpcnn.chunks import BLOCK, cut
from sknpcnn.kernels.randomness import keyed
from sknpcnn.labels import (
    as_matrix,
    check_indicator,
    check_one_label_each,
    holds_labels,
    real_values,
)
from sknpcnn.layout import (
    Image,
    check_several,
    check_shape,
    flatten,
    image_of,
    is_table,
    warn_of_layout,
)
from sknpcnn.losses import Loss, named_or_own
from sknpcnn.network import Network
from sknpcnn.samples import Samples, content_ids
from sknpcnn.targets import Classes, Target

_KINDS = {"classes": "classes", "labels": "labels in an indicator matrix", "reals": "real numbers"}

MAX_MESSAGE = 1000
"""How many characters of an error of another library are told: some hold a whole text."""


@contextmanager
def naming(*names: str) -> Iterator[None]:
    """Have errors of other libraries say briefly what they are about, where they do not do so.

    That is the first of the names, unless they say one of the others.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        message = str(error)
        if re.search(rf"\b({'|'.join(names)})\b", message) and len(message) <= MAX_MESSAGE:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{names[0]}: {shortened(message, MAX_MESSAGE)}") from error


@contextmanager
def _numbers_fit(name: str) -> Iterator[None]:
    """Refuse integers that are too large for any floating-point number by what holds them."""
    try:
        yield
    except OverflowError as error:
        raise ValueError(
            f"{name} holds an integer beyond 1e308; needed: finite numbers."
        ) from error


def rows_to_predict(estimator: Any, X: Any, image: Image, name: str = "X") -> Array:
    """Check X against what the estimator was fitted on: images of that shape."""
    X, given = flatten(X, name, image)
    check_shape(estimator, given, image, name)
    with _numbers_fit(name):
        X = validate_data(estimator, X, reset=False, dtype="numeric", ensure_all_finite=False)
    return _finite_numbers(X, estimator, name)


def check_no_overflow(outputs: Array) -> None:
    """Refuse images that a network makes infinities of, or numbers whose differences are."""
    limit = np.finfo(outputs.dtype).max / 2
    if not (-limit < outputs.min() and outputs.max() < limit):
        first = np.argmin((abs(outputs) < limit).all(axis=1))
        raise ValueError(
            f"X[{first}] makes the network overflow in {outputs.dtype}; needed: pixels on the "
            "scale of those that it was trained on, and a network that was trained at a usual "
            "learning rate."
        )


def rows_at_once(network: Network, dtype: np.dtype) -> int:
    """Decide how many images to predict together, within scikit-learn's ``working_memory``."""
    # the input and the output of the widest layer; all others are smaller, or cut into chunks
    return get_chunk_n_rows(2 * network.widest * dtype.itemsize)


class Given(NamedTuple):
    """The data of a fit, checked."""

    X: Array
    """(n, features)"""
    y: Array
    """(n,) or (n, k)"""
    image: Image
    table: bool
    """Whether X is a table rather than images."""


def rows_to_fit(estimator: Any, X: Any, y: Any, loss: Loss, reset: bool) -> Given:
    """Check X and y; find the shape of an image, and whether X is a table rather than images."""
    X, given = flatten(X)
    check_several(given, len(X) if given else 0, y)
    if loss.targets == "classes":
        check_one_label_each(y, "y")
    else:
        y = as_matrix(y)
    several = {"multi_output": loss.targets != "classes", "y_numeric": loss.targets == "reals"}
    with naming("X", "y"), _numbers_fit("X"):
        X, y = validate_data(
            estimator, X, y, reset=reset, dtype="numeric", ensure_all_finite=False, **several
        )
        y = _values_of(y, "y", loss)
    names = getattr(estimator, "feature_names_in_", None)
    table = is_table(X.shape[1], given, estimator.image_shape, names)
    if reset:
        image = image_of(X.shape[1], given, estimator.image_shape, table)
        warn_of_layout(estimator, X, y, given)
    else:
        image = estimator.image_shape_
        if image_of(X.shape[1], given or image, estimator.image_shape, table=False) != image:
            raise ValueError(
                f"X holds images of shape {given}, but the fit that is to be continued was on "
                f"images of shape {image}."
            )
    return Given(_finite_numbers(X, estimator, "X"), y, image, table)


def y_to_validate(y: Any, name: str, loss: Loss) -> Array:
    """Check the y of a validation set."""
    y = to_numpy(y, name)
    if loss.targets == "classes":
        check_one_label_each(y, name)
        y = column_or_1d(y, warn=True, input_name=name)
        assert_all_finite(y, input_name=name)
    else:
        y = check_array(as_matrix(y), ensure_2d=False, input_name=name)
    return _values_of(y, name, loss)


def _values_of(y: Array, name: str, loss: Loss) -> Array:
    """Raise unless y is what the loss needs; a single column of real numbers becomes (n,)."""
    if loss.targets == "classes":
        with np.errstate(all="ignore"):  # which scikit-learn takes for integers, to compare them
            check_classification_targets(y)
        return y
    if loss.targets == "labels":
        return check_indicator(y, name, loss)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True, input_name=name)
    return real_values(y, name, loss)


def loss_for(estimator: Any, y: Any, fitted: Loss | None) -> str | Loss:
    """Decide which loss is trained: by its name, or a value of its own.

    ``fitted`` is that of the fit which is to be continued. "auto" goes by the kind of y.
    """
    given = estimator.loss
    if not isinstance(given, (str, Loss)):
        raise TypeError(f"loss={brief(given)}; needed: a name or a loss.")
    chosen: str | Loss = str.__str__(given) if isinstance(given, str) else given
    if chosen == "auto" and fitted is not None:
        chosen = "binary_cross_entropy" if fitted.targets == "labels" else "cross_entropy"
    elif chosen == "auto":
        chosen = "binary_cross_entropy" if holds_labels(y) else "cross_entropy"
    loss = named_or_own(chosen)
    if loss.targets not in estimator._targets:
        raise ValueError(
            f"loss={brief(given)} compares {_KINDS[loss.targets]}, but "
            f"{type(estimator).__name__} predicts "
            f"{' or '.join(_KINDS[kind] for kind in estimator._targets)}."
        )
    if fitted is not None and loss.targets != fitted.targets:
        raise ValueError(
            f"loss={brief(given)} compares {_KINDS[loss.targets]}, but the fit that is to be "
            f"continued was on {_KINDS[fitted.targets]}. Set it back, set warm_start=False, or "
            "fit a clone."
        )
    if fitted is not None and loss.nonnegative != fitted.nonnegative:
        raise ValueError(
            f"loss={brief(given)} needs y to be scaled in another way than {fitted!r} of the fit "
            "that is to be continued. Set it back, set warm_start=False, or fit a clone."
        )
    return chosen


@np.errstate(all="ignore")  # weights are proportions: what is far too small counts as nothing
def samples_of(
    X: Array,
    y: Array,
    target: Target,
    weights: Array | None = None,
    class_weight: Any = None,
    name: str = "y",
    seen: Seen = (),
) -> Samples:
    """Encode y and weigh the samples; one of weight zero is as good as absent.

    ``name`` is what y is called in an error, ``y`` or ``y_val``. ``seen`` is what earlier calls
    have seen of each class, which "balanced" weights go by as well.
    """
    targets = target.encode(y, name)
    counts = target.counts(targets, weights)
    if class_weight is not None:
        weights = np.ones(len(X)) if weights is None else weights
        by_class = _weights_of_classes(class_weight, target, name, add_counts(seen, counts))
        weights = _comparable(weights * _comparable(by_class)[targets])
        if not weights.any():
            raise ValueError(
                f"class_weight={brief(class_weight)}; needed: a weight above 0 for a class that "
                f"{name} holds."
            )
    index = np.arange(len(X)) if weights is None else np.flatnonzero(weights)
    return Samples(X, targets, weights, index, counts)


@np.errstate(all="ignore")
def weights_of(given: Any, X: Array, name: str = "sample_weight") -> Array | None:
    """Check the weights of samples: one for each, or one number for all."""
    given = to_numpy(given, name)
    return None if given is None else _comparable(_weights(given, X, name))


def _weights_of_classes(class_weight: Any, target: Target, name: str, seen: Seen) -> Array:
    if not isinstance(target, Classes):
        raise ValueError(
            f"class_weight={brief(class_weight)} weighs samples by their class, but y is an "
            "indicator matrix, where a sample may have several labels. Give sample_weight."
        )
    if isinstance(class_weight, dict):
        return _named_weights(class_weight, target.classes, name)
    return balanced_weights(seen)


def _weights(given: Any, X: Array, name: str) -> Array:
    """Check the weights of samples: one for each, or one number for all."""
    with naming(name), _numbers_fit(name):
        if isinstance(given, Number) and ((number := plain_real(given)) is None or number < 0):
            raise ValueError(
                f"{name}={brief(given)}; needed: a finite number of at least 0, or one for each "
                "sample."
            )
        return _check_sample_weight(given, X, dtype=np.float64, ensure_non_negative=True, copy=True)


def _comparable(weights: Array) -> Array:
    """Bring extreme weights to a size whose sums and products are finite: they are proportions."""
    largest = weights.max(initial=0.0)
    if largest == 0 or 1e-100 < largest < 1e100:
        return weights
    _, exponent = np.frexp(largest)
    return np.ldexp(weights, -exponent)  # by a power of two, which changes no digit


def _named_weights(class_weight: Any, classes: Array, name: str) -> Array:
    """Weigh the classes as a dict says; one that it does not name keeps one."""
    known = classes.tolist()
    numbers = {
        label: float(weight) if isinstance(weight, bool) else plain_real(weight)
        for label, weight in class_weight.items()
    }
    sound = {
        label: number for label, number in numbers.items() if number is not None and number >= 0
    }
    if len(sound) < len(numbers):
        raise ValueError(
            f"class_weight={brief(class_weight)}; needed: finite numbers of at least 0."
        )
    strangers = list(class_weight.keys() - set(known))
    # once is enough: for the labels that are trained on
    if strangers and name == "y" and any(label not in class_weight for label in known):
        warnings.warn(
            f"class_weight names {brief(strangers)}, which the labels {brief(known)} do not "
            "hold; those that it does not name weigh 1.",
            stacklevel=9,
        )
    return np.array([sound.get(label, 1.0) for label in known])


def take_classes(estimator: Any, classes: Any, loss: Loss, y: Any) -> None:
    """Check the classes that partial_fit is given; the first call must have them.

    The labels of an indicator matrix are the numbers of its columns.
    """
    classes = to_numpy(classes, "classes")
    with naming("classes"):
        if classes is not None:
            _check_classes(classes)
        elif loss.targets == "labels" and getattr(y, "ndim", 0) == 2:
            classes = np.arange(y.shape[1])
        _check_partial_fit_first_call(estimator, classes)
    if loss.targets == "labels":
        n = len(estimator.classes_)
        if not np.array_equal(estimator.classes_, np.arange(n)):
            raise ValueError(
                f"classes={brief(classes)}; needed: the numbers of the columns of y, "
                f"numpy.arange({n}), or None."
            )


def _check_classes(classes: Any) -> None:
    """Refuse classes that no label could belong to; scikit-learn checks the rest."""
    values = np.asarray(classes)
    if values.size == 0 or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise ValueError(f"classes={brief(classes)}; needed: all labels that may come, and no NaN.")


@np.errstate(all="ignore")
def split_off(
    samples: Samples, target: Target, fraction: float, seed: int
) -> tuple[Samples, Samples]:
    """Split into training and validation samples: that fraction of the weight of each class.

    Where there are no classes it is that of all samples.

    Which sample goes where depends on its content, not on its place. So copies of a sample are
    always on the same side: none that is trained on is validated on, and a sample of weight two
    is treated like a sample given twice.
    """
    ids = keyed(content_ids(samples), seed)
    strata = target.strata(samples.targets[samples.index])
    weights = samples.weights_at(samples.index)
    weights = np.ones(len(samples)) if weights is None else weights
    held_out = np.zeros(len(samples), bool)
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        different, copies = np.unique(ids[own], return_inverse=True)
        weight = np.bincount(copies, weights[own])
        # the first ones in the order of their ids whose weight comes closest to the fraction;
        # at least one, and never all of them
        missed = np.abs(np.cumsum(weight) - fraction * weight.sum())
        taken = min(int(missed.argmin()) + 1, len(different) - 1)
        held_out[own] = copies < taken
    if not held_out.any():
        raise ValueError(
            f"early_stopping=True needs {'a class with ' * isinstance(target, Classes)}at least "
            f"two different samples, to hold out validation_fraction={fraction} of them; n_samples "
            f"= {len(samples)} given. Give X_val "
            "and y_val, more samples, or early_stopping=False."
        )
    return samples.at(samples.index[~held_out]), samples.at(samples.index[held_out])


def _finite_numbers(X: Array, estimator: Any, name: str) -> Array:
    """Refuse what is not a finite number, looking at one block after the other.

    scikit-learn would look at all of X at once where its sum is infinite, as that of half precision
    soon is; that takes half as much memory again.
    """
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} has the dtype {X.dtype}; needed: numbers.")
    with np.errstate(all="ignore"):  # the sum of finite numbers need not be one
        for lo, hi in cut(len(X), max(BLOCK // X.shape[1], 1)):
            assert_all_finite(X[lo:hi], estimator_name=type(estimator).__name__, input_name=name)
    return X
