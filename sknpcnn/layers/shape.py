"""Layers that only rearrange their input."""

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from sknpcnn._kernels import windows
from sknpcnn._values.checks import as_border, as_pair, check_border, check_pair
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


@dataclass(frozen=True, repr=False)
class ZeroPad2D(Layer):
    """Add a border of zeros, or channels of zeros.

    Parameters
    ----------
    border : int, (rows, columns) or (top, bottom, left, right)
        Number of pixels on each side.
    channels : int or (before, after)
        Number of channels to add on both sides of those of the image.

    Examples
    --------
    >>> from sknpcnn.layers import ZeroPad2D
    >>> ZeroPad2D((0, 1, 0, 1)).output_shape((7, 7, 16))
    (8, 8, 16)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    border: Any = 1
    channels: Any = 0

    def __post_init__(self) -> None:
        check_border(self, "border")
        check_pair(self, "channels", 0, "an integer of at least 0, or a pair (before, after)")

    def output_shape(self, shape: Shape) -> Shape:
        h, w, channels = image_shape(self, shape)
        rows, columns = as_border(self.border)
        return h + sum(rows), w + sum(columns), channels + sum(as_pair(self.channels))

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        if as_pair(self.channels) == (0, 0):
            return windows.pad(x, as_border(self.border), 0.0, ctx.output), x.shape
        h, w, n, c = x.shape
        height, width, channels = self.output_shape((h, w, c))
        y = ctx.output((height, width, n, channels), x.dtype)
        y[...] = 0
        y[self._inside(x.shape)] = x
        return y, x.shape

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        return dy[self._inside(cache)]

    def _inside(self, shape: Shape) -> tuple[slice, ...]:
        """Return where images (h, w, n, c) are in what they are padded to."""
        h, w, _, c = shape
        (top, _), (left, _), (before, _) = *as_border(self.border), as_pair(self.channels)
        return (
            slice(top, top + h),
            slice(left, left + w),
            slice(None),
            slice(before, before + c),
        )
