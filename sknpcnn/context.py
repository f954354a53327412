"""The network at work: what a running layer is given, and how layers run one after the other."""

from collections.abc import Callable
from typing import Any, Protocol
from zlib import crc32

import numpy as np

from sknpcnn.chunks import cut
from sknpcnn.engine import Arena, Engine
from sknpcnn.kernels.randomness import sample_bits
from sknpcnn.layers.base import Array, Arrays, Shape
from sknpcnn.plan import Node, Plan, Stretch
from sknpcnn.tape import Recorded, spoil

# The least work worth a tile of its own in a layer that sees the whole batch, in elements.
TILE = 2**18


class MiniBatch:
    """What belongs to the rows of one mini-batch beside their values."""

    def __init__(
        self,
        n: int,
        training: bool,
        key: int = 0,
        weights: Array | None = None,
        identify: Callable[[], Array] | None = None,
    ) -> None:
        self.n = n
        self.training = training
        self.key = key
        self.weights = weights
        self._identify = identify
        self._ids: Array | None = None

    @property
    def ids(self) -> Array:
        """Hashes of the samples, which their random numbers depend on; made when asked for."""
        if self._ids is None:
            known = self._identify
            self._ids = np.arange(self.n, dtype=np.uint32) if known is None else known()
        return self._ids


class InChunks(Protocol):
    """How the stretches of a plan are run, a few samples at a time."""

    def forward(
        self, stretch: Stretch, params: Arrays, x: Any, place: "Place"
    ) -> tuple[Array, Any]:
        """Run a stretch; also return what it needs for its way back."""

    def backward(
        self, stretch: Stretch, cache: Any, dy: Array, grads: Arrays, place: "Place"
    ) -> Array | None:
        """Run a stretch backwards."""


class Place:
    """Where layers work: on which samples, on which thread, in which memory.

    One that is ``whole`` sees the whole mini-batch, and shares work out to the threads; the others
    see one chunk of it, on one thread.
    """

    def __init__(
        self,
        engine: Engine,
        batch: MiniBatch,
        in_chunks: InChunks,
        rows: tuple[int, int] | None = None,
        thread: int = 0,
        memory: Arena | None = None,
    ) -> None:
        self.engine = engine
        self.batch = batch
        self.whole = rows is None
        self.rows = slice(*(rows or (0, batch.n)))
        self.thread = thread
        self.in_chunks = in_chunks
        self.recording = False
        owner = "whole" if self.whole else thread
        self.memory = memory or engine.arena("whole")
        self.scratch = engine.arena("scratch", owner)
        self._outputs = [engine.arena("output", side, owner) for side in (0, 1)]
        if memory is None:
            self.memory.rewind()
            self.scratch.rewind()

    def output(self, other: bool) -> Arena:
        """Return the buffer for what is read but once: ``other`` than the last time, or again."""
        if other:
            self._outputs.reverse()
            self._outputs[0].rewind()
        return self._outputs[0]

    def given(self, array: Array) -> Array:
        """Return an array as layers see it."""
        return array.view(Recorded) if self.recording else array


