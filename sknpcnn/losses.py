"""The loss: softmax and cross-entropy in one step, which no logit can make overflow."""

from typing import NamedTuple

import numpy as np


class Loss(NamedTuple):
    """The loss of a mini-batch, its gradient, and how much of it was classified right."""

    total: float
    """Sum over the samples, each times its weight."""
    hits: float
    """Weight of the samples whose largest logit is that of their class."""
    gradient: np.ndarray
    """Of the weighted mean, with respect to the logits."""


@np.errstate(all="ignore")  # a probability may underflow, whatever the caller wants to hear of
def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities, (n, classes); exact where the probabilities underflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@np.errstate(all="ignore")
def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of the classes, (n, classes)."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def softmax_cross_entropy(
    logits: np.ndarray,
    classes: np.ndarray,
    weights: np.ndarray | None = None,
    label_smoothing: float = 0.0,
) -> Loss:
    """Compare logits (n, classes) with the true classes (n,), given by number.

    ``label_smoothing`` spreads that part of the target evenly over all classes.
    """
    n, n_classes = logits.shape
    rows = np.arange(n)
    log_p = log_softmax(logits)
    losses = -(1 - label_smoothing) * log_p[rows, classes].astype(np.float64)
    if label_smoothing:
        losses -= label_smoothing * log_p.mean(axis=1, dtype=np.float64)
    hits = (logits.argmax(axis=1) == classes).astype(np.float64)

    gradient = np.exp(log_p)  # p - target
    gradient[rows, classes] -= logits.dtype.type(1 - label_smoothing)
    if label_smoothing:
        gradient -= logits.dtype.type(label_smoothing / n_classes)
    if weights is None:
        gradient /= n
        return Loss(float(losses.sum()), float(hits.sum()), gradient)
    gradient *= (weights / weights.sum()).astype(logits.dtype)[:, None]
    return Loss(float(losses @ weights), float(hits @ weights), gradient)
