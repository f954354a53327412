"""Winograd's convolution next to the direct one by rows: a half to a sixth of the products.

The kernel is prepared beforehand, as a network does it once for all chunks of a mini-batch.
"""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from sknpcnn._engine.engine import Arena
from sknpcnn._kernels import convolution, rows, winograd
from sknpcnn._kernels.windows import Empty, Window, axis_pads, output_length

from . import Measured, in_turns, reusing

TOLERANCES = {np.float32: 1e-4, np.float64: 1e-12}
"""How far the results may lie apart, relative to the largest number."""


class Case(NamedTuple):
    """A convolution of stride 1 on some images, as many as a chunk has of them."""

    kernel: int
    channels: int
    filters: int
    size: int
    n: int
    padding: str = "same"

    def __str__(self) -> str:
        k, size = self.kernel, self.size
        images = f"{self.n} images of {size}x{size}"
        return f"{k}x{k}, {self.channels} to {self.filters}, {images}, {self.padding}"


CASES = [
    Case(3, 16, 16, 14, 16),
    Case(3, 32, 64, 26, 8, "valid"),
    Case(5, 32, 64, 14, 10),
    Case(3, 128, 128, 16, 8),
]
PARTS = ("forward", "input gradient", "kernel gradient")


def check() -> None:
    agree(winograd, CASES, PARTS)


def measure(rounds: int) -> Measured:
    return compare(winograd, CASES, PARTS, rounds)


def agree(fast: ModuleType, cases: Iterable[Case], parts: Iterable[str]) -> None:
    """Check that an algorithm is the one that is used, and agrees with the direct one."""
    for case in cases:
        window, back = windows(case)
        assert convolution.choose_algorithm(window, case.channels, case.filters, case.n) is fast, (
            case
        )
        if "input gradient" in parts:
            assert (
                convolution.choose_algorithm(back, case.filters, case.channels, case.n) is fast
            ), case
        for dtype, tolerance in TOLERANCES.items():
            arrays = data(case, dtype)
            before, now = tasks(rows, case, *arrays), tasks(fast, case, *arrays)
            for part in parts:
                a, b = before[part](), now[part]()
                error = np.abs(a - b).max() / np.abs(a).max()
                assert error < tolerance, f"{case}, {part}: {error} in {dtype.__name__}"


def compare(fast: ModuleType, cases: Iterable[Case], parts: Iterable[str], rounds: int) -> Measured:
    """Time an algorithm next to the direct one."""
    measured = []
    for case in cases:
        arrays = data(case, np.float32)
        before, now = tasks(rows, case, *arrays), tasks(fast, case, *arrays)
        measured.extend(
            (f"{case}: {part}", *in_turns(before[part], now[part], rounds)) for part in parts
        )
    return measured


def windows(case: Case) -> tuple[Window, Window]:
    """Return the windows of the forward and of the backward pass."""
    pads = axis_pads(case.size, case.kernel, 1, 1, case.padding)
    outputs = output_length(case.size, pads, case.kernel, 1, 1)
    there = Window((case.kernel,) * 2, (1, 1), (1, 1), (pads, pads), (outputs, outputs))
    return there, convolution.gradient_window(there, (case.size, case.size))


def data(case: Case, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw images, a kernel and a gradient of the output, aligned as those of a network are."""
    rng, memory = np.random.default_rng(0), Arena(dtype)
    outputs = windows(case)[0].outputs
    x, W, dy = (
        rng.standard_normal(dtype=dtype, out=memory.empty(shape))
        for shape in (
            (case.size, case.size, case.n, case.channels),
            (case.kernel, case.kernel, case.channels, case.filters),
            (*outputs, case.n, case.filters),
        )
    )
    return np.maximum(x, 0, out=x), W, dy


def tasks(
    algorithm: ModuleType, case: Case, x: np.ndarray, W: np.ndarray, dy: np.ndarray
) -> dict[str, Callable[[], np.ndarray]]:
    """Return the parts of a convolution, by one algorithm."""
    window, back = windows(case)
    kernel, flipped = (
        algorithm.prepare(W, window),
        algorithm.prepare(convolution.flip_kernel(W), back),
    )

    def kernel_gradient(empty: Empty, scratch: Empty) -> np.ndarray:
        dW = empty(W.shape, W.dtype)
        algorithm.kernel_gradient(x, dy, window, dW, scratch)
        return dW

    return {
        "forward": reusing(lambda *memory: algorithm.correlate(x, kernel, window, *memory)),
        "input gradient": reusing(lambda *memory: algorithm.correlate(dy, flipped, back, *memory)),
        "kernel gradient": reusing(kernel_gradient),
    }
