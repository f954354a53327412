"""Layers as users write them: sound ones, of many kinds, that know nothing of the engine."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sknpcnn.layers import BatchNorm, Dense, Layer, Sequential
from sknpcnn.layers.batch import batch_axis
from sknpcnn.layers.parameter import Parameter


@dataclass(frozen=True, repr=False)
class Square(Layer):
    """Makes a new array for everything that it returns, as in the documentation."""

    def forward(self, params, x, ctx):
        return x * x, x

    def backward(self, params, x, dy, grads, ctx):
        return 2 * x * dy


@dataclass(frozen=True, repr=False)
class WholeBatch(Square):
    """Sees the whole mini-batch, and makes new arrays."""

    def whole_batch(self, training):
        return training


@dataclass(frozen=True, repr=False)
class Scale(Layer):
    """Learns one factor per channel; its arrays come from NumPy, not from the context."""

    start: float = 0.9

    def parameters(self, shape):
        return {"factor": Parameter(shape[-1:], start=self.start)}

    def forward(self, params, x, ctx):
        y = np.empty_like(x)
        y[...] = x * params["factor"]
        return y, x

    def backward(self, params, x, dy, grads, ctx):
        grads["factor"][...] = (x * dy).reshape(-1, x.shape[-1]).sum(axis=0)
        return dy * params["factor"]


@dataclass(frozen=True, repr=False)
class NewDense(Dense):
    """A dense layer that returns arrays of its own."""

    def forward(self, params, x, ctx):
        y, cache = super().forward(params, x, ctx)
        return y.copy(), cache.copy()

    def backward(self, params, cache, dy, grads, ctx):
        dx = super().backward(params, cache, dy, grads, ctx)
        return None if dx is None else dx.copy()


@dataclass(frozen=True, repr=False)
class NewBatchNorm(BatchNorm):
    """A batch normalization that returns arrays of its own."""

    def forward(self, params, x, ctx):
        y, cache = super().forward(params, x, ctx)
        return y.copy(), cache

    def backward(self, params, cache, dy, grads, ctx):
        dx = super().backward(params, cache, dy, grads, ctx)
        return None if dx is None else dx.copy()


class Kept(NamedTuple):
    """What ``Named`` stores for backward."""

    x: np.ndarray
    half: np.ndarray


@dataclass(frozen=True, repr=False)
class Named(Layer):
    """Its cache is a named tuple."""

    def forward(self, params, x, ctx):
        half = np.multiply(x, x.dtype.type(0.5), out=ctx.empty(x.shape, x.dtype))
        return np.multiply(half, x, out=ctx.output(x.shape, x.dtype)), Kept(x, half)

    def backward(self, params, cache, dy, grads, ctx):
        dx = np.multiply(cache.half, dy, out=ctx.output(dy.shape, dy.dtype))
        dx *= dy.dtype.type(2)
        return dx


class Holder:
    """Holds an array where the engine does not look for one."""

    def __init__(self, array):
        self.array = array


@dataclass(frozen=True, repr=False)
class Hidden(Layer):
    """Hides a new array in its cache."""

    def forward(self, params, x, ctx):
        saved = np.empty(x.shape, x.dtype)
        saved[...] = x
        return np.tanh(x, out=ctx.output(x.shape, x.dtype)), Holder(saved)

    def backward(self, params, cache, dy, grads, ctx):
        slope = np.tanh(cache.array, out=ctx.scratch(dy.shape, dy.dtype))
        np.multiply(slope, slope, out=slope)
        np.subtract(1, slope, out=slope)
        return np.multiply(dy, slope, out=ctx.output(dy.shape, dy.dtype))


@dataclass(frozen=True, repr=False)
class Prepared(Layer):
    """Prepares a new array of its parameters."""

    def parameters(self, shape):
        return {"shift": Parameter(shape[-1:], start=0.1)}

    def prepare(self, params, shape, ctx):
        return {**params, "doubled": 2 * params["shift"]}

    def forward(self, params, x, ctx):
        doubled = params.get("doubled", 2 * params["shift"])
        return np.add(x, doubled, out=ctx.output(x.shape, x.dtype)), None

    def backward(self, params, cache, dy, grads, ctx):
        grads["shift"][...] = 2 * np.asarray(dy).reshape(-1, dy.shape[-1]).sum(axis=0)
        return dy


@dataclass(frozen=True, repr=False)
class Centered(Layer):
    """Subtracts the mean of every sample, a value of the data."""

    def forward(self, params, x, ctx):
        axes = tuple(i for i in range(x.ndim) if i != batch_axis(x))
        y = ctx.output(x.shape, x.dtype)
        np.subtract(x, x.mean(axis=axes, keepdims=True), out=y)
        return y, axes

    def backward(self, params, axes, dy, grads, ctx):
        return dy - dy.mean(axis=axes, keepdims=True)


@dataclass(frozen=True, repr=False)
class Twice(Sequential):
    """A sequence of the user's own that runs twice as far, in new arrays."""

    def forward(self, params, x, ctx):
        y, cache = super().forward(params, x, ctx)
        return 2 * y, cache

    def backward(self, params, cache, dy, grads, ctx):
        return super().backward(params, cache, 2 * dy, grads, ctx)


