"""Candidates for the defaults: the base that a study starts from, and what is changed in it.

The base has the defaults of before the last study, so that its runs stay comparable; the defaults
that it led to are a candidate themselves.
"""

from collections.abc import Callable
from math import ceil, log2
from typing import Any

from sknpcnn._training import defaults
from sknpcnn.augmentation import HorizontalFlip, Shift
from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Dropout,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
)
from sknpcnn.losses import CrossEntropy
from sknpcnn.optimizers import SGD
from sknpcnn.saving.network import DEFAULTS_BEFORE_4
from sknpcnn.schedules import CosineDecay, OneCycle

Shape = tuple[int, ...] | None
"""The shape of an image; None for a table."""
Candidate = Callable[[Shape, int], dict[str, Any]]
"""Makes parameters for images of some shape, and so many samples of them."""


def before(image: Shape, n: int) -> dict[str, Any]:
    """Make the defaults of before there was a study."""
    return DEFAULTS_BEFORE_4 | {
        "batch_size": 128,
        "max_iter": 50,
        "learning_rate": "constant",
        "learning_rate_init": 0.001,
    }


def filters(image: Shape) -> tuple[int, ...]:
    """Return those of the base: as of the defaults, but no block after four pixels are left."""
    if image is None:
        return ()
    n_halvings = ceil(log2(min(image[:2]) / defaults.MAX_LAST_SIDE))
    now = defaults.filters((*image[:2], 3), table=False)
    return now[: max(n_halvings, defaults.MIN_BLOCKS)]


def chosen(image: Shape, filters: tuple[int, ...]) -> dict[str, Any]:
    """Make blocks of so many filters, residual where those of the defaults are."""
    if image is None:
        return {}
    return {
        "conv_filters": filters,
        "residual": defaults.residual((*image[:2], 1), len(filters)),
    }


def with_(**params: Any) -> Candidate:
    """Make the base with some of its parameters changed."""
    return lambda image, n: chosen(image, filters(image)) | params


def longer(factor: float, **params: Any) -> Candidate:
    """Make the base with more or fewer epochs."""

    def make(image: Shape, n: int) -> dict[str, Any]:
        size = defaults.batch_size(n)
        shape = (1, 1, 1) if image is None else (*image[:2], 1)
        n_epochs = round(factor * defaults.epochs(shape, n, size))
        return with_(max_iter=n_epochs, **params)(image, n)

    return make


def blocks(more: int, factor: float = 1) -> Candidate:
    """Make the base with more or fewer blocks, of more or fewer filters."""

    def make(image: Shape, n: int) -> dict[str, Any]:
        now = tuple(int(factor * f) for f in filters(image))
        return chosen(image, (*now, *now[-1:])[: len(now) + more])

    return make


def residual(**params: Any) -> Candidate:
    """Make a network such as somebody would who knows a little more, and has the time."""

    def make(image: Shape, n: int) -> dict[str, Any]:
        layers: list[Layer] = []
        for f in filters(image):
            conv = [Conv2D(f, bias=False), BatchNorm(), ReLU()]
            layers += [*conv, Residual(conv), MaxPool2D(padding="same")]
        return {"layers": [*layers, GlobalAvgPool2D(), Dropout(0.1)], **params} if layers else {}

    return make


CANDIDATES: dict[str, Candidate] = {
    "defaults": lambda image, n: {},
    "base": with_(),
    "before": before,
    "all places": with_(global_pooling=False),
    "one mean of each filter": lambda image, n: with_(global_pooling=image is not None)(image, n),
    "a hidden layer": with_(hidden_layer_sizes=(100,)),
    "no batch norm": with_(batch_norm=False),
    "constant rate": with_(learning_rate="constant"),
    "cosine": with_(learning_rate=CosineDecay()),
    "rate 0.001": with_(learning_rate_init=0.001),
    "rate 0.01": with_(learning_rate_init=0.01),
    "half the epochs": longer(0.5),
    "twice the epochs": longer(2),
    "half the filters": blocks(0, 0.5),
    "batch of 32": longer(1, batch_size=32),
    "no dropout": with_(dropout=0.0),
    "dropout 0.3": with_(dropout=0.3),
    "smooth labels": with_(loss=CrossEntropy(0.1)),
    "sgd": with_(solver="sgd"),
    "sgd, rate 0.1": with_(solver="sgd", learning_rate_init=0.1),
    "sgd, rate 0.01": with_(solver="sgd", learning_rate_init=0.01),
    "sgd, momentum 0.98": with_(solver=SGD(momentum=0.98, nesterov=True)),
    "a block more": blocks(1),
    "a block more, half the filters": blocks(1, 0.5),
    "a block fewer": blocks(-1),
    "early stopping": with_(early_stopping=True),
    "early stopping, one cycle": with_(early_stopping=True, learning_rate=OneCycle()),
    "by hand: residual": residual(),
    "by hand: moved": residual(augment=[Shift(2)]),
    "by hand: moved and mirrored": residual(augment=[Shift(2), HorizontalFlip()]),
}
