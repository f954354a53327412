"""Composite layers: a sequence, and the sum of a sequence and its input."""

from dataclasses import dataclass
from typing import Any

from sknpcnn._values.brief import brief
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape
from sknpcnn.layers.forks import add
from sknpcnn.layers.steps import Steps, shapes
from sknpcnn.spec import check_nesting, check_reserved, named


@dataclass(frozen=True, repr=False)
class Sequential(Layer):
    """Apply layers one after the other; they may be nested up to 32 levels deep.

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
        check_reserved(dict(self.layers), ("layers",), "Sequential: layers")
        check_nesting(self, "Sequential: layers")

    @property
    def branches(self) -> tuple[Steps, ...]:
        return (self.layers,)

    def output_shape(self, shape: Shape) -> Shape:
        return shapes(self.layers, shape)[-1]

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        return ctx.forward(params, x)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        return ctx.backward(params, cache, dy, grads)


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """Add the input to the output of the layers: ``x + layers(x)`` (He et al. 2016).

    Parameters
    ----------
    layers : list of layers or of (name, layer) pairs
        Their output is added to the input.
    shortcut : layer or None
        A layer that the input passes through before it is added; None for the input itself, which
        requires that the layers keep the shape.

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
        check_reserved(dict(self.layers), ("layers", "shortcut"), "Residual: layers")
        if not (self.shortcut is None or isinstance(self.shortcut, Layer)):
            raise TypeError(
                f"Residual: shortcut={brief(self.shortcut)}; needed: None or a layer, such as "
                "Conv2D(32, kernel_size=1, stride=2)."
            )
        check_nesting(self, "Residual: layers or shortcut")

    @property
    def branches(self) -> tuple[Steps, ...]:
        return self.layers, () if self.shortcut is None else (("shortcut", self.shortcut),)

    def output_shape(self, shape: Shape) -> Shape:
        through, around = (shapes(steps, shape)[-1] for steps in self.branches)
        if through != around:
            raise ValueError(
                f"Residual: the layers turn {shape} into {through}, the shortcut into {around}; "
                "needed: the same shape. Set a shortcut layer with the same output, such as "
                "Conv2D(filters, kernel_size=1, stride=2)."
            )
        return through

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        through, cache = ctx.forward(params, x, branch=0)
        around, around_cache = ctx.forward(params, x, branch=1)
        return add(through, around, ctx), (cache, around_cache)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        through = ctx.backward(params, cache[0], dy, grads, branch=0)
        around = ctx.backward(params, cache[1], dy, grads, branch=1)
        if through is None or around is None:
            return None
        return add(through, around, ctx)
