"""Checks ``y``, with errors that say how to convert values that cannot be used."""

import warnings
from contextlib import suppress
from typing import Any

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import column_or_1d

from sknpcnn._values.brief import brief
from sknpcnn.losses import Loss

MAX_INSPECTED_ROWS = 10_000
"""The number of rows that are inspected first, to recognize one-hot labels."""


def to_dense(y: Any) -> Any:
    """Return sparse matrices and data frames as NumPy arrays, and anything else unchanged."""
    if hasattr(y, "toarray"):  # a sparse matrix
        return y.toarray()
    if getattr(y, "ndim", 0) != 2:
        return y
    values = np.asarray(y)
    if values.dtype.kind == "O" and hasattr(y, "to_numpy"):  # columns of several types, or nullable
        with suppress(TypeError, ValueError):
            return y.to_numpy(np.float64)
    return values


def flatten_column(y: Any, name: str, caller: int) -> Any:
    """Return a single column as (n,), with scikit-learn's warning; return anything else unchanged.

    ``caller`` is the stack level of the user's call: a warning from within scikit-learn would name
    a file of this package, or of its own, as its place.
    """
    shape = _array(y).shape
    if shape[1:] != (1,):
        return y
    warnings.warn(
        f"A column-vector {name} was passed when a 1d array was expected: its shape is {shape}; "
        f"needed: {shape[:1]}. Give numpy.ravel({name}).",
        DataConversionWarning,
        stacklevel=caller,
    )
    return column_or_1d(y, input_name=name)


def is_multilabel(y: Any) -> bool:
    """Return whether y is an indicator matrix: a column of zeros and ones for each label.

    Raises if every row holds a single 1: those are probably one-hot classes.
    """
    values = _array(to_dense(y))
    if values.ndim != 2 or values.shape[1] < 2 or not _is_indicator(values):
        return False
    _raise_if_one_hot(values, "y", _argmax(y, "y"))
    return True


def check_indicator(y: np.ndarray, name: str, loss: Loss) -> np.ndarray:
    """Return y; raise unless it is an indicator matrix."""
    if y.ndim != 2 or not _is_indicator(y):
        raise ValueError(
            f"{name} has the shape {y.shape}, and holds {brief(np.unique(y)[:5].tolist())}; needed "
            f"for loss={loss!r}: an indicator matrix (n, labels) of zeros and ones."
        )
    return y


def check_real_values(y: np.ndarray, name: str, loss: Loss) -> np.ndarray:
    """Return y in double precision, (n,) or (n, k); raise if the loss does not support it."""
    if y.dtype.kind not in "biuf" or y.ndim > 2 or 0 in y.shape[1:]:
        raise ValueError(
            f"{name} has the shape {y.shape} and the dtype {y.dtype}; needed: real numbers, (n,) "
            "or (n, k)."
        )
    with np.errstate(all="ignore"):
        y = y.astype(np.float64)
    if not np.isfinite(y).all():
        raise ValueError(f"{name} holds a value that is not finite in double precision.")
    if loss.nonnegative and (y < 0).any():
        raise ValueError(
            f"{name} holds {y.min():g}; needed for loss={loss!r}: values of at least 0."
        )
    return y


def check_class_labels(y: Any, name: str) -> None:
    """Raise if labels are one-hot, missing, or of types that cannot be compared.

    scikit-learn checks the rest.
    """
    if not isinstance(y, (list, tuple)) and not isinstance(getattr(y, "shape", None), tuple):
        return
    labels = _array(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        _raise_if_one_hot(labels, name, _argmax(y, name))
    elif labels.ndim == 1 and labels.dtype.kind == "O":
        _check_objects(labels, name)


def _argmax(y: Any, name: str) -> str:
    """Return the call that converts one-hot rows to classes; lists have no ``argmax`` method."""
    has_method = hasattr(y, "argmax")
    return f"{name}.argmax(axis=1)" if has_method else f"numpy.argmax({name}, axis=1)"


def _is_indicator(y: np.ndarray) -> bool:
    return y.dtype.kind in "biuf" and bool(((y == 0) | (y == 1)).all())


def _array(y: Any) -> np.ndarray:
    """Return labels as an array; an empty one if they cannot be converted, as ragged lists."""
    try:
        labels = np.asarray(y)
        # NumPy converts mixed labels to strings
        return np.asarray(y, object) if labels.dtype.kind == "U" and labels is not y else labels
    except Exception:  # scikit-learn raises a suitable error
        return np.empty(0)


def _raise_if_one_hot(y: np.ndarray, name: str, call: str) -> None:
    rows = y[:MAX_INSPECTED_ROWS]
    if rows.dtype.kind not in "biuf" or not len(rows):
        return
    if all(_is_one_hot(some) for some in (rows, y)):  # all rows, if the first ones are
        raise ValueError(
            f"{name} has the shape {y.shape}, and every row holds a single 1: it is one-hot. "
            f"{name} should be a 1d array; needed: one label for each sample, {call}. If a "
            'sample may have several labels, give loss="binary_cross_entropy".'
        )


def _is_one_hot(rows: np.ndarray) -> bool:
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all())


def _check_objects(labels: np.ndarray, name: str) -> None:
    """Raise if a label is missing, or if numbers and strings are mixed."""
    missing = [i for i, label in enumerate(labels) if _is_missing(label)]
    if missing:
        raise ValueError(
            f"{name}[{missing[0]}] is {brief(labels[missing[0]])}, and {len(missing)} of "
            f"{len(labels)} labels are missing; needed: a label for each sample. Leave "
            "these samples out, or give them a separate label."
        )
    first = {isinstance(label, str): i for i, label in reversed(list(enumerate(labels)))}
    if len(first) == 2:
        shown = " and ".join(
            f"{name}[{i}]={brief(labels[i])} of type {type(labels[i]).__name__}"
            for i in sorted(first.values())
        )
        raise ValueError(
            f"{name} holds labels of several types, such as {shown}; needed: one type, for "
            f"example [str(label) for label in {name}]."
        )


def _is_missing(label: Any) -> bool:
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(label, float) and label != label
