"""The threads and the memory of one fit or one predict."""

from collections.abc import Callable
from math import prod
from types import TracebackType
from typing import Any, Self

import numpy as np

from sknpcnn.blas import one_thread_blas
from sknpcnn.kernels.memory import allocate, constant, disown
from sknpcnn.layers.base import Array, Arrays, Shape
from sknpcnn.tape import Tapes
from sknpcnn.team import Team


class Arena:
    """Buffers handed out in turn: after a rewind, the same requests get the same memory again.

    Fresh memory is expensive: the system maps and clears it page by page. A training step asks for
    the same arrays as the step before, so after the first one nothing is allocated any more.
    """

    def __init__(
        self, dtype: Any, owner: Any = None, moved: Callable[[], None] = lambda: None
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._owner = owner
        self._moved = moved
        self._buffers: list[Array] = []
        self.position = 0
        """How many buffers are handed out."""

    def rewind(self) -> None:
        """Take back everything that was handed out."""
        self.position = 0

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        """Hand out the next buffer, cut to shape, and aligned with the lines of the cache."""
        dtype = self._dtype if dtype is None else np.dtype(dtype)
        wanted = prod(shape) * dtype.itemsize
        if self.position == len(self._buffers):
            self._buffers.append(_aligned(wanted, self._owner))
        elif self._buffers[self.position].size < wanted:
            disown(self._buffers[self.position])
            self._buffers[self.position] = _aligned(wanted, self._owner)
            self._moved()
        buffer = self._buffers[self.position]
        self.position += 1
        return buffer[:wanted].view(dtype).reshape(shape)

    def size(self) -> int:
        """Count the bytes of all buffers."""
        return sum(buffer.size for buffer in self._buffers)


def _aligned(size: int, owner: Any) -> Array:
    block = allocate(size + 64, owner)
    start = -block.ctypes.data % 64
    return block[start : start + size].view(np.ndarray)


class Engine:
    """The threads and the memory of one fit or one predict; a context manager.

    It may be entered again, and then has its memory still.
    """

    def __init__(self, n_threads: int, dtype: Any, constants: dict[Any, Any] | None = None) -> None:
        self.n_threads = n_threads
        self.dtype = np.dtype(dtype)
        self.tapes = Tapes()
        self.constants = constants
        """What follows from the parameters alone, where these stay what they are."""
        self.gradient_rows: dict[tuple[Any, ...], tuple[Array, list[Arrays]]] = {}
        self._arenas: dict[tuple[Any, ...], Arena] = {}
        self._made: dict[tuple[Any, ...], Array] = {}
        self._team = Team()
        self._entered = False

    def __enter__(self) -> Self:
        self._entered = True
        one_thread_blas.enter(id(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._team.dismiss()
        finally:
            one_thread_blas.leave(id(self))
            self._entered = False

    def __del__(self) -> None:
        # Ctrl-C in the very moment that ``with`` ends: Python does not get to ``__exit__``
        self._team.dismiss(wait=False)
        if self._entered:
            one_thread_blas.abandon(id(self))

    def arena(self, *owner: Any) -> Arena:
        """Return the memory that belongs to an owner."""
        arena = self._arenas.get(owner)
        if arena is None:
            arena = self._arenas[owner] = Arena(self.dtype, self.tapes.owner, self.tapes.forget)
        return arena

    def made(self, make: Callable[..., Array], *args: Any) -> Array:
        """Return what a function makes of its arguments alone, made once, and read-only."""
        key = (make, *args, repr(args))  # 1 is equal to 1.0, and 0.0 to -0.0
        found = self._made.get(key)
        if found is None:
            found = self._made.setdefault(key, constant(make(*args)))
        return found

    def constant(self, owner: Any, make: Callable[[Arena], Any]) -> Any:
        """Make something of the parameters, in memory of its own; only once if they stay."""
        if self.constants is not None and owner in self.constants:
            return self.constants[owner]
        memory = self.arena("constant", owner)
        memory.rewind()
        made = make(memory)
        if self.constants is not None:
            self.constants[owner] = made
        return made

    def size(self) -> int:
        """Count the bytes of everybody's memory."""
        arenas = sum(arena.size() for arena in self._arenas.values())
        return arenas + sum(array.nbytes for array in self._made.values())

    def run(self, task: Callable[[int, int], None], n_tasks: int) -> None:
        """Run ``task(i, thread)`` for all i. Every thread, the caller too, begins with its own.

        So a chunk usually meets the thread again that had it before, with its numbers in the cache;
        but who has nothing left to do helps the others.
        """
        n_threads = min(self.n_threads, n_tasks)
        if n_threads > 1:
            self._team.run(task, n_tasks, n_threads)
        else:
            for i in range(n_tasks):
                task(i, 0)
