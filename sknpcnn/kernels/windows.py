"""Where windows lie on an image: padding, output sizes and the slices that one offset meets."""

from collections.abc import Callable

import numpy as np

Empty = Callable[..., np.ndarray]
"""Something that makes an uninitialised array, as ``np.empty`` does."""

Pads = tuple[tuple[int, int], tuple[int, int]]
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


def steps(offset: int, stride: int, outputs: int) -> slice:
    """Slice out what one offset within the window meets, over all positions of the window."""
    return slice(offset, offset + stride * (outputs - 1) + 1, stride)


def pad(x: np.ndarray, pads: Pads, fill: float, empty: Empty = np.empty) -> np.ndarray:
    """Put a border around images (h, w, n, c); without any border they are returned as they are."""
    (top, bottom), (left, right) = pads
    if not (top or bottom or left or right):
        return x
    h, w, n, c = x.shape
    padded = empty((top + h + bottom, left + w + right, n, c), x.dtype)
    padded[:top] = fill
    padded[top + h :] = fill
    middle = padded[top : top + h]
    middle[:, :left] = fill
    middle[:, left + w :] = fill
    middle[:, left : left + w] = x
    return padded


def crop(x: np.ndarray, pads: Pads) -> np.ndarray:
    """View images without the border that ``pad`` added."""
    (top, bottom), (left, right) = pads
    return x[top : x.shape[0] - bottom, left : x.shape[1] - right]
