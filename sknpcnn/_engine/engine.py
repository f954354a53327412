"""The engine owns the team and the memory of one fit or predict, so that both can be reused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from types import TracebackType
from typing import Any, Self

import numpy as np

from sknpcnn._engine.blas import one_thread_blas
from sknpcnn._engine.cores import claims
from sknpcnn._engine.member import Member
from sknpcnn._engine.tape import Tapes
from sknpcnn._engine.threads import ThreadTeam
from sknpcnn._kernels.memory import Memory, allocate, constant, disown
from sknpcnn.layers.base import Array, Arrays, Shape


class Arena:
    """A list of buffers to allocate from: after a rewind, the same requests get the same memory.

    New memory is expensive: the system maps and clears it page by page. A training step requests
    the same arrays as the step before, so that after the first one nothing is allocated.
    """

    def __init__(
        self,
        dtype: Any,
        owner: Any = None,
        on_move: Callable[[], None] = lambda: None,
        allocate: Callable[[int, Any], Memory] = allocate,
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._owner = owner
        self._on_move = on_move
        self._allocate = allocate
        self._buffers: list[Array] = []
        self._views: list[dict[tuple[Shape, np.dtype], Array]] = []
        """What was returned from each buffer: the same requests come again and again."""
        self.position = 0
        """How many buffers are in use."""

    def rewind(self) -> None:
        """Release all buffers for reuse."""
        self.position = 0

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        """Return the next buffer, cut to the shape and aligned to cache lines."""
        dtype = self._dtype if dtype is None else np.dtype(dtype)
        position = self.position
        self.position += 1
        if position < len(self._views):
            known = self._views[position].get((shape, dtype))
            if known is not None:
                return known
        size = prod(shape) * dtype.itemsize
        if position == len(self._buffers):
            self._buffers.append(self._aligned(size))
            self._views.append({})
        elif self._buffers[position].size < size:
            disown(self._buffers[position])
            self._buffers[position] = self._aligned(size)
            self._views[position].clear()
            self._on_move()
        memory: Array = self._buffers[position][:size].view(dtype).reshape(shape)
        self._views[position][shape, dtype] = memory
        return memory

    def size(self) -> int:
        """Count the bytes of all buffers."""
        return sum(buffer.size for buffer in self._buffers)

    def _aligned(self, size: int) -> Array:
        block = self._allocate(size + 64, self._owner)
        start = -block.ctypes.data % 64
        return block[start : start + size].view(np.ndarray)


class Engine:
    """The team and the memory of one fit or predict; a context manager.

    Its team is the caller alone, threads, or processes, of which this one is a ``member``. It may
    be entered again and then still has its memory.
    """

    def __init__(
        self,
        n_threads: int,
        dtype: Any,
        derived: dict[Any, Any] | None = None,
        member: Member | None = None,
    ) -> None:
        self.n_threads = n_threads
        self.member = member
        self.dtype = np.dtype(dtype)
        self.tapes = Tapes()
        self.derived = derived
        """Cache of values derived from the parameters; None where these change."""
        self.gradient_rows: dict[tuple[Any, ...], tuple[Arrays, Any]] = {}
        self.notes: dict[tuple[str, ...], Array] = {}
        """By the path of a layer, what each chunk has noted for when all have met."""
        self._parameter_views: dict[int, tuple[Array, Any, dict[str, Any]]] = {}
        self._arenas: dict[tuple[Any, ...], Arena] = {}
        self._shared_constants: dict[tuple[Any, ...], Array] = {}
        self._threads = ThreadTeam()
        self._entered = False

    def __enter__(self) -> Self:
        self._entered = True
        claims.claim(id(self), self.n_threads)
        one_thread_blas.enter(id(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._threads.shutdown()
        finally:
            one_thread_blas.leave(id(self))
            claims.release(id(self))
            self._entered = False

    def __del__(self) -> None:
        # after Ctrl-C at the very moment that ``with`` ends, Python does not call ``__exit__``
        self._threads.shutdown(wait=False)
        if self._entered:
            one_thread_blas.abandon(id(self))
            claims.release(id(self))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run on the caller alone for a while, in the same memory."""
        before, self.n_threads = self.n_threads, 1
        try:
            yield
        finally:
            self.n_threads = before

    def arena(self, *owner: Any, shared: bool = False) -> Arena:
        """Return the memory of an owner; ``shared`` by processes, if others read what one wrote."""
        arena = self._arenas.get(owner)
        if arena is None:
            source = self.member.allocate if self.member is not None and shared else allocate
            arena = Arena(self.dtype, self.tapes.owner, self.tapes.invalidate, source)
            self._arenas[owner] = arena
        return arena

    def shared_constant(self, make: Callable[..., Array], *args: Any) -> Array:
        """Return ``make(*args)``, computed once, read-only."""
        key = (make, *args, repr(args))  # 1 is equal to 1.0, and 0.0 to -0.0
        found = self._shared_constants.get(key)
        if found is None:
            found = self._shared_constants.setdefault(key, constant(make(*args)))
        return found

    def derive(self, owner: Any, make: Callable[[Arena], Any]) -> Any:
        """Compute values derived from the parameters in separate memory; cached if these stay."""
        if self.derived is not None and owner in self.derived:
            return self.derived[owner]
        memory = self.arena("derived", owner)
        memory.rewind()
        derived = make(memory)
        if self.derived is not None:
            self.derived[owner] = derived
        return derived

    def views(self, layout: Any, vector: Array) -> dict[str, Any]:
        """Return ``layout.views(vector)``, the same ones as long as it is the same vector."""
        known = self._parameter_views.get(id(vector))
        if known is None or known[0] is not vector or known[1] is not layout:
            known = vector, layout, layout.views(vector)
            self._parameter_views[id(vector)] = known
        return known[2]

    def size(self) -> int:
        """Count the bytes of all memory."""
        arenas = sum(arena.size() for arena in self._arenas.values())
        return arenas + sum(array.nbytes for array in self._shared_constants.values())

    def run(self, task: Callable[[int, int], None], n_tasks: int) -> None:
        """Run ``task(i, worker)`` for all i. Each thread, the caller included, first runs its own.

        So a chunk usually runs on the same thread as before, with its data still in the cache; a
        thread without tasks takes over those of the others. Processes each run their own only.
        """
        if self.member is not None:
            self.member.run(task, n_tasks)
            return
        n_threads = min(self.n_threads, n_tasks)
        if n_threads > 1:
            self._threads.run(task, n_tasks, n_threads)
        else:
            for i in range(n_tasks):
                task(i, 0)
