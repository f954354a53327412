"""What is run in the place of what was asked for: the same results, with less to do.

Layers of this very package are meant: what inherits from one may do anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sknpcnn.layers.base import Array, Arrays, Layer, is_ours
from sknpcnn.layers.bias import Bias
from sknpcnn.layers.conv import Conv2D
from sknpcnn.layers.dense import Dense
from sknpcnn.layers.norm import BatchNorm
from sknpcnn.layers.pool import MaxPool2D
from sknpcnn.layers.shape import Flatten
from sknpcnn.layers.steps import Steps


class Folding(NamedTuple):
    """A batch normalization that has become part of the layer before it."""

    into: str
    norm: str
    layer: BatchNorm


def rewritten(steps: Steps, fold: bool) -> tuple[Steps, Sequence[Folding]]:
    """Rewrite a sequence of layers; those inside of them are sequences of their own.

    ``fold`` is for prediction, where batch normalizations may become part of other layers.
    """
    left, foldings = folded(steps) if fold else (steps, [])
    return tuple(pooled_first(left)), foldings


def without_flatten(steps: Steps) -> tuple[Steps, bool]:
    """Leave out a Flatten after the input, and tell so: rows need not become images first."""
    flat = len(steps) > 1 and type(steps[1][1]) is Flatten
    return (*steps[:1], *steps[2:]) if flat else steps, flat


def pooled_first(steps: Steps) -> list[tuple[str, Layer]]:
    """Move max pooling before the bias and the activation: the same values, on fewer pixels.

    A function that never falls keeps the largest of a window the largest. Only where it is flat,
    as below zero, may another pixel of the window get the gradient, which is zero there.
    """
    ordered: list[tuple[str, Layer]] = []
    monotonic: list[tuple[str, Layer]] = []  # the last ones, which a pooling moves before
    for name, layer in steps:
        if type(layer) is MaxPool2D:
            ordered.append((name, layer))
        elif type(layer) is Conv2D and layer.bias is True:
            ordered += [*monotonic, (name, replace(layer, bias=False))]
            monotonic = [(name, Bias())]
        elif layer.hints.monotonic and is_ours(layer):
            monotonic.append((name, layer))
        else:
            ordered += [*monotonic, (name, layer)]
            monotonic = []
    return ordered + monotonic


def folded(steps: Steps) -> tuple[list[tuple[str, Layer]], list[Folding]]:
    """Take out every batch normalization that follows a convolution or a dense layer.

    In prediction mean and variance are constants, so a channel ``y`` becomes ``y * gain + shift``.
    As it is ``x @ W + b``, that is ``x @ (W * gain) + (b * gain + shift)``: other weights.
    """
    left: list[tuple[str, Any]] = []
    foldings: list[Folding] = []
    for name, layer in steps:
        if left and type(layer) is BatchNorm and type(left[-1][1]) in (Conv2D, Dense):
            before, weights = left[-1]
            left[-1] = before, weights if weights.bias else replace(weights, bias=True)
            foldings.append(Folding(before, name, layer))
        else:
            left.append((name, layer))
    return left, foldings


def fold(
    params: Arrays, foldings: Sequence[Folding], empty: Callable[..., Array]
) -> dict[str, Any]:
    """Compute the parameters of the folded layers, in arrays that come from ``empty``."""
    result = dict(params)
    for into, norm, layer in foldings:
        gain, shift = layer.gain_and_shift(result.pop(norm))
        W, b = result[into]["W"], result[into].get("b")
        moved = shift if b is None else b * gain + shift
        result[into] = {
            "W": np.multiply(W, gain, out=empty(W.shape, W.dtype)),
            "b": np.positive(moved, out=empty(moved.shape, W.dtype)),
        }
    return result
