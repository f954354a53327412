"""Execution of a plan: the context that layers receive, and forward and backward passes."""

from collections.abc import Callable
from typing import Any, Protocol
from zlib import crc32

import numpy as np

from sknpcnn._engine.chunks import cut
from sknpcnn._engine.engine import Arena, Engine
from sknpcnn._engine.plan import Node, Plan, Segment
from sknpcnn._engine.tape import RecordingArray, mark_unrecordable
from sknpcnn._engine.trees import divide, find, place, stack
from sknpcnn._kernels.randomness import sample_bits
from sknpcnn.layers.base import Array, Arrays, Shape

# In elements: smaller tiles of a layer that sees the whole batch cost more than they save.
MIN_TILE_SIZE = 2**18


class MiniBatch:
    """Properties of the samples of one mini-batch other than their values."""

    def __init__(
        self,
        n: int,
        training: bool,
        key: int = 0,
        weights: Array | None = None,
        identify: Callable[[], Array] | None = None,
        keeps_cache: bool | None = None,
    ) -> None:
        self.n = n
        self.training = training
        self.keeps_cache = training if keeps_cache is None else keeps_cache
        self.key = key
        self.weights = weights
        self._identify = identify
        self._ids: Array | None = None

    @property
    def ids(self) -> Array:
        """Hashes of the samples, on which their random bits depend; computed on first access."""
        if self._ids is None:
            identify = self._identify
            self._ids = np.arange(self.n, dtype=np.uint32) if identify is None else identify()
        return self._ids


class SegmentRunner(Protocol):
    """Runs the segments of a plan, a few samples at a time."""

    def forward(
        self, segment: Segment, params: Arrays, x: Any, workspace: "Workspace"
    ) -> tuple[Array, Any]:
        """Run a segment; also return its cache for the backward pass."""

    def backward(
        self, segment: Segment, cache: Any, dy: Array, grads: Arrays, workspace: "Workspace"
    ) -> Array | None:
        """Run the backward pass of a segment."""


class Workspace:
    """Where layers run: on which samples, on which thread, in which memory.

    With ``whole`` they see the whole mini-batch, and share work among the threads; otherwise they
    see one chunk of it, on one thread.
    """

    def __init__(
        self,
        engine: Engine,
        batch: MiniBatch,
        segment_runner: SegmentRunner,
        rows: tuple[int, int] | None = None,
        chunk: int = 0,
        thread: int = 0,
        memory: Arena | None = None,
    ) -> None:
        self.engine = engine
        self.batch = batch
        self.whole = rows is None
        self.rows = slice(*(rows or (0, batch.n)))
        self.chunk = chunk
        self.thread = thread
        self.target: Array | None = None
        """Where the result of the chunk belongs."""
        self.segment_runner = segment_runner
        self.recording = False
        shared = memory is None
        owner: Any = "whole" if shared else "derived" if self.whole else thread
        self.memory = memory or engine.arena("whole", shared=True)
        self.scratch = engine.arena("scratch", owner, shared=shared)
        self._outputs = [engine.arena("output", side, owner, shared=shared) for side in (0, 1)]
        if memory is None:
            self.memory.rewind()
            self.scratch.rewind()

    def output(self, other: bool) -> Arena:
        """Return the buffer for results that are read once; ``other`` switches to the other one."""
        if other:
            self._outputs.reverse()
            self._outputs[0].rewind()
        return self._outputs[0]

    def wrap(self, array: Array) -> Array:
        """Return an array as layers see it, which is recorded while a tape is."""
        return array.view(RecordingArray) if self.recording else array