class RunningContext:
    """What a layer is given while it runs; see ``layers.base.Context``."""

    __slots__ = (
        *("training", "samples", "dtype", "needs_dx"),
        *("_place", "_path", "_branches", "_passes", "_returned"),
    )

    def __init__(
        self,
        place: Place,
        path: tuple[str, ...] = (),
        branches: tuple[Plan, ...] = (),
        passes: bool = False,
        needs_dx: bool = True,
    ) -> None:
        self.training = place.batch.training
        self.samples = place.batch.n
        self.dtype = place.engine.dtype
        self.needs_dx = needs_dx
        self._place = place
        self._path = path
        self._branches = branches
        self._passes = passes
        self._returned = False

    @property
    def weights(self) -> Array | None:
        """The sample weights of the rows in sight; None where all are one."""
        spoil()
        weights = self._place.batch.weights
        return None if weights is None else weights[self._place.rows]

    def output(self, shape: Shape, dtype: Any = None, keep: bool = False) -> Array:
        """Return an array for what the layer returns: valid until that is read.

        What only the next layer reads goes by turns into one of two buffers, which are used again
        and again: those of a chunk's thread stay in its cache.
        """
        if not self._passes or (keep and self.training):
            return self.empty(shape, dtype)
        buffer = self._place.output(other=not self._returned)
        self._returned = True
        return self._place.given(buffer.empty(shape, dtype))

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        """Return an array that stays valid until backward has run."""
        return self._place.given(self._place.memory.empty(shape, dtype))

    def scratch(self, shape: Shape, dtype: Any = None) -> Array:
        """Return an array that stays valid until the layer returns."""
        return self._place.given(self._place.scratch.empty(shape, dtype))

    def constant(self, make: Callable[..., Array], *args: Any) -> Array:
        """Return what a function makes of its arguments alone, read-only."""
        return self._place.given(self._place.engine.made(make, *args))

    def random_bits(self, shape: Shape) -> Array:
        """Draw uint32 that depend on seed, step, layer and sample."""
        spoil()
        batch = self._place.batch
        key = crc32(".".join(self._path).encode(), batch.key)
        return sample_bits(batch.ids[self._place.rows], shape, key)

    def tiles(self, rows: int, values_per_row: int, at_least: int = 1) -> list[tuple[int, int]]:
        """Cut rows into ranges of a size that depends on the data alone."""
        return cut(rows, max(TILE // max(values_per_row, 1), at_least), even=True)

    def map(self, task: Callable[[int, Callable[..., Array]], None], count: int) -> None:
        """Run ``task(i, scratch)`` for all i, on all threads if the whole batch is in sight."""
        place = self._place

        def run(i: int, thread: int) -> None:
            memory = place.engine.arena("tile", thread)
            memory.rewind()

            def scratch(shape: Shape, dtype: Any = None) -> Array:
                return place.given(memory.empty(shape, dtype))

            task(i, scratch)

        if place.whole:
            place.engine.run(run, count)
        else:
            for i in range(count):
                run(i, place.thread)

    def forward(self, params: Arrays, x: Array, branch: int = 0) -> tuple[Array, Any]:
        """Run the layers of a branch."""
        return forward(self._branches[branch], params, x, self._place)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, branch: int = 0
    ) -> Array | None:
        """Run the layers of a branch backwards."""
        return backward(self._branches[branch], params, cache, dy, grads, self._place)


def forward(plan: Plan, params: Arrays, x: Any, place: Place) -> tuple[Array, list[Any]]:
    """Run the parts of a plan; also return what each needs for its way back.

    ``x`` may be a source that makes the rows of the mini-batch when they are asked for.
    """
    caches = []
    for part in plan.parts:
        if isinstance(part, Stretch):
            x, cache = place.in_chunks.forward(part, params, x, place)
        else:
            own = params.get(part.name, {})
            x, cache = _call(part.layer.forward, (own, x), place, part, part.passes)
        caches.append(cache)
    return x, caches


def backward(
    plan: Plan, params: Arrays, caches: list[Any], dy: Array, grads: Arrays, place: Place
) -> Array | None:
    """Run the parts of a plan backwards, no further than somebody reads a gradient."""
    dx: Any = dy
    for part, cache in reversed(list(zip(plan.parts, caches, strict=True))[plan.last :]):
        if isinstance(part, Stretch):
            dx = place.in_chunks.backward(part, cache, dx, grads, place)
        else:
            own = params.get(part.name, {}), cache, dx, grads.get(part.name, {})
            dx = _call(part.layer.backward, own, place, part, part.passes_back)
    return dx if plan.needs_dx else None


def _call(
    method: Callable[..., Any], arguments: tuple[Any, ...], place: Place, node: Node, passes: bool
) -> Any:
    """Have a layer do its work; its scratch memory is the next one's."""
    ctx = RunningContext(place, node.path, node.branches, passes, node.needs_dx)
    start = place.scratch.position
    try:
        return method(*arguments, ctx)
    finally:
        place.scratch.position = start


def prepare(plan: Plan, params: Arrays, place: Place) -> dict[str, Any]:
    """Add to the parameters of all layers of a plan what follows from them alone."""
    prepared: dict[str, Any] = {}
    for node in plan.nodes():
        own = params.get(node.name, {})
        ctx = RunningContext(place, node.path)
        found = dict(node.layer.prepare(own, node.shape, ctx))
        for branch in node.branches:
            found |= prepare(branch, own, place)
        prepared[node.name] = prepared.get(node.name, {}) | found
    return prepared
