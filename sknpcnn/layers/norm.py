"""Batch normalization: each channel gets mean zero and variance one over the mini-batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn._values.checks import check_real
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape, per_channel
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
        if not self.whole_batch(ctx.training):  # mean and variance are constants
            if "gain" not in params:
                params = self.prepare(params, x.shape[-1:], ctx)
            y = np.multiply(
                x, per_channel(params["gain"], x, ctx), out=ctx.output(x.shape, x.dtype)
            )
            y += per_channel(params["shift"], x, ctx)
            return y, (x, params["mean"], params["var"], None)
        rows = _LongRows(x, ctx)
        mean, var, total = _moments(rows, ctx)
        scale = 1 / np.sqrt(var + x.dtype.type(self.epsilon))
        y = ctx.output(x.shape, x.dtype)
        xs, ys = rows.of(x), rows.of(y)
        means, gain = rows.repeat(mean), rows.repeat(scale * params["gamma"])
        shift = rows.repeat(params["beta"])

        def normalize(i: int, part: slice, scratch: Any) -> None:
            np.subtract(xs[part], means, out=ys[part])
            np.multiply(ys[part], gain, out=ys[part])
            np.add(ys[part], shift, out=ys[part])

        rows.each(normalize)
        return y, (x, mean, var, total)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, mean, var, total = cache
        scale = 1 / np.sqrt(var + x.dtype.type(self.epsilon))
        rows = _LongRows(x, ctx)
        dy = np.ascontiguousarray(dy)
        xs, dys, means = rows.of(x), rows.of(dy), rows.repeat(mean)
        sums = ctx.scratch((len(rows.parts), 2, x.shape[-1]), x.dtype)

        def add_up(i: int, part: slice, scratch: Any) -> None:
            normed = np.subtract(xs[part], means, out=scratch(xs[part].shape, x.dtype))
            normed *= dys[part]
            sums[i, 0] = rows.sum(dys[part])
            sums[i, 1] = rows.sum(normed)

        rows.each(add_up)
        d_beta, d_gamma = sums.sum(axis=0)
        d_gamma *= scale
        grads["beta"][...] = d_beta
        grads["gamma"][...] = d_gamma
        constant = total is None  # a frozen layer: the statistics do not depend on x
        grads["mean"][...] = 0 if constant else mean
        grads["var"][...] = 0 if constant else var
        if not ctx.needs_dx:
            return None
        dx = ctx.output(x.shape, dy.dtype)
        dxs, gain = rows.of(dx), rows.repeat(params["gamma"] * scale)
        if constant:
            scaled: Array = np.multiply(dys, gain, out=dxs).reshape(x.shape)
            return scaled
        slope, shift = rows.repeat(scale * d_gamma / total), rows.repeat(d_beta / total)

        def differentiate(i: int, part: slice, scratch: Any) -> None:
            # each sample also changes mean and variance, in proportion to its weight
            moved = np.subtract(xs[part], means, out=scratch(xs[part].shape, x.dtype))
            moved *= slope
            moved += shift
            if rows.weights is not None:
                moved *= rows.weights[part]
            np.subtract(dys[part], moved, out=dxs[part])
            np.multiply(dxs[part], gain, out=dxs[part])

        rows.each(differentiate)
        return dx


class _LongRows:
    """A batch as a matrix of long rows: the vectors, or the channels of one pixel of all images.

    Values per channel are repeated over a row, as NumPy is much faster on long rows than on a few
    channels at a time.
    """

    def __init__(self, x: Array, ctx: Context) -> None:
        self.x, self._map = x, ctx.map
        self.channels = x.shape[-1]
        self.width = x.shape[2] * self.channels if x.ndim == 4 else self.channels
        length = x.size // self.width
        # each pass reads two arrays of a part, which should fit into the cache
        self.parts = [slice(lo, hi) for lo, hi in ctx.tiles(length, 2 * self.width)]
        self.weights: Array | None = None
        if ctx.weights is not None:  # per sample: a row for images, a column for vectors
            weights = ctx.weights.astype(x.dtype, copy=False)
            repeated = np.repeat(weights, self.channels) if x.ndim == 4 else weights[:, None]
            self.weights = np.broadcast_to(repeated, (length, self.width))

    def of(self, array: Array) -> Array:
        """View an array of the shape of the batch as that matrix."""
        return array.reshape(-1, self.width)

    def repeat(self, values: Array) -> Array:
        """Repeat one value per channel over a row."""
        return np.tile(values, self.width // self.channels)

    def sum(self, rows: Array) -> Array:
        """Sum rows by channel, as a product with ones: fast, and in a fixed order."""
        pixels = rows.reshape(-1, self.channels)
        sums: Array = np.ones(len(pixels), rows.dtype) @ pixels
        return sums

    def each(self, task: Callable[[int, slice, Any], None]) -> None:
        """Run ``task(i, part, scratch)`` for every part of the rows, on all threads."""
        self._map(lambda i, scratch: task(i, self.parts[i], scratch), len(self.parts))


def _moments(rows: _LongRows, ctx: Context) -> tuple[Array, Array, Any]:
    """Compute weighted mean and variance of each channel, and the total weight over all pixels.

    Those of each part of the batch are merged in order (Chan et al. 1979), which is accurate where
    a difference of two sums of squares would cancel.
    """
    dtype, xs, parts = rows.x.dtype, rows.of(rows.x), len(rows.parts)
    totals = ctx.scratch((parts, 1), dtype)
    means, squares = ctx.scratch((2, parts, rows.channels), dtype)

    def measure(i: int, part: slice, scratch: Any) -> None:
        xi, weights = xs[part], None if rows.weights is None else rows.weights[part]
        buffer = scratch(xi.shape, dtype)
        total = xi.size / rows.channels if weights is None else weights.sum() / rows.channels
        sums = rows.sum(xi if weights is None else np.multiply(xi, weights, out=buffer))
        totals[i] = total
        means[i] = sums / dtype.type(total or 1)  # if all weights are zero, it contributes nothing
        centered = np.subtract(xi, rows.repeat(means[i]), out=buffer)
        centered *= centered
        if weights is not None:
            centered *= weights
        squares[i] = rows.sum(centered)

    rows.each(measure)
    total = totals.sum(dtype=dtype)
    mean = (means * totals).sum(axis=0) / total
    between_parts = totals * (means - mean) ** 2
    return mean, (squares.sum(axis=0) + between_parts.sum(axis=0)) / total, total
