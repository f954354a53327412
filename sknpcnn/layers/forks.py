"""Residual blocks as part of the sequence around them.

Where the chunks of a mini-batch meet within a block, its layers run in one sequence with those
before and after it. What flows through that sequence is a stack of arrays, on whose top all other
layers work: ``Fork`` puts the input of the block under it once more, ``Join`` adds it again. With a
shortcut of layers of its own, ``Swap`` brings the input to the top before these.

Backward, the sum hands its gradient to both sides, and the fork adds up theirs.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn.layers.base import Array, Arrays, Context, Hints, Layer

Stack = Any
"""A tuple of arrays, the top first."""


@dataclass(frozen=True, repr=False)
class Fork(Layer):
    """Double the top of the stack.

    Examples
    --------
    >>> from sknpcnn.layers.forks import Fork
    >>> Fork().forward({}, "x", ctx=None)[0]
    ('x', 'x')
    """

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Stack, Any]:
        return (x, x), None

    def backward(
        self, params: Arrays, cache: Any, dy: Stack, grads: Arrays, ctx: Context
    ) -> Array | None:
        a, b = dy
        return add(a, b, ctx) if ctx.needs_dx else None


@dataclass(frozen=True, repr=False)
class Swap(Layer):
    """Exchange the two arrays on top of the stack.

    Examples
    --------
    >>> from sknpcnn.layers.forks import Swap
    >>> Swap(1).forward({}, ("through", "x"), ctx=None)[0]
    ('x', 'through')
    """

    depth: int

    def forward(self, params: Arrays, x: Stack, ctx: Context) -> tuple[Stack, Any]:
        through, around = x
        return (around, through), None

    def backward(self, params: Arrays, cache: Any, dy: Stack, grads: Arrays, ctx: Context) -> Stack:
        around, through = dy
        return through, _kept(around, ctx, self.depth, "swapped")


@dataclass(frozen=True, repr=False)
class Join(Layer):
    """Add the two arrays on top of the stack.

    Examples
    --------
    >>> from sknpcnn.layers.forks import Join
    >>> Join(1).output_shape((7, 7, 16))
    (7, 7, 16)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)
    depth: int

    def forward(self, params: Arrays, x: Stack, ctx: Context) -> tuple[Array, Any]:
        a, b = x
        return add(a, b, ctx), None

    def backward(self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context) -> Stack:
        return dy, _kept(dy, ctx, self.depth, "joined")


def arity(layer: Layer) -> tuple[int, int]:
    """Return how many arrays on top of the stack a layer replaces, and by how many.

    Examples
    --------
    >>> from sknpcnn.layers.forks import Fork, arity
    >>> arity(Fork())
    (1, 2)
    """
    return {Fork: (1, 2), Swap: (2, 2), Join: (2, 1)}.get(type(layer), (1, 1))


def add(a: Array, b: Array, ctx: Context) -> Array:
    """Add two arrays by rows; where they are whole batches, in parallel."""
    y, parts = ctx.output(a.shape, a.dtype), ctx.tiles(len(a), a[0].size)

    def add_part(i: int, scratch: Any) -> None:
        part = slice(*parts[i])
        np.add(a[part], b[part], out=y[part])

    ctx.map(add_part, len(parts))
    return y


def _kept(dy: Array, ctx: Context, *owner: Any) -> Array:
    """Copy a gradient to where it stays until it is its turn."""
    kept = ctx.lasting(dy.shape, dy.dtype, *owner)
    kept[...] = dy
    return kept
