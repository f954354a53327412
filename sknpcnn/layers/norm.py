"""Batch normalisation: every channel with mean zero and variance one, over the mini-batch."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape, batch_axis
from sknpcnn.parameters import Parameter
from sknpcnn.spec import check_real


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Normalise each channel of images, or each number of vectors, then scale and shift it.

    While training, mean and variance are those of the whole mini-batch, sample weights included;
    running averages of them serve prediction. A sample of weight two counts as two samples.

    Parameters
    ----------
    momentum : float
        How much of the running averages each mini-batch keeps, as in Keras (PyTorch's is 1 minus
        this). The running variance is that of the mini-batch, not its unbiased estimate.
    epsilon : float
        Added to the variance before the root is taken.
    lr_scale : float
        Factor on the learning rate of this layer. 0 freezes it: it then uses the running averages
        while training too, and leaves them as they are.

    Examples
    --------
    >>> from sknpcnn.layers import BatchNorm
    >>> sorted(BatchNorm().parameters((7, 7, 16)))
    ['beta', 'gamma', 'mean', 'var']
    """

    whole_batch: ClassVar[bool] = True
    transparent: ClassVar[bool] = True

    momentum: float = 0.9
    epsilon: float = 1e-5
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_real(self, "momentum", 0.0, 1.0, open_="high")
        check_real(self, "epsilon", 0.0, open_="low")
        check_real(self, "lr_scale")

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        def channels(start: float, running: float | None = None) -> Parameter:
            return Parameter(shape[-1:], start=start, lr_scale=self.lr_scale, running=running)

        return {
            "gamma": channels(1.0),
            "beta": channels(0.0),
            "mean": channels(0.0, self.momentum),
            "var": channels(1.0, self.momentum),
        }

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        from_batch = ctx.training and self.lr_scale > 0
        moments = _moments(x, ctx) if from_batch else (params["mean"], params["var"], None)
        mean, var, total = moments
        scale = 1 / np.sqrt(var + x.dtype.type(self.epsilon))
        y = ctx.empty(x.shape, x.dtype)

        def normalise(i: int, part: Any, scratch: Any) -> None:
            np.subtract(x[part], mean, out=y[part])
            np.multiply(y[part], scale * params["gamma"], out=y[part])
            np.add(y[part], params["beta"], out=y[part])

        _for_samples(normalise, x, ctx)
        return y, (x, mean, var, scale, total)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, mean, var, scale, total = cache
        n_parts = len(_parts(x, ctx))
        sums = np.empty((n_parts, 2, x.shape[-1]), x.dtype)

        def add_up(i: int, part: Any, scratch: Any) -> None:
            normed = np.subtract(x[part], mean, out=scratch(x[part].shape, x.dtype))
            normed *= dy[part]
            sums[i, 0] = _sum(dy[part])
            sums[i, 1] = _sum(normed)

        _for_samples(add_up, x, ctx)
        d_beta, d_gamma = sums.sum(axis=0)
        d_gamma *= scale
        grads["beta"][...] = d_beta
        grads["gamma"][...] = d_gamma
        grads["mean"][...] = mean
        grads["var"][...] = var
        if not ctx.needs_dx:
            return None
        dx = ctx.empty(x.shape, dy.dtype)
        gain = params["gamma"] * scale
        if total is None:  # mean and variance were constants
            return np.multiply(dy, gain, out=dx)
        weights = _along_samples(ctx.weights, x)

        def differentiate(i: int, part: Any, scratch: Any) -> None:
            # a sample also moves mean and variance, by its share of the batch
            moved = np.subtract(x[part], mean, out=scratch(x[part].shape, x.dtype))
            moved *= scale * d_gamma / total
            moved += d_beta / total
            if weights is not None:
                moved *= weights[part]
            np.subtract(dy[part], moved, out=dx[part])
            np.multiply(dx[part], gain, out=dx[part])

        _for_samples(differentiate, x, ctx)
        return dx


def _moments(x: Array, ctx: Context) -> tuple[Array, Array, Any]:
    """Weighted mean and variance of each channel, and the sum of the weights over all pixels.

    Each part of the batch computes its own, which are then merged in order (Chan et al. 1979):
    exact, where the difference of two sums of squares would cancel.
    """
    weights = _along_samples(ctx.weights, x)
    n_parts = len(_parts(x, ctx))
    totals = np.empty((n_parts, 1), x.dtype)
    means, squares = np.empty((2, n_parts, x.shape[-1]), x.dtype)

    def measure(i: int, part: Any, scratch: Any) -> None:
        xi = x[part]
        if weights is None:
            totals[i] = xi.size // xi.shape[-1]
            means[i] = _sum(xi) / totals[i]
            centred = np.subtract(xi, means[i], out=scratch(xi.shape, x.dtype))
            centred *= centred
        else:
            wi = weights[part]
            total = wi.sum() * (xi.size // (xi.shape[-1] * wi.size))
            weighted = np.multiply(xi, wi, out=scratch(xi.shape, x.dtype))
            totals[i] = total
            means[i] = _sum(weighted) / (total or 1)  # all of weight zero: no mean, no share
            centred = np.subtract(xi, means[i], out=scratch(xi.shape, x.dtype))
            centred *= centred
            centred *= wi
        squares[i] = _sum(centred)

    _for_samples(measure, x, ctx)
    total = totals.sum(dtype=x.dtype)
    mean = (means * totals).sum(axis=0) / total
    between = totals * (means - mean) ** 2
    return mean, (squares.sum(axis=0) + between.sum(axis=0)) / total, total


def _sum(x: Array) -> Array:
    """Add up everything but the channels, as products with ones: fast, and in a fixed order."""
    ones = np.ones((1, x.size // (x.shape[-1] * x.shape[0])), x.dtype)
    if x.ndim == 2:
        return (np.ones(len(x), x.dtype) @ x).reshape(-1)
    return (ones @ x.reshape(x.shape[0], -1, x.shape[-1])).sum(axis=(0, 1))


def _along_samples(weights: Array | None, x: Array) -> Array | None:
    """Shape the weights of the samples so that they multiply the batch."""
    if weights is None:
        return None
    weights = weights.astype(x.dtype, copy=False)
    return weights.reshape((1, -1, 1, 1) if x.ndim == 4 else (-1, 1))


def _parts(x: Array, ctx: Context) -> list[Any]:
    """Cut a batch into parts of some samples each, as index expressions."""
    axis = batch_axis(x)
    n = x.shape[axis]
    return [
        (slice(None),) * axis + (slice(lo, hi),) for lo, hi in ctx.tiles(n, x.size // max(n, 1))
    ]


def _for_samples(task: Any, x: Array, ctx: Context) -> None:
    """Run ``task(i, part, scratch)`` for every part of the batch, on all threads."""
    parts = _parts(x, ctx)
    ctx.map(lambda i, scratch: task(i, parts[i], scratch), len(parts))
