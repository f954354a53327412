"""Rectifiers: activations of straight pieces, the first choice for convolutions."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn._kernels import windows
from sknpcnn._values.checks import check_real
from sknpcnn.layers.base import Array, Arrays, Context, Hints, Layer, Shape
from sknpcnn.layers.batch import matrix, per_channel
from sknpcnn.layers.parameter import Parameter


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
class PReLU(Layer):
    """Rectify, with a learned slope on the negative side (He et al. 2015).

    Parameters
    ----------
    start : float
        Initial slope of each channel.
    lr_scale : float
        Factor on the learning rate of this layer; 0 freezes it.

    Examples
    --------
    >>> from sknpcnn.layers import PReLU
    >>> PReLU().parameters((7, 7, 16))["slope"].shape
    (16,)
    """

    start: float = 0.25
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_real(self, "start", 0.0, 1.0)
        check_real(self, "lr_scale")

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return {"slope": Parameter(shape[-1:], start=self.start, lr_scale=self.lr_scale)}

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = np.minimum(x, 0, out=ctx.output(x.shape, x.dtype))
        y *= per_channel(params["slope"], x, ctx)
        y += np.maximum(x, 0, out=ctx.scratch(x.shape, x.dtype))
        return y, x

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x = windows.contiguous(cache, ctx.scratch)
        products = np.minimum(x, 0, out=ctx.scratch(x.shape, x.dtype))
        products *= dy
        rows = matrix(products)
        np.matmul(ctx.constant(np.ones, len(rows), x.dtype), rows, out=grads["slope"])
        if not ctx.needs_dx:
            return None
        # where x is positive the slope is 1, elsewhere that of the channel
        slope = per_channel(params["slope"], x, ctx)
        positive = np.greater(x, 0, out=ctx.scratch(x.shape, np.bool_))
        rise = np.subtract(1, slope, out=ctx.scratch(slope.shape, x.dtype))
        factor = np.multiply(positive, rise, out=ctx.output(dy.shape, dy.dtype))
        factor += slope
        dx: Array = np.multiply(dy, factor, out=factor)
        return dx


@dataclass(frozen=True, repr=False)
class ReLU6(Layer):
    """Rectify between two bounds: ``min(max(x, 0), 6)``.

    Examples
    --------
    >>> from sknpcnn.layers import ReLU6
    >>> ReLU6().output_shape((100,))
    (100,)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False, monotonic=True)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = ctx.output(x.shape, x.dtype, keep=True)
        return _clip(x, 0, 6, y, ctx), y

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        rising = _is_between(cache, 0, 6, ctx)
        dx: Array = np.multiply(dy, rising, out=ctx.output(dy.shape, dy.dtype))
        return dx


@dataclass(frozen=True, repr=False)
class HardSwish(Layer):
    """Multiply each element by a gate of straight pieces: ``x * min(max(x + 3, 0), 6) / 6``.

    Examples
    --------
    >>> from sknpcnn.layers import HardSwish
    >>> HardSwish().output_shape((100,))
    (100,)
    """

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = _clip(x, -3, 3, ctx.output(x.shape, x.dtype), ctx)
        y += x.dtype.type(3)
        y *= x.dtype.type(1 / 6)
        y *= x
        return y, x

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        # the slope is the gate, (x + 3) / 6, and where that rises x / 6 more
        slope = _clip(cache, -3, 3, ctx.output(dy.shape, dy.dtype), ctx)
        rising = _is_between(cache, -3, 3, ctx)
        slope += np.multiply(slope, rising, out=ctx.scratch(dy.shape, dy.dtype))
        slope += dy.dtype.type(3)
        slope *= dy.dtype.type(1 / 6)
        dx: Array = np.multiply(dy, slope, out=slope)
        return dx


def _clip(x: Array, low: float, high: float, out: Array, ctx: Context) -> Array:
    """Limit each element; faster than with scalars, whose loops are not vectorized."""
    lows, highs = (ctx.constant(np.full, x.shape[1:], v, x.dtype) for v in (low, high))
    clipped: Array = np.minimum(np.maximum(x, lows, out=out), highs, out=out)
    return clipped


def _is_between(x: Array, low: float, high: float, ctx: Context) -> Array:
    """Return whether each element is between two bounds."""
    above, below = (ctx.scratch(x.shape, np.bool_) for _ in range(2))
    np.logical_and(np.greater(x, low, out=above), np.less(x, high, out=below), out=above)
    return above
