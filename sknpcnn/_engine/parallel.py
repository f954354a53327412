"""Data parallelism: a mini-batch is split into chunks, which run on threads.

The split depends on the data alone, never on the number of threads, and partial sums are added in a
fixed order, so that the number of threads never changes a bit of the result. BLAS itself is limited
to one thread meanwhile: the threads share chunks of whole segments, not single products.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from sknpcnn._engine.chunks import BLOCK, batch_shape, cut, sample_slice
from sknpcnn._engine.context import MiniBatch, RunningContext, Workspace, backward, forward, prepare
from sknpcnn._engine.engine import Arena, Engine
from sknpcnn._engine.plan import Segment
from sknpcnn._engine.tape import (
    SEEN_ONCE,
    UNRECORDABLE,
    Tape,
    TapeSet,
    arrays_in,
    holds_only_arrays,
    memory_layout,
)
from sknpcnn._engine.trees import divide, find, place, stack, unflatten
from sknpcnn.layers.base import Array, Arrays

# In elements: what a layer works on at once should stay in the caches of a core.
MAX_CHUNK_SIZE = 2**20
# Products of fewer samples are too short, so chunks may be up to four times MAX_CHUNK_SIZE.
MIN_CHUNK_SAMPLES = 4


def whole_batch(engine: Engine, batch: MiniBatch) -> Workspace:
    """Create the workspace of a whole mini-batch, which is split where its layers allow it."""
    return Workspace(engine, batch, ThreadedRunner)


class Pieces(list[Array | None]):
    """What each chunk has in its own memory, for the next segment; None for those of others."""


class ThreadedRunner:
    """Runs segments of layers chunk by chunk; the threads share the chunks."""

    @staticmethod
    def forward(segment: Segment, params: Arrays, x: Any, workspace: Workspace) -> tuple[Any, Any]:
        """Run a segment; ``x`` may be a source that loads rows on demand."""
        engine, n = workspace.engine, workspace.batch.n
        params = _prepared(segment, params, workspace)
        chunks = cut(n, _samples_at_once(segment), even=True)
        whole = None
        if not segment.hands_over and (len(chunks) > 1 or engine.member is not None):
            # others read what one has computed
            output = RunningContext(workspace, transient=segment.transient_output).output
            whole = output(batch_shape(segment.output_shape, n))
        _take_notes(segment, engine, len(chunks))
        plan = segment.single_chunk if whole is None else segment.chunked
        caches: list[Any] = [None] * len(chunks)
        ys = Pieces([None] * len(chunks))
        # a source loads its rows into the memory of the chunk
        outside = x if isinstance(x, Pieces) else [x if isinstance(x, np.ndarray) else None]
        tapes = None
        if holds_only_arrays(params):  # other objects may change between calls
            tapes = _tape_set(segment, "forward", workspace, [params, whole, *outside])

        def run(i: int, thread: int) -> None:
            chunk = _chunk(
                segment, workspace, i, chunks[i], thread, keep=workspace.batch.keeps_cache
            )
            lo, hi = chunks[i]
            if isinstance(x, Pieces):
                xi = x[i]
            elif isinstance(x, np.ndarray):
                xi = x[sample_slice(x, lo, hi)]
            else:
                xi = x.load(RunningContext(chunk), lo, hi)
            target = None if whole is None else whole[sample_slice(whole, lo, hi)]

            def compute(params: Arrays, x: Array, target: Array | None) -> Any:
                chunk.target = target
                y, cache = forward(plan, params, x, chunk)
                if target is not None and y is not target:
                    target[...] = y
                return y, cache

            key = (i, thread)
            (ys[i], cache), replayed = _run_or_replay(
                tapes, key, chunk, compute, [params, xi], [target]
            )
            caches[i] = cache, (key if replayed else None)

        engine.run(run, len(chunks))
        x_shape = None if isinstance(x, Pieces) else x.shape
        y = ys if segment.hands_over else ys[0] if whole is None else whole
        return y, (chunks, caches, x_shape, params, tapes)

    @staticmethod
    def backward(segment: Segment, cache: Any, dy: Any, grads: Arrays, workspace: Workspace) -> Any:
        """Run the backward pass; each chunk has its own gradient, and these are summed in order."""
        chunks, caches, x_shape, params, forward_tapes = cache
        received = x_shape is None and segment.needs_dx
        split = len(chunks) > 1 or workspace.engine.member is not None
        plan = segment.chunked if split or received else segment.single_chunk
        own, rows, views = _gradient_rows(segment, grads, workspace, len(chunks))
        whole = None
        if segment.needs_dx and split and not received:
            whole = RunningContext(workspace, transient=segment.transient_gradient).output(x_shape)
        dxs = Pieces([None] * len(chunks))
        tapes = None
        if forward_tapes is not None:
            outside = dy if isinstance(dy, Pieces) else [dy]
            arrays = [params, views[0], whole, *outside]
            tapes = _tape_set(segment, "backward", workspace, arrays, forward_tapes)

        def run(i: int, thread: int) -> None:
            chunk = _chunk(segment, workspace, i, chunks[i], thread, keep=False)
            dyi = dy[i] if isinstance(dy, Pieces) else dy[sample_slice(dy, *chunks[i])]
            target = None if whole is None else whole[sample_slice(whole, *chunks[i])]
            if received:
                target = _handed_back(segment, workspace, i, chunks[i])
            chunk_cache, replayed = caches[i]

            def compute(
                params: Arrays, cache: Any, dy: Array, grads: Arrays, target: Array | None
            ) -> Any:
                chunk.target = target
                dx = backward(plan, params, cache, dy, grads, chunk)
                if target is None:
                    return dx
                top, below = divide(dx, 1)
                if top is not target:
                    target[...] = top
                return stack(target, below)

            dxs[i], _ = _run_or_replay(
                tapes if replayed else None,  # only a replayed cache is at the same address
                (i, thread, replayed),
                chunk,
                compute,
                [params, chunk_cache, dyi],
                [views[i], target],
            )

        workspace.engine.run(run, len(chunks))
        if len(chunks) > 1:
            _add_rows(rows, list(arrays_in(own)), workspace.engine)
        return dxs if received else dxs[0] if whole is None else whole


def _samples_at_once(segment: Segment) -> int:
    """Return the number of samples per chunk, by the largest working set of a layer."""
    size = segment.working_set
    at_least = min(MIN_CHUNK_SAMPLES, MIN_CHUNK_SAMPLES * MAX_CHUNK_SIZE // size)
    return max(MAX_CHUNK_SIZE // size, at_least, 1)


def _prepared(segment: Segment, params: Arrays, workspace: Workspace) -> dict[str, Any]:
    """Prepare the parameters of a segment; a cached result is for mini-batches of this size."""
    engine, batch = workspace.engine, workspace.batch

    def make(memory: Arena) -> dict[str, Any]:
        own = Workspace(engine, batch, ThreadedRunner, memory=memory)
        tapes = None
        if engine.derived is None and holds_only_arrays(params):
            tapes = _tape_set(segment, "prepare", workspace, [params])

        def compute(params: Arrays) -> Any:
            return prepare(segment.single_chunk, params, own)

        return cast("dict[str, Any]", _run_or_replay(tapes, (), own, compute, [params], [])[0])

    cached = engine.derived is not None
    prepared: dict[str, Any] = engine.derive(
        (*segment.memory_key, batch.n) if cached else segment.memory_key, make
    )
    return prepared


def _chunk(
    segment: Segment, workspace: Workspace, i: int, rows: tuple[int, int], thread: int, keep: bool
) -> Workspace:
    """Create the workspace of a chunk. Memory for backward is per chunk, the rest per thread."""
    owner = ("chunk", i) if keep else (thread,)
    memory = workspace.engine.arena(segment.memory_key, *owner)
    memory.rewind()
    chunk = Workspace(workspace.engine, workspace.batch, ThreadedRunner, rows, i, thread, memory)
    chunk.scratch.rewind()
    return chunk


def _handed_back(segment: Segment, workspace: Workspace, i: int, rows: tuple[int, int]) -> Array:
    """Return the memory of a chunk for the gradient that the segment before goes on with.

    It is always the same: what is in it is read by the last layer, and replaced by the first one.
    """
    arena = workspace.engine.arena("handed back", i)
    arena.rewind()
    return arena.empty(batch_shape(segment.shape, rows[1] - rows[0]))


def _take_notes(segment: Segment, engine: Engine, n_chunks: int) -> None:
    """Make the memory in which the chunks of a segment note what all need."""
    if segment.notes is not None:
        path, _, size = segment.notes
        arena = engine.arena(*path, "notes", n_chunks, shared=True)
        arena.rewind()
        engine.notes[path] = arena.empty((n_chunks, size))


def _gradient_rows(
    segment: Segment, grads: Arrays, workspace: Workspace, n_chunks: int
) -> tuple[Arrays, Array, list[dict[str, Any]]]:
    """Return a segment's gradients, one row of them per chunk, and the views of each row.

    A single chunk needs no rows. A layer that reads the gradients of all chunks finds them.
    """
    engine, key = workspace.engine, (*segment.memory_key, n_chunks)
    found = engine.gradient_rows.get(key)
    if found is None or found[0] is not grads:
        own: dict[str, Any] = {}
        for names in segment.names:
            place(own, names, find(grads, names))
        rows: Array = np.empty((0, 0))
        views: list[dict[str, Any]] = [own]
        if n_chunks > 1:
            size = sum(array.size for array in arrays_in(own))
            arena = engine.arena(*segment.memory_key, "gradients", n_chunks, shared=True)
            arena.rewind()
            rows = arena.empty((n_chunks, size))
            views = [unflatten(own, row)[0] for row in rows]
        if segment.notes is not None:
            for view in views:
                place(view, segment.notes.names, find(grads, segment.notes.names))
        engine.gradient_rows[key] = grads, (own, rows, views)
        return own, rows, views
    return cast("tuple[Arrays, Array, list[dict[str, Any]]]", found[1])


def _add_rows(rows: Array, arrays: list[Array], engine: Engine) -> None:
    """Add up the gradients of all chunks in order; the workers share the parameters."""
    parts, start = [], 0
    for array in arrays:
        flat = array.reshape(-1)
        for lo, hi in cut(array.size, max(BLOCK // len(rows), 1)):
            parts.append((rows[:, start + lo : start + hi], flat[lo:hi]))
        start += array.size

    def add(i: int, worker: int) -> None:
        part, total = parts[i]
        np.add.reduce(part, axis=0, out=total)

    if rows.size > BLOCK:
        engine.run(add, len(parts))
    else:  # less work than sharing it

        def add_all(_: int, worker: int) -> None:
            for i in range(len(parts)):
                add(i, worker)

        engine.run(add_all, 1)


def _tape_set(
    segment: Segment, direction: str, workspace: Workspace, arrays: list[Any], *before: Any
) -> TapeSet | None:
    """Return the tapes of a segment for the memory layout of its inputs.

    There are none if a layer is not of this package, as it may do anything, or if an array may be
    at another address in the next step.
    """
    tapes = workspace.engine.tapes
    batch = workspace.batch
    key = segment, direction, batch.n, batch.weights is None
    trees = (*arrays, *before)
    known = tapes.known(key)
    if known is not None and known.is_for(trees):
        return known
    outside = list(arrays_in(arrays))
    if not (segment.recordable and all(map(tapes.is_stable, outside))):
        return None
    tape_set = tapes.tape_set(key, (*map(memory_layout, outside), *before))
    tape_set.trees = trees
    return tape_set


def _run_or_replay(
    tape_set: TapeSet | None,
    key: tuple[Any, ...],
    chunk: Workspace,
    task: Callable[..., Any],
    inputs: list[Any],
    outputs: list[Any],
) -> tuple[Any, bool]:
    """Run the task of a chunk; record it the second time, and replay it from then on.

    Also return whether the result is that of a tape, and so will be at the same address again.
    """
    if tape_set is None:
        return task(*inputs, *outputs), False
    tape = tape_set.tapes.get(key)
    if tape is None or tape is UNRECORDABLE:  # the first time, which may be the only one
        tape_set.tapes[key] = tape or SEEN_ONCE
        return task(*inputs, *outputs), False
    if tape is not SEEN_ONCE:
        return tape.replay(), True
    tapes = chunk.engine.tapes
    generation = tapes.generation
    tape = Tape()
    chunk.recording = True
    result = tape.record(task, inputs, outputs, tapes.is_stable)
    if tapes.generation == generation:
        tape_set.tapes[key] = UNRECORDABLE if tape.unrecordable else tape
    return result, tape_set.tapes[key] is tape
