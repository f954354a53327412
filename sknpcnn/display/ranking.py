"""Which predictions are the most telling, and how they are put into words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sknpcnn._network.batches import Array
from sknpcnn._values.brief import brief
from sknpcnn.display.axes import MAX_LABEL, shorten

MAX_VALUES = 3
"""The most labels or values that are written above an image."""


def are_continuous(y: Array) -> bool:
    """Return whether values are real ones, not classes.

    Unlike ``type_of_target``, it does not warn of many classes: here they are known.
    """
    return y.dtype.kind == "f" and bool((y != np.trunc(y)).any())


def is_wrong(kind: str, y_pred: Array, y_true: Array | None) -> Array:
    """Return which predictions are mistakes, (n,): none where real values are predicted."""
    if y_true is None or kind == "values":
        return np.zeros(len(y_pred), bool)
    differs: Array = np.asarray(y_pred != y_true).reshape(len(y_pred), -1)
    wrong: Array = np.logical_or.reduce(differs, axis=1)
    return wrong


def confidence_of(kind: str, y_pred: Array, y_true: Array | None, p: Array, labels: Any) -> Array:
    """Return the probability of each prediction, (n,).

    Of several labels, it is that of the most confident mistake, or else of the least confident
    label.
    """
    if p.shape != (len(y_pred), len(labels)):
        raise ValueError(
            f"y_proba has the shape {p.shape}; needed: {(len(y_pred), len(labels))}, a column for "
            "each class."
        )
    if kind == "classes":
        columns = {label: k for k, label in enumerate(labels.tolist())}
        unknown = [label for label in y_pred.tolist() if label not in columns]
        if unknown:
            raise ValueError(
                f"{brief(unknown[0])} is predicted, but y_proba has no column for it; needed: "
                "classes that hold all predictions, in the order of the columns."
            )
        found: Array = p[np.arange(len(p)), [columns[label] for label in y_pred.tolist()]]
        return found
    sure = np.where(y_pred == 1, p, 1 - p)
    least: Array = sure.min(axis=1)
    if y_true is None:
        return least
    mistaken: Array = np.where(y_pred != y_true, sure, -1.0).max(axis=1)
    return np.where(mistaken >= 0, mistaken, least)


def ranked(kind: str, y_pred: Array, y_true: Array | None, confidence: Array | None) -> Array:
    """Return the order in which to draw predictions, as indices.

    First the most confident mistakes, then what is right with the least confidence; of real values,
    the largest errors first, relative to the deviation of each target.
    """
    if kind == "values":
        if y_true is None:
            return np.arange(len(y_pred))
        error = np.abs(y_pred.astype(float) - y_true).reshape(len(y_pred), -1)
        scale = np.std(y_true.astype(float), axis=0).reshape(-1)
        error = np.linalg.norm(error / np.where(scale > 0, scale, 1), axis=1)
        return np.argsort(-error, kind="stable")
    wrong = is_wrong(kind, y_pred, y_true)
    sure = np.zeros(len(y_pred)) if confidence is None else confidence
    return np.lexsort((np.where(wrong, -sure, sure), ~wrong))


def as_indices(indices: Any, n: int) -> Array:
    """Return which of n images are drawn, as an array; a mask is not taken for numbers."""
    given = np.asarray(indices)
    given = given.astype(int) if given.size == 0 else given
    sound = given.ndim == 1 and given.dtype.kind in "iu"
    if not sound or not ((given >= -n) & (given < n)).all():
        raise ValueError(
            f"indices={brief(indices)}; needed: a list of the numbers of images, of which there "
            f"are {n}."
        )
    return given


def in_words(kind: str, value: Any, names: Mapping[Any, Any] | None) -> str:
    """Return a class, the labels of a row of an indicator matrix, or real values as text."""
    if kind == "classes":
        label = value.item() if isinstance(value, np.generic) else value
        return shorten(label if names is None else names.get(label, label))
    if kind == "values":
        items = [f"{number:.4g}" for number in np.atleast_1d(value)]
    else:
        columns = np.flatnonzero(value).tolist()
        items = [str(k if names is None else names.get(k, k)) for k in columns]
        if not items:
            return "no label"
    dots = [] if len(items) <= MAX_VALUES else ["…"]
    return shorten(", ".join(items[:MAX_VALUES] + dots), 2 * MAX_LABEL)
