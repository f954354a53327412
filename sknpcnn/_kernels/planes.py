"""Convolution by planes, for images of few channels: im2col, transposed.

With few channels, a pixel is too short to be worth copying on its own. So the padded image is laid
out channels first, ``(c, h, w, n)``, and copied once per kernel pixel and channel: each copy is a
shifted plane, contiguous over long runs. The transpose of these copies times the kernel is the
convolution, and their product with ``dy`` is the kernel's gradient. There is one product for each
row of the output. A few rows are copied at once and multiplied while they are in the cache.
"""

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
    (depth, filters), (ho, wo), n = kernel.shape, window.outputs, x.shape[2]
    places = shifted(x, window, scratch)
    y = empty((ho, wo, n, filters), x.dtype)
    at_once = min(max(BLOCK // (depth * wo * n), 1), ho)
    memory = scratch((at_once * depth * wo * n,), x.dtype)
    for first in range(0, ho, at_once):
        part = places[:, :, :, first : first + at_once]
        copies = memory[: part.size].reshape(part.shape)
        copies[...] = part
        rows = copies.reshape(depth, part.shape[3], -1).transpose(1, 2, 0)
        np.matmul(rows, kernel, out=y[first : first + at_once].reshape(len(rows), -1, filters))
    return y


def kernel_gradient(
    x: np.ndarray, dy: np.ndarray, window: Window, dW: np.ndarray, scratch: Empty = np.empty
) -> None:
    """Write the gradient of the kernel into ``dW``."""
    filters, ho = dW.shape[-1], len(dy)
    copies = gather(x, window, scratch)
    parts = scratch((ho, len(copies), filters), dy.dtype)
    rows = copies.reshape(len(copies), ho, -1).swapaxes(0, 1)
    np.matmul(rows, dy.reshape(ho, -1, filters), out=parts)
    np.add.reduce(parts, axis=0, out=dW.reshape(-1, filters))


def gather(x: np.ndarray, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """Copy the image once per kernel pixel and channel: (kh * kw * c, ho * wo * n)."""
    places = shifted(x, window, empty)
    copies = empty(places.shape, x.dtype)
    copies[...] = places
    return copies.reshape(-1, copies[0, 0, 0].size)


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
