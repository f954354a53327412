"""Teams of processes: worker processes are started, kept for the next team, and ended.

Two threads of one process wait for each other at the interpreter's lock, which every call of NumPy
gives back and needs again. Processes do not; but what they work on has to be in shared memory.
"""

import atexit
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import RLock, Timer
from types import TracebackType
from typing import Any, BinaryIO, Self

from sknpcnn._engine import messages
from sknpcnn._engine.member import Member, WorkerLostError
from sknpcnn._engine.shared import new_prefixes
from sknpcnn._kernels.memory import Memory

IDLE_SECONDS = 30.0
"""How long workers are kept for the next team."""
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from sknpcnn._engine.worker import main; main(int(sys.argv[2]))"
)
_ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR")


class _Worker:
    """A worker process and the pipes to and from it."""

    def __init__(self) -> None:
        environment = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in _ONE_THREAD}}
        paths = json.dumps([str(path) for path in sys.path])
        # a group of its own: Ctrl-C in a terminal goes to all processes of the leader's
        own_group: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            own_group = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, paths, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                **own_group,
            )
        except OSError as error:
            raise WorkerLostError(f"A worker process cannot be started: {error}.") from error

    def send(self, message: bytes) -> None:
        """Send a message; raise WorkerLostError if the process is gone."""
        try:
            messages.write(_known(self.process.stdin), message)
        except OSError as error:
            raise self._lost() from error

    def receive(self) -> tuple[bool, Any]:
        """Wait for a reply: whether the process can be used again, and a result."""
        try:
            reusable, result, failure = pickle.loads(messages.read(_known(self.process.stdout)))
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if failure is not None:
            raise WorkerLostError(f"A worker process failed:\n{failure}")
        return reusable, result

    def is_alive(self) -> bool:
        """Return whether the process exists."""
        return self.process.poll() is None

    def check(self) -> None:
        """Raise if the process has died."""
        if not self.is_alive():
            raise self._lost()

    def end(self) -> None:
        """End the process at once, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # what could not be sent
                _known(pipe).close()

    def _lost(self) -> WorkerLostError:
        code = self.process.wait()
        return WorkerLostError(f"A worker process has died (exit code {code}).")


def _known(pipe: Any) -> BinaryIO:
    assert pipe is not None
    return pipe  # type: ignore[no-any-return]


class _Pool:
    """The workers of this process that are idle, and how many work."""

    def __init__(self) -> None:
        self._lock = RLock()  # a signal handler may predict
        self._idle: list[_Worker] = []
        self._timer: Timer | None = None
        self._spare: tuple[list[_Worker], list[Memory]] = [], []
        """Blocks that the last team has left, and the workers that also have them."""
        self.working = 0

    def has_idle(self, n: int) -> bool:
        """Return whether n workers need not be started first."""
        return len(self._idle) >= n

    def take(self, n: int) -> list[_Worker]:
        """Return n workers, those that are idle first."""
        with self._lock:
            self.working += n
            taken: list[_Worker] = []
            while self._idle and len(taken) < n:
                worker = self._idle.pop()
                if worker.is_alive():
                    taken.append(worker)
                else:
                    worker.end()
        try:
            while len(taken) < n:
                taken.append(_Worker())
        except BaseException:
            self.give_back(taken, reusable=False)
            self.working -= n - len(taken)
            raise
        return taken

    def take_spare(self, workers: list[_Worker]) -> list[Memory]:
        """Return the blocks that these workers also have, and no others."""
        with self._lock:
            (owners, blocks), self._spare = self._spare, ([], [])
        return blocks if set(owners) == set(workers) else []

    def give_back(
        self, workers: list[_Worker], reusable: bool, spare: list[Memory] | None = None
    ) -> None:
        """Keep workers for a while, with blocks that they have, or end them."""
        with self._lock:
            self.working -= len(workers)
            if reusable:
                self._idle += workers
                self._spare = workers, spare or []
                self._restart_timer()
        if not reusable:
            for worker in workers:
                worker.end()

    def end_idle(self) -> None:
        """End the workers that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._spare = [], []
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for worker in idle:
            worker.end()

    def forget(self) -> None:
        """Leave the workers to the process that this one was forked from."""
        for worker in self._idle:
            worker.process.returncode = 0  # not ours to wait for
        self.__init__()  # type: ignore[misc]

    def _restart_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = Timer(IDLE_SECONDS, self.end_idle)
        self._timer.daemon = True
        with suppress(RuntimeError):  # no thread can be started: they end with this process
            self._timer.start()


pool = _Pool()
atexit.register(pool.end_idle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.forget)


class ProcessTeam:
    """A leader, which is this process, and ``size - 1`` workers; a context manager."""

    def __init__(self, size: int) -> None:
        self._process = os.getpid()
        self._workers = pool.take(size - 1)
        self._reusable, self._n_calls = True, 0
        """Whether the workers can be used again, and how many calls they have not finished."""
        try:
            prefixes = new_prefixes()
            self.member = Member(prefixes, 0, size, self._check)
            paths = [str(path) for path in sys.path]
            self.member.blocks.spare = pool.take_spare(self._workers)
            keep = bool(self.member.blocks.spare)
            for rank, worker in enumerate(self._workers, start=1):
                worker.send(pickle.dumps((prefixes, rank, size, paths, keep)))
        except BaseException:
            self._end(reusable=False)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if not self._workers:
            return
        if os.getpid() != self._process:  # forked meanwhile: they are the other process's
            for worker in self._workers:
                worker.process.returncode = 0
            return
        reusable = self._reusable and not self._n_calls
        if reusable:
            try:
                for worker in self._workers:
                    worker.send(b"")
            except BaseException as error:
                self._end(reusable=False)
                if not isinstance(error, WorkerLostError):
                    raise
                return
        self._end(reusable)

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Make all workers call ``function(member, *arguments)``, after earlier calls.

        The caller then does its own part of it, and asks for the ``results``. If it fails before
        that, the workers are ended with the team.
        """
        self._check_not_forked()
        self._n_calls += 1
        message = messages.dump((function, arguments), self.member.blocks)
        for worker in self._workers:
            worker.send(message)

    def results(self) -> list[Any]:
        """Wait until all workers have done what was called, and return what they return."""
        results = []
        while self._n_calls:
            self.member.finish_call()
            replies = [worker.receive() for worker in self._workers]
            self._reusable = self._reusable and all(reusable for reusable, _ in replies)
            results += [result for _, result in replies]
            self._n_calls -= 1
        self.member.blocks.drop_names()
        return results

    def pids(self) -> list[int]:
        """Return the ids of the worker processes."""
        return [worker.process.pid for worker in self._workers]

    def _check_not_forked(self) -> None:
        if os.getpid() != self._process:
            raise WorkerLostError("The process was forked; in the new one there are no workers.")

    def _check(self) -> None:
        self._check_not_forked()
        for rank in self.member.failed():
            self._workers[rank - 1].receive()  # raises what it has to report
        for worker in self._workers:
            worker.check()

    def _end(self, reusable: bool) -> None:
        workers, self._workers = self._workers, []
        pool.give_back(workers, reusable, self.member.blocks.leave() if reusable else None)
