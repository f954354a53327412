"""Candidates for the defaults: parameters by the shape of an image and the number of samples."""

from collections.abc import Callable
from math import ceil, log2
from typing import Any

import numpy as np

from sknpcnn.optimizers import SGD
from sknpcnn.schedules import CosineDecay, OneCycle

Shape = tuple[int, ...] | None
"""None for a table."""


def today(image: Shape, n: int) -> dict[str, Any]:
    return {"conv_filters": (16, 32), "batch_norm": False, "max_iter": 50}


def blocks(image: Shape, first: int = 16, least: int = 4, most: int = 128) -> tuple[int, ...]:
    """As many blocks as halve the image until so many pixels are left, each twice as wide."""
    if image is None:
        return ()
    count = max(ceil(log2(min(image[:2]) / least)), 1)
    return tuple(min(first * 2**i, most) for i in range(count))


def epochs(n: int, batch: int, steps: int = 2000, low: int = 20, high: int = 200) -> int:
    """As many epochs as make so many steps."""
    return int(np.clip(steps * batch / n, low, high))


def _with(
    first: int = 16,
    least: int = 4,
    batch: int = 64,
    steps: int = 2000,
    rate: float = 0.003,
    schedule: Any = None,
    **params: Any,
) -> Callable[[Shape, int], dict[str, Any]]:
    def make(image: Shape, n: int) -> dict[str, Any]:
        size = min(batch, max(n // 8, 8))
        found = {
            "conv_filters": blocks(image, first, least),
            "batch_norm": True,
            "batch_size": size,
            "max_iter": epochs(n, size, steps),
            "n_iter_no_change": np.inf,
            "learning_rate": schedule or OneCycle(),
            "learning_rate_init": rate,
        }
        return found | params

    return make


CANDIDATES: dict[str, Callable[[Shape, int], dict[str, Any]]] = {
    "today": today,
    "BN, one cycle": _with(),
    "BN, cosine": _with(schedule=CosineDecay()),
    "BN, one cycle, wide": _with(first=32),
    "BN, one cycle, less deep": _with(least=7),
    "no BN, one cycle": _with(batch_norm=False, rate=0.001),
    "BN, one cycle, batch 32": _with(batch=32),
    "BN, one cycle, rate 0.01": _with(rate=0.01),
    "BN, one cycle, short": _with(steps=1000),
    "BN, one cycle, smoothing": _with(label_smoothing=0.1),
    "BN, one cycle, dropout": _with(dropout=0.2),
    "BN, one cycle, hidden none": _with(hidden_layer_sizes=()),
    "BN, SGD one cycle": _with(solver=SGD(momentum=0.9), rate=0.05),
    "BN, one cycle, early stopping": _with(early_stopping=True),
}
