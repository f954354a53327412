"""Adam in blocks that stay in the cache, on running sums, next to the textbook's expressions.

The textbook's go over all parameters at once, and every operator makes a new array.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks import timing
from sknpcnn._engine.chunks import cut
from sknpcnn._training.step import MAX_BLOCK_SIZE
from sknpcnn.optimizers import Adam, Memory

from . import Measured

N, LEARNING_RATE, ADAM = 1_000_000, 1e-3, Adam()
STEPS = 20  # in one turn
TOLERANCES = {np.float32: 1e-5, np.float64: 1e-12}
"""How far the parameters may lie apart, relative to the farthest that one has moved."""

Step = Callable[[np.ndarray, np.ndarray, Memory, int], None]
"""(theta, grad, memory, t); ``grad`` may be overwritten."""


def check() -> None:
    """Check that five steps from zero lead to the same place, large and tiny gradients alike."""
    for dtype, tolerance in TOLERANCES.items():
        rng = np.random.default_rng(0)
        grads = [rng.normal(size=N) * np.logspace(-6, 2, N) for _ in range(5)]
        before, now = (_moved(step, grads, dtype) for step in (_textbook, _in_blocks))
        error = np.abs(before - now).max() / np.abs(before).max()
        assert error < tolerance, f"{error} in {dtype.__name__}"


def measure(rounds: int) -> Measured:
    turns = {"before": _turn(_textbook), "now": _turn(_in_blocks)}
    medians = timing.medians(timing.alternate(turns, rounds))
    return [(f"{N:,} parameters, float32", medians["before"], medians["now"])]


def _textbook(theta: np.ndarray, grad: np.ndarray, memory: Memory, t: int) -> None:
    beta_1, beta_2 = ADAM.beta_1, ADAM.beta_2
    mean = memory["total"] = beta_1 * memory["total"] + (1 - beta_1) * grad
    square = memory["squares"] = beta_2 * memory["squares"] + (1 - beta_2) * grad**2
    mean, square = mean / (1 - beta_1**t), square / (1 - beta_2**t)
    theta -= LEARNING_RATE * mean / (np.sqrt(square) + ADAM.epsilon)


def _in_blocks(theta: np.ndarray, grad: np.ndarray, memory: Memory, t: int) -> None:
    for lo, hi in cut(len(theta), MAX_BLOCK_SIZE):
        part = {name: array[lo:hi] for name, array in memory.items()}
        ADAM.step(theta[lo:hi], grad[lo:hi], part, LEARNING_RATE, t)


def _moved(step: Step, grads: list[np.ndarray], dtype: type) -> np.ndarray:
    theta = np.zeros(N, dtype)
    memory = ADAM.start(theta)
    for t, grad in enumerate(grads, start=1):
        step(theta, grad.astype(dtype), memory, t)
    return theta


def _turn(step: Step) -> Callable[[], float]:
    """Make a turn of some steps; renewing the gradient between them is not timed."""
    fresh = np.random.default_rng(0).standard_normal(N, np.float32)
    theta, grad = np.zeros(N, np.float32), np.empty(N, np.float32)
    memory, t = ADAM.start(theta), 0

    def turn() -> float:
        nonlocal t
        taken = 0.0
        for _ in range(STEPS):
            grad[...] = fresh
            t += 1
            taken += timing.seconds(partial(step, theta, grad, memory, t))
        return taken / STEPS

    return turn
