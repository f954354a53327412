"""One process of a team, seen from inside: its rank, the shared memory, and its part of the work.

All processes of a team run the same program. Outside of ``run`` it may write only to memory of its
own, as each process executes it; inside, each task is executed once, by one of them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sknpcnn._engine.barrier import CACHE_LINE, Barrier
from sknpcnn._engine.shared import Blocks
from sknpcnn._kernels.memory import Memory

FAILED, FINISHED = 4, 5
"""Offsets from a process's counter: whether it has failed, and how many calls it has finished."""


class WorkerLostError(Exception):
    """A worker process has died or failed; what the team was doing has to be repeated."""


class Member:
    """The process of a rank, of which there are ``size``; 0 is the leader, which has the user."""

    def __init__(
        self,
        prefixes: list[Path],
        rank: int,
        size: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.rank, self.size = rank, size
        self._process = os.getpid()
        self.blocks = Blocks(prefixes, leads=rank == 0)
        counters = self.blocks.allocate(8 * CACHE_LINE * size)
        self._flags = memoryview(counters.data).cast("q")
        self._barrier = Barrier(self._flags, rank, size, self._check_others)
        self._check = check
        self._n_finished = 0
        self.objects: dict[str, Any] = {}
        """What one call leaves for the next."""
        self.kept: dict[Any, Any] = {}
        """What one team leaves for the next in a worker process."""

    def run(self, task: Callable[[int, int], None], n_tasks: int) -> None:
        """Run ``task(i, rank)`` for the tasks of this process, while the others run theirs.

        Which ones these are is always the same, so what a task leaves in the memory of its process
        is there for the same task of another run.
        """
        # another process may still be reading, outside of ``run``, what a task overwrites
        self._meet()
        for i in range(self.rank, n_tasks, self.size):
            task(i, self.rank)
        self._meet()
        self.blocks.drop_names()

    def _meet(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(
                "The process was forked by one of the tasks of a fit or prediction; needed: "
                "os._exit() in the new process, a fork between epochs, or n_jobs=1."
            )
        self._barrier.wait()

    def allocate(self, size: int, owner: Any) -> Memory:
        """Allocate a block that all processes share; each asks for the same ones in this order."""
        return self.blocks.allocate(size, owner)

    def finish_call(self) -> None:
        """Let the others know that this process has done its part of a call."""
        self._n_finished += 1
        self._flags[self.rank * CACHE_LINE + FINISHED] = self._n_finished

    def report_failure(self) -> None:
        """Let the leader know that this process cannot continue."""
        self._flags[self.rank * CACHE_LINE + FAILED] = 1

    def failed(self) -> list[int]:
        """Return the ranks of the processes that have reported that they cannot continue."""
        return [r for r in range(self.size) if self._flags[r * CACHE_LINE + FAILED]]

    def _check_others(self, other: int) -> None:
        """Raise if the process that this one waits for will never arrive."""
        own, other = self.rank * CACHE_LINE, other * CACHE_LINE
        ahead = self._flags[other + FINISHED] > self._n_finished
        if ahead and self._flags[other] < self._flags[own]:  # in this order: it may just arrive
            raise WorkerLostError(
                "Worker processes have done something else than this one. What a layer, loss, "
                "optimizer or schedule does must depend on its arguments alone."
            )
        self._check()
