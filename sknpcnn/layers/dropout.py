"""Dropout: train without a random fraction of the inputs, so that no unit relies on any one."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn._values.checks import check_real
from sknpcnn.layers.base import Array, Arrays, Context, Layer


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """Set a random fraction of the elements to zero while training, and scale up the others.

    Parameters
    ----------
    rate : float
        Fraction of the elements that is dropped, in [0, 1).

    Examples
    --------
    >>> from sknpcnn.layers import Dropout
    >>> Dropout(0.5).output_shape((100,))
    (100,)
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        check_real(self, "rate", 0.0, 1.0, open_="high")

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        if not ctx.training or self.rate == 0:
            return x, None
        threshold = np.uint32(min(self.rate * 2**32, 2**32 - 1))
        kept = np.greater_equal(
            ctx.random_bits(x.shape), threshold, out=ctx.empty(x.shape, np.bool_)
        )
        return self._apply_mask(x, kept, ctx), kept

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        return dy if cache is None else self._apply_mask(dy, cache, ctx)

    def _apply_mask(self, x: Array, kept: Array, ctx: Context) -> Array:
        y: Array = np.multiply(x, kept, out=ctx.output(x.shape, x.dtype))
        y *= x.dtype.type(1 / (1 - self.rate))
        return y
