"""Smooth activations: elementwise functions and their derivatives."""

from dataclasses import dataclass
from math import pi, sqrt
from typing import Any, ClassVar

import numpy as np

from sknpcnn._kernels.special import erf, expit
from sknpcnn._values.checks import check_flag, check_real
from sknpcnn.layers.base import Array, Arrays, Context, Hints, Layer


@dataclass(frozen=True, repr=False)
class Identity(Layer):
    """Return the input unchanged.

    Examples
    --------
    >>> from sknpcnn.layers import Identity
    >>> Identity().output_shape((100,))
    (100,)
    """

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        return x, None

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        return dy


@dataclass(frozen=True, repr=False)
class ELU(Layer):
    """Exponential linear unit: ``x`` above zero, ``scale * (exp(x) - 1)`` below.

    Parameters
    ----------
    scale : float
        The negative side approaches ``-scale``.

    Examples
    --------
    >>> from sknpcnn.layers import ELU
    >>> ELU().output_shape((100,))
    (100,)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    scale: float = 1.0

    def __post_init__(self) -> None:
        check_real(self, "scale", 0.0, open_="low")

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = np.minimum(x, 0, out=ctx.output(x.shape, x.dtype, keep=True))
        np.expm1(y, out=y)
        y *= x.dtype.type(self.scale)
        y += np.maximum(x, 0, out=ctx.scratch(x.shape, x.dtype))
        return y, y

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        scale = dy.dtype.type(self.scale)
        slope = np.minimum(cache, 0, out=ctx.output(dy.shape, dy.dtype))
        slope += scale  # below zero y + scale, above it 1
        positive = np.greater(cache, 0, out=ctx.scratch(dy.shape, np.bool_))
        slope += np.multiply(positive, 1 - scale, out=ctx.scratch(dy.shape, dy.dtype))
        dx: Array = np.multiply(dy, slope, out=slope)
        return dx


@dataclass(frozen=True, repr=False)
class GELU(Layer):
    """Multiply each element by the normal distribution function: ``x * Phi(x)``.

    Parameters
    ----------
    approximate : bool
        Whether to replace ``Phi(x)`` by ``(1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``,
        as many networks of others do.

    Examples
    --------
    >>> from sknpcnn.layers import GELU
    >>> GELU().output_shape((100,))
    (100,)
    """

    approximate: bool = False

    def __post_init__(self) -> None:
        check_flag(self, "approximate")

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        cdf = ctx.empty(x.shape, x.dtype)
        if self.approximate:
            np.tanh(_bent(x, 1, cdf), out=cdf)
        else:
            erf(np.multiply(x, x.dtype.type(sqrt(0.5)), out=cdf), out=cdf)
        cdf += x.dtype.type(1)
        cdf *= x.dtype.type(0.5)
        return np.multiply(x, cdf, out=ctx.output(x.shape, x.dtype)), (x, cdf)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, cdf = cache  # (x Phi)' = Phi + x phi
        slope = ctx.output(dy.shape, dy.dtype)
        if self.approximate:  # Phi = (1 + tanh u) / 2, so phi = 2 Phi (1 - Phi) u'
            steep = _bent(x, 3, ctx.scratch(dy.shape, dy.dtype))  # x u'
            np.subtract(1, cdf, out=slope)
            slope *= cdf
            slope *= dy.dtype.type(2)
            slope *= steep
        else:
            np.multiply(x, x, out=slope)
            slope *= dy.dtype.type(-0.5)
            np.exp(slope, out=slope)
            slope *= dy.dtype.type(1 / sqrt(2 * pi))
            slope *= x
        slope += cdf
        dx: Array = np.multiply(dy, slope, out=slope)
        return dx


def _bent(x: Array, factor: int, out: Array) -> Array:
    """Compute ``sqrt(2 / pi) * (x + factor * 0.044715 * x**3)``."""
    np.multiply(x, x, out=out)
    out *= x.dtype.type(factor * 0.044715 * sqrt(2 / pi))
    out += x.dtype.type(sqrt(2 / pi))
    out *= x
    return out


@dataclass(frozen=True, repr=False)
class Softplus(Layer):
    """Rectify smoothly: ``log(1 + exp(x))``.

    Examples
    --------
    >>> from sknpcnn.layers import Softplus
    >>> Softplus().output_shape((100,))
    (100,)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = np.absolute(x, out=ctx.output(x.shape, x.dtype, keep=True))
        np.negative(y, out=y)
        np.log1p(np.exp(y, out=y), out=y)  # of exp(-|x|), which does not overflow
        y += np.maximum(x, 0, out=ctx.scratch(x.shape, x.dtype))
        return y, y

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        slope = np.negative(cache, out=ctx.output(dy.shape, dy.dtype))
        np.expm1(slope, out=slope)  # the slope is 1 - exp(-y)
        np.negative(slope, out=slope)
        dx: Array = np.multiply(dy, slope, out=slope)
        return dx


@dataclass(frozen=True, repr=False)
class SiLU(Layer):
    """Multiply each element by its own sigmoid: ``x * sigmoid(x)``.

    Examples
    --------
    >>> from sknpcnn.layers import SiLU
    >>> SiLU().output_shape((100,))
    (100,)
    """

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        gate = expit(x, out=ctx.empty(x.shape, x.dtype))
        return np.multiply(x, gate, out=ctx.output(x.shape, x.dtype)), (x, gate)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, gate = cache  # (x s)' = s + x s (1 - s)
        slope = np.subtract(1, gate, out=ctx.output(dy.shape, dy.dtype))
        slope *= x
        slope += dy.dtype.type(1)
        slope *= gate
        dx: Array = np.multiply(dy, slope, out=slope)
        return dx


@dataclass(frozen=True, repr=False)
class Tanh(Layer):
    """Hyperbolic tangent.

    Examples
    --------
    >>> from sknpcnn.layers import Tanh
    >>> Tanh().output_shape((100,))
    (100,)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = np.tanh(x, out=ctx.output(x.shape, x.dtype, keep=True))
        return y, y

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        slope = np.multiply(cache, cache, out=ctx.output(dy.shape, dy.dtype))
        np.subtract(1, slope, out=slope)
        dx: Array = np.multiply(dy, slope, out=slope)
        return dx


@dataclass(frozen=True, repr=False)
class Sigmoid(Layer):
    """Logistic function, ``1 / (1 + exp(-x))``.

    Examples
    --------
    >>> from sknpcnn.layers import Sigmoid
    >>> Sigmoid().output_shape((100,))
    (100,)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = expit(x, out=ctx.output(x.shape, x.dtype, keep=True))
        return y, y

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        slope = np.subtract(1, cache, out=ctx.output(dy.shape, dy.dtype))
        slope *= cache
        dx: Array = np.multiply(dy, slope, out=slope)
        return dx
