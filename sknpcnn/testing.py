"""What a layer promises, as a test: who writes a layer of their own can hold it to the contract."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from sknpcnn.chunks import of_one_sample
from sknpcnn.context import MiniBatch, Place, backward, forward
from sknpcnn.engine import Arena, Engine
from sknpcnn.layers.base import Array, Layer, Shape, batch_axis
from sknpcnn.layers.steps import parameters
from sknpcnn.parallel import Chunks, whole_batch
from sknpcnn.parameters import Layout, Parameter
from sknpcnn.plan import plan

GUARD = 16  # numbers on either side of the gradients, which no layer may write to
STEP, TOLERANCE = 1e-6, 1e-6  # of central differences, and how far they may be from the gradient


@np.errstate(all="ignore")  # as where layers run: in training and prediction
def check_layer(layer: Layer, shape: Shape, *, n: int = 5, seed: int = 0) -> None:
    """Hold a layer to everything that layers promise, on random numbers.

    It is an immutable value; its shapes are those it announces; it modifies nothing that it is
    given; backward writes all gradients, and these are right; float32 stays float32; results depend
    neither on threads nor on how a batch is cut up; a sample of weight two is a sample given twice.

    Parameters
    ----------
    layer : Layer
        The layer to check.
    shape : tuple of int
        Shape of one sample: ``(h, w, channels)`` or ``(features,)``.
    n : int
        Number of samples, at least two.
    seed : int
        Seed of the random numbers.

    Raises
    ------
    AssertionError
        Where a promise is broken; it says which one.

    Examples
    --------
    >>> from sknpcnn.layers import Conv2D
    >>> from sknpcnn.testing import check_layer
    >>> check_layer(Conv2D(4, kernel_size=3, stride=2), (7, 5, 3))
    """
    before = pickle.dumps(layer)
    _check_value(layer)
    _check_parameters(layer, shape)
    example = _example(layer, shape, n, seed)
    _check_inputs_stay(example)
    _check_outputs(example)
    _check_same_bits(example)
    _check_gradients_written(example)
    _check_gradients_right(example)
    _check_parts_of_arrays(example)
    if not layer.whole_batch(training=True):
        _check_chunks(example)
    _check_weights(example)
    _check_prediction(example)
    _check_reused_memory(example)
    if layer.hints.monotonic:
        _check_monotonic(example)
    _demand(pickle.dumps(layer) == before, layer, "running it has changed it")


@dataclass(frozen=True)
class _Example:
    """A layer and all that it takes to run it, in read-only arrays."""

    layer: Layer
    layout: Layout
    theta: Array
    x: Array
    dy: Array
    ids: Array
    weights: Array | None = None

    def views(self, vector: Array) -> Any:
        return self.layout.views(vector).get("layer", {})

    def named(self, vector: Array) -> Iterator[tuple[str, Array]]:
        for name, array in self.layout.arrays(vector):
            yield name.removeprefix("layer."), array

    def astype(self, dtype: Any) -> "_Example":
        copies: Any = {name: getattr(self, name).astype(dtype) for name in ("theta", "x", "dy")}
        return replace(self, **copies)


class _Outcome(NamedTuple):
    """What came out of a layer. ``around`` is the memory next to the gradients."""

    y: Array
    dx: Array
    grads: Array
    around: Array

    def bits(self) -> list[bytes]:
        return [array.tobytes() for array in self]

    def close(self, other: "_Outcome", tolerance: float = 1e-12) -> bool:
        return all(_close(a, b, tolerance) for a, b in zip(self[:3], other[:3], strict=True))


def _example(layer: Layer, shape: Shape, n: int, seed: int) -> _Example:
    def random(shape: Shape) -> Array:
        return rng.normal(size=(*shape[:2], n, shape[2]) if len(shape) == 3 else (n, *shape))

    rng = np.random.default_rng(seed)
    layout = Layout(parameters([("layer", layer)], shape))
    # Off their start, so that a bias is not zero; upwards, so that variances stay positive.
    theta = layout.start(seed, np.float64) + rng.uniform(0.0, 0.5, layout.size)
    x, dy = random(shape), random(layer.output_shape(shape))
    for array in (theta, x, dy):
        array.flags.writeable = False
    return _Example(layer, layout, theta, x, dy, np.arange(n, dtype=np.uint32))


def _run(
    e: _Example, rows: Any = None, n_threads: int = 1, fill: float = np.nan, needs_dx: bool = True
) -> _Outcome:
    """Run forward and backward, on rows (lo, hi) if given; the gradients are ``fill`` before."""
    batch = MiniBatch(len(e.ids), True, 1, e.weights, lambda: e.ids)
    x, dy = (a if rows is None else _take(a, range(*rows)) for a in (e.x, e.dy))
    memory = np.full(e.layout.size + 2 * GUARD, fill, x.dtype)
    grads = memory[GUARD:-GUARD]
    params = e.layout.views(e.theta)
    steps, shape = [("layer", e.layer)], of_one_sample(x.shape)
    planned, another = (
        plan(steps, shape, training=True, path=path, whole=rows is None, needs_dx=needs_dx)
        for path in ((), ("other",))
    )
    with Engine(n_threads, x.dtype) as engine:
        place = Place(engine, batch, Chunks, rows)
        y, cache = forward(planned, params, x, place)
        _demand(y.shape == dy.shape, e.layer, f"y is of shape {y.shape}, not {dy.shape}")
        y = y.copy()
        # Others work in the same scratch memory before backward runs.
        other = Place(engine, batch, Chunks, rows, memory=Arena(x.dtype))
        forward(another, params, 0.5 - x, other)
        dx = backward(planned, params, cache, dy, e.layout.views(grads), place)
        dx = np.empty(0, x.dtype) if dx is None else dx.copy()
    return _Outcome(y, dx, grads, np.delete(memory, np.s_[GUARD:-GUARD]))


def _predict(e: _Example, x: Array) -> Array:
    planned = plan([("layer", e.layer)], of_one_sample(x.shape), training=False)
    with Engine(1, x.dtype) as engine:
        batch = MiniBatch(x.shape[batch_axis(x)], training=False)
        place = whole_batch(engine, batch)
        return forward(planned, e.layout.views(e.theta), x, place)[0].copy()


def _check_value(layer: Layer) -> None:
    with suppress(FrozenInstanceError):
        changeable: Any = layer
        changeable.note = None
        _demand(False, layer, "its attributes can be set; make it @dataclass(frozen=True)")
    copies = {
        "its clone": clone(layer),
        "its pickled copy": pickle.loads(pickle.dumps(layer)),
        "replace(**get_params())": layer.replace(**layer.get_params()),
    }
    for name, copy in copies.items():
        _demand(copy == layer, layer, f"is not equal to {name}, {copy!r}")
        _demand(hash(copy) == hash(layer), layer, f"has not the hash of {name}")


def _check_parameters(layer: Layer, shape: Shape) -> None:
    found = layer.parameters(shape)
    whole = layer.whole_batch(training=True)
    _demand(found == layer.parameters(shape), layer, "parameters() differs from call to call")
    for name, p in found.items():
        _demand(isinstance(p, Parameter), layer, f"parameters()[{name!r}] is not a Parameter")
        observed = p.running is not None and p.lr_scale > 0
        _demand(whole or not observed, layer, f"averages {name}, but not over the whole batch")
    _demand(layer.multiply_adds(shape) >= 0, layer, "multiply_adds() is negative")


def _check_inputs_stay(e: _Example) -> None:
    own = e.astype(np.float64)
    _run(own)
    for name, attribute in (("x", "x"), ("dy", "dy"), ("params", "theta")):
        same = getattr(own, attribute).tobytes() == getattr(e, attribute).tobytes()
        _demand(same, e.layer, f"modifies {name}")


def _check_outputs(e: _Example) -> None:
    """Check what comes out; from here on the inputs are read-only."""
    exact = _run(e)
    for dtype in (np.dtype(np.float64), np.dtype(np.float32)):
        y, dx, *_ = _run(e.astype(dtype))
        _demand(dx.shape == e.x.shape, e.layer, f"dx is of shape {dx.shape}, not {e.x.shape}")
        for name, array in (("y", y), ("dx", dx)):
            _demand(array.dtype == dtype, e.layer, f"{name} is {array.dtype} where x is {dtype}")
            _demand(bool(np.isfinite(array).all()), e.layer, f"{name} is not finite")
        _demand(_close(y, exact.y, 1e-4), e.layer, f"y is inexact in {dtype}")


def _check_gradients_written(e: _Example) -> None:
    """Check that backward writes all gradients, nothing around them, and never adds to them."""
    one, two = (_run(e, fill=fill) for fill in (np.nan, 7.0))
    for (name, a), (_, b) in zip(e.named(one.grads), e.named(two.grads), strict=True):
        complete = not np.isnan(a).any() and a.tobytes() == b.tobytes()
        _demand(complete, e.layer, f"backward does not write all of the gradient of {name}")
    untouched = bool(np.isnan(one.around).all() and (two.around == 7.0).all())
    _demand(untouched, e.layer, "backward writes outside of its gradients")
    same = _run(e, needs_dx=False).grads.tobytes() == one.grads.tobytes()
    _demand(same, e.layer, "the gradients change where dx is not needed")


def _check_gradients_right(e: _Example) -> None:
    """Check dx and every trained parameter against central differences, uphill at random."""
    outcome, rng = _run(e), np.random.default_rng(1)
    v = np.copysign(rng.normal(size=e.x.shape), outcome.dx)
    moved = (replace(e, x=e.x + step * v) for step in (STEP, -STEP))
    _compare_slopes(e, "x", outcome.dx * v, *moved)
    for name, gradient in e.named(outcome.grads):
        parameter, place = e.layout.parameters[f"layer.{name}"], e.layout.places[f"layer.{name}"]
        if parameter.running is None:
            v = np.zeros_like(e.theta)
            v[place] = np.copysign(rng.normal(size=parameter.size), gradient.ravel())
            moved = (replace(e, theta=e.theta + step * v) for step in (STEP, -STEP))
            _compare_slopes(e, name, gradient.ravel() * v[place], *moved)


def _compare_slopes(e: _Example, name: str, terms: Array, up: _Example, down: _Example) -> None:
    measured = float(((_run(up).y - _run(down).y) * e.dy).sum()) / (2 * STEP)
    announced = float(terms.sum())
    right = abs(measured - announced) <= TOLERANCE * (1 + announced)
    slopes = f"its slope in some direction is {measured:.9g}, not {announced:.9g}"
    _demand(right, e.layer, f"backward computes a wrong gradient of {name}: {slopes}")


def _check_same_bits(e: _Example) -> None:
    """Check that repetition, threads inside and threads outside change no bit."""
    expected = _run(e).bits()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(_run, e, n_threads=1 + i % 2) for i in range(8)]
        same = all(job.result().bits() == expected for job in jobs)
    _demand(same, e.layer, "gives another result when it runs again, on several threads")


def _check_parts_of_arrays(e: _Example) -> None:
    """Check inputs that are views into larger arrays, as chunks of a batch are."""
    larger = (np.pad(array, 1, constant_values=np.nan) for array in (e.x, e.dy))
    x, dy = (array[(slice(1, -1),) * array.ndim] for array in larger)
    same = _run(replace(e, x=x, dy=dy)).close(_run(e))
    _demand(same, e.layer, "gives another result where its inputs are parts of larger arrays")


def _check_weights(e: _Example) -> None:
    """Check that integer weights are repetitions, and that weight zero is absence."""
    counts = np.resize([2, 0, 1], len(e.ids))
    index = np.repeat(np.arange(len(e.ids)), counts)
    weighted = _run(replace(e, dy=e.dy * _along(counts, e.dy), weights=counts.astype(float)))
    repeated = _run(replace(e, x=_take(e.x, index), dy=_take(e.dy, index), ids=e.ids[index]))
    shared = weighted.dx / _along(np.maximum(counts, 1), e.x)
    expected = weighted._replace(y=_take(weighted.y, index), dx=_take(shared, index))
    same = repeated.close(expected, 1e-10)
    _demand(same, e.layer, "a sample of weight two differs from a sample given twice")
    absent = not _take(weighted.dx, np.flatnonzero(counts == 0)).any()
    _demand(absent, e.layer, "a sample of weight zero has a gradient")


def _check_prediction(e: _Example) -> None:
    """Check that a prediction has its shape and does not depend on the other samples."""
    y = _predict(e, e.x)
    _demand(y.shape == e.dy.shape, e.layer, f"predicts the shape {y.shape}, not {e.dy.shape}")
    alone = _close(_predict(e, _take(e.x, [1])), _take(y, [1]), 1e-10)
    _demand(alone, e.layer, "the prediction of a sample depends on the other samples")
    dtype = _predict(e.astype(np.float32), e.x.astype(np.float32)).dtype
    _demand(dtype == np.float32, e.layer, f"predicts {dtype} where x is float32")


def _check_chunks(e: _Example) -> None:
    """Check that a mini-batch may be cut up, as the network does to keep work in the cache."""
    whole = _run(e)
    parts = [_run(e, rows) for rows in ((0, 1), (1, len(e.ids)))]
    y = np.concatenate([part.y for part in parts], axis=batch_axis(e.dy))
    dx = np.concatenate([part.dx for part in parts], axis=batch_axis(e.x))
    same = _Outcome(y, dx, parts[0].grads + parts[1].grads, whole.around).close(whole)
    broken = "depends on how the batch is cut up; if it needs all of it, say so in whole_batch()"
    _demand(same, e.layer, broken)


def _check_reused_memory(e: _Example) -> None:
    """Check that what is said not to be needed any more may be overwritten before backward."""
    expected, predicted = _run(e), _predict(e, e.x)
    outcome = _overwritten(e, training=True)
    broken = "needs x or y in backward, against its hints or what it asked ctx.output for"
    _demand(outcome.close(expected), e.layer, broken)
    same = _close(_overwritten(e, training=False).y, predicted, 1e-12)
    _demand(same, e.layer, "predicts something else where its memory is used again")


def _overwritten(e: _Example, training: bool) -> _Outcome:
    """Run a layer, and overwrite between forward and backward what it says it does not need."""
    whole = e.layer.whole_batch(training)
    planned = plan(
        [("layer", e.layer)], of_one_sample(e.x.shape), training, whole=whole, needs_dx=True
    )
    parts = list(planned.parts)  # a bias may be one of its own
    parts[0] = replace(parts[0], passes_back=True)
    parts[-1] = replace(parts[-1], passes=True)
    planned = replace(planned, parts=tuple(parts))
    batch = MiniBatch(len(e.ids), training, 1, e.weights, lambda: e.ids)
    x, dy = e.x.copy(), e.dy.copy()
    grads = np.zeros_like(e.theta)
    params = e.layout.views(e.theta)
    with Engine(1, e.x.dtype) as engine:
        place = Place(engine, batch, Chunks, None if whole else (0, len(e.ids)))
        y, cache = forward(planned, params, x, place)
        y_copy = y.copy()
        _demand(e.layer.hints.needs_input or not np.may_share_memory(x, y), e.layer, "returns x")
        if not e.layer.hints.needs_input:
            x[...] = np.nan
        _demand(y.tobytes() == y_copy.tobytes(), e.layer, "returns a part of x")
        if not training:
            return _Outcome(y_copy, dy, grads, grads)
        for side in (True, True):  # the next layers, in the same two buffers
            place.output(side).empty(y.shape, y.dtype)[...] = np.nan
        dx = backward(planned, params, cache, dy, e.layout.views(grads), place)
        return _Outcome(y_copy, np.empty(0) if dx is None else dx.copy(), grads, grads)


def _check_monotonic(e: _Example) -> None:
    """Check that no value of y falls where one of x rises, nor follows from any other of x."""
    rng = np.random.default_rng(2)
    for scale in (1e-3, 1.0, 30.0):
        low = scale * e.x
        rises = rng.random(low.shape) < 0.5
        for step in (np.abs(scale * rng.normal(size=low.shape)), np.abs(np.spacing(low))):
            high = np.where(rises, low + step, low)
            before, after = (_predict(e, x) for x in (low, high))
            _demand(before.shape == low.shape, e.layer, "hints.monotonic, but y has another shape")
            alone = bool((before[~rises] == after[~rises]).all())
            _demand(alone, e.layer, "hints.monotonic, but a value follows from several of x")
            _demand(bool((before <= after).all()), e.layer, "hints.monotonic, but y falls")


def _demand(kept: bool, layer: Layer, broken: str) -> None:
    if not kept:
        raise AssertionError(f"{layer!r}: {broken}.")


def _close(a: Array, b: Array, tolerance: float) -> bool:
    allowed = tolerance * (1 + float(np.abs(b).max(initial=0)))
    return a.shape == b.shape and bool((np.abs(a - b) <= allowed).all())


def _take(x: Array, index: Any) -> Array:
    return np.take(x, index, axis=batch_axis(x))


def _along(numbers: Array, x: Array) -> Array:
    """Shape one number per sample so that they multiply the batch."""
    return numbers.reshape((1, 1, -1, 1) if x.ndim == 4 else (-1, 1))
