"""Convolution in groups: some channels of the output see some channels of the input only.

The groups are one more axis of the matrix products that ``rows`` makes: a kernel is ``(kh, kw, c,
groups, filters)`` here, with ``c`` and ``filters`` those of one group, and channel ``g * c + i`` of
an image is channel ``i`` of its group ``g``.
"""

import numpy as np

from sknpcnn._kernels import rows
from sknpcnn._kernels.windows import Empty, Window, pad, strided, strided_slice


def prepare(W: np.ndarray, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """Lay out one matrix per kernel row and group: (kh, groups, kw * c, filters)."""
    kh, kw, c, groups, filters = W.shape
    matrices = empty((kh, groups, kw * c, filters), W.dtype)
    matrices.reshape(kh, groups, kw, c, filters)[...] = W.transpose(0, 3, 1, 2, 4)
    return matrices


def workspace_size(window: Window, shape: tuple[int, int, int], filters: int) -> int:
    """Count the temporary elements for one image (h, w, c)."""
    return rows.workspace_size(window, shape, filters)


def correlate(
    x: np.ndarray,
    kernel: np.ndarray,
    window: Window,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Slide the prepared kernel over x (h, w, n, c): (ho, wo, n, filters of all groups)."""
    kh, groups, _, filters = kernel.shape
    gathered = gather(x, groups, window, scratch)
    (ho, wo), n, stride = window.outputs, x.shape[2], window.stride[0]
    y = empty((ho, wo, n, groups * filters), x.dtype)
    at_once = min(max(rows.BLOCK // y[0].size, 1), ho)
    product = scratch((at_once, wo * n, groups, filters), x.dtype)
    for first in range(0, ho, at_once):
        target = y[first : first + at_once].reshape(-1, wo * n, groups, filters)
        part = product[: len(target)]
        for i in range(kh):
            start = first * stride + i * window.dilation[0]
            slab = gathered[strided_slice(start, stride, len(target))]
            out = part if i else target
            np.matmul(slab.swapaxes(1, 2), kernel[i], out=out.swapaxes(1, 2))
            if i:
                np.add(target, part, out=target)
    return y


def kernel_gradient(
    x: np.ndarray, dy: np.ndarray, window: Window, dW: np.ndarray, scratch: Empty = np.empty
) -> None:
    """Write the gradient of the kernel, kernel row by kernel row, into ``dW``."""
    (kh, kw, c, groups, filters), ho = dW.shape, len(dy)
    gathered = gather(x, groups, window, scratch)
    columns = dy.reshape(ho, -1, groups, filters).swapaxes(1, 2)
    parts = scratch((ho, groups, kw * c, filters), dy.dtype)
    total = scratch(parts.shape[1:], dy.dtype)
    for i in range(kh):
        slab = gathered[strided_slice(i * window.dilation[0], window.stride[0], ho)]
        np.matmul(slab.transpose(0, 2, 3, 1), columns, out=parts)
        np.add.reduce(parts, axis=0, out=total)
        dW[i] = total.reshape(groups, kw, c, filters).transpose(1, 2, 0, 3)


def gather(x: np.ndarray, groups: int, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """Lay the ``kw`` pixels that a kernel row reads side by side: (h, wo * n, groups, kw * c).

    The channels of a group are copied as one item.
    """
    x = pad(x, window.pads, 0.0, empty)
    h, w, n, channels = x.shape
    kw, stride, wo, c = window.size[1], window.stride[1], window.outputs[1], channels // groups
    gathered = empty((h, wo * n, groups, kw * c), x.dtype)
    item = np.dtype((np.void, x.itemsize * c))
    pixel = n * groups
    strides = (w * pixel, stride * pixel, groups, 1, window.dilation[1] * pixel)
    target = gathered.view(item).reshape(h, wo, n, groups, kw)
    target[...] = strided(x.view(item), target.shape, strides)
    return gathered
