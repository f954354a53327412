"""Max pooling by contests next to what was before: each maximum's offset, found again by masks.

The predecessor put a border of -inf around the images and kept one byte with the winner's offset
per window. Backwards it compared these bytes with every offset, and added up on zeros.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sknpcnn._engine.engine import Arena
from sknpcnn._kernels import pooling
from sknpcnn._kernels.windows import Empty, axis_pads, output_length, pad, strided_slice

from . import Measured, in_turns, reusing

Task = Callable[[], np.ndarray]


class Case(NamedTuple):
    """A square window on images of 28x28x16, as many as a chunk has of them."""

    window: int
    stride: int
    padding: str
    shape: tuple[int, int, int, int] = (28, 28, 16, 16)
    """(h, w, n, c)"""

    def __str__(self) -> str:
        h, w, n, c = self.shape
        return f"{self.window}/{self.stride} {self.padding}, {n} images of {h}x{w}x{c}"

    @property
    def pads(self) -> tuple[int, int]:
        return axis_pads(self.shape[0], self.window, self.stride, 1, self.padding)

    @property
    def outputs(self) -> int:
        return output_length(self.shape[0], self.pads, self.window, self.stride, 1)


CASES = [Case(2, 2, "valid"), Case(3, 2, "same")]


def check() -> None:
    """Check that maxima and gradients are equal, also where there are many ties."""
    for case in CASES:
        x, dy = data(case)
        for images in (x, np.round(x)):
            (y_before, dx_before), (y, dx) = (
                [task() for task in way(case, images, dy).values()] for way in (_before, _now)
            )
            np.testing.assert_array_equal(y, y_before, err_msg=str(case))
            np.testing.assert_array_equal(dx, dx_before, err_msg=str(case))


def measure(rounds: int) -> Measured:
    measured = []
    for case in CASES:
        arrays = data(case)
        before, now = _before(case, *arrays), _now(case, *arrays)
        measured.extend(
            (f"{case}: {part}", *in_turns(before[part], now[part], rounds)) for part in now
        )
    return measured


def data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Draw images and a gradient of the output, aligned as those of a network are."""
    rng, memory = np.random.default_rng(0), Arena(np.float32)
    shapes = case.shape, (case.outputs, case.outputs, *case.shape[2:])
    x, dy = (rng.standard_normal(dtype=np.float32, out=memory.empty(shape)) for shape in shapes)
    return np.maximum(x, 0, out=x), dy


def _now(case: Case, x: np.ndarray, dy: np.ndarray) -> dict[str, Task]:
    """Return the tasks of a layer; the gradient needs who won, so it goes second."""
    (h, _, n, c), stride, border = case.shape, case.stride, case.pads[0]
    part_shape = (h, case.outputs, n, c)
    won: dict[str, list[np.ndarray]] = {}

    def forward(empty: Empty, scratch: Empty) -> np.ndarray:
        part, y = scratch(part_shape, x.dtype), empty(dy.shape, x.dtype)
        for axis, shape in (("columns", part_shape), ("rows", dy.shape)):
            won[axis] = [empty(shape, np.bool_) for _ in range(case.window - 1)]
        pooling.max_along(x, 1, stride, border, case.window, part, won["columns"])
        pooling.max_along(part, 0, stride, border, case.window, y, won["rows"])
        return y

    def gradient(empty: Empty, scratch: Empty) -> np.ndarray:
        part, dx = scratch(part_shape, dy.dtype), empty(case.shape, dy.dtype)
        pooling.max_along_gradient(dy, won["rows"], part, 0, stride, border, scratch)
        pooling.max_along_gradient(part, won["columns"], dx, 1, stride, border, scratch)
        return dx

    return {"forward": reusing(forward), "gradient": reusing(gradient)}


def _before(case: Case, x: np.ndarray, dy: np.ndarray) -> dict[str, Task]:
    """Return the tasks of the layer as it was."""
    (h, w, n, c), (first, last) = case.shape, case.pads
    padded_shape, part_shape = (
        (first + h + last, width, n, c) for width in (first + w + last, case.outputs)
    )
    winners: dict[str, np.ndarray] = {}

    def forward(empty: Empty, scratch: Empty) -> np.ndarray:
        padded = pad(x, (case.pads, case.pads), -np.inf, scratch)
        part, winners["columns"] = _max_along(padded, 1, case, empty, scratch)
        y, winners["rows"] = _max_along(part, 0, case, empty, scratch)
        return y

    def gradient(empty: Empty, scratch: Empty) -> np.ndarray:
        part, dx = scratch(part_shape, dy.dtype), empty(padded_shape, dy.dtype)
        _max_along_gradient(dy, winners["rows"], part, 0, case, scratch)
        _max_along_gradient(part, winners["columns"], dx, 1, case, scratch)
        return dx[first : first + h, first : first + w]

    return {"forward": reusing(forward), "gradient": reusing(gradient)}


def _along(x: np.ndarray, axis: int, offset: int, stride: int, outputs: int) -> np.ndarray:
    part = strided_slice(offset, stride, outputs)
    return x[part] if axis == 0 else x[:, part]


def _max_along(
    x: np.ndarray, axis: int, case: Case, empty: Empty, scratch: Empty
) -> tuple[np.ndarray, np.ndarray]:
    y = _along(x, axis, 0, case.stride, case.outputs)
    winner, best = empty(y.shape, np.uint8), empty(y.shape, x.dtype)
    for k in range(1, case.window):
        view = _along(x, axis, k, case.stride, case.outputs)
        if k == 1:
            np.greater(view, y, out=winner.view(np.bool_))
        else:  # a later offset is a larger number, so the maximum keeps the last that was larger
            later = np.greater(view, y, out=scratch(y.shape, np.bool_))
            offset = np.multiply(later, np.uint8(k), out=scratch(y.shape, np.uint8))
            np.maximum(winner, offset, out=winner)
        y = np.maximum(y, view, out=best)
    return y, winner


def _max_along_gradient(
    dy: np.ndarray, winner: np.ndarray, dx: np.ndarray, axis: int, case: Case, scratch: Empty
) -> None:
    if case.window == case.stride == 2 and dx.shape[axis] == 2 * case.outputs:
        first, second = (_along(dx, axis, k, 2, case.outputs) for k in (0, 1))
        np.multiply(dy, winner.view(np.bool_), out=second)
        np.subtract(dy, second, out=first)
        return
    dx[...] = 0
    won, share = scratch(dy.shape, np.bool_), scratch(dy.shape, dy.dtype)
    for k in range(case.window):
        np.multiply(dy, np.equal(winner, k, out=won), out=share)
        target = _along(dx, axis, k, case.stride, case.outputs)
        np.add(target, share, out=target)
