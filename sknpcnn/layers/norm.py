"""Batch normalization: each channel gets mean zero and variance one over the mini-batch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn._values.checks import check_real
from sknpcnn.layers import moments
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape
from sknpcnn.layers.batch import per_channel
from sknpcnn.layers.parameter import Parameter


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Normalize each channel of images, or each feature of vectors, then scale and shift it.

    In training, mean and variance are those of the whole mini-batch, sample weights included;
    prediction uses running averages of them. A sample of weight two counts as two samples.

    Parameters
    ----------
    momentum : float
        Weight of the old running averages in each update, as in Keras (PyTorch's is 1 minus this).
        The running variance averages the variances of the mini-batches, not unbiased estimates.
    epsilon : float
        Added to the variance before the square root.
    lr_scale : float
        Factor on the learning rate of this layer. 0 freezes it: it then uses the running averages
        in training too, and does not update them.

    Examples
    --------
    >>> from sknpcnn.layers import BatchNorm
    >>> sorted(BatchNorm().parameters((7, 7, 16)))
    ['beta', 'gamma', 'mean', 'var']
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_real(self, "momentum", 0.0, 1.0, open_="high")
        check_real(self, "epsilon", 0.0, open_="low")
        check_real(self, "lr_scale")

    def whole_batch(self, training: bool) -> bool:
        return training and self.lr_scale > 0

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        def channels(start: float, **options: Any) -> Parameter:
            return Parameter(shape[-1:], start=start, lr_scale=self.lr_scale, **options)

        return {
            "gamma": channels(1.0),
            "beta": channels(0.0),
            "mean": channels(0.0, running=self.momentum),
            "var": channels(1.0, running=self.momentum, minimum=0.0),
        }

    def prepare(self, params: Arrays, shape: Shape, ctx: Context) -> Arrays:
        if self.whole_batch(ctx.training):
            return params
        constants = self.gain_and_shift(params)
        gain, shift = (ctx.empty(values.shape, values.dtype) for values in constants)
        gain[...], shift[...] = constants
        return {**params, "gain": gain, "shift": shift}

    def gain_and_shift(self, params: Arrays) -> tuple[Array, Array]:
        """Compute the factor and the offset of each channel in prediction."""
        gain = params["gamma"] / np.sqrt(params["var"] + params["var"].dtype.type(self.epsilon))
        return gain, params["beta"] - params["mean"] * gain

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        if self.whole_batch(ctx.training):  # of a subclass: otherwise the two halves run instead
            size = moments.Moments(self.epsilon).note_size(x.shape[-1:])
            notes = ctx.empty((1, size), x.dtype)
            moments.note(x, notes[0], ctx)
            found = moments.constants(params, notes, self.epsilon, ctx.empty)
            return moments.normalize({**params, **found}, x, ctx), (x, found)
        if "gain" not in params:
            params = self.prepare(params, x.shape[-1:], ctx)
        y = np.multiply(x, per_channel(params["gain"], x, ctx), out=ctx.output(x.shape, x.dtype))
        y += per_channel(params["shift"], x, ctx)
        return y, (x, None)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, found = cache
        if found is not None:
            moments.parameter_gradients({**params, **found}, x, dy, grads, ctx)
            return moments.input_gradient(found, x, dy, grads, ctx)
        scale = 1 / np.sqrt(params["var"] + x.dtype.type(self.epsilon))
        constants = {"mean_now": params["mean"], "var_now": params["var"], "scale": scale}
        moments.parameter_gradients(constants, x, dy, grads, ctx)
        grads["mean"][...] = grads["var"][...] = 0
        gain = per_channel(params["gamma"] * scale, x, ctx)
        dx: Array = np.multiply(dy, gain, out=ctx.output(x.shape, dy.dtype))
        return dx
