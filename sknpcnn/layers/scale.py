"""Scaling and shifting of channels: what a constant factor or offset in a network is."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn._kernels import windows
from sknpcnn._values.checks import check_flag, check_real
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape
from sknpcnn.layers.batch import image_shape, matrix, per_channel
from sknpcnn.layers.parameter import Parameter


@dataclass(frozen=True, repr=False)
class Scale(Layer):
    """Multiply each channel by a number, and add another one; both are learned.

    Networks from elsewhere standardize their input in this way, and weigh branches.

    Parameters
    ----------
    position : bool
        Whether every pixel of the image has numbers of its own.
    lr_scale : float
        Factor on the learning rate of this layer; 0 freezes it.

    Examples
    --------
    >>> from sknpcnn.layers import Scale
    >>> Scale().parameters((7, 7, 16))["gamma"].shape
    (16,)
    """

    position: bool = False
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_flag(self, "position")
        check_real(self, "lr_scale")

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        each = image_shape(self, shape) if self.position else shape[-1:]
        return {
            "gamma": Parameter(each, start=1.0, lr_scale=self.lr_scale),
            "beta": Parameter(each, lr_scale=self.lr_scale),
        }

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        gamma, beta = (self._for(params[name], x, ctx) for name in ("gamma", "beta"))
        y = np.multiply(x, gamma, out=ctx.output(x.shape, x.dtype))
        return np.add(y, beta, out=y), x

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        products = np.multiply(cache, dy, out=ctx.scratch(dy.shape, dy.dtype))
        if self.position:
            np.add.reduce(products, axis=2, out=grads["gamma"])
            np.add.reduce(dy, axis=2, out=grads["beta"])
        else:
            for name, values in (("gamma", products), ("beta", dy)):
                rows = matrix(windows.contiguous(values, ctx.scratch))
                np.matmul(ctx.constant(np.ones, len(rows), dy.dtype), rows, out=grads[name])
        if not ctx.needs_dx:
            return None
        gamma = self._for(params["gamma"], dy, ctx)
        dx: Array = np.multiply(dy, gamma, out=ctx.output(dy.shape, dy.dtype))
        return dx

    def _for(self, values: Array, x: Array, ctx: Context) -> Array:
        """View the numbers so that they can be combined with a batch."""
        return values[:, :, None] if self.position else per_channel(values, x, ctx)
