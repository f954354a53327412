"""Pooling, one axis after the other: a window is a few columns, then a few rows.

The largest of a window is the largest of its rows' largest. So pooling 3x3 pixels is three passes
along the width and three, on what is left, along the height, instead of nine. Images lie
``(h, w, n, c)``: one column of all images, or one row, is a long run of memory, and every pass is
elementwise on such runs. What lies outside of the image never takes part.

Max pooling is a contest: the first of a window against the second, the winner against the third,
and so on. Only who won is kept, a byte each; among equals, who came first. Backwards the contests
are undone from the last to the first: the gradient goes to the challenger or stays with the
earlier.
"""

import numpy as np

from sknpcnn.kernels.windows import Empty, meet


def max_along(
    x: np.ndarray,
    axis: int,
    stride: int,
    before: int,
    window: int,
    y: np.ndarray,
    won: list[np.ndarray],
) -> None:
    """Write the maxima along an axis into ``y``, and who won each contest into ``won``.

    An empty ``won`` is for prediction, which does not care.
    """
    outputs = y.shape[axis]
    best = y
    for k in range(window):
        mine, theirs = meet(k - before, stride, outputs, x.shape[axis])
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
    """Write each ``dy`` into ``dx`` at the place that its maximum came from; zero elsewhere."""
    outputs, length, window = dy.shape[axis], dx.shape[axis], len(won) + 1
    _clear_gaps(dx, axis, stride, before, window, outputs)
    places = [meet(k - before, stride, outputs, length) for k in range(window)]
    direct = [
        window > 1 and k < stride and mine == slice(0, outputs)
        for k, (mine, _) in enumerate(places)
    ]  # nobody else writes there, and all fits: the part need not be copied

    def room(k: int) -> np.ndarray:
        return _at(dx, axis, places[k][1]) if direct[k] else scratch(dy.shape, dy.dtype)

    rest, parts = dy, {}
    for k in range(window - 1, 0, -1):
        parts[k] = np.multiply(rest, won[k - 1], out=room(k))
        kept = room(0) if k == 1 else scratch(dy.shape, dy.dtype) if rest is dy else rest
        rest = np.subtract(rest, parts[k], out=kept)
    parts[0] = rest
    for k, (mine, theirs) in enumerate(places):
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
        mine, theirs = meet(k - before, stride, y.shape[axis], x.shape[axis])
        total = _at(y, axis, mine)
        np.add(total, _at(x, axis, theirs), out=total)


def sum_along_gradient(
    dy: np.ndarray, dx: np.ndarray, axis: int, stride: int, before: int, window: int
) -> None:
    """Write into ``dx``, for every place, the sum of ``dy`` over the windows that met it."""
    dx[...] = 0
    for k in range(window):
        mine, theirs = meet(k - before, stride, dy.shape[axis], dx.shape[axis])
        total = _at(dx, axis, theirs)
        np.add(total, _at(dy, axis, mine), out=total)


def _at(x: np.ndarray, axis: int, part: slice) -> np.ndarray:
    return x[part] if axis == 0 else x[:, part]


def _clear_gaps(
    dx: np.ndarray, axis: int, stride: int, before: int, window: int, outputs: int
) -> None:
    """Write zeros to where none of the first ``stride`` offsets of a window ever lies."""
    if window < stride:
        dx[...] = 0
        return
    reached = max(outputs * stride - before, 0)
    if reached < dx.shape[axis]:
        _at(dx, axis, slice(reached, None))[...] = 0
