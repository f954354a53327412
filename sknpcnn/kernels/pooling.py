"""Pooling by offsets: every position within the window is one strided view of the whole image.

A window of 3x3 meets nine such views. Their maximum, element by element, is max pooling; their sum,
average pooling. So a pooling costs ``kh * kw`` passes over the output, whatever the image.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from sknpcnn.kernels.windows import Empty, steps

Pair = tuple[int, int]


def views(x: np.ndarray, window: Pair, stride: Pair, outputs: Pair) -> Iterator[np.ndarray]:
    """View what each offset of the window meets, row by row: (h, n, w, c) -> (ho, n, wo, c)."""
    for i, j in product(range(window[0]), range(window[1])):
        yield x[steps(i, stride[0], outputs[0]), :, steps(j, stride[1], outputs[1])]


def max_pool(
    x: np.ndarray,
    window: Pair,
    stride: Pair,
    outputs: Pair,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maxima and, as a byte, the offset that each came from: the first one in ties."""
    shape = (outputs[0], x.shape[1], outputs[1], x.shape[3])
    y = empty(shape, x.dtype)
    winner = empty(shape, np.uint8 if window[0] * window[1] <= 256 else np.int32)
    larger = scratch(shape, np.bool_)
    winner[...] = 0
    for k, view in enumerate(views(x, window, stride, outputs)):
        if k == 0:
            y[...] = view
            continue
        np.greater(view, y, out=larger)
        np.copyto(winner, k, where=larger)
        np.maximum(y, view, out=y)
    return y, winner


def max_pool_gradient(
    dy: np.ndarray,
    winner: np.ndarray,
    dx: np.ndarray,
    window: Pair,
    stride: Pair,
    scratch: Empty = np.empty,
) -> None:
    """Write each ``dy`` into ``dx`` at the place that its maximum came from; zero elsewhere."""
    outputs = (dy.shape[0], dy.shape[2])
    won = scratch(dy.shape, np.bool_)
    share = scratch(dy.shape, dy.dtype)
    apart = stride[0] >= window[0] and stride[1] >= window[1]
    if not (apart and _covers(dx, window, stride, outputs)):
        dx[...] = 0
    for k, target in enumerate(views(dx, window, stride, outputs)):
        np.equal(winner, k, out=won)
        if apart:  # no two windows meet, so each pixel is written once
            np.multiply(dy, won, out=target)
        else:
            np.multiply(dy, won, out=share)
            np.add(target, share, out=target)


def sum_pool(
    x: np.ndarray, window: Pair, stride: Pair, outputs: Pair, empty: Empty = np.empty
) -> np.ndarray:
    """Add up every window."""
    y = empty((outputs[0], x.shape[1], outputs[1], x.shape[3]), x.dtype)
    for k, view in enumerate(views(x, window, stride, outputs)):
        if k == 0:
            y[...] = view
        else:
            np.add(y, view, out=y)
    return y


def sum_pool_gradient(dy: np.ndarray, dx: np.ndarray, window: Pair, stride: Pair) -> None:
    """Write into ``dx``, for every pixel, the sum of ``dy`` over the windows that met it."""
    dx[...] = 0
    for target in views(dx, window, stride, (dy.shape[0], dy.shape[2])):
        np.add(target, dy, out=target)


def _covers(x: np.ndarray, window: Pair, stride: Pair, outputs: Pair) -> bool:
    """Tell whether windows that lie side by side meet every pixel."""
    return window == stride and (x.shape[0], x.shape[2]) == (
        outputs[0] * window[0],
        outputs[1] * window[1],
    )
