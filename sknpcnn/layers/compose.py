"""Layers made of layers: a sequence, and a sequence with a way around it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from sknpcnn.layers.base import Array, Arrays, Layer, Shape
from sknpcnn.layers.bias import Bias
from sknpcnn.layers.conv import Conv2D
from sknpcnn.layers.pool import MaxPool2D
from sknpcnn.parameters import Parameter
from sknpcnn.spec import check_free, named

Steps = Sequence[tuple[str, Layer]]


@dataclass(frozen=True, repr=False)
class Sequential(Layer):
    """Pass through one layer after the other.

    Parameters
    ----------
    layers : list of layers or of (name, layer) pairs
        Plain layers are named by kind and number: ``conv2d_1``, ``relu_1``, ``conv2d_2``.

    Examples
    --------
    >>> from sknpcnn.layers import Conv2D, ReLU, Sequential
    >>> Sequential([Conv2D(8), ReLU(), Conv2D(16, stride=2)]).output_shape((28, 28, 1))
    (14, 14, 16)
    """

    layers: Any = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", named(self.layers, "Sequential"))
        check_free(dict(self.steps), ("layers",), "Sequential")

    @property
    def steps(self) -> Steps:
        """The layers by name."""
        return self.layers

    @property
    def whole_batch(self) -> bool:  # type: ignore[override]
        """Whether one of the layers wants the whole batch."""
        return any(layer.whole_batch for _, layer in self.steps)

    def joins(self, training: bool) -> bool:
        return any(layer.joins(training) for _, layer in self.steps)

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Whether one of the layers draws random numbers."""
        return any(layer.random for _, layer in self.steps)

    @property
    def replayable(self) -> bool:  # type: ignore[override]
        """Whether all of the layers are."""
        return all(layer.replayable for _, layer in self.steps)

    def output_shape(self, shape: Shape) -> Shape:
        return output_shape(self.steps, shape)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return parameters(self.steps, shape)

    def multiply_adds(self, shape: Shape) -> int:
        return sum(layer.multiply_adds(s) for _, layer, s in with_shapes(self.steps, shape))

    def prepare(self, params: Arrays, shape: Shape, ctx: Any) -> Arrays:
        return prepare(self.steps, params, shape, ctx)

    def forward(self, params: Arrays, x: Array, ctx: Any) -> tuple[Array, Any]:
        return forward(self.steps, params, x, ctx)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Any
    ) -> Array | None:
        return backward(self.steps, params, cache, dy, grads, ctx)


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """Add the input to what the layers make of it: ``x + layers(x)`` (He et al. 2016).

    Parameters
    ----------
    layers : list of layers or of (name, layer) pairs
        The way through.
    shortcut : layer or None
        The way around; None for the input itself, which needs layers that keep the shape.

    Examples
    --------
    >>> from sknpcnn.layers import Conv2D, ReLU, Residual
    >>> Residual([Conv2D(16), ReLU(), Conv2D(16)]).output_shape((7, 7, 16))
    (7, 7, 16)
    """

    layers: Any = ()
    shortcut: Layer | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", named(self.layers, "Residual"))
        check_free(dict(self.steps), ("layers", "shortcut"), "Residual")
        if not (self.shortcut is None or isinstance(self.shortcut, Layer)):
            raise TypeError(
                f"Residual: shortcut={self.shortcut!r}; needed: None or a layer, such as "
                "Conv2D(32, kernel_size=1, stride=2)."
            )

    @property
    def steps(self) -> Steps:
        """The layers by name."""
        return self.layers

    @property
    def around(self) -> Steps:
        """The way around as steps: none or one."""
        return [] if self.shortcut is None else [("shortcut", self.shortcut)]

    @property
    def whole_batch(self) -> bool:  # type: ignore[override]
        """Whether one of the layers wants the whole batch."""
        return any(layer.whole_batch for _, layer in (*self.steps, *self.around))

    def joins(self, training: bool) -> bool:
        return any(layer.joins(training) for _, layer in (*self.steps, *self.around))

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Whether one of the layers draws random numbers."""
        return any(layer.random for _, layer in (*self.steps, *self.around))

    @property
    def replayable(self) -> bool:  # type: ignore[override]
        """Whether all of the layers are."""
        return all(layer.replayable for _, layer in (*self.steps, *self.around))

    def output_shape(self, shape: Shape) -> Shape:
        through = output_shape(self.steps, shape)
        around = output_shape(self.around, shape)
        if through != around:
            raise ValueError(
                f"Residual: the layers turn {shape} into {through}, the way around into {around}; "
                "both must agree. Give a shortcut layer that has the same output, such as "
                "Conv2D(filters, kernel_size=1, stride=2)."
            )
        return through

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return parameters(self.steps, shape) | parameters(self.around, shape)

    def multiply_adds(self, shape: Shape) -> int:
        steps = (*with_shapes(self.steps, shape), *with_shapes(self.around, shape))
        return sum(layer.multiply_adds(s) for _, layer, s in steps)

    def prepare(self, params: Arrays, shape: Shape, ctx: Any) -> Arrays:
        through = prepare(self.steps, params, shape, ctx)
        return {**params, **through, **prepare(self.around, params, shape, ctx)}

    def forward(self, params: Arrays, x: Array, ctx: Any) -> tuple[Array, Any]:
        through, cache = forward(self.steps, params, x, ctx)
        around, around_cache = forward(self.around, params, x, ctx)
        y = np.add(through, around, out=ctx.output(through.shape, through.dtype))
        return y, (cache, around_cache)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Any
    ) -> Array | None:
        lasting = ctx.empty(dy.shape, dy.dtype)  # it is read twice
        lasting[...] = dy
        through = backward(self.steps, params, cache[0], lasting, grads, ctx)
        around = backward(self.around, params, cache[1], lasting, grads, ctx)
        if through is None or around is None:
            return None
        return np.add(through, around, out=ctx.output(through.shape, through.dtype))


class Stretch(NamedTuple):
    """Consecutive layers that need no other rows: they run together on a few rows at a time."""

    steps: Steps


def pooled_first(steps: Steps) -> list[tuple[str, Layer]]:
    """Move max pooling before the bias and the activation: the same numbers, on fewer pixels.

    A function that never falls keeps the largest of a window the largest. Only where it is flat,
    as below zero, may another pixel of the window get the gradient, which is zero there.
    """
    ordered: list[tuple[str, Layer]] = []
    for name, layer in steps:
        place = len(ordered)
        if isinstance(layer, MaxPool2D):
            while place and ordered[place - 1][1].rising:
                place -= 1
        if isinstance(layer, Conv2D) and layer.bias is True:
            ordered += [(name, replace(layer, bias=False)), (name, Bias())]
        else:
            ordered.insert(place, (name, layer))
    return ordered


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


def with_shapes(steps: Steps, shape: Shape) -> Iterator[tuple[str, Layer, Shape]]:
    """Walk through the steps with the shape that each is given."""
    for name, layer in steps:
        yield name, layer, shape
        try:
            shape = layer.output_shape(shape)
        except ValueError as error:
            raise ValueError(f"layer {name!r}: {error}") from None


def output_shape(steps: Steps, shape: Shape) -> Shape:
    """Shape of one sample behind the last step."""
    walk = list(with_shapes(steps, shape))
    return walk[-1][1].output_shape(walk[-1][2]) if walk else shape


def largest(steps: Steps, shape: Shape) -> int:
    """Count the numbers of the largest sample on the way."""
    behind = output_shape(steps, shape)
    return max(prod(s) for s in (behind, *(s for _, _, s in with_shapes(steps, shape))))


def parameters(steps: Steps, shape: Shape) -> dict[str, Parameter]:
    """Name all parameters of the steps; weights before a rectifier start as He et al. advise."""
    found: dict[str, Parameter] = {}
    steps = list(_unpacked(steps))
    for i, (name, layer, s) in enumerate(with_shapes(steps, shape)):
        rectified = _meets_rectifier(steps[i + 1 :])
        for key, parameter in layer.parameters(s).items():
            if "." not in key:  # what lies deeper, in a Residual, has been told by its own steps
                parameter = replace(parameter, rectified=rectified)
            found[f"{name}.{key}"] = parameter
    return found


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


def _unpacked(steps: Steps) -> Iterator[tuple[str, Layer]]:
    """Walk through the steps, and through those of a sequence among them: it is only a bracket."""
    for name, layer in steps:
        if isinstance(layer, Sequential):
            yield from ((f"{name}.{deeper}", inner) for deeper, inner in _unpacked(layer.steps))
        else:
            yield name, layer


def _meets_rectifier(steps: Steps) -> bool:
    """Tell whether the activation behind some weights is a rectifier."""
    for _, layer in steps:
        if layer.rectifier:
            return True
        if not layer.transparent:
            break
    return False
