"""Convolution by whichever way is the fastest for the shape, and its gradients.

Every way is a module of four functions: ``prepare`` brings the kernel into the form that is
needed, ``correlate`` slides it over images, ``kernel_gradient`` computes its gradient, and
``between`` tells how much room that takes. The gradient of the input needs no function of its own:
it is again a convolution, of ``dy`` laid out on the input's grid, with the kernel turned by 180
degrees.
"""

from functools import lru_cache
from types import ModuleType

import numpy as np

from sknpcnn.kernels import planes, rows, winograd
from sknpcnn.kernels.windows import Empty, Pair, Window, meet


@lru_cache(1024)
def way(window: Window, channels: int, filters: int, samples: int) -> ModuleType:
    """Choose how to compute, by shape, and by how many images there are in the mini-batch."""
    if winograd.saves(window, channels, filters, samples):
        return winograd
    return planes if window.size[1] * channels < 16 else rows


def turned(W: np.ndarray, empty: Empty = np.empty) -> np.ndarray:
    """Turn the kernel by 180 degrees and swap what it reads and what it writes."""
    view = W[::-1, ::-1].transpose(0, 1, 3, 2)
    out = empty(view.shape, W.dtype)
    out[...] = view
    return out


def backwards(window: Window, size: Pair) -> Window:
    """Work out over which window ``dy`` has to be convolved for the gradient of images of a size.

    With stride 1, ``dy`` only needs a border. Otherwise it is laid out by ``input_gradient``.
    """
    rows, columns, side_by_side = _places(window, size)
    pads = (rows, columns) if side_by_side else ((0, 0), (0, 0))
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
    """Compute the gradient of the input from the turned kernel, prepared for the way back.

    Output ``o`` met input ``o * stride + i * dilation - before`` through kernel row ``i``. It
    therefore belongs at ``o * stride + (k - 1) * dilation - before``, with zeros in between; what
    falls outside has met only padding.
    """
    back = backwards(window, size)
    (top, _), (left, _), side_by_side = _places(window, size)
    if not side_by_side:
        h, w = (s + d * (k - 1) for s, d, k in zip(size, window.dilation, window.size, strict=True))
        laid = scratch((h, w, *dy.shape[2:]), dy.dtype)
        from_rows, to_rows = meet(top, window.stride[0], dy.shape[0], h)
        from_columns, to_columns = meet(left, window.stride[1], dy.shape[1], w)
        laid[...] = 0
        laid[to_rows, to_columns] = dy[from_rows, from_columns]
        dy = laid
    going = way(back, dy.shape[-1], channels, samples)
    return going.correlate(dy, kernel, back, empty, scratch)


def _places(window: Window, size: Pair) -> tuple[Pair, Pair, bool]:
    """Count the zeros before and after the outputs, along each axis, on the grid of the input.

    Also tell whether that is all there is to it: no gaps, and nothing that falls outside.
    """
    places = []
    for axis in (0, 1):
        reach = window.dilation[axis] * (window.size[axis] - 1)
        before = reach - window.pads[axis][0]
        places.append((before, size[axis] + reach - before - window.outputs[axis]))
    rows, columns = places
    return rows, columns, window.stride == (1, 1) and min(*rows, *columns) >= 0
