r"""Convolution by rows: a few matrix products on slabs of memory, and no im2col.

Images lie height first, ``(h, w, n, c)``. What row ``i`` of the kernel meets, over all positions of
the kernel, is then one slab of rows ``i ... i + ho``. So the input is gathered once *along the
width only* (``gather``: for every pixel the ``kw`` neighbours in its row, side by side), and the
convolution is one matrix product per row of the kernel::

    y = sum_i  gathered[i : i + ho] @ W[i]          W[i] is (kw * c, filters)

That moves ``kh`` times less memory than im2col. The gradient of ``W[i]`` is the transposed slab
times ``dy``. The gradient of the input is again a convolution: of ``dy``, laid out on the grid of
the input, with the kernel turned by 180 degrees.
"""

import numpy as np

from sknpcnn.kernels.windows import Empty, pad, steps

Pair = tuple[int, int]


def gather(
    x: np.ndarray, kw: int, stride: int, dilation: int, wo: int, empty: Empty = np.empty
) -> np.ndarray:
    """Lay the ``kw`` pixels that a kernel row meets side by side: (h, w, n, c) -> (h, wo, n, kw*c).

    ``x`` is already padded. A pixel, with all its channels, is copied as one thing.
    """
    h, _, n, c = x.shape
    if kw == 1 and stride == 1:
        return x
    gathered = empty((h, wo, n, kw * c), x.dtype)
    pixel = np.dtype((np.void, x.dtype.itemsize * c))
    source = x.view(pixel)[..., 0]
    target = gathered.view(pixel)
    for j in range(kw):
        target[..., j] = source[:, steps(j * dilation, stride, wo)]
    return gathered


def correlate(
    gathered: np.ndarray,
    W: np.ndarray,
    stride: int,
    dilation: int,
    ho: int,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Multiply each slab with its kernel row and add up: (h, wo, n, kw*c) -> (ho, wo, n, filters).

    ``W`` is (kh, kw, c, filters).
    """
    kh, filters = W.shape[0], W.shape[-1]
    _, wo, n, depth = gathered.shape
    y = empty((ho, wo, n, filters), gathered.dtype)
    rows = y.reshape(ho, wo * n, filters)
    part = scratch(rows.shape, rows.dtype) if kh > 1 else rows
    for i in range(kh):
        slab = gathered[steps(i * dilation, stride, ho)].reshape(ho, wo * n, depth)
        _product(slab, W[i].reshape(depth, filters), part if i else rows)
        if i:
            np.add(rows, part, out=rows)
    return y


def kernel_gradient(
    gathered: np.ndarray, dy: np.ndarray, stride: int, dilation: int, dW: np.ndarray
) -> None:
    """Write the gradient of the kernel, one product per kernel row, into ``dW``."""
    kh, filters = dW.shape[0], dW.shape[-1]
    ho, depth = dy.shape[0], gathered.shape[-1]
    columns = dy.reshape(-1, filters)
    for i in range(kh):
        slab = gathered[steps(i * dilation, stride, ho)].reshape(-1, depth)
        np.matmul(slab.T, columns, out=dW[i].reshape(depth, filters))


def gather_planes(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    outputs: Pair,
    empty: Empty = np.empty,
) -> np.ndarray:
    """Copy the image once per pixel of the kernel and channel: (h, w, n, c) -> (kh*kw*c, ho*wo*n).

    For images of few channels, whose pixels are too short to be worth copying one by one. Each row
    of the result is a shifted plane of the image, copied in long runs; its transpose times the
    kernel is the convolution, and its product with ``dy`` the kernel's gradient.
    """
    _, _, n, c = x.shape
    planes = np.ascontiguousarray(x.transpose(3, 0, 1, 2))
    copies = empty((*kernel, c, *outputs, n), x.dtype)
    for i in range(kernel[0]):
        rows = steps(i * dilation[0], stride[0], outputs[0])
        for j in range(kernel[1]):
            copies[i, j] = planes[:, rows, steps(j * dilation[1], stride[1], outputs[1])]
    return copies.reshape(kernel[0] * kernel[1] * c, -1)


def turned(W: np.ndarray) -> np.ndarray:
    """Turn the kernel by 180 degrees and swap what it reads and what it writes."""
    return np.ascontiguousarray(W[::-1, ::-1].transpose(0, 1, 3, 2))


def spread(
    dy: np.ndarray,
    size: Pair,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    before: Pair,
    empty: Empty = np.empty,
) -> np.ndarray:
    """Lay ``dy`` out so that correlating it with the turned kernel gives the input's gradient.

    Output ``o`` met input ``o * stride + i * dilation - before`` through kernel row ``i``. It
    therefore belongs at ``o * stride + (k - 1) * dilation - before``, with zeros in between; what
    falls outside has met only padding.
    """
    _, _, n, filters = dy.shape
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    h, w = size[0] + reach[0], size[1] + reach[1]
    top, left = reach[0] - before[0], reach[1] - before[1]
    bottom, right = h - top - dy.shape[0], w - left - dy.shape[1]
    if stride == (1, 1) and min(top, left, bottom, right) >= 0:  # side by side: only a border
        return pad(dy, ((top, bottom), (left, right)), 0.0, empty)
    laid = empty((h, w, n, filters), dy.dtype)
    rows = _landing(dy.shape[0], top, stride[0], h)
    columns = _landing(dy.shape[1], left, stride[1], w)
    laid[...] = 0
    laid[rows[1], columns[1]] = dy[rows[0], columns[0]]
    return laid


def _landing(outputs: int, offset: int, stride: int, length: int) -> tuple[slice, slice]:
    """Match the outputs that land within ``length`` (source) with where they land (target)."""
    first = max(-(offset // stride), 0)
    last = min((length - 1 - offset) // stride, outputs - 1)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), steps(offset + first * stride, stride, last - first + 1)


def _product(slab: np.ndarray, W: np.ndarray, out: np.ndarray) -> None:
    if slab.flags.c_contiguous:  # one long product instead of one per image row
        np.matmul(slab.reshape(-1, W.shape[0]), W, out=out.reshape(-1, W.shape[1]))
    else:
        np.matmul(slab, W, out=out)
