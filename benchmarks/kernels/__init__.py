"""Every fast kernel next to its simple predecessor: that they agree, and how fast each is."""

from collections.abc import Callable

import numpy as np

from benchmarks import timing
from sknpcnn._engine.blas import one_thread_blas
from sknpcnn._engine.engine import Arena
from sknpcnn._kernels.windows import Empty

# About how many seconds one turn takes: long against the caches' being cold after the other's.
TURN = 0.05

Task = Callable[[], object]
Measured = list[tuple[str, float, float]]
"""(case, seconds before, seconds now)"""


def reusing(task: Callable[[Empty, Empty], np.ndarray]) -> Callable[[], np.ndarray]:
    """Give a task the same memory whenever it runs, as a network does: ``empty, scratch``."""
    memory, scratch = Arena(np.float32), Arena(np.float32)

    def run() -> np.ndarray:
        memory.rewind()
        scratch.rewind()
        return task(memory.empty, scratch.empty)

    return run


def in_turns(before: Task, now: Task, rounds: int) -> tuple[float, float]:
    """Time two tasks in alternation, BLAS on one thread; return the medians in seconds."""
    with one_thread_blas:
        turns = {
            name: timing.repeated(task, timing.repeats(task, TURN))
            for name, task in (("before", before), ("now", now))
        }
        medians = timing.medians(timing.alternate(turns, rounds))
    return medians["before"], medians["now"]
