"""What the user hands in, checked and flattened: X, y, weights, and the shape of an image."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Number
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils._chunking import get_chunk_n_rows
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from sknpcnn.arrays import to_numpy
from sknpcnn.balance import Seen, add_counts, balanced_weights, class_counts
from sknpcnn.batches import Array
from sknpcnn.brief import brief, shortened
from sknpcnn.checks import plain_real
from sknpcnn.chunks import BLOCK, cut
from sknpcnn.kernels.randomness import keyed
from sknpcnn.labels import check_one_label_each
from sknpcnn.layout import (
    Image,
    check_several,
    check_shape,
    flatten,
    image_of,
    is_table,
    warn_of_layout,
)
from sknpcnn.network import Network
from sknpcnn.samples import Samples, content_ids

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


def rows_to_fit(estimator: Any, X: Any, y: Any, reset: bool) -> tuple[Array, Array, Image, bool]:
    """Check X and y; find the shape of an image, and whether X is a table rather than images."""
    X, given = flatten(X)
    y = to_numpy(y, "y")
    check_several(given, len(X) if given else 0, y)
    check_one_label_each(y, "y")
    with naming("X", "y"), _numbers_fit("X"):
        X, y = validate_data(estimator, X, y, reset=reset, dtype="numeric", ensure_all_finite=False)
    _check_labels(y)
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
    return _finite_numbers(X, estimator, "X"), y, image, table


@np.errstate(all="ignore")  # weights are proportions: what is far too small counts as nothing
def samples_of(
    X: Array,
    y: Array,
    classes: Array,
    sample_weight: Any,
    class_weight: Any,
    name: str = "y",
    seen: Seen = (),
) -> Samples:
    """Number the classes and weigh the samples; one of weight zero is as good as absent.

    ``name`` is what the labels are called in an error, ``y`` or ``y_val``. ``seen`` is what earlier
    calls have seen of each class, which "balanced" weights go by as well.
    """
    try:
        place = np.searchsorted(classes, y)
        place[place == len(classes)] = 0
        unknown = classes[place] != y
    except TypeError:  # such as labels that are numbers, and classes that are dates
        unknown = np.ones(len(y), bool)
    if unknown.any():
        raise ValueError(
            f"{name} holds {brief(np.unique(y[unknown])[:5].tolist())}, which is not among the "
            f"classes {brief(classes.tolist())}."
        )
    weights = None
    sample_weight = to_numpy(sample_weight, "sample_weight")
    if sample_weight is not None:
        weights = _comparable(_weights(sample_weight, X, f"sample_weight{name[1:]}"))
    counts = class_counts(place, weights, len(classes))
    if class_weight is not None:
        if isinstance(class_weight, dict):
            by_class = _named_weights(class_weight, classes, name)
        else:
            by_class = balanced_weights(add_counts(seen, counts))
        weights = np.ones(len(X)) if weights is None else weights
        weights = _comparable(weights * _comparable(by_class)[place])
        if not weights.any():
            raise ValueError(
                f"class_weight={brief(class_weight)}; needed: a weight above 0 for a class that "
                f"{name} holds."
            )
    index = np.arange(len(X)) if weights is None else np.flatnonzero(weights)
    return Samples(X, place, weights, index, counts)


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
            stacklevel=7,
        )
    return np.array([sound.get(label, 1.0) for label in known])


def take_classes(estimator: Any, classes: Any) -> None:
    """Check the classes that partial_fit is given; the first call must have them."""
    with naming("classes"):
        if classes is not None:
            _check_classes(classes)
        _check_partial_fit_first_call(estimator, classes)


def _check_classes(classes: Any) -> None:
    """Refuse classes that no label could belong to; scikit-learn checks the rest."""
    values = np.asarray(classes)
    if values.size == 0 or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise ValueError(f"classes={brief(classes)}; needed: all labels that may come, and no NaN.")


def labels(y: Any, name: str) -> Array:
    """Check the labels of a validation set."""
    y = to_numpy(y, name)
    check_one_label_each(y, name)
    y = column_or_1d(y, warn=True, input_name=name)
    assert_all_finite(y, input_name=name)
    _check_labels(y)
    return y


def _check_labels(y: Array) -> None:
    with np.errstate(all="ignore"):  # which scikit-learn takes for integers, to compare them
        check_classification_targets(y)


@np.errstate(all="ignore")
def split_off(samples: Samples, fraction: float, seed: int) -> tuple[Samples, Samples]:
    """Split into training and validation samples: so much of the weight of each class.

    Which sample goes where depends on its content, not on its place. So copies of a sample are
    always on the same side: none that is trained on is validated on, and a sample of weight two
    is treated like a sample given twice.
    """
    ids = keyed(content_ids(samples), seed)
    classes = samples.classes[samples.index]
    weights = samples.weights_at(samples.index)
    weights = np.ones(len(samples)) if weights is None else weights
    held_out = np.zeros(len(samples), bool)
    for k in np.unique(classes):
        own = np.flatnonzero(classes == k)
        different, copies = np.unique(ids[own], return_inverse=True)
        weight = np.bincount(copies, weights[own])
        # the first ones in the order of their ids whose weight comes closest to the fraction;
        # at least one, and never all of them
        missed = np.abs(np.cumsum(weight) - fraction * weight.sum())
        taken = min(int(missed.argmin()) + 1, len(different) - 1)
        held_out[own] = copies < taken
    if not held_out.any():
        raise ValueError(
            f"early_stopping=True needs a class with at least two different samples, to hold out "
            f"validation_fraction={fraction} of them; n_samples = {len(samples)} given. Give X_val "
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
