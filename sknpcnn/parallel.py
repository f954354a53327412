"""How a mini-batch is cut up into chunks, which run on threads.

The work is cut by the data alone, never by the number of threads, and partial sums are added in a
fixed order: so the number of threads never changes a bit of the result. BLAS itself is held to one
thread meanwhile; the threads share out whole stretches of layers, not single products.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sknpcnn.chunks import cut, laid_out, of_samples, with_samples
from sknpcnn.context import MiniBatch, Place, RunningContext, backward, forward, prepare
from sknpcnn.engine import Arena, Engine
from sknpcnn.layers.base import Array, Arrays
from sknpcnn.plan import Stretch
from sknpcnn.tape import NEW, SPOILED, Reel, Tape, arrays_in, holds_only_arrays, place_of

# How many elements a layer should work with at once, so that they stay in the caches of a core.
CHUNK = 2**20
# The products of fewer samples are short; so there are that many, unless that is far too much.
MIN_SAMPLES = 4


def whole_batch(engine: Engine, batch: MiniBatch) -> Place:
    """Make the place of a whole mini-batch, which is cut up where its layers allow it."""
    return Place(engine, batch, Chunks)


class Chunks:
    """Runs a stretch of layers on a few samples at a time, chunks shared by the threads."""

    @staticmethod
    def forward(stretch: Stretch, params: Arrays, x: Any, place: Place) -> tuple[Array, Any]:
        """Run a stretch; ``x`` may be a source that makes rows when they are asked for."""
        engine, n = place.engine, place.batch.n
        params = _prepared(stretch, params, place)
        chunks = cut(n, _samples_at_once(stretch), even=True)
        whole = None
        if len(chunks) > 1:
            output = RunningContext(place, passes=stretch.passes).output
            whole = output(with_samples(stretch.output_shape, n))
        plan = stretch.uncopied if whole is None else stretch.copied
        caches: list[Any] = [None] * len(chunks)
        ys: list[Array] = [np.empty(0)] * len(chunks)
        # a source makes its rows in the memory of the chunk
        outside = x if isinstance(x, np.ndarray) else None
        reel = None
        if holds_only_arrays(params):  # other values may be others the next time
            reel = _reel(stretch, "forward", place, [params, outside, whole])

        def run(i: int, thread: int) -> None:
            chunk = _chunk(stretch, place, i, chunks[i], thread, keep=place.batch.training)
            lo, hi = chunks[i]
            if isinstance(x, np.ndarray):
                xi = x[of_samples(x, lo, hi)]
            else:
                xi = x.load(RunningContext(chunk), lo, hi)
            target = None if whole is None else whole[of_samples(whole, lo, hi)]

            def compute(params: Arrays, x: Array, target: Array | None) -> Any:
                y, cache = forward(plan, params, x, chunk)
                if target is not None:
                    target[...] = y
                return y, cache

            key = (i, thread)
            (ys[i], cache), played = _run_or_play(reel, key, chunk, compute, [params, xi], [target])
            caches[i] = cache, (key if played else None)

        engine.run(run, len(chunks))
        return ys[0] if whole is None else whole, (chunks, caches, x.shape, params, reel)

    @staticmethod
    def backward(
        stretch: Stretch, cache: Any, dy: Array, grads: Arrays, place: Place
    ) -> Array | None:
        """Run a stretch backwards; every chunk has a gradient of its own, added up in order."""
        chunks, caches, x_shape, params, forward_reel = cache
        plan = stretch.uncopied if len(chunks) == 1 else stretch.copied
        own = {name: grads[name] for name in stretch.names if name in grads}
        rows, views = _gradient_rows(stretch, own, place, len(chunks))
        whole = None
        if stretch.needs_dx and len(chunks) > 1:
            whole = RunningContext(place, passes=stretch.passes_back).output(x_shape)
        dxs: list[Array | None] = [None] * len(chunks)
        reel = None
        if forward_reel is not None:
            arrays = [params, dy, views[0], whole]
            reel = _reel(stretch, "backward", place, arrays, forward_reel)

        def run(i: int, thread: int) -> None:
            chunk = _chunk(stretch, place, i, chunks[i], thread, keep=False)
            dyi = dy[of_samples(dy, *chunks[i])]
            target = None if whole is None else whole[of_samples(whole, *chunks[i])]
            chunk_cache, played = caches[i]

            def compute(
                params: Arrays, cache: Any, dy: Array, grads: Arrays, target: Array | None
            ) -> Any:
                dx = backward(plan, params, cache, dy, grads, chunk)
                if target is not None:
                    target[...] = dx
                return dx

            dxs[i], _ = _run_or_play(
                reel if played else None,  # only a played forward has put its cache where it lay
                (i, thread, played),
                chunk,
                compute,
                [params, chunk_cache, dyi],
                [views[i], target],
            )

        place.engine.run(run, len(chunks))
        if len(chunks) > 1:
            start = 0
            for array in arrays_in(own):
                stop = start + array.size
                np.add.reduce(rows[:, start:stop], axis=0, out=array.reshape(-1))
                start = stop
        return dxs[0] if whole is None else whole


def _samples_at_once(stretch: Stretch) -> int:
    """Decide how many samples make a chunk, by the layer that works with most elements."""
    most = stretch.working_set
    return max(CHUNK // most, min(MIN_SAMPLES, MIN_SAMPLES * CHUNK // most), 1)


def _prepared(stretch: Stretch, params: Arrays, place: Place) -> dict[str, Any]:
    """Prepare the parameters of a stretch; what is kept is for mini-batches of this size."""
    engine, batch = place.engine, place.batch

    def make(memory: Arena) -> dict[str, Any]:
        return prepare(stretch.uncopied, params, Place(engine, batch, Chunks, memory=memory))

    kept = engine.constants is not None
    return engine.constant((*stretch.label, batch.n) if kept else stretch.label, make)


def _chunk(
    stretch: Stretch, place: Place, i: int, rows: tuple[int, int], thread: int, keep: bool
) -> Place:
    """Make the place of a chunk. What backward needs is kept by chunk, the rest by thread."""
    owner = ("chunk", i) if keep else (thread,)
    memory = place.engine.arena(stretch.label, *owner)
    memory.rewind()
    chunk = Place(place.engine, place.batch, Chunks, rows, thread, memory)
    chunk.scratch.rewind()
    return chunk


def _gradient_rows(
    stretch: Stretch, own: Arrays, place: Place, n_chunks: int
) -> tuple[Array, list[Arrays]]:
    """Return one row of gradients per chunk, and each row's views; one chunk writes at once."""
    if n_chunks == 1:
        return np.empty((0, 0)), [own]
    engine, key = place.engine, (*stretch.label, n_chunks)
    found = engine.gradient_rows.get(key)
    if found is None:
        size = sum(array.size for array in arrays_in(own))
        rows = engine.arena(*stretch.label, "gradients", n_chunks).empty((n_chunks, size))
        found = engine.gradient_rows[key] = rows, [laid_out(own, row)[0] for row in rows]
    return found


