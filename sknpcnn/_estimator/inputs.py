"""Checks the user's data, so that the rest of the package can rely on X, y and weights."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from sknpcnn._engine.chunks import BLOCK, cut
from sknpcnn._estimator.labels import (
    check_class_labels,
    check_indicator,
    check_real_values,
    flatten_column,
    is_multilabel,
    to_dense,
)
from sknpcnn._estimator.layout import (
    Image,
    check_one_label_per_image,
    check_shape,
    flatten,
    infer_image_shape,
    is_table,
    warn_of_layout,
)
from sknpcnn._estimator.private import check_first_call, get_chunk_n_rows
from sknpcnn._estimator.protocol import AnyEstimator, Estimator
from sknpcnn._network.batches import Array
from sknpcnn._network.network import Network
from sknpcnn._values.arrays import to_numpy
from sknpcnn._values.brief import brief, shortened
from sknpcnn.losses import Loss, named_or_own

_KINDS = {"classes": "classes", "labels": "labels in an indicator matrix", "reals": "real numbers"}

MAX_MESSAGE_LENGTH = 1000
"""The most characters quoted from an error of another library, which may contain whole texts."""


@contextmanager
def naming(*names: str) -> Iterator[None]:
    """Prefix errors of other libraries with the first name unless they mention one of the names."""
    try:
        yield
    except (ValueError, TypeError) as error:
        message = str(error)
        if re.search(rf"\b({'|'.join(names)})\b", message) and len(message) <= MAX_MESSAGE_LENGTH:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{names[0]}: {shortened(message, MAX_MESSAGE_LENGTH)}") from error


@contextmanager
def refuse_huge_integers(name: str) -> Iterator[None]:
    """Raise an error that names the array if it holds an integer too large for a float."""
    try:
        yield
    except OverflowError as error:
        raise ValueError(
            f"{name} holds an integer beyond 1e308; needed: finite numbers."
        ) from error


def check_prediction_data(estimator: AnyEstimator, X: Any, image: Image, name: str = "X") -> Array:
    """Check X to predict: it must hold images of the shape that the estimator was fitted on."""
    X, given = flatten(X, name, image)
    check_shape(estimator, given, image, name)
    with refuse_huge_integers(name):
        X = validate_data(estimator, X, reset=False, dtype="numeric", ensure_all_finite=False)
    return _check_finite(X, estimator, name)


def check_no_overflow(outputs: Array) -> None:
    """Raise if outputs of the network are infinite, or so large that their differences would be."""
    limit = np.finfo(outputs.dtype).max / 2
    if not (-limit < outputs.min() and outputs.max() < limit):
        first = np.argmin((abs(outputs) < limit).all(axis=1))
        raise ValueError(
            f"X[{first}] makes the network overflow in {outputs.dtype}; needed: pixels on the "
            "scale of those that it was trained on, and a network that was trained at a usual "
            "learning rate."
        )


def check_finite_predictions(predicted: Array) -> None:
    """Raise if real predictions are infinite, as the exponential of a large output is."""
    if predicted.dtype.kind == "f" and not np.isfinite(predicted).all():
        first = np.argmin(np.isfinite(predicted.reshape(len(predicted), -1)).all(axis=1))
        raise ValueError(
            f"The prediction for X[{first}] overflows; needed: pixels on the scale of those that "
            "the network was trained on, and a y in training whose values are far below 1e308."
        )


def prediction_batch_size(network: Network, dtype: np.dtype) -> int:
    """Compute how many images to predict at once within scikit-learn's ``working_memory``."""
    # room for input and output of the widest layer; others are smaller or processed in chunks
    rows: int = get_chunk_n_rows(2 * network.widest * dtype.itemsize)
    return rows


def gradient_batch_size(network: Network, dtype: np.dtype) -> int:
    """Compute how many images to differentiate at once within ``working_memory``."""
    # every output of a layer is kept, and has a gradient
    rows: int = get_chunk_n_rows(2 * network.elements * dtype.itemsize)
    return rows


class Given(NamedTuple):
    """The validated data of a fit."""

    X: Array
    """(n, features)"""
    y: Array
    """(n,) or (n, k)"""
    image: Image
    table: bool
    """Whether X is a table instead of images."""


def check_training_data(estimator: Estimator, X: Any, y: Any, loss: Loss, reset: bool) -> Given:
    """Check X and y to fit; infer the shape of an image, and whether X is a table."""
    raw = X
    X, given = flatten(raw)
    check_one_label_per_image(given, len(X) if given else 0, y)
    if loss.targets == "classes":
        check_class_labels(y, "y")
        with naming("y"):
            y = flatten_column(y, "y", caller=8)
    elif y is not None:  # alone, so that errors are about it
        y = check_y(y, "y", loss, caller=8)
    several = loss.targets != "classes"
    with naming("X", "y"), refuse_huge_integers("X"):
        X, y = validate_data(
            estimator,
            X,
            y,
            reset=reset,
            dtype="numeric",
            ensure_all_finite=False,
            multi_output=several,
        )
    if not several:
        with naming("y"):
            y = _values_of(y, "y", loss)
    names = getattr(estimator, "feature_names_in_", None)
    table = is_table(X.shape[1], given, estimator.image_shape, names)
    if reset:
        image = infer_image_shape(X.shape[1], given, estimator.image_shape, table)
        warn_of_layout(estimator, X, y, given)
        as_given = X.shape[1:] if given is None else given
        estimator._sample_shape = as_given[:2] if given and np.ndim(raw) == 3 else as_given
    else:
        image = estimator.image_shape_
        shape = given or image
        if infer_image_shape(X.shape[1], shape, estimator.image_shape, table=False) != image:
            raise ValueError(
                f"X holds images of shape {given}, but the previous fit was on images of shape "
                f"{image}."
            )
    return Given(_check_finite(X, estimator, "X"), y, image, table)


