"""Pooling: what a window sees, in one number per channel."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn.kernels import pooling, windows
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape, image_shape
from sknpcnn.layers.conv import Size, axes, check_padding, hold_tuples
from sknpcnn.spec import as_pair, check_pair, refuse


@dataclass(frozen=True, repr=False)
class MaxPool2D(Layer):
    """Keep the largest value of every window, in each channel.

    Parameters
    ----------
    size : int or (rows, columns)
        Size of the window.
    stride : int, (rows, columns) or None
        Step from one window to the next; None for windows side by side.
    padding : "same", "valid", int or (rows, columns)
        Border around the image, smaller than the window; it never wins a maximum. With "valid",
        rows and columns that do not fill a window are left out.

    Examples
    --------
    >>> from sknpcnn.layers import MaxPool2D
    >>> MaxPool2D(3, stride=2, padding="same").output_shape((7, 7, 16))
    (4, 4, 16)
    """

    transparent: ClassVar[bool] = True

    size: Size = 2
    stride: Size | None = None
    padding: str | Size = "valid"

    def __post_init__(self) -> None:
        check_pool(self)

    def output_shape(self, shape: Shape) -> Shape:
        return pooled_shape(self, shape)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        pads, (ho, wo), (kh, kw), (sh, sw) = geometry(self, x)
        padded = windows.pad(x, pads, -np.inf, ctx.scratch)
        memory = ctx.empty, ctx.scratch
        rows, column = pooling.max_along(padded, 1, kw, sw, wo, *memory, winners=ctx.training)
        y, row = pooling.max_along(rows, 0, kh, sh, ho, *memory, winners=ctx.training)
        if kh == kw == 1:  # so far only a view
            y = y.copy()
        return y, (row, column, rows.shape, padded.shape, pads)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        row, column, rows_shape, shape, pads = cache
        (kh, kw), (sh, sw) = windows_of(self)
        d_rows = ctx.scratch(rows_shape, dy.dtype)
        pooling.max_along_gradient(dy, row, d_rows, 0, kh, sh, ctx.scratch)
        dx = ctx.empty(shape, dy.dtype)
        pooling.max_along_gradient(d_rows, column, dx, 1, kw, sw, ctx.scratch)
        return windows.crop(dx, pads)


@dataclass(frozen=True, repr=False)
class AvgPool2D(Layer):
    """Average every window, in each channel. Pixels of the border do not count.

    Parameters
    ----------
    size : int or (rows, columns)
        Size of the window.
    stride : int, (rows, columns) or None
        Step from one window to the next; None for windows side by side.
    padding : "same", "valid", int or (rows, columns)
        Border around the image, smaller than the window.

    Examples
    --------
    >>> from sknpcnn.layers import AvgPool2D
    >>> AvgPool2D(2).output_shape((7, 7, 16))
    (3, 3, 16)
    """

    transparent: ClassVar[bool] = True

    size: Size = 2
    stride: Size | None = None
    padding: str | Size = "valid"

    def __post_init__(self) -> None:
        check_pool(self)

    def output_shape(self, shape: Shape) -> Shape:
        return pooled_shape(self, shape)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        pads, outputs, window, stride = geometry(self, x)
        padded = windows.pad(x, pads, 0.0, ctx.scratch)
        rows = pooling.sum_along(padded, 1, window[1], stride[1], outputs[1], ctx.scratch)
        y = pooling.sum_along(rows, 0, window[0], stride[0], outputs[0], ctx.empty)
        share = self._share(x.shape[0], x.shape[1], pads, outputs).astype(x.dtype)
        y *= share
        return y, (share, rows.shape, padded.shape, pads)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        share, rows_shape, shape, pads = cache
        window, stride = windows_of(self)
        part = np.multiply(dy, share, out=ctx.scratch(dy.shape, dy.dtype))
        d_rows = ctx.scratch(rows_shape, dy.dtype)
        pooling.sum_along_gradient(part, d_rows, 0, window[0], stride[0])
        dx = ctx.empty(shape, dy.dtype)
        pooling.sum_along_gradient(d_rows, dx, 1, window[1], stride[1])
        return windows.crop(dx, pads)

    def _share(self, h: int, w: int, pads: windows.Pads, outputs: tuple[int, int]) -> Array:
        """Weigh every window: one over its pixels inside the image, (ho, wo, 1, 1)."""
        window, stride = windows_of(self)
        inside = windows.pad(np.ones((h, w, 1, 1)), pads, 0.0)
        rows = pooling.sum_along(inside, 1, window[1], stride[1], outputs[1])
        return 1.0 / pooling.sum_along(rows, 0, window[0], stride[0], outputs[0])


@dataclass(frozen=True, repr=False)
class GlobalAvgPool2D(Layer):
    """Average each channel over the whole image: images become vectors of channels.

    Examples
    --------
    >>> from sknpcnn.layers import GlobalAvgPool2D
    >>> GlobalAvgPool2D().output_shape((7, 7, 16))
    (16,)
    """

    def output_shape(self, shape: Shape) -> Shape:
        return (image_shape(self, shape)[2],)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = np.mean(x, axis=(0, 1), out=ctx.empty(x.shape[2:], x.dtype))
        return y, x.shape

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        h, w, _, _ = cache
        dx = ctx.empty(cache, dy.dtype)
        np.multiply(dy, dy.dtype.type(1 / (h * w)), out=dx)
        return dx


def check_pool(layer: MaxPool2D | AvgPool2D) -> None:
    """Refuse a pooling whose numbers make no sense, whatever the image."""
    hold_tuples(layer)
    check_pair(layer, "size")
    if layer.stride is not None:
        check_pair(layer, "stride")
    check_padding(layer)
    if not isinstance(layer.padding, str):
        for pixels, length in zip(as_pair(layer.padding), as_pair(layer.size), strict=True):
            if pixels >= length:
                refuse(layer, "padding", f"a border smaller than the window, size={layer.size}")


def windows_of(layer: MaxPool2D | AvgPool2D) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return window and stride as pairs."""
    return as_pair(layer.size), as_pair(layer.size if layer.stride is None else layer.stride)


def pooled_shape(layer: MaxPool2D | AvgPool2D, shape: Shape) -> Shape:
    """Shape of one image after pooling."""
    (_, ho), (_, wo) = axes(layer, image_shape(layer, shape), *windows_of(layer))
    return ho, wo, shape[2]


def geometry(
    layer: MaxPool2D | AvgPool2D, x: Array
) -> tuple[windows.Pads, tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Work out borders, output size, window and stride for a batch of images."""
    window, stride = windows_of(layer)
    (rows, ho), (columns, wo) = axes(layer, (x.shape[0], x.shape[1], x.shape[3]), window, stride)
    return (rows, columns), (ho, wo), window, stride
