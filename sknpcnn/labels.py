"""What ``y`` may hold, and what to do about values that cannot be used."""

from typing import Any

import numpy as np

from sknpcnn.brief import brief
from sknpcnn.losses import Loss

LOOKED_AT = 10_000
"""How many rows of an indicator matrix are looked at: enough to know one."""


def as_matrix(y: Any) -> Any:
    """Return a sparse matrix or a data frame as an array of NumPy; all else as it is."""
    if hasattr(y, "toarray"):  # a sparse matrix
        return y.toarray()
    return np.asarray(y) if getattr(y, "ndim", 0) == 2 else y


def holds_labels(y: Any) -> bool:
    """Return whether y is an indicator matrix: a column of zeros and ones for each label.

    A matrix of which every row holds a single 1 is more likely a class for each sample.
    """
    values = _array(as_matrix(y))
    if values.ndim != 2 or values.shape[1] < 2 or not _is_indicator(values):
        return False
    _refuse_one_hot(values, "y", _argmax(y, "y"))
    return True


def check_indicator(y: np.ndarray, name: str, loss: Loss) -> np.ndarray:
    """Raise unless y is an indicator matrix."""
    if y.ndim != 2 or not _is_indicator(y):
        raise ValueError(
            f"{name} has the shape {y.shape}, and holds {brief(np.unique(y)[:5].tolist())}; needed "
            f"for loss={loss!r}: an indicator matrix (n, labels) of zeros and ones."
        )
    return y


def real_values(y: np.ndarray, name: str, loss: Loss) -> np.ndarray:
    """Return y in double precision, (n,) or (n, k); raise if the loss cannot use it."""
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


def check_one_label_each(y: Any, name: str) -> None:
    """Raise if labels are one-hot, are missing, or are of types that cannot be compared.

    Everything else is left to scikit-learn.
    """
    if not isinstance(y, (list, tuple)) and not isinstance(getattr(y, "shape", None), tuple):
        return
    labels = _array(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        _refuse_one_hot(labels, name, _argmax(y, name))
    elif labels.ndim == 1 and labels.dtype.kind == "O":
        _check_objects(labels, name)


def _argmax(y: Any, name: str) -> str:
    """Return the call that makes classes of one-hot rows: lists and data frames have none."""
    own = hasattr(y, "argmax")
    return f"{name}.argmax(axis=1)" if own else f"numpy.argmax({name}, axis=1)"


def _is_indicator(y: np.ndarray) -> bool:
    return y.dtype.kind in "biuf" and bool(((y == 0) | (y == 1)).all())


def _array(y: Any) -> np.ndarray:
    """Return labels as an array; what is none, such as a ragged list, as an empty one."""
    try:
        labels = np.asarray(y)
        # NumPy makes texts of all, where one is a text
        return np.asarray(y, object) if labels.dtype.kind == "U" and labels is not y else labels
    except Exception:  # scikit-learn says what is wrong with it
        return np.empty(0)


def _refuse_one_hot(y: np.ndarray, name: str, call: str) -> None:
    rows = y[:LOOKED_AT]
    if rows.dtype.kind not in "biuf" or not len(rows):
        return
    if ((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all():
        raise ValueError(
            f"{name} has the shape {y.shape}, and every row holds a single 1: it is one-hot. "
            f"{name} should be a 1d array; needed: one label for each sample, {call}. If a "
            'sample may have several labels, give loss="binary_cross_entropy".'
        )


def _check_objects(labels: np.ndarray, name: str) -> None:
    """Raise if one is missing, or if numbers and texts are mixed."""
    missing = [i for i, label in enumerate(labels) if _is_missing(label)]
    if missing:
        raise ValueError(
            f"{name}[{missing[0]}] is {brief(labels[missing[0]])}, and {len(missing)} of "
            f"{len(labels)} labels are missing so; needed: a label for each sample. Leave "
            "these samples out, or give them a label of their own."
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
