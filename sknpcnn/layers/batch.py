"""Batches as layers see them: axis of the samples, matrices of pixels, shape of a sample."""

from math import prod

from sknpcnn._values.brief import brief
from sknpcnn.layers.base import Array, Context, Layer, Shape


def batch_axis(x: Array) -> int:
    """Return the sample axis of a batch: 2 for images (h, w, n, c), 0 for vectors.

    Parameters
    ----------
    x : array
        A batch as layers see it.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.layers import batch_axis
    >>> batch_axis(np.zeros((8, 8, 100, 3))), batch_axis(np.zeros((100, 64)))
    (2, 0)
    """
    return 2 if x.ndim == 4 else 0


def matrix(x: Array) -> Array:
    """View images (h, w, n, c) as a matrix with a row per pixel; vectors are returned unchanged.

    Parameters
    ----------
    x : array
        A batch as layers see it.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.layers import matrix
    >>> matrix(np.zeros((8, 8, 100, 3))).shape
    (6400, 3)
    """
    return x.reshape(-1, x.shape[-1])


def per_channel(values: Array, x: Array, ctx: Context) -> Array:
    """Repeat one value per channel over a row of images: (c,) -> (w, n, c).

    With c elements at a time, NumPy would spend more time on moving from run to run than on the
    arithmetic.

    Parameters
    ----------
    values : array of shape (c,)
        One value for each channel.
    x : array
        The batch to combine them with.
    ctx : Context
        Provides the memory.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.layers import per_channel
    >>> per_channel(np.ones(64), np.zeros((100, 64)), ctx=None).shape  # nothing to do for vectors
    (64,)
    """
    if x.ndim != 4:
        return values
    repeated = ctx.scratch(x.shape[1:], x.dtype)
    repeated[...] = values
    return repeated


def image_shape(layer: Layer, shape: Shape) -> tuple[int, int, int]:
    """Return the shape of one image, or raise an error that names the shape that the layer got.

    Parameters
    ----------
    layer : Layer
        The layer that needs images.
    shape : tuple of int
        The shape of its input.

    Examples
    --------
    >>> from sknpcnn.layers import Conv2D, image_shape
    >>> image_shape(Conv2D(8), (28, 28, 1))
    (28, 28, 1)
    """
    if len(shape) != 3:
        raise ValueError(
            f"{brief(layer)} needs images (height, width, channels), but is given vectors of shape "
            f"{shape}. Put it before Flatten(), GlobalAvgPool2D() and Dense()."
        )
    h, w, c = shape
    return h, w, c


def vector_size(layer: Layer, shape: Shape) -> int:
    """Return the length of one vector, or raise an error that names the shape that the layer got.

    Parameters
    ----------
    layer : Layer
        The layer that needs vectors.
    shape : tuple of int
        The shape of its input.

    Examples
    --------
    >>> from sknpcnn.layers import Dense, vector_size
    >>> vector_size(Dense(10), (64,))
    64
    """
    if len(shape) != 1:
        raise ValueError(
            f"{brief(layer)} needs vectors, but is given images of shape {shape}. "
            "Put Flatten() or GlobalAvgPool2D() before it."
        )
    return prod(shape)
