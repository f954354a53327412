"""Where windows lie on an image: padding, output sizes and the slices that one offset meets."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Empty = Callable[..., np.ndarray]
"""Something that makes an uninitialised array, as ``np.empty`` does."""

Pair = tuple[int, int]
"""(along the height, along the width)"""

Pads = tuple[Pair, Pair]
"""((top, bottom), (left, right))"""


def axis_pads(
    length: int, window: int, stride: int, dilation: int, padding: str | int
) -> tuple[int, int]:
    """Count the pixels to add before and after one axis of an image.

    "same" is TensorFlow's rule: as many outputs as strides fit into the image, and the odd pixel
    goes to the end.
    """
    if padding == "valid":
        return 0, 0
    if padding == "same":
        span = dilation * (window - 1) + 1
        outputs = -(-length // stride)
        missing = max((outputs - 1) * stride + span - length, 0)
        return missing // 2, missing - missing // 2
    return int(padding), int(padding)


def output_length(length: int, pads: tuple[int, int], window: int, stride: int, dil: int) -> int:
    """Count the positions of a window along one axis; 0 where it does not fit."""
    room = length + sum(pads) - (dil * (window - 1) + 1)
    return max(room // stride + 1, 0) if room >= 0 else 0


class Window(NamedTuple):
    """A window that slides over images, and where it may go."""

    size: Pair
    stride: Pair
    dilation: Pair
    pads: Pads
    outputs: Pair
    """How many positions it takes along the height and along the width."""


def steps(offset: int, stride: int, outputs: int) -> slice:
    """Slice out what one offset within the window meets, over all positions of the window."""
    return slice(offset, offset + stride * (outputs - 1) + 1, stride)


def meet(offset: int, stride: int, outputs: int, length: int) -> tuple[slice, slice]:
    """Match the positions whose offset lies on the axis with the places that it lies at.

    Position ``o`` of the window lies at ``o * stride + offset``; the offset may be negative.
    """
    first = max(-(offset // stride), 0)
    last = min((length - 1 - offset) // stride, outputs - 1)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), steps(offset + first * stride, stride, last - first + 1)


def pad(x: np.ndarray, pads: Pads, fill: float, empty: Empty = np.empty) -> np.ndarray:
    """Put a border around images (h, w, n, c); the result is one block of memory."""
    (top, bottom), (left, right) = pads
    if not (top or bottom or left or right):
        return unbroken(x, empty)
    h, w, n, c = x.shape
    padded = empty((top + h + bottom, left + w + right, n, c), x.dtype)
    padded[...] = fill  # all of it: one long call is faster than four for the edges
    padded[top : top + h, left : left + w] = x
    return padded


def unbroken(x: np.ndarray, empty: Empty = np.empty) -> np.ndarray:
    """Return an array that is one block of memory, in order: itself, or a copy."""
    if x.flags.c_contiguous:
        return x
    block = empty(x.shape, x.dtype)
    block[...] = x
    return block


def strided(x: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """View one block of memory with other strides, counted in items; NumPy checks the bounds."""
    in_bytes = tuple(x.itemsize * stride for stride in strides)
    return np.ndarray(shape, x.dtype, x, 0, in_bytes)
