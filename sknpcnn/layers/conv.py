"""Convolution: the same small filter at every place of the image."""

from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from sknpcnn.brief import brief, magnitude
from sknpcnn.checks import as_pair, check_flag, check_integer, check_pair, check_real, is_word
from sknpcnn.kernels import convolution, windows
from sknpcnn.layers.base import (
    Array,
    Arrays,
    Context,
    Layer,
    Shape,
    image_shape,
    per_channel,
)
from sknpcnn.layers.bias import Bias
from sknpcnn.parameters import Parameter

Size = int | tuple[int, int]
LONGEST = 2**20
"""How many pixels a window may reach over."""
SAMPLES = 128
"""A usual number of samples in a mini-batch."""


@dataclass(frozen=True, repr=False)
class Conv2D(Layer):
    """Slide ``filters`` kernels over the image; each makes one channel of the output.

    Parameters
    ----------
    filters : int
        Number of kernels.
    kernel_size, stride, dilation : int or (rows, columns)
        Size of a kernel, step from one position to the next, distance between a kernel's pixels.
    padding : "same", "valid", int or (rows, columns)
        Zeros around the image. "same" follows TensorFlow: with stride 1 the output is as large as
        the input, and an odd pixel goes to the bottom and to the right.
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
    padding: str | Size = "same"
    dilation: Size = 1
    bias: bool | str = True
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_integer(self, "filters")
        for name in ("kernel_size", "stride", "dilation"):
            check_pair(self, name)
        check_padding(self)
        if not is_word(self, "bias", ("position",)):
            check_flag(self, "bias", "True, False or 'position'")
        check_real(self, "lr_scale")

    def output_shape(self, shape: Shape) -> Shape:
        return *self._window(image_shape(self, shape)).outputs, self.filters

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        kh, kw = as_pair(self.kernel_size)
        channels = shape[2]
        kernels = (kh, kw, channels, self.filters)
        W = Parameter(kernels, kh * kw * channels, decay=True, lr_scale=self.lr_scale)
        if self.bias is False:
            return {"W": W}
        per_pixel = self.output_shape(shape) if self.bias == "position" else (self.filters,)
        return {"W": W, "b": Parameter(per_pixel, lr_scale=self.lr_scale)}

    def multiply_adds(self, shape: Shape) -> int:
        kh, kw = as_pair(self.kernel_size)
        ho, wo, filters = self.output_shape(shape)
        return ho * wo * filters * kh * kw * shape[2]

    def working_set(self, shape: Shape) -> int:
        window, image = self._window(shape), image_shape(self, shape)
        way = convolution.way(window, image[2], self.filters, SAMPLES)
        return super().working_set(shape) + way.between(window, image, self.filters)

    def prepare(self, params: Arrays, shape: Shape, ctx: Context) -> Arrays:
        W = params["W"]
        window = self._window(shape)
        there = self._way(window, W, ctx).prepare(W, window, ctx.empty)
        if not ctx.training:
            return {**params, "there": there}
        back = convolution.backwards(window, (shape[0], shape[1]))
        turned = convolution.turned(W, ctx.empty)
        return {
            **params,
            "there": there,
            "back": self._way(back, turned, ctx).prepare(turned, back, ctx.empty),
        }

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        if "there" not in params:
            params = self.prepare(params, (*x.shape[:2], x.shape[3]), ctx)
        window = self._window(x.shape)
        way = self._way(window, params["W"], ctx)
        y = way.correlate(x, params["there"], window, ctx.output, ctx.scratch)
        if self.bias is not False:
            b = params["b"]
            y += b[:, :, None] if self.bias == "position" else per_channel(b, y, ctx)
        return y, x

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, dy = cache, windows.unbroken(dy, ctx.scratch)
        W, window = params["W"], self._window(x.shape)
        self._way(window, W, ctx).kernel_gradient(x, dy, window, grads["W"], ctx.scratch)
        if self.bias == "position":
            np.add.reduce(dy, axis=2, out=grads["b"])
        elif self.bias:
            Bias().backward(params, None, dy, grads, ctx)
        if not ctx.needs_dx:
            return None
        if "back" not in params:
            params = self.prepare(params, (*x.shape[:2], x.shape[3]), ctx)
        images = x.shape[3], window, x.shape[:2], ctx.samples
        return convolution.input_gradient(dy, params["back"], *images, ctx.output, ctx.scratch)

    def _way(self, window: windows.Window, W: Array, ctx: Context) -> ModuleType:
        channels, filters = W.shape[2:]
        return convolution.way(window, channels, filters, ctx.samples)

    def _window(self, shape: Shape) -> windows.Window:
        """Fit the window to images, given as (h, w, c) or as a batch (h, w, n, c)."""
        return _window_of(self, (*shape[:2], shape[-1]))


@lru_cache(1024)
def _window_of(layer: Conv2D, shape: Shape) -> windows.Window:
    """Fit the window to images; asked for many times, even for a single image."""
    geometry = as_pair(layer.kernel_size), as_pair(layer.stride), as_pair(layer.dilation)
    (rows, ho), (columns, wo) = axes(layer, shape, *geometry)
    return windows.Window(*geometry, (rows, columns), (ho, wo))


def check_padding(layer: Any) -> None:
    """Refuse a padding that is neither a known word nor a number of pixels."""
    if not is_word(layer, "padding", ("same", "valid")):
        needed = "'same', 'valid', an integer of at least 0, or a pair of them"
        check_pair(layer, "padding", 0, needed)


def axes(
    layer: Any,
    shape: Shape,
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> list[tuple[tuple[int, int], int]]:
    """Work out ((before, after), outputs) of both axes, or refuse a window that does not fit."""
    padding = layer.padding
    paddings: tuple[Any, Any] = (padding, padding) if isinstance(padding, str) else as_pair(padding)
    found = []
    for length, k, s, d, border in zip(shape[:2], window, stride, dilation, paddings, strict=True):
        reach = max(d * (k - 1) + 1, s, 0 if isinstance(border, str) else border)
        if reach > LONGEST:
            raise ValueError(
                f"{brief(layer)} reaches over {magnitude(reach)} pixels, which no image has in a "
                f"row; needed: a window, a stride and a padding of at most {LONGEST}."
            )
        pads = windows.axis_pads(length, k, s, d, border)
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
