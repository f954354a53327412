"""Batch normalisation: every channel with mean zero and variance one, over the mini-batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn.checks import check_real
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape, per_channel
from sknpcnn.parameters import Parameter


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
        """Compute what each channel is multiplied by, and what is added, in prediction."""
        gain = params["gamma"] / np.sqrt(params["var"] + params["var"].dtype.type(self.epsilon))
        return gain, params["beta"] - params["mean"] * gain

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        if not self.whole_batch(ctx.training):  # mean and variance are constants
            if "gain" not in params:
                params = self.prepare(params, x.shape[-1:], ctx)
            y = np.multiply(
                x, per_channel(params["gain"], x, ctx), out=ctx.output(x.shape, x.dtype)
            )
            y += per_channel(params["shift"], x, ctx)
            return y, (x, params["mean"], params["var"], None)
        runs = _Runs(x, ctx)
        mean, var, total = _moments(runs)
        scale = 1 / np.sqrt(var + x.dtype.type(self.epsilon))
        y = ctx.output(x.shape, x.dtype)
        xs, ys = runs.of(x), runs.of(y)
        means, gain = runs.repeat(mean), runs.repeat(scale * params["gamma"])
        shift = runs.repeat(params["beta"])

        def normalise(i: int, part: slice, scratch: Any) -> None:
            np.subtract(xs[part], means, out=ys[part])
            np.multiply(ys[part], gain, out=ys[part])
            np.add(ys[part], shift, out=ys[part])

        runs.each(normalise)
        return y, (x, mean, var, total)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, mean, var, total = cache
        scale = 1 / np.sqrt(var + x.dtype.type(self.epsilon))
        runs = _Runs(x, ctx)
        dy = np.ascontiguousarray(dy)
        xs, dys, means = runs.of(x), runs.of(dy), runs.repeat(mean)
        sums = np.empty((len(runs.parts), 2, x.shape[-1]), x.dtype)

        def add_up(i: int, part: slice, scratch: Any) -> None:
            normed = np.subtract(xs[part], means, out=scratch(xs[part].shape, x.dtype))
            normed *= dys[part]
            sums[i, 0] = runs.sum(dys[part])
            sums[i, 1] = runs.sum(normed)

        runs.each(add_up)
        d_beta, d_gamma = sums.sum(axis=0)
        d_gamma *= scale
        grads["beta"][...] = d_beta
        grads["gamma"][...] = d_gamma
        constant = total is None  # then there is nothing new to be seen
        grads["mean"][...] = 0 if constant else mean
        grads["var"][...] = 0 if constant else var
        if not ctx.needs_dx:
            return None
        dx = ctx.output(x.shape, dy.dtype)
        dxs, gain = runs.of(dx), runs.repeat(params["gamma"] * scale)
        if constant:
            return np.multiply(dys, gain, out=dxs).reshape(x.shape)
        slope, shift = runs.repeat(scale * d_gamma / total), runs.repeat(d_beta / total)

        def differentiate(i: int, part: slice, scratch: Any) -> None:
            # a sample also moves mean and variance, by its share of the batch
            moved = np.subtract(xs[part], means, out=scratch(xs[part].shape, x.dtype))
            moved *= slope
            moved += shift
            if runs.weights is not None:
                moved *= runs.weights[part]
            np.subtract(dys[part], moved, out=dxs[part])
            np.multiply(dxs[part], gain, out=dxs[part])

        runs.each(differentiate)
        return dx


class _Runs:
    """A batch as a matrix of long rows: the vectors, or each pixel's channels of all images.

    What differs by channel is repeated over the length of a row, for NumPy works on long rows much
    faster than on a few channels at a time.
    """

    def __init__(self, x: Array, ctx: Context) -> None:
        self.x, self._map = x, ctx.map
        self.channels = x.shape[-1]
        self.width = x.shape[2] * self.channels if x.ndim == 4 else self.channels
        length = x.size // self.width
        # two arrays of a part, read in several passes, should fit into the cache
        self.parts = [slice(lo, hi) for lo, hi in ctx.tiles(length, 2 * self.width)]
        self.weights: Array | None = None
        if ctx.weights is not None:  # per sample, as wide or as long as the matrix
            weights = ctx.weights.astype(x.dtype, copy=False)
            repeated = np.repeat(weights, self.channels) if x.ndim == 4 else weights[:, None]
            self.weights = np.broadcast_to(repeated, (length, self.width))

    def of(self, array: Array) -> Array:
        """View an array of the batch's shape as that matrix."""
        return array.reshape(-1, self.width)

    def repeat(self, values: Array) -> Array:
        """Repeat one value per channel over a row."""
        return np.tile(values, self.width // self.channels)

    def sum(self, rows: Array) -> Array:
        """Add up some rows by channel, as a product with ones: fast, and in a fixed order."""
        pixels = rows.reshape(-1, self.channels)
        return np.ones(len(pixels), rows.dtype) @ pixels

    def each(self, task: Callable[[int, slice, Any], None]) -> None:
        """Run ``task(i, part, scratch)`` for every part of the rows, on all threads."""
        self._map(lambda i, scratch: task(i, self.parts[i], scratch), len(self.parts))


def _moments(runs: _Runs) -> tuple[Array, Array, Any]:
    """Weighted mean and variance of each channel, and the sum of the weights over all pixels.

    Each part of the batch computes its own, which are then merged in order (Chan et al. 1979):
    exact, where the difference of two sums of squares would cancel.
    """
    dtype, xs, parts = runs.x.dtype, runs.of(runs.x), len(runs.parts)
    totals = np.empty((parts, 1), dtype)
    means, squares = np.empty((2, parts, runs.channels), dtype)

    def measure(i: int, part: slice, scratch: Any) -> None:
        xi, weights = xs[part], None if runs.weights is None else runs.weights[part]
        room = scratch(xi.shape, dtype)
        total = xi.size / runs.channels if weights is None else weights.sum() / runs.channels
        sums = runs.sum(xi if weights is None else np.multiply(xi, weights, out=room))
        totals[i] = total
        means[i] = sums / dtype.type(total or 1)  # all of weight zero: no mean, no share
        centred = np.subtract(xi, runs.repeat(means[i]), out=room)
        centred *= centred
        if weights is not None:
            centred *= weights
        squares[i] = runs.sum(centred)

    runs.each(measure)
    total = totals.sum(dtype=dtype)
    mean = (means * totals).sum(axis=0) / total
    between = totals * (means - mean) ** 2
    return mean, (squares.sum(axis=0) + between.sum(axis=0)) / total, total
