"""Batch normalisation without its cost: in prediction it is part of the weights before it.

There, mean and variance are constants, so a channel ``y`` becomes ``y * gain + shift``. And as it
is ``x @ W + b``, that is ``x @ (W * gain) + (b * gain + shift)``: a layer with other numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sknpcnn.layers.base import Array, Arrays, Layer
from sknpcnn.layers.conv import Conv2D
from sknpcnn.layers.dense import Dense
from sknpcnn.layers.norm import BatchNorm
from sknpcnn.layers.steps import Steps


class Folding(NamedTuple):
    """A batch normalisation that has become part of the layer before it."""

    into: str
    norm: str
    layer: BatchNorm


def folded(steps: Steps) -> tuple[list[tuple[str, Layer]], list[Folding]]:
    """Take out every batch normalisation that follows a convolution or a dense layer."""
    left: list[tuple[str, Any]] = []
    foldings: list[Folding] = []
    for name, layer in steps:
        if left and type(layer) is BatchNorm and type(left[-1][1]) in (Conv2D, Dense):
            before, weights = left[-1]  # of these very types: what inherits may do anything
            left[-1] = before, weights if weights.bias else replace(weights, bias=True)
            foldings.append(Folding(before, name, layer))
        else:
            left.append((name, layer))
    return left, foldings


def fold(
    params: Arrays, foldings: Sequence[Folding], empty: Callable[..., Array]
) -> dict[str, Any]:
    """Compute the parameters of the folded steps, in arrays that come from ``empty``."""
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
