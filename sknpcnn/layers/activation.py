"""Activations: elementwise functions and their derivatives."""

from dataclasses import dataclass
from math import pi, sqrt
from typing import Any, ClassVar

import numpy as np

from sknpcnn._kernels.special import erf, expit
from sknpcnn._values.checks import check_real
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
class ReLU(Layer):
    """Rectify: ``max(x, 0)``.

    Examples
    --------
    >>> from sknpcnn.layers import ReLU
    >>> ReLU().output_shape((100,))
    (100,)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False, monotonic=True)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        # faster than a scalar, whose loop is not vectorized
        zeros = ctx.constant(np.zeros, x.shape[1:], x.dtype)
        y = np.maximum(x, zeros, out=ctx.output(x.shape, x.dtype, keep=True))
        return y, y

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        positive = np.greater(cache, 0, out=ctx.scratch(dy.shape, np.bool_))
        dx: Array = np.multiply(dy, positive, out=ctx.output(dy.shape, dy.dtype))
        return dx


@dataclass(frozen=True, repr=False)
class LeakyReLU(Layer):
    """Rectify with a small slope on the negative side: ``max(x, slope * x)``.

    Parameters
    ----------
    slope : float
        Slope of the negative side, from 0 to 1.

    Examples
    --------
    >>> from sknpcnn.layers import LeakyReLU
    >>> LeakyReLU(0.1).output_shape((100,))
    (100,)
    """

    hints: ClassVar[Hints] = Hints(monotonic=True)

    slope: float = 0.01

    def __post_init__(self) -> None:
        check_real(self, "slope", 0.0, 1.0)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = np.multiply(x, x.dtype.type(self.slope), out=ctx.output(x.shape, x.dtype))
        return np.maximum(x, y, out=y), x

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        positive = np.greater(cache, 0, out=ctx.scratch(dy.shape, np.bool_))
        rise = dy.dtype.type(1 - self.slope)
        slope = np.multiply(positive, rise, out=ctx.output(dy.shape, dy.dtype))
        slope += dy.dtype.type(self.slope)
        dx: Array = np.multiply(dy, slope, out=slope)
        return dx


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

    Examples
    --------
    >>> from sknpcnn.layers import GELU
    >>> GELU().output_shape((100,))
    (100,)
    """

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        cdf = self._normal_cdf(x, ctx.empty(x.shape, x.dtype))
        return np.multiply(x, cdf, out=ctx.output(x.shape, x.dtype)), (x, cdf)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, cdf = cache  # (x Phi)' = Phi + x phi
        slope = np.multiply(x, x, out=ctx.output(dy.shape, dy.dtype))
        slope *= dy.dtype.type(-0.5)
        np.exp(slope, out=slope)
        slope *= dy.dtype.type(1 / sqrt(2 * pi))
        slope *= x
        slope += cdf
        dx: Array = np.multiply(dy, slope, out=slope)
        return dx

    @staticmethod
    def _normal_cdf(x: Array, out: Array) -> Array:
        np.multiply(x, x.dtype.type(sqrt(0.5)), out=out)
        erf(out, out=out)
        out += x.dtype.type(1)
        out *= x.dtype.type(0.5)
        return out


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
