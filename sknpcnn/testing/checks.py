"""The contract of layers as a test, for authors of layers of their own."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np

from sknpcnn.layers.base import Array, Layer, Shape
from sknpcnn.layers.batch import batch_axis
from sknpcnn.layers.parameter import Parameter
from sknpcnn.testing.running import (
    Example,
    Outcome,
    along,
    close,
    demand,
    make_example,
    predict,
    run,
    run_overwritten,
    take,
)

STEP, TOLERANCE = 1e-6, 1e-6  # of central differences, and how far they may be from the gradient


@np.errstate(all="ignore")  # as where layers run: in training and prediction
def check_layer(layer: Layer, shape: Shape, *, n: int = 5, seed: int = 0) -> None:
    """Check that a layer fulfills its contract, on random values.

    It is an immutable value; its shapes are those it announces; it modifies none of its inputs;
    backward writes all gradients, and these are right, as is that of a prediction; float32 stays
    float32; results depend neither on threads nor on how a batch is split; a sample of weight two
    is a sample given twice.

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
        If the layer violates the contract; it says how.

    Examples
    --------
    >>> from sknpcnn.layers import Conv2D
    >>> from sknpcnn.testing import check_layer
    >>> check_layer(Conv2D(4, kernel_size=3, stride=2), (7, 5, 3))
    """
    before = pickle.dumps(layer)
    _check_value(layer)
    _check_parameters(layer, shape)
    e = make_example(layer, shape, n, seed)
    _check_inputs_stay(e)
    _check_outputs(e)
    _check_same_bits(e)
    _check_gradients_written(e)
    _check_gradients_right(e)
    _check_parts_of_arrays(e)
    if not layer.whole_batch(training=True):
        _check_chunks(e)
    _check_weights(e)
    _check_prediction(e)
    _check_gradient_of_prediction(e)
    _check_reused_memory(e)
    if layer.hints.monotonic:
        _check_monotonic(e)
    demand(pickle.dumps(layer) == before, layer, "running it has changed it")


def _check_value(layer: Layer) -> None:
    from sklearn.base import clone

    with suppress(FrozenInstanceError):
        changeable: Any = layer
        changeable.note = None
        demand(False, layer, "its attributes can be set; make it @dataclass(frozen=True)")
    copies = {
        "its clone": clone(layer),
        "its pickled copy": pickle.loads(pickle.dumps(layer)),
        "replace(**get_params())": layer.replace(**layer.get_params()),
    }
    for name, copy in copies.items():
        demand(copy == layer, layer, f"is not equal to {name}, {copy!r}")
        demand(hash(copy) == hash(layer), layer, f"has another hash than {name}")


def _check_parameters(layer: Layer, shape: Shape) -> None:
    found = layer.parameters(shape)
    whole = layer.whole_batch(training=True)
    demand(found == layer.parameters(shape), layer, "parameters() differs from call to call")
    for name, p in found.items():
        demand(isinstance(p, Parameter), layer, f"parameters()[{name!r}] is not a Parameter")
        observed = p.running is not None and p.lr_scale > 0
        demand(whole or not observed, layer, f"averages {name}, but not over the whole batch")
    demand(layer.multiply_adds(shape) >= 0, layer, "multiply_adds() is negative")


def _check_inputs_stay(e: Example) -> None:
    own = e.astype(np.float64)
    run(own)
    for name, attribute in (("x", "x"), ("dy", "dy"), ("params", "theta")):
        same = getattr(own, attribute).tobytes() == getattr(e, attribute).tobytes()
        demand(same, e.layer, f"modifies {name}")


def _check_outputs(e: Example) -> None:
    """Check the outputs; from here on the inputs are read-only."""
    exact = run(e)
    for dtype in (np.dtype(np.float64), np.dtype(np.float32)):
        y, dx, *_ = run(e.astype(dtype))
        demand(dx.shape == e.x.shape, e.layer, f"dx is of shape {dx.shape}, not {e.x.shape}")
        for name, array in (("y", y), ("dx", dx)):
            demand(array.dtype == dtype, e.layer, f"{name} is {array.dtype} where x is {dtype}")
            demand(bool(np.isfinite(array).all()), e.layer, f"{name} is not finite")
        demand(close(y, exact.y, 1e-4), e.layer, f"y is inexact in {dtype}")


def _check_gradients_written(e: Example) -> None:
    """Check that backward writes all gradients, nothing around them, and never adds to them."""
    one, two = (run(e, fill=fill) for fill in (np.nan, 7.0))
    for (name, a), (_, b) in zip(e.named(one.grads), e.named(two.grads), strict=True):
        complete = not np.isnan(a).any() and a.tobytes() == b.tobytes()
        demand(complete, e.layer, f"backward does not write all of the gradient of {name}")
    untouched = bool(np.isnan(one.around).all() and (two.around == 7.0).all())
    demand(untouched, e.layer, "backward writes outside of its gradients")
    same = run(e, needs_dx=False).grads.tobytes() == one.grads.tobytes()
    demand(same, e.layer, "the gradients change if dx is not needed")


def _check_gradients_right(e: Example) -> None:
    """Check dx and every trained parameter against central differences, in random directions."""
    outcome, rng = run(e), np.random.default_rng(1)
    v = np.copysign(rng.normal(size=e.x.shape), outcome.dx)
    moved = (replace(e, x=e.x + step * v) for step in (STEP, -STEP))
    _compare_slopes(e, "x", outcome.dx * v, *moved)
    for name, gradient in e.named(outcome.grads):
        parameter, place = e.layout.parameters[f"layer.{name}"], e.layout.slices[f"layer.{name}"]
        if parameter.running is None:
            v = np.zeros_like(e.theta)
            v[place] = np.copysign(rng.normal(size=parameter.size), gradient.ravel())
            moved = (replace(e, theta=e.theta + step * v) for step in (STEP, -STEP))
            _compare_slopes(e, name, gradient.ravel() * v[place], *moved)


def _compare_slopes(e: Example, name: str, terms: Array, up: Example, down: Example) -> None:
    measured = float(((run(up).y - run(down).y) * e.dy).sum()) / (2 * STEP)
    announced = float(terms.sum())
    right = abs(measured - announced) <= TOLERANCE * (1 + announced)
    slopes = f"its slope in some direction is {measured:.9g}, not {announced:.9g}"
    demand(right, e.layer, f"backward computes a wrong gradient of {name}: {slopes}")


def _check_same_bits(e: Example) -> None:
    """Check that no bit depends on repetition, or on threads within the layer or around it."""
    expected = run(e).bits()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(run, e, n_threads=1 + i % 2) for i in range(8)]
        same = all(job.result().bits() == expected for job in jobs)
    demand(same, e.layer, "gives another result when it runs again, on several threads")


def _check_parts_of_arrays(e: Example) -> None:
    """Check inputs that are views into larger arrays, as chunks of a batch are."""
    larger = (np.pad(array, 1, constant_values=np.nan) for array in (e.x, e.dy))
    x, dy = (array[(slice(1, -1),) * array.ndim] for array in larger)
    same = run(replace(e, x=x, dy=dy)).close(run(e))
    demand(same, e.layer, "gives another result if its inputs are parts of larger arrays")


def _check_weights(e: Example) -> None:
    """Check that integer weights are repetitions, and that weight zero is absence."""
    counts = np.resize([2, 0, 1], len(e.ids))
    index = np.repeat(np.arange(len(e.ids)), counts)
    weighted = run(replace(e, dy=e.dy * along(counts, e.dy), weights=counts.astype(float)))
    repeated = run(replace(e, x=take(e.x, index), dy=take(e.dy, index), ids=e.ids[index]))
    shared = weighted.dx / along(np.maximum(counts, 1), e.x)
    expected = weighted._replace(y=take(weighted.y, index), dx=take(shared, index))
    same = repeated.close(expected, 1e-10)
    demand(same, e.layer, "a sample of weight two differs from a sample given twice")
    absent = not take(weighted.dx, np.flatnonzero(counts == 0)).any()
    demand(absent, e.layer, "a sample of weight zero has a gradient")


def _check_prediction(e: Example) -> None:
    """Check that a prediction has its shape and does not depend on the other samples."""
    y = predict(e, e.x)
    demand(y.shape == e.dy.shape, e.layer, f"predicts the shape {y.shape}, not {e.dy.shape}")
    alone = close(predict(e, take(e.x, [1])), take(y, [1]), 1e-10)
    demand(alone, e.layer, "the prediction of a sample depends on the other samples")
    dtype = predict(e.astype(np.float32), e.x.astype(np.float32)).dtype
    demand(dtype == np.float32, e.layer, f"predicts {dtype} where x is float32")


def _check_gradient_of_prediction(e: Example) -> None:
    """Check dx of a prediction against central differences, in a random direction."""
    try:
        dx = run(e, training=False).dx
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        broken = f"backward fails where ctx.training is False, but ctx.keeps_cache True ({message})"
        raise AssertionError(f"{e.layer!r}: {broken}.") from error
    v = np.copysign(np.random.default_rng(1).normal(size=e.x.shape), dx)
    up, down = (predict(e, e.x + step * v) for step in (STEP, -STEP))
    measured = float(((up - down) * e.dy).sum()) / (2 * STEP)
    announced = float((dx * v).sum())
    right = abs(measured - announced) <= TOLERANCE * (1 + announced)
    slopes = f"its slope in some direction is {measured:.9g}, not {announced:.9g}"
    demand(right, e.layer, f"backward computes a wrong gradient of a prediction: {slopes}")


def _check_chunks(e: Example) -> None:
    """Check that a mini-batch may be split, as the network does so that chunks fit the cache."""
    whole = run(e)
    parts = [run(e, rows) for rows in ((0, 1), (1, len(e.ids)))]
    y = np.concatenate([part.y for part in parts], axis=batch_axis(e.dy))
    dx = np.concatenate([part.dx for part in parts], axis=batch_axis(e.x))
    same = Outcome(y, dx, parts[0].grads + parts[1].grads, whole.around).close(whole)
    broken = (
        "depends on how the batch is split; if it needs all samples at once, return True from "
        "whole_batch()"
    )
    demand(same, e.layer, broken)


def _check_reused_memory(e: Example) -> None:
    """Check that memory the layer declares as no longer needed may be overwritten."""
    expected, predicted = run(e), predict(e, e.x)
    outcome = run_overwritten(e, training=True)
    broken = "needs x or y in backward, contrary to its hints or its call of ctx.output"
    demand(outcome.close(expected), e.layer, broken)
    same = close(run_overwritten(e, training=False).y, predicted, 1e-12)
    demand(same, e.layer, "its predictions change if its memory is reused")


def _check_monotonic(e: Example) -> None:
    """Check that each element of y is a non-decreasing function of one element of x."""
    rng = np.random.default_rng(2)
    for scale in (1e-3, 1.0, 30.0):
        low = scale * e.x
        rises = rng.random(low.shape) < 0.5
        for step in (np.abs(scale * rng.normal(size=low.shape)), np.abs(np.spacing(low))):
            high = np.where(rises, low + step, low)
            before, after = (predict(e, x) for x in (low, high))
            demand(before.shape == low.shape, e.layer, "hints.monotonic, but y has another shape")
            alone = bool((before[~rises] == after[~rises]).all())
            demand(alone, e.layer, "hints.monotonic, but a value depends on several of x")
            demand(bool((before <= after).all()), e.layer, "hints.monotonic, but y falls")
