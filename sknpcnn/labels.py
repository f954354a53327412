"""Labels that cannot be used, and what to do about them, where scikit-learn only names a type."""

from typing import Any

import numpy as np

from sknpcnn.brief import brief

LOOKED_AT = 10_000
"""How many rows of an indicator matrix are looked at: enough to know one."""


def check_one_label_each(y: Any, name: str) -> None:
    """Raise if labels are one-hot, are missing, or are of types that cannot be compared.

    Everything else is left to scikit-learn.
    """
    if not isinstance(y, (list, tuple)) and not isinstance(getattr(y, "shape", None), tuple):
        return
    labels = _array(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        own = hasattr(y, "argmax")  # a list has none, nor has a data frame
        call = f"{name}.argmax(axis=1)" if own else f"numpy.argmax({name}, axis=1)"
        _refuse_one_hot(labels, name, call)
    elif labels.ndim == 1 and labels.dtype.kind == "O":
        _check_objects(labels, name)


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
            f"{name} should be a 1d array; needed: one label for each sample, {call}."
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
