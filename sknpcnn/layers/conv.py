"""Convolution: the same small filters at every position of the image."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sknpcnn._kernels import convolution, windows
from sknpcnn._values.brief import brief, magnitude
from sknpcnn._values.checks import (
    as_border,
    as_pair,
    check_border,
    check_flag,
    check_integer,
    check_pair,
    check_real,
    is_word,
    refuse,
)
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape
from sknpcnn.layers.batch import image_shape, per_channel
from sknpcnn.layers.bias import Bias
from sknpcnn.layers.parameter import Parameter

Size = int | tuple[int, int]
Border = Size | tuple[int, int, int, int]
MAX_REACH = 2**20
"""The largest extent of a window, in pixels."""
TYPICAL_BATCH_SIZE = 128
"""Assumed where the size of the mini-batch is not known yet."""


@dataclass(frozen=True, repr=False)
class Conv2D(Layer):
    """Slide ``filters`` kernels over the image; each computes one output channel.

    Parameters
    ----------
    filters : int
        Number of kernels.
    kernel_size, stride, dilation : int or (rows, columns)
        Size of a kernel, step from one position to the next, distance between a kernel's pixels.
    padding : "same", "valid", int, (rows, columns) or (top, bottom, left, right)
        Zeros around the image. "same" follows TensorFlow: with stride 1 the output has the size of
        the input, and an odd pixel is added at the bottom and on the right.
    groups : int
        Channels and filters are divided into so many groups, and each filter sees the channels of
        its group only; as many groups as channels are a depthwise convolution.
    bias : True, False or "position"
        One bias per filter, none, or one per filter and pixel.
    lr_scale : float
        Factor on the learning rate of this layer; 0 freezes it.

    Examples
    --------
    >>> from sknpcnn.layers import Conv2D
    >>> Conv2D(16, kernel_size=5, stride=2).output_shape((28, 28, 1))
    (14, 14, 16)
    """

    filters: int
    kernel_size: Size = 3
    stride: Size = 1
    padding: str | Border = "same"
    dilation: Size = 1
    groups: int = 1
    bias: bool | str = True
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_integer(self, "filters")
        check_integer(self, "groups")
        if self.filters % self.groups:
            refuse(self, "groups", f"a number that divides filters={self.filters}")
        for name in ("kernel_size", "stride", "dilation"):
            check_pair(self, name)
        check_padding(self)
        if not is_word(self, "bias", ("position",)):
            check_flag(self, "bias", "True, False or 'position'")
        check_real(self, "lr_scale")

    def output_shape(self, shape: Shape) -> Shape:
        image = image_shape(self, shape)
        if image[2] % self.groups:
            raise ValueError(
                f"{brief(self)} is given {image[2]} channels, which cannot be divided into "
                f"{self.groups} equal groups. Choose a number of groups that divides them."
            )
        return *self._window(image).outputs, self.filters

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        kh, kw = as_pair(self.kernel_size)
        channels = shape[2] // self.groups
        kernels = (kh, kw, channels, self.filters)
        W = Parameter(kernels, kh * kw * channels, decay=True, lr_scale=self.lr_scale)
        if self.bias is False:
            return {"W": W}
        per_pixel = self.output_shape(shape) if self.bias == "position" else (self.filters,)
        return {"W": W, "b": Parameter(per_pixel, lr_scale=self.lr_scale)}

    def multiply_adds(self, shape: Shape) -> int:
        kh, kw = as_pair(self.kernel_size)
        ho, wo, filters = self.output_shape(shape)
        return ho * wo * filters * kh * kw * (shape[2] // self.groups)

    def working_set(self, shape: Shape) -> int:
        window, image = self._window(shape), image_shape(self, shape)
        sizes = image[2], self.filters, TYPICAL_BATCH_SIZE, self.groups
        algorithm = convolution.choose_algorithm(window, *sizes)
        elements: int = super().working_set(shape) + algorithm.workspace_size(
            window, image, self.filters
        )
        return elements

    def prepare(self, params: Arrays, shape: Shape, ctx: Context) -> Arrays:
        W, window = self._by_group(params["W"]), self._window(shape)
        algorithm = convolution.algorithm_for(window, W, ctx.samples)
        prepared = algorithm.prepare(W, window, ctx.empty)
        if not ctx.keeps_cache:
            return {**params, "prepared": prepared}
        size = shape[0], shape[1]
        back = convolution.prepare_gradient(W, window, size, ctx.samples, ctx.empty)
        return {**params, "prepared": prepared, "prepared_back": back}

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        if "prepared" not in params:
            params = self.prepare(params, (*x.shape[:2], x.shape[3]), ctx)
        window = self._window(x.shape)
        algorithm = convolution.algorithm_for(window, self._by_group(params["W"]), ctx.samples)
        y = algorithm.correlate(x, params["prepared"], window, ctx.output, ctx.scratch)
        if self.bias is not False:
            b = params["b"]
            y += b[:, :, None] if self.bias == "position" else per_channel(b, y, ctx)
        return y, x

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, dy = cache, windows.contiguous(dy, ctx.scratch)
        W, window = self._by_group(params["W"]), self._window(x.shape)
        algorithm = convolution.algorithm_for(window, W, ctx.samples)
        algorithm.kernel_gradient(x, dy, window, self._by_group(grads["W"]), ctx.scratch)
        if self.bias == "position":
            np.add.reduce(dy, axis=2, out=grads["b"])
        elif self.bias:
            Bias().backward(params, None, dy, grads, ctx)
        if not ctx.needs_dx:
            return None
        if "prepared_back" not in params:
            params = self.prepare(params, (*x.shape[:2], x.shape[3]), ctx)
        back, images = params["prepared_back"], (window, x.shape[:2], ctx.samples)
        return convolution.input_gradient(dy, back, W, *images, ctx.output, ctx.scratch)

    def _by_group(self, W: Array) -> Array:
        """View the kernel with an axis for the groups, if there are several."""
        if self.groups == 1:
            return W
        return W.reshape(*W.shape[:3], self.groups, -1)

    def _window(self, shape: Shape) -> windows.Window:
        """Compute the window for images of shape (h, w, c), or for a batch (h, w, n, c)."""
        return _window_of(self, (*shape[:2], shape[-1]))


@lru_cache(1024)
def _window_of(layer: Conv2D, shape: Shape) -> windows.Window:
    """Compute the window for images; cached, as every call of a layer needs it."""
    geometry = as_pair(layer.kernel_size), as_pair(layer.stride), as_pair(layer.dilation)
    (rows, ho), (columns, wo) = axes(layer, shape, *geometry)
    return windows.Window(*geometry, (rows, columns), (ho, wo))


def check_padding(layer: Any) -> None:
    """Raise if the padding is neither a known word nor a number of pixels."""
    if not is_word(layer, "padding", ("same", "valid")):
        check_border(layer, "padding", "'same', 'valid', ")


def axes(
    layer: Any,
    shape: Shape,
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> list[tuple[tuple[int, int], int]]:
    """Compute ((before, after), outputs) of both axes; raise if the window does not fit."""
    padding = layer.padding
    words = isinstance(padding, str)
    paddings: tuple[Any, Any] = (padding, padding) if words else as_border(padding)
    found = []
    for length, k, s, d, border in zip(shape[:2], window, stride, dilation, paddings, strict=True):
        reach = max(d * (k - 1) + 1, s, 0 if words else max(border))
        if reach > MAX_REACH:
            raise ValueError(
                f"{brief(layer)} spans {magnitude(reach)} pixels, more than any image "
                f"has; needed: a window, a stride and a padding of at most {MAX_REACH}."
            )
        pads = windows.axis_pads(length, k, s, d, border)
        if getattr(layer, "ceil_mode", False):
            pads = windows.round_up(length, pads, k, s)
        outputs = windows.output_length(length, pads, k, s, d)
        if outputs < 1:
            raise ValueError(
                f"{brief(layer)} is given images of {shape[0]}x{shape[1]} pixels, which are "
                f"smaller than its window of {window[0]}x{window[1]}"
                + (f" with dilation {dilation[0]}x{dilation[1]}" if max(dilation) > 1 else "")
                + ". Make the window smaller, use padding='same', or pool less before it."
            )
        found.append((pads, outputs))
    return found
