"""Normalization of each sample on its own: the same in training and prediction, whatever the batch.

Batch normalization needs mini-batches that are not small. Here mean and variance are those of a
group of channels of one image, or of the channels of one pixel.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from sknpcnn._kernels import windows
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import check_integer, check_real
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape
from sknpcnn.layers.batch import matrix
from sknpcnn.layers.parameter import Parameter


@dataclass(frozen=True, repr=False)
class GroupNorm(Layer):
    """Normalize each group of channels of each image (Wu & He 2018), then scale and shift channels.

    Mean and variance are those of all pixels of the channels in the group; of vectors, those of the
    features in it.

    Parameters
    ----------
    groups : int
        Number of groups, which divides the number of channels. 1 normalizes the whole image, as
        many as there are channels each of them on its own.
    epsilon : float
        Added to the variance before the square root.
    lr_scale : float
        Factor on the learning rate of this layer; 0 freezes it.

    Examples
    --------
    >>> from sknpcnn.layers import GroupNorm
    >>> sorted(GroupNorm(4).parameters((7, 7, 16)))
    ['beta', 'gamma']
    """

    groups: int = 8
    epsilon: float = 1e-5
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_integer(self, "groups")
        check_real(self, "epsilon", 0.0, open_="low")
        check_real(self, "lr_scale")

    def output_shape(self, shape: Shape) -> Shape:
        if shape[-1] % self.groups:
            raise ValueError(
                f"{brief(self)} is given {shape[-1]} channels, which cannot be divided into "
                f"{self.groups} equal groups. Choose a number of groups that divides them."
            )
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return _scale_and_shift(shape, self.lr_scale)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = ctx.output(x.shape, x.dtype)
        mean, scale = self._moments(_by_pixel(x, ctx), y, ctx)
        gain = np.multiply(scale, params["gamma"], out=ctx.scratch(scale.shape, x.dtype))
        np.multiply(y, gain, out=y)
        return np.add(y, params["beta"], out=y), (x, mean, scale)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        x, mean, scale = cache
        dy, n, channels = windows.contiguous(dy, ctx.scratch), len(mean), x.shape[-1]
        normal = np.subtract(x, mean, out=ctx.scratch(x.shape, x.dtype))
        np.multiply(normal, scale, out=normal)
        products = np.multiply(dy, normal, out=ctx.scratch(x.shape, x.dtype))
        totals, along = (self._sums(_by_pixel(a, ctx), ctx) for a in (dy, products))
        np.add.reduce(totals, axis=0, out=grads["beta"])
        np.add.reduce(along, axis=0, out=grads["gamma"])
        if not ctx.needs_dx:
            return None
        # each element also moves mean and variance of its group, and by them all outputs there
        share = x.dtype.type(self.groups / prod(x.shape) * n)
        for sums in (totals, along):
            sums *= params["gamma"]
            self._spread(sums, share, ctx)
            sums *= scale
        dx: Array = np.multiply(normal, along, out=ctx.output(x.shape, x.dtype))
        np.add(dx, totals, out=dx)
        gain = np.multiply(scale, params["gamma"], out=ctx.scratch((n, channels), x.dtype))
        np.subtract(np.multiply(dy, gain, out=normal), dx, out=dx)
        return dx

    def _moments(self, x: Array, centered: Array, ctx: Context) -> tuple[Array, Array]:
        """Compute mean and one over the standard deviation of each channel's group, (n, c).

        Also subtract the mean from the images.
        """
        n_pixels, n, channels = x.shape
        share = x.dtype.type(self.groups / (n_pixels * channels))
        mean, scale = (ctx.empty((n, channels), x.dtype) for _ in range(2))
        self._spread(self._sums(x, ctx, mean), share, ctx)
        centered = np.subtract(x, mean, out=centered.reshape(x.shape))
        squares = np.multiply(centered, centered, out=ctx.scratch(x.shape, x.dtype))
        self._spread(self._sums(squares, ctx, scale), share, ctx)
        scale += x.dtype.type(self.epsilon)
        np.divide(1, np.sqrt(scale, out=scale), out=scale)
        return mean, scale

    @staticmethod
    def _sums(x: Array, ctx: Context, out: Array | None = None) -> Array:
        """Add up all pixels of each image and channel: (pixels, n, c) -> (n, c)."""
        n_pixels, n, channels = x.shape
        out = ctx.scratch((n, channels), x.dtype) if out is None else out
        ones = ctx.constant(np.ones, n_pixels, x.dtype)
        np.matmul(ones, x.reshape(n_pixels, -1), out=out.reshape(-1))
        return out

    def _spread(self, sums: Array, share: Any, ctx: Context) -> None:
        """Replace each channel's sum by a share of that of its group."""
        groups = sums.reshape(len(sums), self.groups, -1)
        total = np.add.reduce(groups, axis=2, out=ctx.scratch(groups.shape[:2], sums.dtype))
        total *= share
        groups[...] = total[:, :, None]


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """Normalize the channels of each pixel, or the features of each vector, then scale and shift.

    This is layer normalization (Ba et al. 2016) as in Keras and in ConvNeXt; ``GroupNorm(1)``
    normalizes whole images.

    Parameters
    ----------
    epsilon : float
        Added to the variance before the square root.
    lr_scale : float
        Factor on the learning rate of this layer; 0 freezes it.

    Examples
    --------
    >>> from sknpcnn.layers import LayerNorm
    >>> sorted(LayerNorm().parameters((7, 7, 16)))
    ['beta', 'gamma']
    """

    epsilon: float = 1e-5
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        check_real(self, "epsilon", 0.0, open_="low")
        check_real(self, "lr_scale")

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return _scale_and_shift(shape, self.lr_scale)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        rows = matrix(windows.contiguous(x, ctx.scratch))
        normal = ctx.empty(rows.shape, x.dtype)
        scale = ctx.empty((len(rows), 1), x.dtype)
        np.subtract(rows, self._means(rows, ctx), out=normal)
        squares = np.multiply(normal, normal, out=ctx.scratch(rows.shape, x.dtype))
        np.add(self._means(squares, ctx), x.dtype.type(self.epsilon), out=scale)
        np.divide(1, np.sqrt(scale, out=scale), out=scale)
        np.multiply(normal, scale, out=normal)
        y = ctx.output(x.shape, x.dtype)
        np.multiply(normal, params["gamma"], out=matrix(y))
        return np.add(y, params["beta"], out=y), (normal, scale)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        normal, scale = cache
        rows = matrix(windows.contiguous(dy, ctx.scratch))
        products = np.multiply(rows, normal, out=ctx.scratch(rows.shape, dy.dtype))
        ones = ctx.constant(np.ones, len(rows), dy.dtype)
        np.matmul(ones, rows, out=grads["beta"])
        np.matmul(ones, products, out=grads["gamma"])
        if not ctx.needs_dx:
            return None
        # each element also moves mean and variance of its pixel, and by them all outputs there
        np.multiply(products, params["gamma"], out=products)
        along = self._means(products, ctx)
        dx = ctx.output(dy.shape, dy.dtype)
        flat = np.multiply(rows, params["gamma"], out=matrix(dx))
        np.subtract(flat, self._means(flat, ctx), out=flat)
        np.subtract(flat, np.multiply(normal, along, out=products), out=flat)
        np.multiply(flat, scale, out=flat)
        return dx

    @staticmethod
    def _means(rows: Array, ctx: Context) -> Array:
        """Compute the mean of each row: (rows, c) -> (rows, 1)."""
        n, channels = rows.shape
        shares = ctx.constant(np.full, channels, 1 / channels, rows.dtype)
        means = ctx.scratch((n, 1), rows.dtype)
        np.matmul(rows, shares, out=means.reshape(-1))
        return means


def _scale_and_shift(shape: Shape, lr_scale: float) -> dict[str, Parameter]:
    return {
        name: Parameter(shape[-1:], start=start, lr_scale=lr_scale)
        for name, start in (("gamma", 1.0), ("beta", 0.0))
    }


def _by_pixel(x: Array, ctx: Context) -> Array:
    """View images as (pixels, n, c); of vectors, each is one pixel."""
    x = windows.contiguous(x, ctx.scratch)
    return x.reshape(-1, *x.shape[-2:])
