"""Pooling: reduce each window of an image to one value per channel."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn._kernels import pooling, windows
from sknpcnn._values.checks import as_border, as_pair, check_flag, check_pair, refuse
from sknpcnn.layers.base import Array, Arrays, Context, Hints, Layer, Shape
from sknpcnn.layers.batch import image_shape
from sknpcnn.layers.conv import Border, Size, axes, check_padding


@dataclass(frozen=True, repr=False)
class MaxPool2D(Layer):
    """Return the maximum of every window, in each channel.

    Parameters
    ----------
    size : int or (rows, columns)
        Size of the window.
    stride : int, (rows, columns) or None
        Step from one window to the next; None for the size of the window.
    padding : "same", "valid", int, (rows, columns) or (top, bottom, left, right)
        Border around the image, smaller than the window; it is never the maximum. With "valid",
        rows and columns that do not fill a window are ignored.
    ceil_mode : bool
        Whether rows and columns that do not fill a window at the end are pooled nevertheless, as in
        PyTorch.

    Examples
    --------
    >>> from sknpcnn.layers import MaxPool2D
    >>> MaxPool2D(3, stride=2, padding="same").output_shape((7, 7, 16))
    (4, 4, 16)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    size: Size = 2
    stride: Size | None = None
    padding: str | Border = "valid"
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        check_pool(self)
        check_flag(self, "ceil_mode")

    def output_shape(self, shape: Shape) -> Shape:
        return pooled_shape(self, shape)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        (rows, columns), (ho, wo), (kh, kw), (sh, sw) = geometry(self, x.shape)
        h, _, n, c = x.shape
        part = ctx.scratch((h, wo, n, c), x.dtype)
        y = ctx.output((ho, wo, n, c), x.dtype)
        won_columns, won_rows = (
            [ctx.empty(shape, np.bool_) for _ in range(k - 1)] if ctx.keeps_cache else []
            for k, shape in ((kw, part.shape), (kh, y.shape))
        )
        pooling.max_along(x, 1, sw, columns[0], kw, part, won_columns)
        pooling.max_along(part, 0, sh, rows[0], kh, y, won_rows)
        return y, (won_columns, won_rows, x.shape)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        won_columns, won_rows, shape = cache
        (rows, columns), (_, wo), _, (sh, sw) = geometry(self, shape)
        h, _, n, c = shape
        part = ctx.scratch((h, wo, n, c), dy.dtype)
        dx = ctx.output(shape, dy.dtype)
        pooling.max_along_gradient(dy, won_rows, part, 0, sh, rows[0], ctx.scratch)
        pooling.max_along_gradient(part, won_columns, dx, 1, sw, columns[0], ctx.scratch)
        return dx


