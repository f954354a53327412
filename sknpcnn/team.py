"""The threads that help an engine's own, however a signal, a fork or the end of Python comes by.

concurrent.futures has one lock for all pools of a process: a signal handler that predicts while
the main thread has it would wait for ever. It also refuses work once the main thread has ended,
and a forked process would wait for threads that it has not. Here nobody waits for anything
but tasks that a thread is known to be at work on; helpers that cannot be started are done without.
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

# Seconds after which somebody who waits looks whether it still waits for anybody.
PATIENCE = 0.5

FORKED = b"""sknpcnn: a process was forked by one of the threads of a fit or prediction and has
nothing to go on with; needed: os._exit() in the new process, or n_jobs=1.
"""


class _Job:
    """Tasks that are shared out among threads. Every thread begins with its own."""

    def __init__(self, task: Callable[[int, int], None], n_tasks: int, n_threads: int) -> None:
        self._task = task
        self._n_tasks = n_tasks
        self._n_threads = n_threads
        self._waiting = dict.fromkeys(range(n_tasks), True)
        self._came: deque[int] = deque()
        self._went: deque[int] = deque()
        """The helpers that have begun and ended; one that begins when no task is left does none."""
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._errors: dict[int, BaseException] = {}
        self._process = os.getpid()

    def work(self, thread: int) -> None:
        """Do tasks until none is left."""
        waiting, task = self._waiting, self._task
        own = range(thread, self._n_tasks, self._n_threads)
        try:
            with np.errstate(all="ignore"):  # of this thread; the loss shows what is not finite
                for i in (*own, *reversed(range(self._n_tasks))):
                    if waiting.pop(i, False):
                        task(i, thread)
        except BaseException:
            waiting.clear()  # an error or Ctrl-C: nobody starts another task
            raise

    def help(self, thread: int) -> None:
        """Do tasks in the thread of a helper, which lives on after an error."""
        if not self._waiting:
            return
        self._came.append(thread)
        try:
            self.work(thread)
        except BaseException as error:
            self._errors[thread] = error
        finally:
            self._went.append(thread)
            self._bell.put(None)

    def finish(self) -> None:
        """Wait until nobody does a task any more; what interrupts that is raised afterwards."""
        interrupt = None
        while True:
            try:
                self._waiting.clear()
                while len(self._went) < len(self._came) and self._process == os.getpid():
                    with suppress(Empty):  # which bell it was does not matter
                        self._bell.get(timeout=PATIENCE)
                break
            except BaseException as raised:
                interrupt = raised
        if interrupt is not None:
            raise interrupt

    def check(self) -> None:
        """Raise what a helper has raised, or if helpers are not there any more."""
        if self._errors:
            raise self._errors[min(self._errors)]
        if len(self._went) < len(self._came):
            raise RuntimeError(
                "The process was forked while several threads were computing, and the new one has "
                "not what the others were at work on; needed: a fork between epochs, as in a "
                "callback, or n_jobs=1."
            )


class _Helper:
    """A thread and what it is given to do."""

    def __init__(self, number: int) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # Python does not wait for a daemon when it ends; it waits for the thread that is helped
        self.thread = Thread(
            target=_serve, args=(self.jobs, number), name=f"sknpcnn_{number}", daemon=True
        )


def _serve(jobs: "SimpleQueue[_Job | None]", number: int) -> None:
    process = os.getpid()
    while (job := jobs.get()) is not None:
        job.help(number)
        del job  # and the arrays that it works with
        if os.getpid() != process:  # forked by a task: nobody is there to go on with the rest
            os.write(2, FORKED)
            os._exit(1)  # merely to return would end this thread, but not those of BLAS


def _may_start_threads() -> bool:
    """Return whether a thread that is started now would ever begin.

    It would not at the very end of Python, nor for a signal handler that has interrupted the
    starting of a thread: the new one would wait for a lock of threading's that this one has.
    """
    lock: Any = getattr(threading, "_active_limbo_lock", None)
    return not (sys.is_finalizing() or (lock is not None and lock._is_owned()))


class Team:
    """The helpers of one engine, started when there is something to share."""

    def __init__(self) -> None:
        self._helpers: list[_Helper] = []
        self._process = os.getpid()

    def run(self, task: Callable[[int, int], None], n_tasks: int, n_threads: int) -> None:
        """Run ``task(i, thread)`` for all i, on so many threads at most; this one is the first."""
        helpers = self._gather(n_threads - 1)
        job = _Job(task, n_tasks, len(helpers) + 1)
        try:
            for helper in helpers:
                helper.jobs.put(job)
            job.work(0)
            job.finish()
        except BaseException:
            job.finish()  # nobody may still use our memory when we go
            raise
        job.check()

    def _gather(self, size: int) -> list[_Helper]:
        """Start helpers until there are so many, or the system or the end of Python forbids it."""
        if self._process != os.getpid():  # forked: their threads are not in this process
            self._helpers, self._process = [], os.getpid()
        while len(self._helpers) < size and _may_start_threads():
            helper = _Helper(len(self._helpers) + 1)
            self._helpers.append(helper)
            try:
                helper.thread.start()
            except RuntimeError as error:
                if "thread" not in str(error):  # it comes from a signal handler
                    raise
                self._helpers.remove(helper)
                break
        return self._helpers[:size]

    def dismiss(self, wait: bool = True) -> None:
        """End all threads."""
        for helper in self._helpers:
            helper.jobs.put(None)
        if wait and self._process == os.getpid():
            for helper in self._helpers:
                if helper.thread.ident is not None:  # Ctrl-C may have come before it was started
                    helper.thread.join()
        self._helpers.clear()
