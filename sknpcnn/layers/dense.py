"""The dense layer: every unit reads every input."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn._values.checks import check_flag, check_integer, check_real
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape
from sknpcnn.layers.batch import vector_size
from sknpcnn.layers.parameter import Parameter

# Threads share the tiles of a product, but these are few: each tile packs the other factor again,
# and narrow tiles take twice the time for the same work.
MAX_TILES = 4
MIN_TILE_WIDTH = 64
# How many multiply-adds take the time in which an elementwise operation reads one element.
MULTIPLY_ADDS_PER_ELEMENT = 128
# Tiles may be so much smaller than those of other layers: there are few of them.
FINER = 16


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """Compute ``x @ W + b``.

    It sees the whole mini-batch: for a few rows it would read all of its weights and do little
    arithmetic. The workers share the columns of the result instead, or its rows if it is narrow.

    Parameters
    ----------
    units : int
        Number of outputs.
    bias : bool
        Whether each output has a bias.
    lr_scale : float
        Factor on the learning rate of this layer; 0 freezes it.

    Examples
    --------
    >>> from sknpcnn.layers import Dense
    >>> Dense(100).output_shape((784,))
    (100,)
    """

    units: int
    bias: bool = True
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_integer(self, "units")
        check_flag(self, "bias")
        check_real(self, "lr_scale")

    def whole_batch(self, training: bool) -> bool:
        """Return True: the threads share columns of the result, not samples."""
        return True

    def output_shape(self, shape: Shape) -> Shape:
        vector_size(self, shape)
        return (self.units,)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        inputs = vector_size(self, shape)
        W = Parameter((inputs, self.units), inputs, decay=True, lr_scale=self.lr_scale)
        b = Parameter((self.units,), lr_scale=self.lr_scale)
        return {"W": W, "b": b} if self.bias else {"W": W}

    def multiply_adds(self, shape: Shape) -> int:
        return vector_size(self, shape) * self.units

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        W = params["W"]
        y = ctx.output((len(x), self.units), x.dtype)
        wide = self.units >= 2 * MIN_TILE_WIDTH
        tiles = _tiles(self.units, x.size, ctx) if wide else _tiles(len(x), W.size, ctx)

        def multiply(i: int, scratch: object) -> None:
            part = slice(*tiles[i])
            rows, columns = (slice(None), part) if wide else (part, slice(None))
            np.matmul(x[rows], W[:, columns], out=y[rows, columns])
            if self.bias:
                y[rows, columns] += params["b"][columns]

        ctx.map(multiply, len(tiles), _work(x.size * self.units))
        return y, x

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, W = cache, params["W"]
        dx = ctx.output(x.shape, dy.dtype) if ctx.needs_dx else None
        tiles = _tiles(len(W), dy.size, ctx)

        def inputs(i: int, scratch: object) -> None:
            part = slice(*tiles[i])
            np.matmul(x[:, part].T, dy, out=grads["W"][part])
            if dx is not None:
                np.matmul(dy, W[part].T, out=dx[:, part])
            if i == 0 and self.bias:
                np.sum(dy, axis=0, out=grads["b"])

        ctx.map(inputs, len(tiles), 2 * _work(dy.size * len(W)))
        return dx


def _tiles(length: int, multiply_adds: int, ctx: Context) -> list[tuple[int, int]]:
    """Split one side of a product, given its length and the multiply-adds per element of it."""
    at_least = max(-(-length // MAX_TILES), MIN_TILE_WIDTH)
    return ctx.tiles(length, int(FINER * _work(multiply_adds)), at_least)


def _work(multiply_adds: int) -> float:
    """Return in how many elements' time a product is computed."""
    return multiply_adds / MULTIPLY_ADDS_PER_ELEMENT
