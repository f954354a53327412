"""A barrier between processes: none goes on before all have arrived.

A training step has some twenty barriers, so each may take only microseconds if all processes arrive
at the same time: they watch each other's counter in shared memory. A process that has waited for
longer sleeps between two looks, and so leaves its core to others.
"""

import os
from collections.abc import Callable
from time import perf_counter, sleep

SPIN_SECONDS = 1e-4
"""How long a process watches without a pause."""
SLEEP_FRACTION, LONGEST_SLEEP = 0.1, 1e-3
"""After that it sleeps for a fraction of the time that it has waited, up to so many seconds."""
CHECK_SECONDS = 0.01
"""How often a process that waits checks whether the others still exist."""
CACHE_LINE = 8
"""Counters in a line of the cache, which two processes should not write to."""

# A system call, before a counter is written and after it has been read, orders the accesses to
# memory around it, which the hardware may otherwise reorder (as ARM does, unlike x86). It also
# lets another process run if there are more processes than cores.
give_way: Callable[[], object] = getattr(os, "sched_yield", lambda: sleep(0))


class Barrier:
    """The barrier in one of ``size`` processes; ``counters`` are 64-bit integers in shared memory.

    ``check`` is called now and then with the process that it waits for, and may raise.
    """

    def __init__(self, counters: memoryview, rank: int, size: int, check: Callable[[int], None]):
        self._counters = counters
        self._own = rank * CACHE_LINE
        self._others = [i for i in range(size) if i != rank]
        self._check = check
        self._round = 0

    def wait(self) -> None:
        """Wait until all processes have called this as often as this one."""
        self._round += 1
        give_way()
        self._counters[self._own] = self._round
        for other in self._others:
            if self._counters[other * CACHE_LINE] < self._round:
                self._wait_for(other)
        give_way()

    def _wait_for(self, other: int) -> None:
        counters, place, target = self._counters, other * CACHE_LINE, self._round
        start = perf_counter()
        while perf_counter() < start + SPIN_SECONDS:
            for _ in range(8):
                if counters[place] >= target:
                    return
            give_way()
        checked = start
        while counters[place] < target:
            now = perf_counter()
            if now > checked + CHECK_SECONDS:
                self._check(other)
                checked = now
            sleep(min((now - start) * SLEEP_FRACTION, LONGEST_SLEEP))
