r"""Convolution by rows: a few matrix products on contiguous slabs instead of a full im2col.

Images are stored height first, ``(h, w, n, c)``. So what row ``i`` of the kernel reads, over all
positions of the kernel, is one slab of rows ``i ... i + ho``. The input is gathered once *along the
width only* (``gather``: for every pixel the ``kw`` neighbors in its row, side by side), and the
convolution is one matrix product per row of the kernel::

    y = sum_i  gathered[i : i + ho] @ W[i]          W[i] is (kw * c, filters)

That moves ``kh`` times less memory than im2col. The gradient of ``W[i]`` is the transposed slab
times ``dy``. Some rows of the output are completed before the next ones, so that they stay in the
cache. This algorithm works for every stride and dilation.
"""

import numpy as np

from sknpcnn._kernels.windows import Empty, Window, pad, strided, strided_slice

BLOCK = 2**16
"""How many elements of the output are completed at once."""


def prepare(W: np.ndarray, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """Return the kernel unchanged."""
    return W


def workspace_size(window: Window, shape: tuple[int, int, int], filters: int) -> int:
    """Count the temporary elements for one image (h, w, c)."""
    h, _, c = shape
    return h * window.outputs[1] * window.size[1] * c


def correlate(
    x: np.ndarray,
    W: np.ndarray,
    window: Window,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Slide the kernel (kh, kw, c, filters) over x (h, w, n, c): (ho, wo, n, filters)."""
    kh, filters = W.shape[0], W.shape[-1]
    gathered = gather(x, window, scratch)
    _, wo, n, depth = gathered.shape
    ho, stride = window.outputs[0], window.stride[0]
    y = empty((ho, wo, n, filters), x.dtype)
    at_once = min(max(BLOCK // y[0].size, 1), ho)
    product = scratch((at_once, wo * n, filters), x.dtype)
    for first in range(0, ho, at_once):
        rows = y[first : first + at_once].reshape(-1, wo * n, filters)
        part = product[: len(rows)]
        for i in range(kh):
            start = first * stride + i * window.dilation[0]
            slab = gathered[strided_slice(start, stride, len(rows))].reshape(-1, wo * n, depth)
            np.matmul(slab, W[i].reshape(depth, filters), out=part if i else rows)
            if i:
                np.add(rows, part, out=rows)
    return y


def kernel_gradient(
    x: np.ndarray, dy: np.ndarray, window: Window, dW: np.ndarray, scratch: Empty = np.empty
) -> None:
    """Write the gradient of the kernel, kernel row by kernel row, into ``dW``."""
    filters, depth, ho = dW.shape[-1], dW.shape[1] * dW.shape[2], len(dy)
    gathered = gather(x, window, scratch)
    columns = dy.reshape(ho, -1, filters)
    parts = scratch((ho, depth, filters), dy.dtype)
    for i in range(len(dW)):
        slab = gathered[strided_slice(i * window.dilation[0], window.stride[0], ho)]
        np.matmul(slab.reshape(ho, -1, depth).swapaxes(1, 2), columns, out=parts)
        np.add.reduce(parts, axis=0, out=dW[i].reshape(depth, filters))


def gather(x: np.ndarray, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """Lay the ``kw`` pixels that a kernel row reads side by side: (h, w, n, c) -> (h, wo, n, kw*c).

    A pixel with all its channels is copied as one item.
    """
    x = pad(x, window.pads, 0.0, empty)
    h, w, n, c = x.shape
    kw, stride, wo = window.size[1], window.stride[1], window.outputs[1]
    if kw == 1 and stride == 1:
        return x
    gathered = empty((h, wo, n, kw * c), x.dtype)
    pixel = np.dtype((np.void, x.itemsize * c))
    strides = (w * n, stride * n, 1, window.dilation[1] * n)
    gathered.view(pixel)[...] = strided(x.view(pixel), (h, wo, n, kw), strides)
    return gathered
