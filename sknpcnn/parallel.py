"""How a mini-batch is cut up into chunks, which run on threads, and what a running layer is given.

The work is cut by the data alone, never by the number of threads, and partial sums are added in a
fixed order: so the number of threads never changes a bit of the result. BLAS itself is held to one
thread meanwhile; the threads share out whole stretches of layers, not single products.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import numpy as np

from sknpcnn.chunks import cut, laid_out, of_one_sample, of_samples, with_samples
from sknpcnn.engine import Arena, Engine
from sknpcnn.kernels.randomness import sample_bits
from sknpcnn.layers.base import Array, Arrays, Layer, Shape
from sknpcnn.layers.steps import Stretch, backward, forward, prepare, shapes
from sknpcnn.tape import (
    NEW,
    SPOILED,
    Recorded,
    Reel,
    Tape,
    arrays_in,
    holds_only_arrays,
    place_of,
    spoil,
)

# How many numbers a layer should have in hand at once, so that they stay in the caches of a core.
CHUNK = 2**20
# The products of fewer samples are short; so there are that many, unless that is far too much.
LEAST = 4
# The least work worth a tile of its own in a layer that sees the whole batch, in numbers.
TILE = 2**18


class MiniBatch:
    """What belongs to the rows of one mini-batch beside their values."""

    def __init__(self, n: int, training: bool, key: int = 0, weights: Array | None = None) -> None:
        self.n = n
        self.training = training
        self.key = key
        self.weights = weights
        self.ids = np.arange(n, dtype=np.uint32)


class RunningContext:
    """What a layer is given while it runs; see ``layers.base.Context``.

    One that is ``whole`` sees the whole mini-batch and shares work out to the threads; the others
    see one chunk of it, on one thread.
    """

    def __init__(
        self,
        engine: Engine,
        batch: MiniBatch,
        rows: tuple[int, int] | None = None,
        thread: int = 0,
        memory: Arena | None = None,
        path: tuple[str, ...] = (),
        needs_dx: bool = True,
    ) -> None:
        self.whole = rows is None
        self.training = batch.training
        self.samples = batch.n
        self.dtype = engine.dtype
        self.needs_dx = needs_dx
        self.path = path
        self._engine = engine
        self._batch = batch
        self._rows = rows or (0, batch.n)
        self._thread = thread
        self._memory = memory or engine.arena("whole")
        self._scratch = engine.arena("scratch", thread)
        owner = "whole" if self.whole else thread
        self._outputs = [engine.arena("output", side, owner) for side in (0, 1)]
        self._passes = self._returned = self._recording = False
        if memory is None:
            self._memory.rewind()

    @property
    def weights(self) -> Array | None:
        """The sample weights of the rows in sight; None where all are one."""
        spoil()
        return None if self._batch.weights is None else self._batch.weights[slice(*self._rows)]

    def output(self, shape: Shape, dtype: Any = None) -> Array:
        """An array for what a layer returns: valid as long as somebody reads it.

        What only the next layer reads goes by turns into one of two buffers, which are used again
        and again: those of a chunk's thread stay in its cache.
        """
        if not self._passes:
            return self.empty(shape, dtype)
        if not self._returned:
            self._outputs.reverse()
            self._outputs[0].rewind()
            self._returned = True
        return self._given(self._outputs[0].empty(shape, dtype))

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        """An array that stays valid until backward has run."""
        return self._given(self._memory.empty(shape, dtype))

    def scratch(self, shape: Shape, dtype: Any = None) -> Array:
        """An array that stays valid until the layer returns."""
        return self._given(self._scratch.empty(shape, dtype))

    def constant(self, make: Callable[..., Array], *args: Any) -> Array:
        """What a function makes of its arguments alone, read-only."""
        return self._given(self._engine.made(make, *args))

    def random_bits(self, shape: Shape) -> Array:
        """Random uint32 that depend on seed, step, layer and sample."""
        spoil()
        key = crc32(".".join(self.path).encode(), self._batch.key)
        return sample_bits(self._batch.ids[slice(*self._rows)], shape, key)

    def note_ids(self, ids: Array) -> None:
        """Write down the identity of the samples in sight, which their random numbers depend on."""
        self._batch.ids[slice(*self._rows)] = ids

    def tiles(self, rows: int, numbers_per_row: int, at_least: int = 1) -> list[tuple[int, int]]:
        """Cut rows into ranges of a size that depends on the data alone."""
        return cut(rows, max(TILE // max(numbers_per_row, 1), at_least), even=True)

    def map(self, task: Callable[[int, Callable[..., Array]], None], n_tasks: int) -> None:
        """Run ``task(i, scratch)`` for all i, on all threads if the whole batch is in sight."""

        def run(i: int, thread: int) -> None:
            memory = self._engine.arena("tile", thread)
            memory.rewind()

            def scratch(shape: Shape, dtype: Any = None) -> Array:
                return self._given(memory.empty(shape, dtype))

            task(i, scratch)

        if self.whole:
            self._engine.run(run, n_tasks)
        else:
            for i in range(n_tasks):
                run(i, self._thread)

    @contextmanager
    def inside(self, *name: str, passes: bool = False) -> Iterator[None]:
        """Enter a layer: it gets a name for its random numbers and fresh scratch memory.

        A stretch has no name. ``passes`` says that only the next one will read what it returns.
        """
        outside, self.path = self.path, (*self.path, *name)
        self._scratch.rewind()
        self._passes, self._returned = passes, False
        try:
            yield
        finally:
            self.path = outside
            self._passes = False

    def forward_in_chunks(self, stretch: Stretch, params: Arrays, x: Any) -> tuple[Array, Any]:
        """Run a stretch of layers over a few samples at a time, chunks shared by the threads.

        ``x`` may be a source that makes the rows of the mini-batch when they are asked for.
        """
        key = (*self.path, stretch.steps[0][0], stretch.steps[-1][0])
        rows, shape = self._plan(key, stretch, x)
        params = self._prepared(key, stretch, params, of_one_sample(x.shape))
        chunks = cut(self._batch.n, rows, even=True)
        whole = None if len(chunks) == 1 else self.output(with_samples(shape, self._batch.n))
        caches: list[Any] = [None] * len(chunks)
        ys: list[Array] = [np.empty(0)] * len(chunks)
        # a source makes its rows in the memory of the chunk
        outside = x if isinstance(x, np.ndarray) else None
        recordable = holds_only_arrays(params)  # other values may be others the next time
        reel = (
            self._reel((*key, "forward"), stretch, [params, outside, whole]) if recordable else None
        )

        def run(i: int, thread: int) -> None:
            ctx = self._chunk(key, i, chunks[i], thread, keep=self.training)
            lo, hi = chunks[i]
            xi = x[of_samples(x, lo, hi)] if isinstance(x, np.ndarray) else x.load(ctx, lo, hi)
            target = None if whole is None else whole[of_samples(whole, lo, hi)]

            def there(params: Arrays, x: Array, target: Array | None) -> Any:
                y, cache = forward(stretch.steps, params, x, ctx, copied=target is not None)
                if target is not None:
                    target[...] = y
                return y, cache

            place = (i, thread)
            (ys[i], cache), tape = ctx._once_or_again(reel, place, there, [params, xi], [target])
            caches[i] = cache, (place if tape else None)

        self._engine.run(run, len(chunks))
        return ys[0] if whole is None else whole, (chunks, caches, x.shape, params, reel)

    def backward_in_chunks(
        self, stretch: Stretch, cache: Any, dy: Array, grads: Arrays
    ) -> Array | None:
        """Run a stretch backwards; every chunk has a gradient of its own, added up in order."""
        key = (*self.path, stretch.steps[0][0], stretch.steps[-1][0])
        chunks, caches, x_shape, params, forward_reel = cache
        own = {name: grads[name] for name, _ in stretch.steps if name in grads}
        rows, views = self._gradient_rows(key, own, len(chunks))
        needs_dx = self.needs_dx
        whole = self.output(x_shape) if needs_dx and len(chunks) > 1 else None
        dxs: list[Array | None] = [None] * len(chunks)
        reel = None
        if forward_reel is not None:
            arrays = [params, dy, views[0], whole]
            reel = self._reel((*key, "backward"), stretch, arrays, forward_reel)

        def run(i: int, thread: int) -> None:
            ctx = self._chunk(key, i, chunks[i], thread, keep=False, needs_dx=needs_dx)
            dyi = dy[of_samples(dy, *chunks[i])]
            target = None if whole is None else whole[of_samples(whole, *chunks[i])]
            chunk_cache, played = caches[i]

            def back(
                params: Arrays, cache: Any, dy: Array, grads: Arrays, target: Array | None
            ) -> Any:
                copied = target is not None
                dx = backward(stretch.steps, params, cache, dy, grads, ctx, copied)
                if target is not None:
                    target[...] = dx
                return dx

            dxs[i], _ = ctx._once_or_again(
                reel if played else None,  # only a played forward has put its cache where it lay
                (i, thread, played),
                back,
                [params, chunk_cache, dyi],
                [views[i], target],
            )

        self._engine.run(run, len(chunks))
        if len(chunks) > 1:
            start = 0
            for array in arrays_in(own):
                stop = start + array.size
                np.add.reduce(rows[:, start:stop], axis=0, out=array.reshape(-1))
                start = stop
        return dxs[0] if whole is None else whole

    def _prepared(
        self, key: tuple[str, ...], stretch: Stretch, params: Arrays, shape: Shape
    ) -> dict[str, Any]:
        """Prepare the parameters of a stretch; what is kept is for mini-batches of this size."""

        def make(memory: Arena) -> dict[str, Any]:
            ctx = RunningContext(self._engine, self._batch, memory=memory, path=self.path)
            return prepare(stretch.steps, params, shape, ctx)

        kept = self._engine.constants is not None
        return self._engine.constant((*key, self.samples) if kept else key, make)

    def _given(self, array: Array) -> Array:
        return array.view(Recorded) if self._recording else array

    def _reel(
        self, key: tuple[Any, ...], stretch: Stretch, arrays: list[Any], *before: Any
    ) -> Reel | None:
        """Find the tapes of a stretch by where the arrays lie that it is given from outside.

        There are none where a layer is not of this package, and may do anything, or where an array
        may lie elsewhere the next time.
        """
        outside = list(arrays_in(arrays))
        if not all(map(_is_ours, stretch.steps)):
            return None
        if not all(map(self._engine.tapes.stays, outside)):
            return None
        kind = (self._batch.n, self.training, self.needs_dx)
        return self._engine.tapes.reel((*key, *kind), (*map(place_of, outside), *before))

    def _once_or_again(
        self,
        reel: Reel | None,
        place: tuple[Any, ...],
        task: Callable[..., Any],
        given: list[Any],
        written: list[Any],
    ) -> tuple[Any, bool]:
        """Run the task of a chunk; when it comes again record it, from then on play it.

        Also tell whether the result is that of a tape, which will have it in the same place again.
        """
        if reel is None:
            return task(*given, *written), False
        tape = reel.tapes.get(place)
        if tape is None or tape is SPOILED:  # the first time: perhaps it never comes again
            reel.tapes[place] = tape or NEW
            return task(*given, *written), False
        if tape is NEW:
            tapes = self._engine.tapes
            moves = tapes.moves
            tape = Tape()
            self._recording = True
            result = tape.record(task, given, written, tapes.stays)
            if tapes.moves == moves:
                reel.tapes[place] = SPOILED if tape.spoiled else tape
            return result, reel.tapes[place] is tape
        return tape.play(), True

    def _chunk(
        self,
        key: tuple[str, ...],
        i: int,
        rows: tuple[int, int],
        thread: int,
        keep: bool,
        needs_dx: bool = True,
    ) -> "RunningContext":
        """Make the context of a chunk. What backward needs is kept by chunk, the rest by thread."""
        arena = self._engine.arena(key, "chunk", i) if keep else self._engine.arena(key, thread)
        arena.rewind()
        return RunningContext(self._engine, self._batch, rows, thread, arena, self.path, needs_dx)

    def _plan(self, key: tuple[str, ...], stretch: Stretch, x: Any) -> tuple[int, Shape]:
        """Decide how many samples make a chunk, by the layer that has most in hand."""
        plan = self._engine.plans.get(key)
        if plan is None:
            walk = shapes(stretch.steps, of_one_sample(x.shape))
            steps = zip(stretch.steps, walk[:-1], strict=True)
            most = max(layer.in_hand(before) for (_, layer), before in steps)
            rows = max(CHUNK // most, min(LEAST, LEAST * CHUNK // most), 1)
            plan = self._engine.plans[key] = rows, walk[-1]
        return plan

    def _gradient_rows(
        self, key: tuple[str, ...], own: Arrays, n_chunks: int
    ) -> tuple[Array, list[Arrays]]:
        """Return one row of gradients per chunk, and each row's views; one chunk writes at once."""
        if n_chunks == 1:
            return np.empty((0, 0)), [own]
        found = self._engine.gradient_rows.get((*key, n_chunks))
        if found is None:
            size = sum(array.size for array in arrays_in(own))
            rows = self._engine.arena(*key, "gradients", n_chunks).empty((n_chunks, size))
            found = rows, [laid_out(own, row)[0] for row in rows]
            self._engine.gradient_rows[(*key, n_chunks)] = found
        return found


def _is_ours(step: tuple[str, Layer]) -> bool:
    """Return whether a layer, with all that is in it, is of this package."""
    _, layer = step
    inside = (*getattr(layer, "steps", ()), *getattr(layer, "around", ()))
    return type(layer).__module__.startswith("sknpcnn.layers.") and all(map(_is_ours, inside))
