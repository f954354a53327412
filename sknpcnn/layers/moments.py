"""Batch normalization in two halves, between which the chunks of a mini-batch meet.

Mean and variance are those of the whole mini-batch. But each chunk can note its own while its
values are still in the cache, and those of all are found by merging the notes. So ``Moments`` notes
them, at the end of what chunks do before they meet, and ``Normalize`` begins what they do then.

Backward runs the other way. A sample also changes mean and variance, and by them all outputs: that
takes two sums over the mini-batch, which are the gradients of beta and gamma. In ``Normalize`` each
chunk adds up its part of them; when all have met, ``Moments`` finds the gradient of its input.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn._kernels import windows
from sknpcnn._kernels.windows import Empty
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape
from sknpcnn.layers.batch import matrix, per_channel

SLAB = 2**18
"""How many elements go through all steps of a calculation before the next ones. They should stay in
the cache, but smaller pieces take longer: each is several calls of NumPy."""


@dataclass(frozen=True, repr=False)
class Moments(Layer):
    """Return the input, and note its mean and variance by channel.

    Examples
    --------
    >>> from sknpcnn.layers.moments import Moments
    >>> Moments(1e-5).note_size((7, 7, 16))
    33
    """

    epsilon: float

    def note_size(self, shape: Shape) -> int:
        """Count the values that a chunk notes."""
        return 2 * shape[-1] + 1

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        note(x, ctx.note(), ctx)
        y = ctx.target()
        if y is None:
            return x, x
        y[...] = x  # where it stays until all have met
        return y, y

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        if not ctx.needs_dx:
            return None
        found = constants(params, ctx.notes(), self.epsilon, ctx.scratch)
        return input_gradient(found, cache, dy, grads, ctx)


@dataclass(frozen=True, repr=False)
class Normalize(Layer):
    """Give each channel mean zero and variance one, then scale and shift it.

    Examples
    --------
    >>> from sknpcnn.layers.moments import Normalize
    >>> Normalize(1e-5).output_shape((7, 7, 16))
    (7, 7, 16)
    """

    epsilon: float

    def prepare(self, params: Arrays, shape: Shape, ctx: Context) -> Arrays:
        return {**params, **constants(params, ctx.notes(), self.epsilon, ctx.empty)}

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        return normalize(params, x, ctx), x

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        parameter_gradients(params, cache, dy, grads, ctx)
        if not ctx.needs_dx:
            return None
        dx = ctx.target()
        if dx is None:
            dx = ctx.output(dy.shape, dy.dtype)
        dx[...] = dy  # where it stays until all have met
        return dx


def note(x: Array, row: Array, ctx: Context) -> None:
    """Write mean, sum of squares around it, and total weight into a row."""
    channels = x.shape[-1]
    mean, squares, total = row[:channels], row[channels : 2 * channels], row[2 * channels :]
    x = windows.contiguous(x, ctx.scratch)
    n_pixels = len(matrix(x))
    if ctx.weights is None:
        weights, amount = ctx.constant(np.ones, n_pixels, x.dtype), float(n_pixels)
    else:  # pixels are in the order (h, w, n)
        weights = np.tile(ctx.weights, n_pixels // len(ctx.weights)).astype(x.dtype)
        amount = float(weights.sum())
    np.matmul(weights, matrix(x), out=mean)
    np.divide(mean, x.dtype.type(amount or 1), out=mean)  # of weights of zero, nothing
    means, parts = per_channel(mean, x, ctx), slabs(x)
    sums = ctx.scratch((len(parts), channels), x.dtype)
    centered = ctx.scratch(x[parts[0]].shape, x.dtype)
    weights = weights.reshape(len(x), -1)
    for i, part in enumerate(parts):
        here = np.subtract(x[part], means, out=centered[: part.stop - part.start])
        np.multiply(here, here, out=here)
        np.matmul(weights[part].reshape(-1), matrix(here), out=sums[i])
    np.add.reduce(sums, axis=0, out=squares)
    total[...] = amount


def slabs(x: Array) -> list[slice]:
    """Split a chunk by rows of its images, so that each part stays in the cache for all steps."""
    at_once = max(SLAB // x[0].size, 1)
    return [slice(lo, min(lo + at_once, len(x))) for lo in range(0, len(x), at_once)]


def constants(params: Arrays, notes: Array, epsilon: float, empty: Empty) -> dict[str, Array]:
    """Merge the notes of all chunks: the moments of the batch, and what to multiply with.

    Those of each part of the batch are merged in order (Chan et al. 1979), which is accurate where
    a difference of two sums of squares would cancel.
    """
    channels, dtype = notes.shape[1] // 2, notes.dtype
    means, totals = notes[:, :channels], notes[:, 2 * channels :]
    terms = empty(means.shape, dtype)
    mean, var, scale, gain = (empty((channels,), dtype) for _ in range(4))
    total = np.add.reduce(totals, axis=0, out=empty((1,), dtype))
    np.add.reduce(np.multiply(means, totals, out=terms), axis=0, out=mean)
    np.divide(mean, total, out=mean)
    np.subtract(means, mean, out=terms)
    np.multiply(terms, terms, out=terms)
    np.multiply(terms, totals, out=terms)
    np.add(terms, notes[:, channels : 2 * channels], out=terms)
    np.divide(np.add.reduce(terms, axis=0, out=var), total, out=var)
    np.sqrt(np.add(var, dtype.type(epsilon), out=scale), out=scale)
    np.divide(dtype.type(1), scale, out=scale)
    np.multiply(scale, params["gamma"], out=gain)
    return {"mean_now": mean, "var_now": var, "total": total, "scale": scale, "gain": gain}


def normalize(params: Arrays, x: Array, ctx: Context) -> Array:
    """Compute the output from the constants."""
    y = ctx.output(x.shape, x.dtype)
    mean, gain, beta = (per_channel(params[name], x, ctx) for name in ("mean_now", "gain", "beta"))
    for part in slabs(x):
        here = np.subtract(x[part], mean, out=y[part])
        np.multiply(here, gain, out=here)
        np.add(here, beta, out=here)
    return y


def parameter_gradients(params: Arrays, x: Array, dy: Array, grads: Arrays, ctx: Context) -> None:
    """Add up the gradients of the parameters; those of the averages are what they average."""
    dy, parts = windows.contiguous(dy, ctx.scratch), slabs(x)
    mean = per_channel(params["mean_now"], x, ctx)
    sums = ctx.scratch((len(parts), 2, x.shape[-1]), x.dtype)
    products = ctx.scratch(x[parts[0]].shape, x.dtype)
    for i, part in enumerate(parts):
        here = np.subtract(x[part], mean, out=products[: part.stop - part.start])
        np.multiply(here, dy[part], out=here)
        ones = ctx.constant(np.ones, len(matrix(here)), x.dtype)
        np.matmul(ones, matrix(dy[part]), out=sums[i, 0])
        np.matmul(ones, matrix(here), out=sums[i, 1])
    np.add.reduce(sums[:, 0], axis=0, out=grads["beta"])
    np.add.reduce(sums[:, 1], axis=0, out=grads["gamma"])
    np.multiply(grads["gamma"], params["scale"], out=grads["gamma"])
    for name in ("mean", "var"):  # the same for all chunks, so that only one adds it
        grads[name][...] = params[f"{name}_now"] if ctx.first else 0


def input_gradient(found: Arrays, x: Array, dy: Array, grads: Arrays, ctx: Context) -> Array:
    """Compute the gradient of the input from the constants, and all of those of beta and gamma."""
    slope, shift = (ctx.scratch(found["gain"].shape, x.dtype) for _ in range(2))
    np.multiply(found["scale"], grads["gamma"], out=slope)
    np.divide(slope, found["total"], out=slope)
    np.divide(grads["beta"], found["total"], out=shift)
    weights = ctx.weights  # each sample changes mean and variance by its weight
    dx, parts = ctx.output(x.shape, dy.dtype), slabs(x)
    mean, slope, shift, gain = (
        per_channel(values, x, ctx) for values in (found["mean_now"], slope, shift, found["gain"])
    )
    moved = ctx.scratch(x[parts[0]].shape, x.dtype)
    for part in parts:
        here = np.subtract(x[part], mean, out=moved[: part.stop - part.start])
        np.multiply(here, slope, out=here)
        np.add(here, shift, out=here)
        if weights is not None:
            own = weights if x.ndim == 4 else weights[part]
            np.multiply(here, own.astype(x.dtype)[:, None], out=here)
        np.subtract(dy[part], here, out=dx[part])
        np.multiply(dx[part], gain, out=dx[part])
    return dx
