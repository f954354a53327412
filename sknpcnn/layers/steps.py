"""Layers in a row: their shapes, the stretches that run together, forward and backward."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sknpcnn.brief import brief
from sknpcnn.layers.base import Array, Arrays, Layer, Shape
from sknpcnn.layers.bias import Bias
from sknpcnn.layers.conv import Conv2D
from sknpcnn.layers.pool import MaxPool2D

Steps = Sequence[tuple[str, Layer]]


class Stretch(NamedTuple):
    """Consecutive layers that need no other rows: they run together on a few rows at a time."""

    steps: Steps


def pooled_first(steps: Steps) -> list[tuple[str, Layer]]:
    """Move max pooling before the bias and the activation: the same numbers, on fewer pixels.

    A function that never falls keeps the largest of a window the largest. Only where it is flat,
    as below zero, may another pixel of the window get the gradient, which is zero there.
    """
    ordered: list[tuple[str, Layer]] = []
    rising: list[tuple[str, Layer]] = []  # the last ones, which a pooling moves before
    for name, layer in steps:
        if type(layer) is MaxPool2D:  # of these very types: what inherits may do anything
            ordered.append((name, layer))
        elif type(layer) is Conv2D and layer.bias is True:
            ordered += [*rising, (name, replace(layer, bias=False))]
            rising = [(name, Bias())]
        elif layer.rising:
            rising.append((name, layer))
        else:
            ordered += [*rising, (name, layer)]
            rising = []
    return ordered + rising


def stretches(steps: Steps, training: bool) -> Iterator[tuple[str, Layer] | Stretch]:
    """Cut steps into stretches and, between them, the layers that want the whole batch."""
    together: list[tuple[str, Layer]] = []
    for name, layer in steps:
        if not layer.joins(training):
            together.append((name, layer))
            continue
        if together:
            yield Stretch(tuple(together))
        together = []
        yield name, layer
    if together:
        yield Stretch(tuple(together))


def shapes(steps: Steps, shape: Shape) -> list[Shape]:
    """Walk through the steps: the shape of a sample before the first one and behind each."""
    found = [shape]
    for name, layer in steps:
        try:
            found.append(layer.output_shape(found[-1]))
        except ValueError as error:
            raise ValueError(f"layer {brief(name)}: {error}") from None
    return found


def with_shapes(steps: Steps, shape: Shape) -> Iterator[tuple[str, Layer, Shape]]:
    """Walk through the steps with the shape that each is given."""
    before = shapes(steps, shape)[:-1]
    return ((*step, s) for step, s in zip(steps, before, strict=True))


def prepare(steps: Steps, params: Arrays, shape: Shape, ctx: Any) -> dict[str, Any]:
    """Prepare the parameters of all steps for samples of that shape."""
    prepared: dict[str, Any] = {}
    for name, layer, s in with_shapes(steps, shape):
        prepared[name] = prepared.get(name, {}) | layer.prepare(params.get(name, {}), s, ctx)
    return prepared


def forward(
    steps: Steps, params: Arrays, x: Any, ctx: Any, copied: bool = False
) -> tuple[Array, list[Any]]:
    """Run the steps: all rows through one layer after the other, stretches in small parts.

    ``copied`` says that the result is copied at once, so that nobody else needs its memory.
    """
    caches = []
    parts = list(stretches(steps, ctx.training)) if ctx.whole else steps
    for i, part in enumerate(parts):
        wanted = _first(parts[i + 1]).keeps_input if i + 1 < len(parts) else not copied
        if isinstance(part, Stretch):
            with ctx.inside(passes=not wanted):
                x, cache = ctx.forward_in_chunks(part, params, x)
        else:
            name, layer = part
            with ctx.inside(name, passes=not (wanted or (ctx.training and layer.keeps_output))):
                x, cache = layer.forward(params.get(name, {}), x, ctx)
        caches.append(cache)
    return x, caches


def backward(
    steps: Steps,
    params: Arrays,
    caches: list[Any],
    dy: Array,
    grads: Arrays,
    ctx: Any,
    copied: bool = False,
) -> Array | None:
    """Run the steps backwards, no further than somebody reads a gradient."""
    parts = list(stretches(steps, ctx.training) if ctx.whole else steps)
    needed = ctx.needs_dx
    dx: Any = None
    learning = [i for i, part in enumerate(parts) if _learns(part, grads)]
    last = 0 if needed else min(learning, default=len(parts))
    for i in range(len(parts) - 1, last - 1, -1):
        part = parts[i]
        ctx.needs_dx = needed or i > last
        if isinstance(part, Stretch):
            with ctx.inside(passes=i > 0 or copied):
                dx = ctx.backward_in_chunks(part, caches[i], dy, grads)
        else:
            name, layer = part
            with ctx.inside(name, passes=i > 0 or copied):
                dx = layer.backward(params.get(name, {}), caches[i], dy, grads.get(name, {}), ctx)
        dy = dx
    ctx.needs_dx = needed
    return dy if needed else None


def _first(part: tuple[str, Layer] | Stretch) -> Layer:
    return part.steps[0][1] if isinstance(part, Stretch) else part[1]


def _learns(part: tuple[str, Layer] | Stretch, grads: Arrays) -> bool:
    names = [name for name, _ in part.steps] if isinstance(part, Stretch) else [part[0]]
    return any(name in grads for name in names)
