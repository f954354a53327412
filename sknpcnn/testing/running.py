"""How checks run one layer: forward and backward on random values, in memory of all kinds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sknpcnn._engine.chunks import sample_shape
from sknpcnn._engine.context import MiniBatch, Workspace, backward, forward
from sknpcnn._engine.engine import Arena, Engine
from sknpcnn._engine.parallel import ThreadedRunner, whole_batch
from sknpcnn._engine.plan import plan
from sknpcnn._network.parameters import Layout
from sknpcnn.layers.base import Array, Layer, Shape
from sknpcnn.layers.batch import batch_axis
from sknpcnn.layers.steps import parameters

GUARD = 16  # elements on either side of the gradients, which no layer may write to


@dataclass(frozen=True)
class Example:
    """A layer and all that is needed to run it, in read-only arrays."""

    layer: Layer
    layout: Layout
    theta: Array
    x: Array
    dy: Array
    ids: Array
    weights: Array | None = None

    def views(self, vector: Array) -> Any:
        """Return the layer's arrays inside a vector, by name."""
        return self.layout.views(vector).get("layer", {})

    def named(self, vector: Array) -> Iterator[tuple[str, Array]]:
        """Iterate over the layer's arrays inside a vector, those of nested layers too."""
        for name, array in self.layout.arrays(vector):
            yield name.removeprefix("layer."), array

    def astype(self, dtype: Any) -> "Example":
        """Return the example in another precision, in arrays that can be written to."""
        copies: Any = {name: getattr(self, name).astype(dtype) for name in ("theta", "x", "dy")}
        return replace(self, **copies)


class Outcome(NamedTuple):
    """The results of a layer. ``around`` is the memory next to the gradients."""

    y: Array
    dx: Array
    grads: Array
    around: Array

    def bits(self) -> list[bytes]:
        """Return the bytes of all arrays."""
        return [array.tobytes() for array in self]

    def close(self, other: "Outcome", tolerance: float = 1e-12) -> bool:
        """Return whether y, dx and the gradients equal another outcome's, except for rounding."""
        return all(close(a, b, tolerance) for a, b in zip(self[:3], other[:3], strict=True))


def make_example(layer: Layer, shape: Shape, n: int, seed: int) -> Example:
    """Draw parameters, input and the gradient of the output at random."""

    def random(shape: Shape) -> Array:
        return rng.normal(size=(*shape[:2], n, shape[2]) if len(shape) == 3 else (n, *shape))

    rng = np.random.default_rng(seed)
    layout = Layout(parameters([("layer", layer)], shape))
    # Away from their initial values, so that a bias is not zero; upwards, so that variances stay
    # positive.
    theta = layout.start(seed, np.float64) + rng.uniform(0.0, 0.5, layout.size)
    x, dy = random(shape), random(layer.output_shape(shape))
    for array in (theta, x, dy):
        array.flags.writeable = False
    return Example(layer, layout, theta, x, dy, np.arange(n, dtype=np.uint32))


def run(
    e: Example,
    rows: Any = None,
    n_threads: int = 1,
    fill: float = np.nan,
    needs_dx: bool = True,
    training: bool = True,
) -> Outcome:
    """Run forward and backward, on rows (lo, hi) if given; the gradients are ``fill`` before."""
    batch = MiniBatch(len(e.ids), training, 1, e.weights, lambda: e.ids, keeps_cache=True)
    x, dy = (a if rows is None else take(a, range(*rows)) for a in (e.x, e.dy))
    memory = np.full(e.layout.size + 2 * GUARD, fill, x.dtype)
    grads = memory[GUARD:-GUARD]
    params = e.layout.views(e.theta)
    steps, shape = [("layer", e.layer)], sample_shape(x.shape)
    planned, another = (
        plan(steps, shape, training, path=path, whole=rows is None, needs_dx=needs_dx)
        for path in ((), ("other",))
    )
    with Engine(n_threads, x.dtype) as engine:
        place = Workspace(engine, batch, ThreadedRunner, rows)
        y, cache = forward(planned, params, x, place)
        demand(y.shape == dy.shape, e.layer, f"y is of shape {y.shape}, not {dy.shape}")
        y = y.copy()
        # Another layer uses the same scratch memory before backward runs.
        other = Workspace(engine, batch, ThreadedRunner, rows, memory=Arena(x.dtype))
        forward(another, params, 0.5 - x, other)
        dx = backward(planned, params, cache, dy, e.layout.views(grads), place)
        dx = np.empty(0, x.dtype) if dx is None else dx.copy()
    return Outcome(y, dx, grads, np.delete(memory, np.s_[GUARD:-GUARD]))


def predict(e: Example, x: Array) -> Array:
    """Compute what the layer predicts for other samples."""
    planned = plan([("layer", e.layer)], sample_shape(x.shape), training=False)
    with Engine(1, x.dtype) as engine:
        batch = MiniBatch(x.shape[batch_axis(x)], training=False)
        place = whole_batch(engine, batch)
        return forward(planned, e.layout.views(e.theta), x, place)[0].copy()


def run_overwritten(e: Example, training: bool) -> Outcome:
    """Run a layer, and overwrite between forward and backward what it says it does not need."""
    whole = e.layer.whole_batch(training)
    planned = plan(
        [("layer", e.layer)], sample_shape(e.x.shape), training, whole=whole, needs_dx=True
    )
    parts = list(planned.parts)  # a bias may be a separate part
    parts[0] = replace(parts[0], transient_gradient=True)
    parts[-1] = replace(parts[-1], transient_output=True)
    planned = replace(planned, parts=tuple(parts))
    batch = MiniBatch(len(e.ids), training, 1, e.weights, lambda: e.ids)
    x, dy = e.x.copy(), e.dy.copy()
    grads = np.zeros_like(e.theta)
    params = e.layout.views(e.theta)
    with Engine(1, e.x.dtype) as engine:
        place = Workspace(engine, batch, ThreadedRunner, None if whole else (0, len(e.ids)))
        y, cache = forward(planned, params, x, place)
        y_copy = y.copy()
        demand(e.layer.hints.needs_input or not np.may_share_memory(x, y), e.layer, "returns x")
        if not e.layer.hints.needs_input:
            x[...] = np.nan
        demand(y.tobytes() == y_copy.tobytes(), e.layer, "returns a part of x")
        if not training:
            return Outcome(y_copy, dy, grads, grads)
        for side in (True, True):  # the next layers, in the same two buffers
            place.output(side).empty(y.shape, y.dtype)[...] = np.nan
        dx = backward(planned, params, cache, dy, e.layout.views(grads), place)
        return Outcome(y_copy, np.empty(0) if dx is None else dx.copy(), grads, grads)


def demand(kept: bool, layer: Layer, broken: str) -> None:
    """Raise if a promise is not kept."""
    if not kept:
        raise AssertionError(f"{layer!r}: {broken}.")


def close(a: Array, b: Array, tolerance: float) -> bool:
    """Return whether two arrays differ by no more than a fraction of the largest value."""
    allowed = tolerance * (1 + float(np.abs(b).max(initial=0)))
    return a.shape == b.shape and bool((np.abs(a - b) <= allowed).all())


def take(x: Array, index: Any) -> Array:
    """Select samples of a batch."""
    part: Array = np.take(x, index, axis=batch_axis(x))
    return part


def along(values: Array, x: Array) -> Array:
    """Reshape one value per sample so that they multiply the batch."""
    return values.reshape((1, 1, -1, 1) if x.ndim == 4 else (-1, 1))
