"""A thread pool that survives signal handlers, forks and the shutdown of the interpreter.

concurrent.futures has one lock for all pools of a process: a signal handler that predicts while
the main thread holds it would deadlock. It also refuses work once the main thread has ended, and a
forked process would wait for threads that it does not have. Here a thread waits only for tasks that
another one is known to be running, and the pool does without helpers that cannot be started.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

# Seconds between checks whether a thread that waits was forked and waits for nothing.
POLL_INTERVAL = 0.5

FORKED = b"""sknpcnn: a process was forked by one of the threads of a fit or prediction and cannot
continue it; needed: os._exit() in the new process, or n_jobs=1.
"""


class _Job:
    """Tasks shared among threads. Each thread first runs its own."""

    def __init__(self, task: Callable[[int, int], None], n_tasks: int, n_threads: int) -> None:
        self._task = task
        self._n_tasks = n_tasks
        self._n_threads = n_threads
        self._waiting = dict.fromkeys(range(n_tasks), True)
        self._started: deque[int] = deque()
        self._ended: deque[int] = deque()
        """The helpers that have started and ended; one that finds no task left does not count."""
        self._wakeup: SimpleQueue[None] = SimpleQueue()
        self._errors: dict[int, BaseException] = {}
        self._process = os.getpid()

    def work(self, thread: int) -> None:
        """Run tasks until none is left."""
        waiting, task = self._waiting, self._task
        own = range(thread, self._n_tasks, self._n_threads)
        try:
            with np.errstate(all="ignore"):  # per thread; non-finite values show in the loss
                for i in (*own, *reversed(range(self._n_tasks))):
                    if waiting.pop(i, False):
                        task(i, thread)
        except BaseException:
            waiting.clear()  # an error or Ctrl-C: no thread starts another task
            raise

    def help(self, thread: int) -> None:
        """Run tasks in the thread of a helper, which survives an error."""
        if not self._waiting:
            return
        self._started.append(thread)
        try:
            self.work(thread)
        except BaseException as error:
            self._errors[thread] = error
        finally:
            self._ended.append(thread)
            self._wakeup.put(None)

    def finish(self) -> None:
        """Wait until no task is running; an exception that interrupts this is raised afterwards."""
        interrupt = None
        while True:
            try:
                self._waiting.clear()
                while len(self._ended) < len(self._started) and self._process == os.getpid():
                    with suppress(Empty):  # which helper ended does not matter
                        self._wakeup.get(timeout=POLL_INTERVAL)
                break
            except BaseException as raised:
                interrupt = raised
        if interrupt is not None:
            raise interrupt

    def check(self) -> None:
        """Raise the first error of a helper, or an error if helpers were lost in a fork."""
        if self._errors:
            raise self._errors[min(self._errors)]
        if len(self._ended) < len(self._started):
            raise RuntimeError(
                "The process was forked while several threads were computing, and in the new one "
                "the others do not exist; needed: a fork between epochs, as in a callback, or "
                "n_jobs=1."
            )


class _Helper:
    """A thread and its queue of jobs."""

    def __init__(self, number: int) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # Python does not wait for a daemon at exit, but for the thread that it helps
        self.thread = Thread(
            target=_serve, args=(self.jobs, number), name=f"sknpcnn_{number}", daemon=True
        )


def _serve(jobs: "SimpleQueue[_Job | None]", number: int) -> None:
    process = os.getpid()
    while (job := jobs.get()) is not None:
        job.help(number)
        del job  # frees its arrays
        if os.getpid() != process:  # forked by a task: the other threads do not exist here
            os.write(2, FORKED)
            os._exit(1)  # to return would end this thread, but not those of BLAS


def _may_start_threads() -> bool:
    """Return whether a thread that is started now would actually run.

    It would not while the interpreter shuts down, nor in a signal handler that has interrupted the
    start of a thread: the new one would wait for a lock of ``threading`` that this one holds.
    """
    lock: Any = getattr(threading, "_active_limbo_lock", None)
    return not (sys.is_finalizing() or (lock is not None and lock._is_owned()))


class ThreadTeam:
    """The helper threads of one engine, started on first use."""

    def __init__(self) -> None:
        self._helpers: list[_Helper] = []
        self._process = os.getpid()

    def run(self, task: Callable[[int, int], None], n_tasks: int, n_threads: int) -> None:
        """Run ``task(i, thread)`` for all i on at most ``n_threads`` threads; this is thread 0."""
        helpers = self._start_helpers(n_threads - 1)
        job = _Job(task, n_tasks, len(helpers) + 1)
        try:
            for helper in helpers:
                helper.jobs.put(job)
            job.work(0)
            job.finish()
        except BaseException:
            job.finish()  # no thread may use our memory after we return
            raise
        job.check()

    def _start_helpers(self, size: int) -> list[_Helper]:
        """Start up to ``size`` helpers, or as many as the system or the interpreter allows."""
        if self._process != os.getpid():  # forked: their threads do not exist in this process
            self._helpers, self._process = [], os.getpid()
        while len(self._helpers) < size and _may_start_threads():
            helper = _Helper(len(self._helpers) + 1)
            self._helpers.append(helper)
            try:
                helper.thread.start()
            except RuntimeError as error:
                if "thread" not in str(error):  # raised by a signal handler
                    raise
                self._helpers.remove(helper)
                break
        return self._helpers[:size]

    def shutdown(self, wait: bool = True) -> None:
        """End all threads."""
        for helper in self._helpers:
            helper.jobs.put(None)
        if wait and self._process == os.getpid():
            for helper in self._helpers:
                if helper.thread.ident is not None:  # Ctrl-C may have prevented its start
                    helper.thread.join()
        self._helpers.clear()
