"""Squeeze and excite: channels are scaled by what the whole image shows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn._kernels.special import expit
from sknpcnn._values.checks import check_flag, check_integer, check_real
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape
from sknpcnn.layers.batch import image_shape
from sknpcnn.layers.parameter import Parameter


@dataclass(frozen=True, repr=False)
class SqueezeExcite(Layer):
    """Multiply each channel by a gate, computed from the means of all channels (Hu et al. 2018).

    Two small dense layers compute the gates: ``gate(excite(relu(squeeze(mean of the image))))``.

    Parameters
    ----------
    ratio : int
        How many channels the image has for each unit of the first dense layer; it has one at least.
    units : int or None
        The number of these units, whatever the ratio; None for what the ratio makes.
    hard : bool
        Whether the activation of the gates is ``min(max(x + 3, 0), 6) / 6`` instead of the sigmoid.
    lr_scale : float
        Factor on the learning rate of this layer; 0 freezes it.

    Examples
    --------
    >>> from sknpcnn.layers import SqueezeExcite
    >>> SqueezeExcite(4).parameters((7, 7, 16))["W_squeeze"].shape
    (16, 4)
    """

    ratio: int = 16
    units: int | None = None
    hard: bool = False
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_integer(self, "ratio")
        if self.units is not None:
            check_integer(self, "units", needed="None or an integer of at least 1")
        check_flag(self, "hard")
        check_real(self, "lr_scale")

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        _, _, channels = image_shape(self, shape)
        units = self.units or max(channels // self.ratio, 1)

        def weights(inputs: int, outputs: int) -> Parameter:
            return Parameter((inputs, outputs), inputs, decay=True, lr_scale=self.lr_scale)

        return {
            "W_squeeze": weights(channels, units),
            "b_squeeze": Parameter((units,), lr_scale=self.lr_scale),
            "W_excite": weights(units, channels),
            "b_excite": Parameter((channels,), lr_scale=self.lr_scale),
        }

    def output_shape(self, shape: Shape) -> Shape:
        return image_shape(self, shape)

    def multiply_adds(self, shape: Shape) -> int:
        found = self.parameters(shape)
        return found["W_squeeze"].size + found["W_excite"].size

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        h, w, n, channels = x.shape
        units = params["b_squeeze"].size
        means, gates = (ctx.empty((n, channels), x.dtype) for _ in range(2))
        hidden = ctx.empty((n, units), x.dtype)
        np.add.reduce(x, axis=(0, 1), out=means)
        means *= x.dtype.type(1 / (h * w))
        np.matmul(means, params["W_squeeze"], out=hidden)
        hidden += params["b_squeeze"]
        np.maximum(hidden, 0, out=hidden)
        np.matmul(hidden, params["W_excite"], out=gates)
        gates += params["b_excite"]
        if self.hard:
            gates += x.dtype.type(3)
            np.minimum(np.maximum(gates, 0, out=gates), 6, out=gates)
            gates *= x.dtype.type(1 / 6)
        else:
            expit(gates, out=gates)
        y = np.multiply(x, gates, out=ctx.output(x.shape, x.dtype))
        return y, (x, means, hidden, gates)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, means, hidden, gates = cache
        products = np.multiply(dy, x, out=ctx.scratch(x.shape, x.dtype))
        d_gates = np.add.reduce(products, axis=(0, 1), out=ctx.scratch(gates.shape, x.dtype))
        d_gates *= self._slope(gates, ctx)
        np.matmul(hidden.T, d_gates, out=grads["W_excite"])
        np.add.reduce(d_gates, axis=0, out=grads["b_excite"])
        d_hidden = ctx.scratch(hidden.shape, x.dtype)
        np.matmul(d_gates, params["W_excite"].T, out=d_hidden)
        d_hidden *= np.greater(hidden, 0, out=ctx.scratch(hidden.shape, np.bool_))
        np.matmul(means.T, d_hidden, out=grads["W_squeeze"])
        np.add.reduce(d_hidden, axis=0, out=grads["b_squeeze"])
        if not ctx.needs_dx:
            return None
        d_means = ctx.scratch(means.shape, x.dtype)
        np.matmul(d_hidden, params["W_squeeze"].T, out=d_means)
        d_means *= x.dtype.type(1 / (x.shape[0] * x.shape[1]))
        dx: Array = np.multiply(dy, gates, out=ctx.output(x.shape, x.dtype))
        dx += d_means
        return dx

    def _slope(self, gates: Array, ctx: Context) -> Array:
        """Compute the derivative of the gates from their values."""
        slope: Array = np.subtract(1, gates, out=ctx.scratch(gates.shape, gates.dtype))
        slope *= gates
        if self.hard:  # 1 / 6 where neither factor is zero
            np.greater(slope, 0, out=slope)
            slope *= gates.dtype.type(1 / 6)
        return slope
