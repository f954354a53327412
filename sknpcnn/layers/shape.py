"""Layers that only rearrange their input."""

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from sknpcnn.layers.base import Array, Arrays, Context, Hints, Layer, Shape
from sknpcnn.layers.batch import image_shape


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """Turn images into vectors, pixel by pixel: ``(h, w, c)`` order.

    Examples
    --------
    >>> from sknpcnn.layers import Flatten
    >>> Flatten().output_shape((7, 7, 16))
    (784,)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    def output_shape(self, shape: Shape) -> Shape:
        return (prod(image_shape(self, shape)),)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        h, w, n, c = x.shape
        y = ctx.output((n, h, w, c), x.dtype)
        y[...] = x.transpose(2, 0, 1, 3)
        return y.reshape(n, h * w * c), x.shape

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        h, w, n, c = cache
        return dy.reshape(n, h, w, c).transpose(1, 2, 0, 3)
