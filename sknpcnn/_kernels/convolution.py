"""Convolution and its gradients, by whichever algorithm is fastest for the shape.

Every algorithm is a module of four functions: ``prepare`` transforms the kernel into the form that
it needs, ``correlate`` slides it over images, ``kernel_gradient`` computes its gradient, and
``workspace_size`` returns how many temporary elements that takes. The gradient of the input is a
convolution too: of ``dy``, laid out on the input's grid, with the kernel rotated by 180 degrees.
"""

from functools import lru_cache
from types import ModuleType

import numpy as np

from sknpcnn._kernels import planes, rows, winograd
from sknpcnn._kernels.windows import Empty, Pair, Window, overlap


@lru_cache(1024)
def choose_algorithm(window: Window, channels: int, filters: int, samples: int) -> ModuleType:
    """Choose the algorithm by shape and by the number of images in the mini-batch."""
    if winograd.is_faster(window, channels, filters, samples):
        return winograd
    return planes if window.size[1] * channels < 16 else rows


def flip_kernel(W: np.ndarray, empty: Empty = np.empty) -> np.ndarray:
    """Rotate the kernel by 180 degrees and swap its input and output channels."""
    view = W[::-1, ::-1].transpose(0, 1, 3, 2)
    out = empty(view.shape, W.dtype)
    out[...] = view
    return out


def gradient_window(window: Window, size: Pair) -> Window:
    """Compute the window to slide over ``dy`` for the gradient of images of that size.

    With stride 1, ``dy`` only needs padding. Otherwise ``input_gradient`` lays it out.
    """
    rows, columns, only_padding = _gradient_padding(window, size)
    pads = (rows, columns) if only_padding else ((0, 0), (0, 0))
    return Window(window.size, (1, 1), window.dilation, pads, size)


def input_gradient(
    dy: np.ndarray,
    kernel: np.ndarray,
    channels: int,
    window: Window,
    size: Pair,
    samples: int,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Compute the gradient of the input from the flipped and prepared kernel.

    Output ``o`` read input ``o * stride + i * dilation - before`` through kernel row ``i``. So its
    gradient belongs at ``o * stride + (k - 1) * dilation - before``, with zeros in between; one
    that falls outside came from padding only.
    """
    gradient = gradient_window(window, size)
    (top, _), (left, _), only_padding = _gradient_padding(window, size)
    if not only_padding:
        h, w = (s + d * (k - 1) for s, d, k in zip(size, window.dilation, window.size, strict=True))
        spread = scratch((h, w, *dy.shape[2:]), dy.dtype)
        from_rows, to_rows = overlap(top, window.stride[0], dy.shape[0], h)
        from_columns, to_columns = overlap(left, window.stride[1], dy.shape[1], w)
        spread[...] = 0
        spread[to_rows, to_columns] = dy[from_rows, from_columns]
        dy = spread
    algorithm = choose_algorithm(gradient, dy.shape[-1], channels, samples)
    dx: np.ndarray = algorithm.correlate(dy, kernel, gradient, empty, scratch)
    return dx


def _gradient_padding(window: Window, size: Pair) -> tuple[Pair, Pair, bool]:
    """Count the zeros before and after the outputs, along each axis, on the grid of the input.

    Also return whether padding is all that is needed: no gaps, and no output outside of the grid.
    """
    pads = []
    for axis in (0, 1):
        reach = window.dilation[axis] * (window.size[axis] - 1)
        before = reach - window.pads[axis][0]
        pads.append((before, size[axis] + reach - before - window.outputs[axis]))
    rows, columns = pads
    return rows, columns, window.stride == (1, 1) and min(*rows, *columns) >= 0
