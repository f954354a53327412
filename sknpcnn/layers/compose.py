"""Layers made of layers: a sequence, and a sequence with a way around it."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from sknpcnn.brief import brief
from sknpcnn.layers.base import Array, Arrays, Layer, Shape
from sknpcnn.layers.steps import Steps, backward, forward, prepare, shapes, with_shapes
from sknpcnn.parameters import Parameter
from sknpcnn.spec import check_free, check_nesting, named


@dataclass(frozen=True, repr=False)
class Sequential(Layer):
    """Pass through one layer after the other; they may be nested 32 levels deep.

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
        object.__setattr__(self, "layers", named(self.layers, "Sequential: layers", Layer))
        check_free(dict(self.steps), ("layers",), "Sequential: layers")
        check_nesting(self, "Sequential: layers")

    @property
    def steps(self) -> Steps:
        """The layers by name."""
        return self.layers

    @property
    def whole_batch(self) -> bool:
        """Whether one of the layers wants the whole batch."""
        return any(layer.whole_batch for _, layer in self.steps)

    def joins(self, training: bool) -> bool:
        return any(layer.joins(training) for _, layer in self.steps)

    @property
    def random(self) -> bool:
        """Whether one of the layers draws random numbers."""
        return any(layer.random for _, layer in self.steps)

    def output_shape(self, shape: Shape) -> Shape:
        return shapes(self.steps, shape)[-1]

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return parameters(self.steps, shape)

    def multiply_adds(self, shape: Shape) -> int:
        return sum(layer.multiply_adds(s) for _, layer, s in with_shapes(self.steps, shape))

    def in_hand(self, shape: Shape) -> int:
        inside = (layer.in_hand(s) for _, layer, s in with_shapes(self.steps, shape))
        return max(inside, default=prod(shape))

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
        object.__setattr__(self, "layers", named(self.layers, "Residual: layers", Layer))
        check_free(dict(self.steps), ("layers", "shortcut"), "Residual: layers")
        if not (self.shortcut is None or isinstance(self.shortcut, Layer)):
            raise TypeError(
                f"Residual: shortcut={brief(self.shortcut)}; needed: None or a layer, such as "
                "Conv2D(32, kernel_size=1, stride=2)."
            )
        check_nesting(self, "Residual: layers or shortcut")

    @property
    def steps(self) -> Steps:
        """The layers by name."""
        return self.layers

    @property
    def around(self) -> Steps:
        """The way around as steps: none or one."""
        return [] if self.shortcut is None else [("shortcut", self.shortcut)]

    @property
    def whole_batch(self) -> bool:
        """Whether one of the layers wants the whole batch."""
        return any(layer.whole_batch for _, layer in (*self.steps, *self.around))

    def joins(self, training: bool) -> bool:
        return any(layer.joins(training) for _, layer in (*self.steps, *self.around))

    @property
    def random(self) -> bool:
        """Whether one of the layers draws random numbers."""
        return any(layer.random for _, layer in (*self.steps, *self.around))

    def output_shape(self, shape: Shape) -> Shape:
        through = shapes(self.steps, shape)[-1]
        around = shapes(self.around, shape)[-1]
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

    def in_hand(self, shape: Shape) -> int:
        steps = (*with_shapes(self.steps, shape), *with_shapes(self.around, shape))
        inside = (layer.in_hand(s) for _, layer, s in steps)
        return prod(shape) + max(inside, default=prod(shape))  # what the other way waits for

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


def parameters(steps: Steps, shape: Shape) -> dict[str, Parameter]:
    """Name all parameters of the steps."""
    return {
        f"{name}.{key}": parameter
        for name, layer, s in with_shapes(steps, shape)
        for key, parameter in layer.parameters(s).items()
    }
