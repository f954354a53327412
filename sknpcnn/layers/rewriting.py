"""Rewrites of the network that compute the same results with less work.

They apply to layers of this package only: a subclass of one may do anything.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sknpcnn.layers.base import Array, Arrays, Layer, is_builtin
from sknpcnn.layers.bias import Bias
from sknpcnn.layers.conv import Conv2D
from sknpcnn.layers.dense import Dense
from sknpcnn.layers.moments import Moments, Normalize
from sknpcnn.layers.norm import BatchNorm
from sknpcnn.layers.pool import MaxPool2D
from sknpcnn.layers.shape import Flatten
from sknpcnn.layers.steps import Steps


class Folding(NamedTuple):
    """A batch normalization that is folded into the layer before it."""

    into: str
    norm: str
    layer: BatchNorm


def rewrite(steps: Steps, fold: bool, training: bool) -> tuple[Steps, Sequence[Folding]]:
    """Rewrite a sequence of layers; nested sequences are rewritten on their own.

    ``fold`` is for prediction, where batch normalizations may be folded into other layers.
    """
    remaining, foldings = fold_batch_norms(steps) if fold else (steps, [])
    return tuple(split_batch_norms(pool_first(remaining), training)), foldings


def drop_flatten(steps: Steps) -> tuple[Steps, bool]:
    """Drop a Flatten right after the input; also return whether there was one."""
    flat = len(steps) > 1 and type(steps[1][1]) is Flatten
    return (*steps[:1], *steps[2:]) if flat else steps, flat


def pool_first(steps: Steps) -> list[tuple[str, Layer]]:
    """Move max pooling before bias and activation: the same values, computed on fewer pixels.

    A monotonic function preserves the maximum of a window. Only where it is constant, as ReLU is
    below zero, may another pixel of the window get the gradient, which is zero there.
    """
    ordered: list[tuple[str, Layer]] = []
    monotonic: list[tuple[str, Layer]] = []  # the last ones, which pooling may move ahead of
    for name, layer in steps:
        if type(layer) is MaxPool2D:
            ordered.append((name, layer))
        elif type(layer) is Conv2D and layer.bias is True:
            ordered += [*monotonic, (name, replace(layer, bias=False))]
            monotonic = [(name, Bias())]
        elif layer.hints.monotonic and is_builtin(layer):
            monotonic.append((name, layer))
        else:
            ordered += [*monotonic, (name, layer)]
            monotonic = []
    return ordered + monotonic


def split_batch_norms(
    steps: list[tuple[str, Layer]], training: bool
) -> Iterator[tuple[str, Layer]]:
    """Split batch normalizations into what chunks do before they meet, and what they do then."""
    for name, layer in steps:
        if type(layer) is BatchNorm and layer.whole_batch(training):
            yield name, Moments(layer.epsilon)
            yield name, Normalize(layer.epsilon)
        else:
            yield name, layer


def fold_batch_norms(steps: Steps) -> tuple[list[tuple[str, Layer]], list[Folding]]:
    """Remove every batch normalization that follows a convolution or a dense layer.

    In prediction mean and variance are constants, so a channel ``y`` becomes ``y * gain + shift``.
    With ``y = x @ W + b`` that is ``x @ (W * gain) + (b * gain + shift)``: only the weights change.
    """
    remaining: list[tuple[str, Any]] = []
    foldings: list[Folding] = []
    for name, layer in steps:
        if remaining and type(layer) is BatchNorm and type(remaining[-1][1]) in (Conv2D, Dense):
            before, weights = remaining[-1]
            remaining[-1] = before, weights if weights.bias else replace(weights, bias=True)
            foldings.append(Folding(before, name, layer))
        else:
            remaining.append((name, layer))
    return remaining, foldings


def fold_parameters(
    params: Arrays, foldings: Sequence[Folding], empty: Callable[..., Array]
) -> dict[str, Any]:
    """Compute the parameters of the folded layers, in arrays from ``empty``."""
    result = dict(params)
    for into, norm, layer in foldings:
        gain, shift = layer.gain_and_shift(result.pop(norm))
        W, b = result[into]["W"], result[into].get("b")
        bias = shift if b is None else b * gain + shift
        result[into] = {
            "W": np.multiply(W, gain, out=empty(W.shape, W.dtype)),
            "b": np.positive(bias, out=empty(bias.shape, W.dtype)),
        }
    return result
