"""Limits BLAS to one thread while the engine computes, as its own threads share the work.

The limit is global to the process, and scikit-learn, joblib and users set it too, temporarily, with
threadpoolctl. Such a limiter saves the limit that it finds and restores it at its end. If it saved
ours, and restored it after we have finished, BLAS would keep one thread for ever. So while BLAS is
limited, threadpoolctl reads and sets the limit that applies *afterwards*: limiters do not notice
us, in whatever order they start and end.
"""

import os
from collections.abc import Callable
from functools import partial
from multiprocessing.util import register_after_fork
from threading import RLock, get_ident
from typing import Any, NamedTuple, Self

from sknpcnn._engine.cores import count_cores

# How often an operation that signal handlers interrupt by exceptions is tried again.
MAX_INTERRUPTS = 20
# Seconds that a finalizer waits for the lock.
LOCK_TIMEOUT = 0.1


class _Library(NamedTuple):
    """Direct access to a BLAS library, without our changes to threadpoolctl."""

    path: str
    get: Callable[[], int]
    set: Callable[[int], Any]


class BlasGuard:
    """Limits BLAS to one thread while anyone is inside; the limit is global to the process.

    A signal handler or a finalizer may interrupt this code at any point, in the same thread, and
    itself enter and leave. Therefore the lock is reentrant, an entry is registered before anything
    is changed, and ``_update_limits`` may be interrupted by itself anywhere: it loops until the
    limits fit the current state.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._inside: dict[Any, int] = {}
        """Who is inside, with the thread that entered."""
        self._anonymous: list[object] = []
        """Keys of the entries by ``with``, which have no key of their own."""
        self._free = True
        """Whether all libraries have the limits that others have set."""
        self._held = False
        """Whether all libraries have one thread. If neither, they are being changed."""
        self._limits: dict[str, int] = {}
        """The limits that others have set, where the libraries are not free."""
        self._controller: Any = None
        self._known: list[_Library] | None = None

    def __enter__(self) -> Self:
        key = object()
        self._anonymous.append(key)
        self.enter(key)
        return self

    def __exit__(self, *exc: object) -> None:
        self.leave(self._anonymous.pop())

    def enter(self, key: Any) -> None:
        """Limit BLAS to one thread until ``leave`` is called with the same key."""
        self._inside[key] = get_ident()
        try:
            self._apply()
        except BaseException:
            self.leave(key)
            raise

    def leave(self, key: Any) -> None:
        """Leave, if that key is inside; the last one to leave restores the limits."""
        self._inside.pop(key, None)
        self._apply()

    def abandon(self, key: Any) -> None:
        """Leave on behalf of an engine that could not do so itself.

        Garbage collection calls this at any moment, in a thread that may hold any lock. If the lock
        is not free soon, the next one to enter or leave updates the limits.
        """
        self._inside.pop(key, None)
        if self._lock.acquire(timeout=LOCK_TIMEOUT):
            try:
                self._apply()
            finally:
                self._lock.release()

    def threads_allowed(self) -> int:
        """Return how many threads BLAS may use outside of the guard.

        Without threadpoolctl it is one: BLAS cannot be held, and keeps the cores for itself.
        """
        with self._lock:
            limits = [self._limit_of(lib) for lib in self._libraries()]
        if self._controller is None:
            return 1
        return max(limits) if limits else self._default_threads()

    def _apply(self) -> None:
        """Update the limits despite interrupting exceptions, which are raised afterwards."""
        interrupt = None
        with self._lock:
            for _ in range(MAX_INTERRUPTS):
                try:
                    self._update_limits()
                    break
                except BaseException as raised:
                    interrupt = raised
        if interrupt is not None:
            raise interrupt

    def _update_limits(self) -> None:
        while True:
            if self._inside and not self._held:
                limits = {lib.path: self._limit_of(lib) for lib in self._libraries()}
                if self._free:  # else someone entered in between, and the limits may be ours
                    self._limits = limits
                    self._free = False
                for lib in self._libraries():
                    lib.set(1)
                self._held = True
            elif not self._inside and not self._free:
                self._held = False
                for lib in self._libraries():
                    lib.set(self._limits[lib.path])
                if self._held:  # someone entered in between, and is still inside
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
            own = {kind: self._intercept(kind) for kind in {type(lib) for lib in found}}
            self._known = [
                _Library(lib.filepath, *(partial(function, lib) for function in own[type(lib)]))
                for lib in found
            ]
        return self._known

    def _intercept(self, kind: Any) -> tuple[Callable[..., int], Callable[..., Any]]:
        """Make controllers of a kind read and set the later limit while BLAS is limited.

        Return their original methods.
        """
        # since threadpoolctl 3.8 set_num_threads first checks which thread may set limits
        setter = "set_num_threads"
        if hasattr(kind, "_real_set_num_threads"):
            setter = "_real_set_num_threads"
        original_get, original_set = kind.get_num_threads, getattr(kind, setter)

        def get_num_threads(lib: Any) -> Any:
            with self._lock:
                if self._free or lib.filepath not in self._limits:
                    return original_get(lib)
                return self._limits[lib.filepath]

        def set_num_threads(lib: Any, number: int) -> Any:
            with self._lock:
                known = lib.filepath in self._limits
                if known:
                    self._limits[lib.filepath] = number
                return original_set(lib, number) if self._free or not known else None

        kind.get_num_threads = get_num_threads
        setattr(kind, setter, set_num_threads)
        return original_get, original_set

    def _default_threads(self) -> int:
        """Return the threads of OpenMP, or the cores, if no BLAS library is known."""
        libraries = self._controller.lib_controllers
        return max((lib.num_threads for lib in libraries), default=count_cores())

    def register_fork_handlers(self) -> None:
        """Restore the limits in forked processes, in which most threads do not exist.

        The lock is held during the fork: one in the middle of setting a limit would break BLAS.
        """
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._lock.acquire,
                after_in_parent=self._lock.release,
                after_in_child=self._keep_forking_thread,
            )
            # these never return to the code that forked, as they may after os.fork()
            register_after_fork(self, BlasGuard._drop_all)

    def _keep_forking_thread(self) -> None:
        """Update the state in a forked process, which has only the thread that forked."""
        try:
            for key, thread in list(self._inside.items()):
                if thread != get_ident():
                    del self._inside[key]
            self._apply()
        finally:
            self._lock.release()

    def _drop_all(self) -> None:
        self._inside.clear()
        self._apply()


one_thread_blas = BlasGuard()
one_thread_blas.register_fork_handlers()
