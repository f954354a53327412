"""The number of BLAS threads, which is one for the whole process, held down by whoever computes.

As the limit belongs to the whole process, others set it too, for their own time: scikit-learn,
joblib and users do, with threadpoolctl. Such a limiter notes the limit that it finds and sets it
again when it ends. If it found ours, and we were gone when it ends, BLAS would have one thread for
ever. So while BLAS is held, threadpoolctl tells and changes the limit that applies *afterwards*:
for limiters it is as if nobody were inside, whoever comes and goes first.
"""

import os
from collections.abc import Callable
from functools import partial
from multiprocessing import current_process
from multiprocessing.util import register_after_fork
from threading import RLock, current_thread, get_ident, main_thread
from typing import Any, NamedTuple, Self

# How often something is begun again that signal handlers interrupt by errors.
MAX_INTERRUPTS = 20
# Seconds that a finalizer waits for the lock.
PATIENCE = 0.1


class _Library(NamedTuple):
    """A BLAS library itself, past what threadpoolctl tells and does while it is held."""

    path: str
    get: Callable[[], int]
    set: Callable[[int], Any]


class BlasGuard:
    """Holds BLAS to one thread while anybody is inside; the limit is one for the whole process.

    A signal handler or a finalizer may come in between any two steps of what is done here, in the
    very thread that does it, and itself enter and leave. Therefore the lock lets its owner in
    again, whoever enters is inside before anything is changed, and ``_arrange`` can be
    interrupted by itself anywhere: it looks at what there is, and ends when that is as it must be.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._inside: dict[Any, int] = {}
        """Who is inside, and in which thread they entered."""
        self._visitors: list[object] = []
        """Those inside who have not said who they are."""
        self._free = True
        """Whether all libraries have the limits that others gave them."""
        self._held = False
        """Whether all are known to be at one thread. If neither, they are being changed."""
        self._limits: dict[str, int] = {}
        """What others want the limits to be; it counts where the libraries are not free."""
        self._controller: Any = None
        self._known: list[_Library] | None = None

    def __enter__(self) -> Self:
        visitor = object()
        self._visitors.append(visitor)
        self.enter(visitor)
        return self

    def __exit__(self, *exc: object) -> None:
        self.leave(self._visitors.pop())

    def enter(self, who: Any) -> None:
        """Hold BLAS to one thread until ``leave`` is called for the same one."""
        self._inside[who] = get_ident()
        try:
            self._settle()
        except BaseException:
            self.leave(who)
            raise

    def leave(self, who: Any) -> None:
        """Let go of BLAS, if that one is inside; the last one to leave gives it back."""
        self._inside.pop(who, None)
        self._settle()

    def abandon(self, who: Any) -> None:
        """Leave in the place of somebody who did not get to it.

        Garbage collection calls this at any moment, in a thread that may hold any lock. Where it
        would have to wait for longer, whoever comes or leaves next sees to it.
        """
        self._inside.pop(who, None)
        if self._lock.acquire(timeout=PATIENCE):
            try:
                self._settle()
            finally:
                self._lock.release()

    def threads_allowed(self) -> int:
        """How many threads BLAS may use now, or could before somebody entered.

        Without threadpoolctl it is one: BLAS cannot be held, and keeps the cores for itself.
        """
        with self._lock:
            numbers = [self._limit_of(lib) for lib in self._libraries()]
        if self._controller is None:
            return 1
        return max(numbers) if numbers else self._without_blas()

    def _settle(self) -> None:
        """Make the limits fit who is inside, whatever happens; errors are raised afterwards."""
        interrupt = None
        with self._lock:
            for _ in range(MAX_INTERRUPTS):
                try:
                    self._arrange()
                    break
                except BaseException as raised:
                    interrupt = raised
        if interrupt is not None:
            raise interrupt

    def _arrange(self) -> None:
        while True:
            if self._inside and not self._held:
                limits = {lib.path: self._limit_of(lib) for lib in self._libraries()}
                if self._free:  # else somebody has come in between, and limits may be ours
                    self._limits = limits
                    self._free = False
                for lib in self._libraries():
                    lib.set(1)
                self._held = True
            elif not self._inside and not self._free:
                self._held = False
                for lib in self._libraries():
                    lib.set(self._limits[lib.path])
                if self._held:  # somebody has come in between, and stays
                    self._held = False
                else:
                    self._free = True
            else:
                return

    def _limit_of(self, lib: "_Library") -> int:
        return lib.get() if self._free else self._limits[lib.path]

    def _libraries(self) -> list[_Library]:
        if self._known is None:
            if self._controller is None:
                try:
                    from threadpoolctl import ThreadpoolController
                except ModuleNotFoundError:
                    self._known = []
                    return self._known
                self._controller = ThreadpoolController()
            found = [lib for lib in self._controller.lib_controllers if lib.user_api == "blas"]
            own = {kind: self._stand_before(kind) for kind in {type(lib) for lib in found}}
            self._known = [
                _Library(lib.filepath, *(partial(function, lib) for function in own[type(lib)]))
                for lib in found
            ]
        return self._known

    def _stand_before(self, kind: Any) -> tuple[Callable[..., int], Callable[..., Any]]:
        """Let controllers of a kind tell and change what applies afterwards, while BLAS is held.

        Returns the functions that they had.
        """
        # since threadpoolctl 3.8 set_num_threads first looks which thread may set limits at all
        setter = "set_num_threads"
        if hasattr(kind, "_real_set_num_threads"):
            setter = "_real_set_num_threads"
        really_get, really_set = kind.get_num_threads, getattr(kind, setter)

        def get_num_threads(lib: Any) -> Any:
            with self._lock:
                if self._free or lib.filepath not in self._limits:
                    return really_get(lib)
                return self._limits[lib.filepath]

        def set_num_threads(lib: Any, number: int) -> Any:
            with self._lock:
                known = lib.filepath in self._limits
                if known:
                    self._limits[lib.filepath] = number
                return really_set(lib, number) if self._free or not known else None

        kind.get_num_threads = get_num_threads
        setattr(kind, setter, set_num_threads)
        return really_get, really_set

    def _without_blas(self) -> int:
        """Count threads where BLAS does not tell how many it has: those of OpenMP, or cores."""
        libraries = self._controller.lib_controllers
        return max((lib.num_threads for lib in libraries), default=_count_cores())

    def when_forking(self) -> None:
        """Have forked processes begin with the limits that nobody in them holds down.

        No other thread may be about to set one at that moment: BLAS would never get over it.
        """
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._lock.acquire,
                after_in_parent=self._lock.release,
                after_in_child=self._keep_this_thread,
            )
            # these never go back to where they were forked, as after os.fork() they may
            register_after_fork(self, BlasGuard._keep_nobody)

    def _keep_this_thread(self) -> None:
        """Go on in a forked process: of all threads it has the one that forked."""
        try:
            for who, thread in list(self._inside.items()):
                if thread != get_ident():
                    del self._inside[who]
            self._settle()
        finally:
            self._lock.release()

    def _keep_nobody(self) -> None:
        self._inside.clear()
        self._settle()


one_thread_blas = BlasGuard()
one_thread_blas.when_forking()


def threads_for(n_jobs: int | None) -> int:
    """Count the threads to use: by default as many as BLAS is allowed to use now.

    So a grid search whose workers share the cores, and therefore limit BLAS, is never
    oversubscribed. Where workers come without such a limit, each has one thread: those of joblib
    that are threads, and daemonic processes, as the workers of multiprocessing's pools are.
    """
    if n_jobs is None:
        is_worker = _is_thread_of_joblib() or current_process().daemon
        return 1 if is_worker else one_thread_blas.threads_allowed()
    n_jobs = int(n_jobs)  # small ones of NumPy overflow
    return max(_count_cores() + 1 + n_jobs, 1) if n_jobs < 0 else n_jobs


def _is_thread_of_joblib() -> bool:
    """Return whether this thread is one of joblib's workers; without joblib there are none."""
    try:
        from joblib.parallel import get_active_backend
    except ModuleNotFoundError:
        return False
    backend, _ = get_active_backend()
    return bool(backend.nesting_level) and current_thread() is not main_thread()


def _count_cores() -> int:
    """Count the cores that this process may use."""
    try:
        from joblib import cpu_count
    except ModuleNotFoundError:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    return cpu_count()
