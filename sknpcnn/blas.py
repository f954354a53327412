"""The number of BLAS threads, which is one for the whole process, held down by whoever computes."""

from threading import Lock
from typing import Any, Self

import joblib
from threadpoolctl import ThreadpoolController


class BlasGuard:
    """Holds BLAS to one thread while anybody is inside; the limit is one for the whole process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._controller: ThreadpoolController | None = None
        self._limiter: Any = None
        self._before = 1

    def __enter__(self) -> Self:
        with self._lock:
            if self._inside == 0:
                self._before = self._threads_now()
                self._free_control()
                self._limiter = self._blas().limit(limits=1, user_api="blas")
            self._inside += 1
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._free_control()
                self._limiter.restore_original_limits()
                self._free_control()
                self._limiter = None

    def threads_allowed(self) -> int:
        """How many threads BLAS may use now, or could before somebody entered."""
        with self._lock:
            return self._before if self._inside else self._threads_now()

    def _free_control(self) -> None:
        """Let this thread set the limit, although another one has done so before.

        Since threadpoolctl 3.8 only one thread may set that of OpenBLAS, and it is not told when
        that thread has done with it. The calls of all others do nothing, silently.
        """
        for lib in self._blas().lib_controllers:
            if hasattr(lib, "clear_controlling_thread"):
                lib.clear_controlling_thread(force=True)

    def _blas(self) -> ThreadpoolController:
        if self._controller is None:
            self._controller = ThreadpoolController()
        return self._controller

    def _threads_now(self) -> int:
        libraries = self._blas().lib_controllers
        threads = [lib.num_threads for lib in libraries if lib.user_api == "blas"]
        return max(threads) if threads else joblib.cpu_count()


one_thread_blas = BlasGuard()


def threads_for(n_jobs: int | None) -> int:
    """Count the threads to use: by default as many as BLAS is allowed to use now.

    So a grid search whose workers share the cores, and therefore limit BLAS, is never
    oversubscribed.
    """
    if n_jobs is None:
        return one_thread_blas.threads_allowed()
    return max(joblib.cpu_count() + 1 + n_jobs, 1) if n_jobs < 0 else n_jobs