@dataclass(frozen=True, repr=False)
class Mirror(Layer):
    """Adds the image in a mirror: its derivative is not diagonal, and views run backwards."""

    def forward(self, params, x, ctx):
        return x + x[..., ::-1], None

    def backward(self, params, cache, dy, grads, ctx):
        return dy + dy[..., ::-1]


@dataclass(frozen=True, repr=False)
class UsesUp(Layer):
    """Overwrites its own cache in backward."""

    def forward(self, params, x, ctx):
        slope = np.multiply(x, x.dtype.type(2), out=ctx.empty(x.shape, x.dtype))
        return np.multiply(x, x, out=ctx.output(x.shape, x.dtype)), slope

    def backward(self, params, slope, dy, grads, ctx):
        return np.multiply(slope, dy, out=slope)


@dataclass(frozen=True, repr=False)
class Picking(Layer):
    """Writes by fancy indexing, and into integers."""

    def forward(self, params, x, ctx):
        y = ctx.output(x.shape, x.dtype)
        y[...] = x
        y[..., [0]] = 2 * np.asarray(x)[..., [0]]
        whole = ctx.scratch(x.shape, np.int32)
        whole[...] = x
        part, _ = np.modf(x, out=(ctx.scratch(x.shape, x.dtype), ctx.scratch(x.shape, x.dtype)))
        part *= 0
        y += part
        return y, None

    def backward(self, params, cache, dy, grads, ctx):
        dx = ctx.output(dy.shape, dy.dtype)
        dx[...] = dy
        dx[..., [0]] = 2 * np.asarray(dy)[..., [0]]
        return dx


@dataclass(frozen=True, repr=False)
class Mapped(Layer):
    """Works through ``ctx.map``, in its scratch memory; what it cuts off is there only at times."""

    def forward(self, params, x, ctx):
        y = ctx.output(x.shape, x.dtype)

        def part(i, scratch):
            room = scratch(x.shape, x.dtype)
            np.multiply(x, x, out=room)
            np.minimum(room, x.dtype.type(4), out=room)
            np.positive(room, out=y)

        ctx.map(part, 1)
        return y, x

    def backward(self, params, x, dy, grads, ctx):
        inside = np.less(np.abs(x), 2)
        return 2 * x * dy * inside


@dataclass(frozen=True, repr=False)
class Tempered(Layer):
    """Prepares a Python number from its parameters."""

    def parameters(self, shape):
        return {"t": Parameter((1,), start=0.7)}

    def prepare(self, params, shape, ctx):
        return {**params, "number": float(params["t"][0])}

    def forward(self, params, x, ctx):
        number = params.get("number", float(np.asarray(params["t"])[0]))
        return np.multiply(x, x.dtype.type(number), out=ctx.output(x.shape, x.dtype)), x

    def backward(self, params, x, dy, grads, ctx):
        grads["t"][...] = (np.asarray(x) * np.asarray(dy)).sum()
        number = params.get("number", float(np.asarray(params["t"])[0]))
        return np.multiply(dy, dy.dtype.type(number), out=ctx.output(dy.shape, dy.dtype))


@dataclass(frozen=True, repr=False)
class Constants(Layer):
    """Requests constants that are equal, but not identical."""

    def forward(self, params, x, ctx):
        plus = ctx.constant(np.full, (1,), 0.0)
        minus = ctx.constant(np.full, (1,), -0.0)
        sign = np.copysign(1, plus[0]) - np.copysign(1, minus[0])  # 2
        return x * x.dtype.type(sign), None

    def backward(self, params, cache, dy, grads, ctx):
        return 2 * dy


SMALL = [Square(), WholeBatch(), Scale(), NewBatchNorm(), Named(), Hidden(), Prepared()]
SMALL += [Centered(), Twice([Scale(), NewBatchNorm()]), Mirror()]
SMALL += [UsesUp(), Picking(), Mapped(), Tempered(), Constants()]
"""One of each kind that fits anywhere; ``NewDense`` needs vectors."""
