"""Pooling along one axis at a time, which takes fewer passes than whole windows would.

The maximum of a window is the maximum of its rows' maxima. So pooling 3x3 pixels takes three passes
along the width and three, on the smaller result, along the height, instead of nine. Images are
``(h, w, n, c)``: a column or row of all images is a long run of memory, and every pass is
elementwise on such runs. Pixels outside of the image are ignored.

Max pooling compares the first element of a window with the second, the larger one with the third,
and so on. Only the outcome of each comparison is kept, one byte each; ties go to the earlier
element. Backward undoes the comparisons from last to first: the gradient goes to the challenger, or
stays with the elements before it.
"""

import numpy as np

from sknpcnn._kernels.windows import Empty, overlap


def max_along(
    x: np.ndarray,
    axis: int,
    stride: int,
    before: int,
    window: int,
    y: np.ndarray,
    won: list[np.ndarray],
) -> None:
    """Write the maxima along an axis into ``y``, and where each challenger won into ``won``.

    In prediction, which needs no gradient, ``won`` is empty.
    """
    outputs = y.shape[axis]
    best = y
    for k in range(window):
        mine, theirs = overlap(k - before, stride, outputs, x.shape[axis])
        challenger, everywhere = _at(x, axis, theirs), mine == slice(0, outputs)
        if k == 0 and everywhere and window > 1:
            best = challenger
            continue
        if not (everywhere and k):
            y[...] = best if k else -np.inf
            best = y
        if won and k:
            if not everywhere:
                won[k - 1][...] = False
            np.greater(challenger, _at(best, axis, mine), out=_at(won[k - 1], axis, mine))
        np.maximum(_at(best, axis, mine), challenger, out=_at(y, axis, mine))
        best = y


def max_along_gradient(
    dy: np.ndarray,
    won: list[np.ndarray],
    dx: np.ndarray,
    axis: int,
    stride: int,
    before: int,
    scratch: Empty = np.empty,
) -> None:
    """Write each ``dy`` into ``dx`` where its maximum came from; zero elsewhere."""
    outputs, length, window = dy.shape[axis], dx.shape[axis], len(won) + 1
    _clear_gaps(dx, axis, stride, before, window, outputs)
    slices = [overlap(k - before, stride, outputs, length) for k in range(window)]
    direct = [
        window > 1 and k < stride and mine == slice(0, outputs)
        for k, (mine, _) in enumerate(slices)
    ]  # no other offset writes there, and all positions fit: no copy is needed

    def buffer(k: int) -> np.ndarray:
        return _at(dx, axis, slices[k][1]) if direct[k] else scratch(dy.shape, dy.dtype)

    rest, parts = dy, {}
    for k in range(window - 1, 0, -1):
        parts[k] = np.multiply(rest, won[k - 1], out=buffer(k))
        kept = buffer(0) if k == 1 else scratch(dy.shape, dy.dtype) if rest is dy else rest
        rest = np.subtract(rest, parts[k], out=kept)
    parts[0] = rest
    for k, (mine, theirs) in enumerate(slices):
        target, part = _at(dx, axis, theirs), _at(parts[k], axis, mine)
        if k >= stride:
            np.add(target, part, out=target)
        elif not direct[k]:
            target[...] = part


def sum_along(
    x: np.ndarray, axis: int, stride: int, before: int, window: int, y: np.ndarray
) -> None:
    """Write the sum of every window along an axis into ``y``."""
    y[...] = 0
    for k in range(window):
        mine, theirs = overlap(k - before, stride, y.shape[axis], x.shape[axis])
        total = _at(y, axis, mine)
        np.add(total, _at(x, axis, theirs), out=total)


def sum_along_gradient(
    dy: np.ndarray, dx: np.ndarray, axis: int, stride: int, before: int, window: int
) -> None:
    """Write into ``dx``, for every pixel, the sum of ``dy`` over the windows that cover it."""
    dx[...] = 0
    for k in range(window):
        mine, theirs = overlap(k - before, stride, dy.shape[axis], dx.shape[axis])
        total = _at(dx, axis, theirs)
        np.add(total, _at(dy, axis, mine), out=total)


def _at(x: np.ndarray, axis: int, part: slice) -> np.ndarray:
    return x[part] if axis == 0 else x[:, part]


def _clear_gaps(
    dx: np.ndarray, axis: int, stride: int, before: int, window: int, outputs: int
) -> None:
    """Write zeros where none of the first ``stride`` offsets of any window lies."""
    if window < stride:
        dx[...] = 0
        return
    reached = max(outputs * stride - before, 0)
    if reached < dx.shape[axis]:
        _at(dx, axis, slice(reached, None))[...] = 0
