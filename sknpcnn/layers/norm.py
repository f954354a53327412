"""Batch normalisation: every channel with mean zero and variance one, over the mini-batch."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape, matrix
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

    def joins(self, training: bool) -> bool:
        return training and self.lr_scale > 0

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
        gain, shift = scale * params["gamma"], params["beta"]
        y = ctx.empty(x.shape, x.dtype)
        xs, ys = matrix(x), matrix(y)

        def normalise(i: int, part: slice, scratch: Any) -> None:
            np.subtract(xs[part], mean, out=ys[part])
            np.multiply(ys[part], gain, out=ys[part])
            np.add(ys[part], shift, out=ys[part])

        _for_rows(normalise, xs, ctx)
        return y, (x, mean, var, scale, total)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, mean, var, scale, total = cache
        xs, dys = matrix(x), matrix(dy)
        sums = np.empty((len(_parts(xs, ctx)), 2, x.shape[-1]), x.dtype)

        def add_up(i: int, part: slice, scratch: Any) -> None:
            normed = np.subtract(xs[part], mean, out=scratch(xs[part].shape, x.dtype))
            normed *= dys[part]
            sums[i, 0] = _sum(dys[part])
            sums[i, 1] = _sum(normed)

        _for_rows(add_up, xs, ctx)
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
        dxs, weights = matrix(dx), _per_row(ctx.weights, x)
        slope, shift = scale * d_gamma / total, d_beta / total

        def differentiate(i: int, part: slice, scratch: Any) -> None:
            # a sample also moves mean and variance, by its share of the batch
            moved = np.subtract(xs[part], mean, out=scratch(xs[part].shape, x.dtype))
            moved *= slope
            moved += shift
            if weights is not None:
                moved *= weights[part]
            np.subtract(dys[part], moved, out=dxs[part])
            np.multiply(dxs[part], gain, out=dxs[part])

        _for_rows(differentiate, xs, ctx)
        return dx


def _moments(x: Array, ctx: Context) -> tuple[Array, Array, Any]:
    """Weighted mean and variance of each channel, and the sum of the weights over all pixels.

    Each part of the batch computes its own, which are then merged in order (Chan et al. 1979):
    exact, where the difference of two sums of squares would cancel.
    """
    xs, weights = matrix(x), _per_row(ctx.weights, x)
    n_parts = len(_parts(xs, ctx))
    totals = np.empty((n_parts, 1), x.dtype)
    means, squares = np.empty((2, n_parts, x.shape[-1]), x.dtype)

    def measure(i: int, part: slice, scratch: Any) -> None:
        xi = xs[part]
        if weights is None:
            totals[i] = len(xi)
            means[i] = _sum(xi) / totals[i]
            centred = np.subtract(xi, means[i], out=scratch(xi.shape, x.dtype))
            centred *= centred
        else:
            wi = weights[part]
            total = wi.sum()
            weighted = np.multiply(xi, wi, out=scratch(xi.shape, x.dtype))
            totals[i] = total
            means[i] = _sum(weighted) / (total or 1)  # all of weight zero: no mean, no share
            centred = np.subtract(xi, means[i], out=scratch(xi.shape, x.dtype))
            centred *= centred
            centred *= wi
        squares[i] = _sum(centred)

    _for_rows(measure, xs, ctx)
    total = totals.sum(dtype=x.dtype)
    mean = (means * totals).sum(axis=0) / total
    between = totals * (means - mean) ** 2
    return mean, (squares.sum(axis=0) + between.sum(axis=0)) / total, total


def _sum(rows: Array) -> Array:
    """Add up the rows, as a product with ones: fast, and in a fixed order."""
    return np.ones(len(rows), rows.dtype) @ rows


def _per_row(weights: Array | None, x: Array) -> Array | None:
    """Repeat the weights of the samples for every pixel: one per row of ``matrix(x)``."""
    if weights is None:
        return None
    pixels = x.size // (len(weights) * x.shape[-1])
    return np.tile(weights.astype(x.dtype, copy=False), pixels)[:, None]


def _parts(rows: Array, ctx: Context) -> list[slice]:
    return [slice(lo, hi) for lo, hi in ctx.tiles(*rows.shape)]


def _for_rows(task: Any, rows: Array, ctx: Context) -> None:
    """Run ``task(i, part, scratch)`` for every part of the rows, on all threads."""
    parts = _parts(rows, ctx)
    ctx.map(lambda i, scratch: task(i, parts[i], scratch), len(parts))
