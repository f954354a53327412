"""The geometry of sliding windows: padding, output sizes, and the slices that an offset reads."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Empty = Callable[..., np.ndarray]
"""A function that returns an uninitialized array, as ``np.empty`` does."""

Pair = tuple[int, int]
"""(along the height, along the width)"""

Pads = tuple[Pair, Pair]
"""((top, bottom), (left, right))"""


def axis_pads(
    length: int, window: int, stride: int, dilation: int, padding: str | int | Pair
) -> Pair:
    """Count the pixels to add before and after one axis of an image.

    "same" follows TensorFlow: as many outputs as strides fit into the image, and an odd pixel is
    added at the end.
    """
    if padding == "valid":
        return 0, 0
    if padding == "same":
        span = dilation * (window - 1) + 1
        outputs = -(-length // stride)
        missing = max((outputs - 1) * stride + span - length, 0)
        return missing // 2, missing - missing // 2
    return (padding, padding) if isinstance(padding, int) else (int(padding[0]), int(padding[1]))


def round_up(length: int, pads: Pair, window: int, stride: int) -> Pair:
    """Add pixels after an axis for a last window that is not full, as PyTorch's ``ceil_mode`` does.

    It must begin within the image or in what is before it.
    """
    before, after = pads
    steps = -((window - length - before - after) // stride)
    if steps * stride >= length + before:
        steps -= 1
    return before, steps * stride + window - length - before


def output_length(length: int, pads: Pair, window: int, stride: int, dil: int) -> int:
    """Count the positions of a window along one axis; 0 where it does not fit."""
    slack = length + sum(pads) - (dil * (window - 1) + 1)
    return max(slack // stride + 1, 0) if slack >= 0 else 0


class Window(NamedTuple):
    """A window that slides over images, and its positions."""

    size: Pair
    stride: Pair
    dilation: Pair
    pads: Pads
    outputs: Pair
    """How many positions it has along the height and along the width."""


def strided_slice(offset: int, stride: int, outputs: int) -> slice:
    """Return the slice that one offset within the window reads, over all window positions."""
    return slice(offset, offset + stride * (outputs - 1) + 1, stride)


def overlap(offset: int, stride: int, outputs: int, length: int) -> tuple[slice, slice]:
    """Return which window positions read inside the axis at an offset, and the pixels they read.

    Position ``o`` of the window reads pixel ``o * stride + offset``; the offset may be negative.
    """
    first = max(-(offset // stride), 0)
    last = min((length - 1 - offset) // stride, outputs - 1)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), strided_slice(offset + first * stride, stride, last - first + 1)


def pad(x: np.ndarray, pads: Pads, fill: float, empty: Empty = np.empty) -> np.ndarray:
    """Pad images (h, w, n, c); the result is contiguous.

    What is right of one row and left of the next one lies side by side: with the beginning and the
    end, three pieces of memory are all that is outside of the image.
    """
    (top, bottom), (left, right) = pads
    if not (top or bottom or left or right):
        return contiguous(x, empty)
    h, w, n, c = x.shape
    padded = empty((top + h + bottom, left + w + right, n, c), x.dtype)
    inside = padded[top : top + h, left : left + w]
    inside[...] = x
    memory, pixel, row = padded.reshape(-1), n * c, padded[0].size
    first = top * row + left * pixel
    last = first + (h - 1) * row + w * pixel
    memory[:first] = memory[last:] = fill
    if left or right:
        rows = memory[first : first + (h - 1) * row].reshape(h - 1, row)
        rows[:, w * pixel :] = fill
    return padded


def contiguous(x: np.ndarray, empty: Empty = np.empty) -> np.ndarray:
    """Return the array itself if it is C-contiguous, else a copy that is."""
    if x.flags.c_contiguous:
        return x
    copy = empty(x.shape, x.dtype)
    copy[...] = x
    return copy


def strided(x: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """View a contiguous array with other strides, in items; NumPy checks the bounds."""
    in_bytes = tuple(x.itemsize * stride for stride in strides)
    return np.ndarray(shape, x.dtype, x, 0, in_bytes)