class RunningContext:
    """What a running layer receives; see ``layers.base.Context``."""

    __slots__ = (
        *("training", "keeps_cache", "samples", "dtype", "needs_dx"),
        *("_workspace", "_path", "_branches", "_transient", "_target", "_returned"),
    )

    def __init__(
        self,
        workspace: Workspace,
        path: tuple[str, ...] = (),
        branches: tuple[Plan, ...] = (),
        transient: bool = False,
        needs_dx: bool = True,
        target: Array | None = None,
    ) -> None:
        self.training = workspace.batch.training
        self.keeps_cache = workspace.batch.keeps_cache
        self.samples = workspace.batch.n
        self.dtype = workspace.engine.dtype
        self.needs_dx = needs_dx
        self._workspace = workspace
        self._path = path
        self._branches = branches
        self._transient = transient
        self._target = target
        self._returned = False

    @property
    def weights(self) -> Array | None:
        """The weights of the samples in x; None where all are one."""
        weights = self._workspace.batch.weights
        if weights is None:
            return None
        mark_unrecordable()
        return weights[self._workspace.rows]

    def output(self, shape: Shape, dtype: Any = None, keep: bool = False) -> Array:
        """Return an array for the layer's result, valid until that has been read.

        Results that only the next layer reads alternate between two buffers: those of a thread stay
        in its cache.
        """
        if not self._transient or (keep and self.keeps_cache):
            return self.empty(shape, dtype)
        buffer = self._workspace.output(other=not self._returned)
        self._returned = True
        return self._workspace.wrap(buffer.empty(shape, dtype))

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        """Return an array that stays valid until backward has run."""
        return self._workspace.wrap(self._workspace.memory.empty(shape, dtype))

    def scratch(self, shape: Shape, dtype: Any = None) -> Array:
        """Return an array that stays valid until the layer returns."""
        return self._workspace.wrap(self._workspace.scratch.empty(shape, dtype))

    def lasting(self, shape: Shape, dtype: Any = None, *owner: Any) -> Array:
        """Return an array of the chunk that stays valid until its owner asks again."""
        arena = self._workspace.engine.arena("lasting", *owner, self._workspace.chunk)
        arena.rewind()
        return self._workspace.wrap(arena.empty(shape, dtype))

    def constant(self, make: Callable[..., Array], *args: Any) -> Array:
        """Return ``make(*args)``, computed once, read-only."""
        return self._workspace.wrap(self._workspace.engine.shared_constant(make, *args))

    def target(self) -> Array | None:
        """Return where the result will be copied to, if the layer may write it there itself."""
        return self._target

    def note(self) -> Array:
        """Return this chunk's row of ``notes``."""
        notes = self._workspace.engine.notes[self._path]
        return self._workspace.wrap(notes[self._workspace.chunk])

    def notes(self) -> Array:
        """Return what every chunk has noted in the layer of this name, a row each."""
        return self._workspace.wrap(self._workspace.engine.notes[self._path])

    @property
    def first(self) -> bool:
        """Whether the layer sees the first samples of the mini-batch."""
        return self._workspace.rows.start == 0

    def random_bits(self, shape: Shape) -> Array:
        """Return random uint32 that depend on seed, step, layer and sample."""
        mark_unrecordable()
        batch = self._workspace.batch
        key = crc32(".".join(self._path).encode(), batch.key)
        return sample_bits(batch.ids[self._workspace.rows], shape, key)

    def tiles(self, rows: int, values_per_row: int, at_least: int = 1) -> list[tuple[int, int]]:
        """Split rows into ranges whose size depends on the data alone."""
        return cut(rows, max(MIN_TILE_SIZE // max(values_per_row, 1), at_least), even=True)

    def map(
        self,
        task: Callable[[int, Callable[..., Array]], None],
        count: int,
        work: float | None = None,
    ) -> None:
        """Run ``task(i, scratch)`` for all i, on all workers if the layer sees the whole batch."""
        workspace = self._workspace

        def run(i: int, thread: int) -> None:
            memory = workspace.engine.arena("tile", thread)
            memory.rewind()

            def scratch(shape: Shape, dtype: Any = None) -> Array:
                return workspace.wrap(memory.empty(shape, dtype))

            task(i, scratch)

        little = work is not None and work < 2 * MIN_TILE_SIZE
        if workspace.whole and (workspace.engine.member is not None or not little):
            workspace.engine.run(run, count)
        else:
            for i in range(count):
                run(i, workspace.thread)

    def forward(self, params: Arrays, x: Array, branch: int = 0) -> tuple[Array, Any]:
        """Run a branch."""
        return forward(self._branches[branch], params, x, self._workspace)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, branch: int = 0
    ) -> Array | None:
        """Run the backward pass of a branch."""
        return backward(self._branches[branch], params, cache, dy, grads, self._workspace)


def forward(plan: Plan, params: Arrays, x: Any, workspace: Workspace) -> tuple[Array, list[Any]]:
    """Run the parts of a plan; also return the cache of each for the backward pass.

    ``x`` may be a source that loads the rows of the mini-batch on demand.
    """
    caches = []
    for part in plan.parts:
        if isinstance(part, Segment):
            x, cache = workspace.segment_runner.forward(part, params, x, workspace)
        else:
            own = find(params, part.names)
            target = workspace.target if part.into_target else None
            top, below = divide(x, part.n_inputs)
            y, cache = _call(
                part.layer.forward, (own, top), workspace, part, part.transient_output, target
            )
            x = stack(y, below)
        caches.append(cache)
    return x, caches


def backward(
    plan: Plan, params: Arrays, caches: list[Any], dy: Array, grads: Arrays, workspace: Workspace
) -> Array | None:
    """Run the backward pass of a plan, no further than gradients are needed."""
    dx: Any = dy
    for part, cache in reversed(list(zip(plan.parts, caches, strict=True))[plan.backward_stop :]):
        if isinstance(part, Segment):
            dx = workspace.segment_runner.backward(part, cache, dx, grads, workspace)
        else:
            top, below = divide(dx, part.n_outputs)
            own = find(params, part.names), cache, top, find(grads, part.names)
            target = workspace.target if part.into_target else None
            dx = _call(part.layer.backward, own, workspace, part, part.transient_gradient, target)
            dx = stack(dx, below)
    return dx if plan.needs_dx else None


def _call(
    method: Callable[..., Any],
    arguments: tuple[Any, ...],
    workspace: Workspace,
    node: Node,
    transient: bool,
    target: Array | None = None,
) -> Any:
    """Call a method of a layer, and release its scratch memory for the next one."""
    ctx = RunningContext(workspace, node.path, node.branches, transient, node.needs_dx, target)
    start = workspace.scratch.position
    try:
        return method(*arguments, ctx)
    finally:
        workspace.scratch.position = start


def prepare(plan: Plan, params: Arrays, workspace: Workspace) -> dict[str, Any]:
    """Return the parameters of all layers of a plan with the arrays derived from them."""
    prepared: dict[str, Any] = {}
    for node in plan.nodes():
        own = find(params, node.names)
        ctx = RunningContext(workspace, node.path)
        found = dict(node.layer.prepare(own, node.shape, ctx))
        for branch in node.branches:
            found |= prepare(branch, own, workspace)
        place(prepared, node.names, found)
    return prepared
