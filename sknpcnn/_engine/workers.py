"""How many workers share a fit or prediction, and whether they are threads or processes.

Two threads wait for each other at the interpreter's lock. Processes do not, but have to be started,
and what they work on is copied to shared memory; so they are for work that takes long.
"""

import sys
from collections.abc import Callable
from multiprocessing import current_process, parent_process
from pathlib import Path
from threading import current_thread, main_thread
from time import monotonic

from sknpcnn._engine.blas import one_thread_blas
from sknpcnn._engine.cores import claims, count_cores
from sknpcnn._engine.processes import IDLE_SECONDS, pool

SECONDS_TO_START = 4.0
"""Estimated duration, on one core, from which on it is worth it to start processes."""
SECONDS_TO_SHARE = 0.1
"""The same if there are processes already, which wait for work."""


def workers_for(n_jobs: int | None) -> int:
    """Return the number of workers to use: by default as many threads as BLAS may use now.

    So a grid search whose workers share the cores, and therefore limit BLAS, is never
    oversubscribed. Workers without such a limit use one thread each: threads of joblib, and
    daemonic processes such as the workers of multiprocessing pools. What other threads of this
    process train or predict meanwhile keeps its cores.
    """
    if n_jobs is None:
        is_worker = _is_thread_of_joblib() or current_process().daemon
        if is_worker:
            return 1
        return max(one_thread_blas.threads_allowed() - claims.taken(), 1)
    n_jobs = int(n_jobs)  # small integer types of NumPy would overflow
    return max(count_cores() + 1 + n_jobs, 1) if n_jobs < 0 else n_jobs


def processes_for(n_workers: int, takes_longer: Callable[[float], bool]) -> int:
    """Return how many processes to use in place of that many threads, or 1 for threads.

    ``takes_longer(seconds)`` returns whether the work will take longer on one core. The user may
    decide with ``joblib.parallel_config(backend="loky")`` or ``"threading"``.
    """
    if n_workers < 2 or not _may_start_processes():
        return 1
    backend = _chosen_backend()
    size = min(n_workers, count_cores() - claims.taken())  # any more would only wait
    if size < 2 or backend not in (None, "LokyBackend"):
        return 1
    if backend is None:
        idle = pool.has_idle(size - 1)
        if not takes_longer(SECONDS_TO_SHARE if idle else SECONDS_TO_START - recent.seconds()):
            return 1
    return size


class RecentWork:
    """How long short fits and predictions have taken lately: many of them are a long one."""

    def __init__(self) -> None:
        self._total, self._last = 0.0, 0.0

    def add(self, seconds: float) -> None:
        """Add one that has just ended."""
        self._total = self.seconds() + seconds
        self._last = monotonic()

    def seconds(self) -> float:
        """Return the total; a pause as long as workers would be kept makes it zero."""
        return self._total if monotonic() - self._last < IDLE_SECONDS else 0.0


recent = RecentWork()


def _may_start_processes() -> bool:
    """Return whether this is a program of its own, of a Python with a lock, and not a worker."""
    name = Path(sys.executable or "").name.lower()
    return (
        getattr(sys, "_is_gil_enabled", lambda: True)()
        and name.startswith(("python", "pypy"))
        and not getattr(sys, "frozen", False)
        and sys.platform not in ("emscripten", "wasi")
        and parent_process() is None
        and not current_process().daemon
        and not _nesting_level()
    )


def _chosen_backend() -> str | None:
    """Return the class of joblib's backend, if the user has chosen one."""
    try:
        from joblib.parallel import get_active_backend
    except ModuleNotFoundError:
        return None
    # what is preferred counts only where nothing was chosen
    found = {type(get_active_backend(prefer=kind)[0]).__name__ for kind in ("threads", "processes")}
    return found.pop() if len(found) == 1 else None


def _nesting_level() -> int:
    """Return how many levels of joblib's workers this code runs in."""
    try:
        from joblib.parallel import get_active_backend
    except ModuleNotFoundError:
        return 0
    backend, _ = get_active_backend()
    return backend.nesting_level or 0


def _is_thread_of_joblib() -> bool:
    """Return whether this thread is one of joblib's workers; without joblib there are none."""
    return bool(_nesting_level()) and current_thread() is not main_thread()