@dataclass(frozen=True, repr=False)
class AvgPool2D(Layer):
    """Return the mean of every window, in each channel.

    Parameters
    ----------
    size : int or (rows, columns)
        Size of the window.
    stride : int, (rows, columns) or None
        Step from one window to the next; None for the size of the window.
    padding : "same", "valid", int, (rows, columns) or (top, bottom, left, right)
        Border around the image, smaller than the window.
    count_padding : bool
        Whether the pixels of the border count, as zeros; that is the default of PyTorch.

    Examples
    --------
    >>> from sknpcnn.layers import AvgPool2D
    >>> AvgPool2D(2).output_shape((7, 7, 16))
    (3, 3, 16)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    size: Size = 2
    stride: Size | None = None
    padding: str | Border = "valid"
    count_padding: bool = False

    def __post_init__(self) -> None:
        check_pool(self)
        check_flag(self, "count_padding")

    def output_shape(self, shape: Shape) -> Shape:
        return pooled_shape(self, shape)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        (rows, columns), (ho, wo), (kh, kw), (sh, sw) = geometry(self, x.shape)
        h, _, n, c = x.shape
        part = ctx.scratch((h, wo, n, c), x.dtype)
        y = ctx.output((ho, wo, n, c), x.dtype)
        pooling.sum_along(x, 1, sw, columns[0], kw, part)
        pooling.sum_along(part, 0, sh, rows[0], kh, y)
        y *= ctx.constant(self._share, x.shape, x.dtype)
        return y, x.shape

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        (rows, columns), (_, wo), (kh, kw), (sh, sw) = geometry(self, cache)
        h, _, n, c = cache
        shared = ctx.scratch(dy.shape, dy.dtype)
        np.multiply(dy, ctx.constant(self._share, cache, dy.dtype), out=shared)
        part = ctx.scratch((h, wo, n, c), dy.dtype)
        dx = ctx.output(cache, dy.dtype)
        pooling.sum_along_gradient(shared, part, 0, sh, rows[0], kh)
        pooling.sum_along_gradient(part, dx, 1, sw, columns[0], kw)
        return dx

    def _share(self, shape: Shape, dtype: Any) -> Array:
        """Return one over the number of pixels that count in each window, (ho, wo, 1, 1)."""
        (rows, columns), (ho, wo), (kh, kw), (sh, sw) = geometry(self, shape)
        if self.count_padding:
            return np.full((ho, wo, 1, 1), 1 / (kh * kw), dtype)
        h, w, _, _ = shape
        part, inside = np.empty((h, wo, 1, 1)), np.empty((ho, wo, 1, 1))
        pooling.sum_along(np.ones((h, w, 1, 1)), 1, sw, columns[0], kw, part)
        pooling.sum_along(part, 0, sh, rows[0], kh, inside)
        return (1.0 / inside).astype(dtype)


@dataclass(frozen=True, repr=False)
class GlobalAvgPool2D(Layer):
    """Return the mean of each channel over the whole image: images become vectors.

    Examples
    --------
    >>> from sknpcnn.layers import GlobalAvgPool2D
    >>> GlobalAvgPool2D().output_shape((7, 7, 16))
    (16,)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    def output_shape(self, shape: Shape) -> Shape:
        return (image_shape(self, shape)[2],)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = np.add.reduce(x, axis=(0, 1), out=ctx.output(x.shape[2:], x.dtype))
        y *= x.dtype.type(1 / (x.shape[0] * x.shape[1]))
        return y, x.shape

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        h, w, _, _ = cache
        dx = ctx.output(cache, dy.dtype)
        np.multiply(dy, dy.dtype.type(1 / (h * w)), out=dx)
        return dx


@dataclass(frozen=True, repr=False)
class GlobalMaxPool2D(Layer):
    """Return the maximum of each channel over the whole image: images become vectors.

    Examples
    --------
    >>> from sknpcnn.layers import GlobalMaxPool2D
    >>> GlobalMaxPool2D().output_shape((7, 7, 16))
    (16,)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    def output_shape(self, shape: Shape) -> Shape:
        return (image_shape(self, shape)[2],)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y, cache = MaxPool2D(x.shape[:2]).forward(params, x, ctx)
        return y.reshape(y.shape[2:]), cache

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        *_, (h, w, n, c) = cache
        return MaxPool2D((h, w)).backward(params, cache, dy.reshape(1, 1, n, c), grads, ctx)


def check_pool(layer: MaxPool2D | AvgPool2D) -> None:
    """Raise if the hyperparameters are invalid for any image."""
    check_pair(layer, "size")
    if layer.stride is not None:
        check_pair(layer, "stride")
    check_padding(layer)
    if not isinstance(layer.padding, str):
        for border, length in zip(as_border(layer.padding), as_pair(layer.size), strict=True):
            if max(border) >= length:
                refuse(layer, "padding", f"a border smaller than the window, size={layer.size}")


def window_and_stride(layer: MaxPool2D | AvgPool2D) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size of the window and the stride as pairs."""
    return as_pair(layer.size), as_pair(layer.size if layer.stride is None else layer.stride)


def pooled_shape(layer: MaxPool2D | AvgPool2D, shape: Shape) -> Shape:
    """Compute the shape of one image after pooling."""
    (_, ho), (_, wo) = axes(layer, image_shape(layer, shape), *window_and_stride(layer))
    return ho, wo, shape[2]


def geometry(
    layer: MaxPool2D | AvgPool2D, shape: Shape
) -> tuple[windows.Pads, tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Compute padding, output size, window and stride for a batch of images."""
    window, stride = window_and_stride(layer)
    (rows, ho), (columns, wo) = axes(layer, (shape[0], shape[1], shape[3]), window, stride)
    return (rows, columns), (ho, wo), window, stride
