"""The number of BLAS threads, which is one for the whole process, held down by whoever computes."""

import os
from collections import deque
from threading import Lock, current_thread, main_thread
from typing import Any, Self

import joblib
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController


class BlasGuard:
    """Holds BLAS to one thread while anybody is inside; the limit is one for the whole process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._controller: ThreadpoolController | None = None
        self._before: list[int] | None = None
        """How many threads each library had, while they are held or are being changed."""
        self._abandoned: deque[None] = deque()
        """One for each who has been left out of account."""

    def __enter__(self) -> Self:
        with self._lock:
            self._settle()
            if self._inside == 0:
                before = self._before = [lib.num_threads for lib in self._libraries()]
                try:
                    self._set([1] * len(before))
                except BaseException:
                    self._give_back()
                    raise
            self._inside += 1
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._abandoned.append(None)
            self._settle()

    def abandon(self) -> None:
        """Leave in the place of somebody who did not get to it.

        Garbage collection calls this at any moment, even when the lock is held by this very thread:
        then whoever comes or leaves next sees to it.
        """
        self._abandoned.append(None)
        if self._lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._lock.release()

    def _settle(self) -> None:
        while self._abandoned:
            self._abandoned.pop()
            self._inside -= 1
            if self._inside == 0:
                self._give_back()

    def threads_allowed(self) -> int:
        """How many threads BLAS may use now, or could before somebody entered."""
        with self._lock:
            held = self._before
            numbers = [lib.num_threads for lib in self._libraries()] if held is None else held
            return max(numbers) if numbers else self._without_blas()

    def _give_back(self) -> None:
        try:
            self._set(self._before or [])
        finally:
            self._before = None

    def _set(self, numbers: list[int]) -> None:
        """Set the limits of all libraries, whatever happens; a Ctrl-C is raised afterwards."""
        interrupt = None
        waiting = list(zip(self._libraries(), numbers, strict=True))
        while waiting:
            try:
                lib, number = waiting[-1]
                # Since threadpoolctl 3.8 only one thread may set the limit of OpenBLAS, and it is
                # not told when that thread has done with it: the others' calls do nothing.
                if hasattr(lib, "clear_controlling_thread"):
                    lib.clear_controlling_thread(force=True)
                lib.set_num_threads(number)
                if hasattr(lib, "clear_controlling_thread"):
                    lib.clear_controlling_thread(force=True)
                waiting.pop()
            except KeyboardInterrupt as pressed:
                interrupt = pressed
        if interrupt is not None:
            raise interrupt

    def _libraries(self) -> list[Any]:
        if self._controller is None:
            self._controller = ThreadpoolController()
        return [lib for lib in self._controller.lib_controllers if lib.user_api == "blas"]

    def _without_blas(self) -> int:
        """Count threads where BLAS does not tell how many it has: those of OpenMP, or cores."""
        libraries = [] if self._controller is None else self._controller.lib_controllers
        return max((lib.num_threads for lib in libraries), default=joblib.cpu_count())

    def when_forking(self) -> None:
        """Have forked processes begin with the limits that nobody holds down.

        No other thread may be about to set one at that moment: BLAS would never get over it.
        """
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._lock.acquire,
                after_in_parent=self._lock.release,
                after_in_child=self._begin_anew,
            )

    def _begin_anew(self) -> None:
        """Whoever was inside is not in this process."""
        self._inside = 0
        self._abandoned.clear()
        if self._before is not None:
            self._give_back()
        self._lock.release()


one_thread_blas = BlasGuard()
one_thread_blas.when_forking()


def threads_for(n_jobs: int | None) -> int:
    """Count the threads to use: by default as many as BLAS is allowed to use now.

    So a grid search whose workers share the cores, and therefore limit BLAS, is never
    oversubscribed. Where joblib's workers are threads there is no such limit, and each has one.
    """
    if n_jobs is None:
        backend, _ = get_active_backend()
        is_worker = backend.nesting_level and current_thread() is not main_thread()
        return 1 if is_worker else one_thread_blas.threads_allowed()
    n_jobs = int(n_jobs)  # small ones of NumPy overflow
    return max(joblib.cpu_count() + 1 + n_jobs, 1) if n_jobs < 0 else n_jobs
