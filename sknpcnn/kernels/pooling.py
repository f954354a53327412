"""Pooling, one axis after the other: a window is a few columns, then a few rows.

The largest of a window is the largest of its rows' largest. So pooling 3x3 pixels is three passes
along the width and three, on what is left, along the height, instead of nine. Images lie
``(h, w, n, c)``: one column of all images, or one row, is a long run of memory, and every pass is
elementwise on such runs. Among equal values the first column of each row wins, then the first such
row: the first pixel of the window.
"""

import numpy as np

from sknpcnn.kernels.windows import Empty, steps


def along(x: np.ndarray, axis: int, offset: int, stride: int, outputs: int) -> np.ndarray:
    """View what one offset of the window meets along one axis, over all positions."""
    part = steps(offset, stride, outputs)
    return x[part] if axis == 0 else x[:, part]


def max_along(
    x: np.ndarray,
    axis: int,
    window: int,
    stride: int,
    outputs: int,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
    winners: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maxima along an axis and, as a byte, the offset of each: the first in ties.

    Without ``winners``, for prediction, only the maxima.
    """
    y = along(x, axis, 0, stride, outputs)
    if window == 1 or not winners:
        for k in range(1, window):
            best = empty(y.shape, x.dtype) if k == 1 else y
            y = np.maximum(y, along(x, axis, k, stride, outputs), out=best)
        return y, np.empty(0, np.uint8)
    byte = np.dtype(np.uint8 if window <= 256 else np.int32)
    winner = empty(y.shape, byte)
    best = empty(y.shape, x.dtype)
    larger = winner.view(np.bool_) if byte == np.uint8 else None
    for k in range(1, window):
        view = along(x, axis, k, stride, outputs)
        if k == 1 and larger is not None:
            np.greater(view, y, out=larger)
        else:  # a later offset is a larger number, so the maximum keeps the last that was larger
            later = np.greater(view, y, out=scratch(y.shape, np.bool_))
            offset = np.multiply(later, byte.type(k), out=scratch(y.shape, byte))
            if k == 1:
                winner[...] = offset
            else:
                np.maximum(winner, offset, out=winner)
        y = np.maximum(y, view, out=best)
    return y, winner


def max_along_gradient(
    dy: np.ndarray,
    winner: np.ndarray,
    dx: np.ndarray,
    axis: int,
    window: int,
    stride: int,
    scratch: Empty = np.empty,
) -> None:
    """Write each ``dy`` into ``dx`` at the place that its maximum came from; zero elsewhere."""
    outputs = dy.shape[axis]
    if window == stride == 2 and dx.shape[axis] == 2 * outputs:  # the usual case, in two passes
        first, second = (along(dx, axis, k, 2, outputs) for k in (0, 1))
        np.multiply(dy, winner.view(np.bool_), out=second)
        np.subtract(dy, second, out=first)
        return
    dx[...] = 0
    if window == 1:
        along(dx, axis, 0, stride, outputs)[...] = dy
        return
    won = scratch(dy.shape, np.bool_)
    share = scratch(dy.shape, dy.dtype)
    for k in range(window):
        np.multiply(dy, np.equal(winner, k, out=won), out=share)
        target = along(dx, axis, k, stride, outputs)
        np.add(target, share, out=target)


def sum_along(
    x: np.ndarray, axis: int, window: int, stride: int, outputs: int, empty: Empty = np.empty
) -> np.ndarray:
    """Add up every window along an axis."""
    y = along(x, axis, 0, stride, outputs)
    total = empty(y.shape, x.dtype)
    total[...] = y
    for k in range(1, window):
        np.add(total, along(x, axis, k, stride, outputs), out=total)
    return total


def sum_along_gradient(dy: np.ndarray, dx: np.ndarray, axis: int, window: int, stride: int) -> None:
    """Write into ``dx``, for every place, the sum of ``dy`` over the windows that met it."""
    dx[...] = 0
    for k in range(window):
        target = along(dx, axis, k, stride, dy.shape[axis])
        np.add(target, dy, out=target)