def check_y(y: Any, name: str, loss: Loss, caller: int) -> Array:
    """Check y, of training or validation data; ``caller`` is the stack level of the user's call."""
    if loss.targets == "classes":
        return _values_of(check_labels(y, name, caller + 1), name, loss)
    y = to_numpy(y, name)
    with naming(name), refuse_huge_integers(name):
        y = check_array(to_dense(y), ensure_2d=False, ensure_min_features=0, input_name=name)
        y = flatten_column(y, name, caller + 1) if loss.targets == "reals" else y
    return _values_of(y, name, loss)


def check_labels(y: Any, name: str, caller: int) -> Array:
    """Check class labels, which need not be those of training data."""
    y = to_numpy(y, name)
    with naming(name), refuse_huge_integers(name):
        check_class_labels(y, name)
        labels: Array = column_or_1d(flatten_column(y, name, caller + 1), input_name=name)
        assert_all_finite(labels, input_name=name)
    return labels


def _values_of(y: Array, name: str, loss: Loss) -> Array:
    """Return y, real numbers in double precision; raise unless the loss supports it."""
    if loss.targets == "classes":
        with np.errstate(all="ignore"):  # scikit-learn casts to integers, which may overflow
            check_classification_targets(y)
        return y
    if loss.targets == "labels":
        return check_indicator(y, name, loss)
    return check_real_values(y, name, loss)


def choose_loss(estimator: Estimator, y: Any, fitted: Loss | None) -> str | Loss:
    """Return the loss to train, as a name or a value; "auto" depends on the kind of y.

    ``fitted`` is the loss of the previous fit if training resumes.
    """
    given = estimator.loss
    if not isinstance(given, (str, Loss)):
        raise TypeError(f"loss={brief(given)}; needed: a name or a loss.")
    chosen: str | Loss = str.__str__(given) if isinstance(given, str) else given
    if chosen == "auto" and fitted is not None:
        chosen = "binary_cross_entropy" if fitted.targets == "labels" else "cross_entropy"
    elif chosen == "auto":
        chosen = "binary_cross_entropy" if is_multilabel(y) else "cross_entropy"
    loss = named_or_own(chosen)
    if loss.targets not in _KINDS:
        raise ValueError(
            f"loss={brief(given)} has targets={brief(loss.targets)}; needed: one of "
            f"{', '.join(_KINDS)}."
        )
    if loss.targets not in estimator._targets:
        raise ValueError(
            f"loss={brief(given)} compares {_KINDS[loss.targets]}, but "
            f"{type(estimator).__name__} predicts "
            f"{' or '.join(_KINDS[kind] for kind in estimator._targets)}."
        )
    if fitted is not None and loss.targets != fitted.targets:
        raise ValueError(
            f"loss={brief(given)} compares {_KINDS[loss.targets]}, but the previous fit was on "
            f"{_KINDS[fitted.targets]}. Set it back, set warm_start=False, or fit a clone."
        )
    if fitted is not None and not _same_outputs(loss, fitted):
        raise ValueError(
            f"loss={brief(given)} scales y or links outputs to it in another way than {fitted!r} "
            "of the previous fit. Set it back, set warm_start=False, or fit a clone."
        )
    return chosen


@np.errstate(all="ignore")
def _same_outputs(one: Loss, other: Loss) -> bool:
    """Return whether outputs mean the same to two losses: training can continue with the other."""
    outputs = np.linspace(-2, 2, 12).reshape(3, 4)
    same = np.array_equal(one.link(outputs.copy()), other.link(outputs.copy()))
    return same and one.nonnegative == other.nonnegative


def check_classes(estimator: Estimator, classes: Any, loss: Loss, y: Any) -> None:
    """Check the classes given to partial_fit, which the first call requires.

    The classes of an indicator matrix are its column indices.
    """
    classes = to_numpy(classes, "classes")
    with naming("classes"):
        if classes is not None:
            _check_class_values(classes)
        elif loss.targets == "labels" and not hasattr(estimator, "classes_"):
            shape = np.shape(to_dense(y))
            classes = np.arange(shape[1]) if len(shape) == 2 else None
        check_first_call(estimator, classes)
    if loss.targets == "labels":
        n = len(estimator.classes_)
        if not np.array_equal(estimator.classes_, np.arange(n)):
            raise ValueError(
                f"classes={brief(classes)}; needed: the column indices of y, "
                f"numpy.arange({n}), or None."
            )


def _check_class_values(classes: Any) -> None:
    """Raise if classes are empty or not finite; scikit-learn checks the rest."""
    values = np.asarray(classes)
    if values.size == 0 or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise ValueError(
            f"classes={brief(classes)}; needed: all labels that may occur, without NaN."
        )


def _check_finite(X: Array, estimator: AnyEstimator, name: str) -> Array:
    """Return X if all its values are finite, checked block by block; otherwise raise.

    If the sum of X is infinite, as it often is in half precision, scikit-learn would check all of X
    at once, which takes half as much memory again.
    """
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} has the dtype {X.dtype}; needed: numbers.")
    with np.errstate(all="ignore"):  # the sum of finite values may overflow
        for lo, hi in cut(len(X), max(BLOCK // X.shape[1], 1)):
            assert_all_finite(X[lo:hi], estimator_name=type(estimator).__name__, input_name=name)
    return X