def _reel(
    stretch: Stretch, direction: str, place: Place, arrays: list[Any], *before: Any
) -> Reel | None:
    """Find the tapes of a stretch, by where the arrays lie that it is given from outside.

    There are none where a layer is not of this package, and may do anything, or where an array may
    lie elsewhere the next time.
    """
    tapes, outside = place.engine.tapes, list(arrays_in(arrays))
    if not (stretch.recordable and all(map(tapes.stays, outside))):
        return None
    return tapes.reel((stretch, direction, place.batch.n), (*map(place_of, outside), *before))


def _run_or_play(
    reel: Reel | None,
    key: tuple[Any, ...],
    chunk: Place,
    task: Callable[..., Any],
    given: list[Any],
    written: list[Any],
) -> tuple[Any, bool]:
    """Run the task of a chunk; when it comes again record it, from then on play it.

    Also return whether the result is that of a tape, which will have it in the same place again.
    """
    if reel is None:
        return task(*given, *written), False
    tape = reel.tapes.get(key)
    if tape is None or tape is SPOILED:  # the first time: perhaps it never comes again
        reel.tapes[key] = tape or NEW
        return task(*given, *written), False
    if tape is not NEW:
        return tape.play(), True
    tapes = chunk.engine.tapes
    moves = tapes.moves
    tape = Tape()
    chunk.recording = True
    result = tape.record(task, given, written, tapes.stays)
    if tapes.moves == moves:
        reel.tapes[key] = SPOILED if tape.spoiled else tape
    return result, reel.tapes[key] is tape
