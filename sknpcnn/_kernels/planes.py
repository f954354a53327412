"""Convolution by planes, for images of few channels: im2col, transposed.

With few channels, a pixel is too short to be worth copying on its own. So the padded image is laid
out channels first, ``(c, h, w, n)``, and copied once per kernel pixel and channel: each copy is a
shifted plane, contiguous over long runs. The transpose of these copies times the kernel is the
convolution, and their product with ``dy`` is the kernel's gradient. There is one product for each
row of the output. A few rows are copied at once and multiplied while they are in the cache.
"""

from collections.abc import Iterator
from math import prod

import numpy as np

from sknpcnn._kernels.windows import Empty, Window, strided

BLOCK = 2**16
"""How many elements are copied before they are multiplied."""


def prepare(W: np.ndarray, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """View the kernel as a matrix: (kh, kw, c, filters) -> (kh * kw * c, filters)."""
    return W.reshape(-1, W.shape[-1])


def workspace_size(window: Window, shape: tuple[int, int, int], filters: int) -> int:
    """Count the temporary elements for one image (h, w, c)."""
    return prod(window.size) * shape[2] * prod(window.outputs)


def correlate(
    x: np.ndarray,
    kernel: np.ndarray,
    window: Window,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Slide the prepared kernel over x (h, w, n, c): (ho, wo, n, filters)."""
    (ho, wo), n, filters = window.outputs, x.shape[2], kernel.shape[1]
    y = empty((ho, wo, n, filters), x.dtype)
    for first, rows in _gathered(x, window, scratch):
        target = y[first : first + len(rows)].reshape(len(rows), -1, filters)
        np.matmul(rows.swapaxes(1, 2), kernel, out=target)
    return y


def kernel_gradient(
    x: np.ndarray, dy: np.ndarray, window: Window, dW: np.ndarray, scratch: Empty = np.empty
) -> None:
    """Write the gradient of the kernel into ``dW``."""
    depth, filters = dW[..., 0].size, dW.shape[-1]
    dy = dy.reshape(len(dy), -1, filters)
    parts = scratch((len(dy), depth, filters), dy.dtype)
    for first, rows in _gathered(x, window, scratch):
        part = slice(first, first + len(rows))
        np.matmul(rows, dy[part], out=parts[part])
    np.add.reduce(parts, axis=0, out=dW.reshape(-1, filters))


def _gathered(x: np.ndarray, window: Window, scratch: Empty) -> Iterator[tuple[int, np.ndarray]]:
    """Copy what a few rows of the output read: (rows, kh * kw * c, wo * n), and the first of them.

    All are in the same memory.
    """
    places = shifted(x, window, scratch)
    ho, row = window.outputs[0], places[:, :, :, 0]
    at_once = min(max(BLOCK // row.size, 1), ho)
    memory = scratch((at_once * row.size,), x.dtype)
    for first in range(0, ho, at_once):
        part = places[:, :, :, first : first + at_once]
        copies = memory[: part.size].reshape(part.shape)
        copies[...] = part
        yield first, copies.reshape(-1, part.shape[3], row[0, 0, 0].size).swapaxes(0, 1)


def shifted(x: np.ndarray, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """View the padded images, channels first, from each kernel pixel: (kh, kw, c, ho, wo, n)."""
    h, w, n, c = x.shape
    (top, bottom), (left, right) = window.pads
    padded = empty((c, top + h + bottom, left + w + right, n), x.dtype)
    if top or bottom or left or right:
        padded[...] = 0
    padded[:, top : top + h, left : left + w] = x.transpose(3, 0, 1, 2)
    row, plane = padded[0, 0].size, padded[0].size
    down, along = window.dilation[0] * row, window.dilation[1] * n
    strides = (down, along, plane, window.stride[0] * row, window.stride[1] * n, 1)
    return strided(padded, (*window.size, c, *window.outputs, n), strides)
