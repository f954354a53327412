"""Convolution and its gradients, by whichever algorithm is fastest for the shape.

Every algorithm is a module of four functions: ``prepare`` transforms the kernel into the form that
it needs, ``correlate`` slides it over images, ``kernel_gradient`` computes its gradient, and
``workspace_size`` returns how many temporary elements that takes. The gradient of the input is a
convolution too: of ``dy``, padded, with the kernel rotated by 180 degrees. With a larger stride
that would need zeros between the elements of ``dy``; ``scatter`` does without.

A kernel is ``(kh, kw, c, filters)``; with groups ``(kh, kw, c, groups, filters)``, where ``c`` and
``filters`` are those of one group.
"""

from functools import lru_cache
from math import prod
from types import ModuleType

import numpy as np

from sknpcnn._kernels import depthwise, grouped, planes, rows, winograd
from sknpcnn._kernels.windows import Empty, Pair, Window, overlap


@lru_cache(1024)
def choose_algorithm(
    window: Window, channels: int, filters: int, samples: int, groups: int = 1
) -> ModuleType:
    """Choose the algorithm by shape and by the number of images in the mini-batch."""
    if groups > 1:
        return depthwise if groups == channels == filters else grouped
    if winograd.is_faster(window, channels, filters, samples):
        return winograd
    return planes if window.size[1] * channels < 16 else rows


def algorithm_for(window: Window, W: np.ndarray, samples: int) -> ModuleType:
    """Choose the algorithm for a kernel."""
    groups = prod(W.shape[3:-1])
    return choose_algorithm(window, W.shape[2] * groups, W.shape[-1] * groups, samples, groups)


def flip_kernel(W: np.ndarray, empty: Empty = np.empty) -> np.ndarray:
    """Rotate the kernel by 180 degrees and swap its input and output channels."""
    view = W[::-1, ::-1].swapaxes(2, -1)
    out = empty(view.shape, W.dtype)
    out[...] = view
    return out


@lru_cache(1024)
def gradient_window(window: Window, size: Pair) -> Window | None:
    """Compute the window to slide over ``dy`` for the gradient of images of that size.

    Output ``o`` read input ``o * stride + i * dilation - before`` through kernel row ``i``. So with
    stride 1, input ``r`` gets what the rotated kernel finds around it. There is no such window for
    larger strides, nor where outputs read nothing but padding.
    """
    pads = []
    for axis in (0, 1):
        reach = window.dilation[axis] * (window.size[axis] - 1)
        before = reach - window.pads[axis][0]
        pads.append((before, size[axis] + reach - before - window.outputs[axis]))
    rows, columns = pads
    if window.stride != (1, 1) or min(*rows, *columns) < 0:
        return None
    return Window(window.size, (1, 1), window.dilation, (rows, columns), size)


def prepare_gradient(
    W: np.ndarray, window: Window, size: Pair, samples: int, empty: Empty = np.empty
) -> np.ndarray:
    """Transform the kernel into the form that ``input_gradient`` needs."""
    flipped, back = flip_kernel(W, empty), gradient_window(window, size)
    if back is None:
        return flipped
    algorithm = algorithm_for(back, flipped, samples)
    kernel: np.ndarray = algorithm.prepare(flipped, back, empty)
    return kernel


def input_gradient(
    dy: np.ndarray,
    kernel: np.ndarray,
    W: np.ndarray,
    window: Window,
    size: Pair,
    samples: int,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Compute the gradient of images of some size from the kernel, and what is prepared of it."""
    back = gradient_window(window, size)
    if back is None:
        return scatter(dy, kernel, window, size, empty, scratch)
    algorithm = algorithm_for(back, W.swapaxes(2, -1), samples)
    dx: np.ndarray = algorithm.correlate(dy, kernel, back, empty, scratch)
    return dx


def scatter(
    dy: np.ndarray,
    flipped: np.ndarray,
    window: Window,
    size: Pair,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Compute the gradient of images by any window: each kernel pixel adds to what it has read."""
    (kh, kw, filters), channels = flipped.shape[:3], flipped.shape[-1]
    taps = flipped.reshape(kh, kw, filters, -1, channels).swapaxes(2, 3)
    groups = taps.shape[2]
    (top, _), (left, _), outputs, n = *window.pads, dy.shape[:2], dy.shape[2]
    dx = empty((*size, n, groups * channels), dy.dtype)
    dx[...] = 0
    part = scratch((*outputs, n, groups * channels), dy.dtype)
    by_group = dy.reshape(-1, groups, filters).swapaxes(0, 1)
    products = part.reshape(-1, groups, channels).swapaxes(0, 1)
    is_depthwise = filters == channels == 1 < groups
    if is_depthwise:
        factors = depthwise.repeated(depthwise.prepare(flipped, window), n, scratch)
    for i, j in np.ndindex(kh, kw):
        first_row, first_column = i * window.dilation[0] - top, j * window.dilation[1] - left
        rows, to_rows = overlap(first_row, window.stride[0], outputs[0], size[0])
        columns, to_columns = overlap(first_column, window.stride[1], outputs[1], size[1])
        tap = kh - 1 - i, kw - 1 - j
        if is_depthwise:
            np.multiply(dy, factors[tap], out=part)
        else:
            np.matmul(by_group, taps[tap], out=products)
        reached = dx[to_rows, to_columns]
        np.add(reached, part[rows, columns], out=reached)
    return dx
