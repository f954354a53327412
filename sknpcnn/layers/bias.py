"""The bias of a convolution as a separate layer, so that max pooling may run before it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn._kernels import windows
from sknpcnn.layers.base import Array, Arrays, Context, Hints, Layer
from sknpcnn.layers.batch import matrix, per_channel


@dataclass(frozen=True, repr=False)
class Bias(Layer):
    """Add one value per channel. Its parameter ``b`` is that of the layer it was split from.

    Examples
    --------
    >>> from sknpcnn.layers.bias import Bias
    >>> Bias().output_shape((7, 7, 16))
    (7, 7, 16)
    """

    hints: ClassVar[Hints] = Hints(needs_input=False, monotonic=True)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        return np.add(x, per_channel(params["b"], x, ctx), out=ctx.output(x.shape, x.dtype)), None

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        rows = matrix(windows.contiguous(dy, ctx.scratch))
        np.matmul(ctx.constant(np.ones, len(rows), dy.dtype), rows, out=grads["b"])
        return dy
