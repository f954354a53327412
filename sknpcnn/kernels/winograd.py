r"""Winograd's convolution along the rows: four rows of output from six products instead of twelve.

Three rows of a kernel slide over six rows of input and make four rows of output: a product of the
polynomials ``x`` and ``W``, cut short. A product of polynomials is cheap at points: six points
determine the result, and at each of them it is a single product. So six rows of input are turned
into six mixtures of rows (``TO_POINTS``), the kernel's three rows into six (``KERNEL``), these are
multiplied one by one, and the products are mixed into four rows of output (``FROM_POINTS``)::

    y[0..3] = FROM_POINTS @ ((KERNEL @ W) * (TO_POINTS @ x[0..5]))       points 0, 1, -1, 2, -2, inf

Rows are slabs of memory, so a mixture of rows is a tiny matrix times a large one and costs next to
nothing. Along the width, the input is gathered as in ``convolution``. The gradient of the kernel
mixes ``dy`` with the transpose of ``FROM_POINTS``, multiplies at the points, and mixes back with
the transpose of ``KERNEL``. Relative rounding errors are some 2e-6 in single precision.
"""

import numpy as np

from sknpcnn.kernels.windows import Empty

ROWS = 4
"""Rows of output that are made together."""
POINTS = 6

TO_POINTS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
KERNEL = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
FROM_POINTS = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)


def saves(ho: int, depth: int) -> bool:
    """Tell whether it is worth it: enough rows to fill the tiles, enough numbers to multiply."""
    return depth >= 48 and POINTS * tiles(ho) <= 2 * ho


def tiles(ho: int) -> int:
    """Count the tiles of four rows of output; the last one may be cut."""
    return -(-ho // ROWS)


def gather(
    x: np.ndarray, kw: int, wo: int, ho: int, empty: Empty = np.empty, scratch: Empty = np.empty
) -> np.ndarray:
    """Mix rows into points and gather along the width: (h, w, n, c) -> (6, tiles, wo, n, kw*c).

    ``x`` is padded, with ``ho + 2`` rows; rows that the last tile lacks count as zero.
    """
    _, w, n, c = x.shape
    count = tiles(ho)
    at_points = scratch((count, POINTS, w, n, c), x.dtype)
    to_points = TO_POINTS.astype(x.dtype)
    for t in range(count):
        rows = x[ROWS * t : ROWS * t + POINTS].reshape(-1, w * n * c)
        np.matmul(to_points[:, : len(rows)], rows, out=at_points[t].reshape(POINTS, -1))
    gathered = empty((POINTS, count, wo, n, kw * c), x.dtype)
    pixel = np.dtype((np.void, x.dtype.itemsize * c))
    source = at_points.view(pixel)[..., 0].swapaxes(0, 1)
    target = gathered.view(pixel)
    for j in range(kw):
        target[..., j] = source[:, :, j : j + wo]
    return gathered


def correlate(
    gathered: np.ndarray,
    W: np.ndarray,
    ho: int,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Multiply at the points, mix into rows: (6, tiles, wo, n, kw*c) -> (ho, wo, n, filters)."""
    _, count, wo, n, depth = gathered.shape
    filters = W.shape[-1]
    kernel = np.matmul(KERNEL.astype(W.dtype), W.reshape(3, -1)).reshape(POINTS, depth, filters)
    products = scratch((POINTS, count, wo * n * filters), W.dtype)
    np.matmul(
        gathered.reshape(POINTS, -1, depth), kernel, out=products.reshape(POINTS, -1, filters)
    )
    y = empty((ho, wo, n, filters), W.dtype)
    from_points = FROM_POINTS.astype(W.dtype)
    for t in range(count):
        rows = y[ROWS * t : ROWS * (t + 1)].reshape(-1, wo * n * filters)
        np.matmul(from_points[: len(rows)], products[:, t], out=rows)
    return y


def kernel_gradient(
    gathered: np.ndarray, dy: np.ndarray, dW: np.ndarray, scratch: Empty = np.empty
) -> None:
    """Write the gradient of the kernel into ``dW``, (3, kw, c, filters)."""
    _, count, _, _, depth = gathered.shape
    filters = dW.shape[-1]
    at_points = scratch((POINTS, count, dy[0].size), dy.dtype)
    mixed = FROM_POINTS.T.astype(dy.dtype)
    for t in range(count):
        rows = dy[ROWS * t : ROWS * (t + 1)].reshape(-1, dy[0].size)
        np.matmul(mixed[:, : len(rows)], rows, out=at_points[:, t])
    slabs = gathered.reshape(POINTS, -1, depth)
    products = np.matmul(slabs.swapaxes(1, 2), at_points.reshape(POINTS, -1, filters))
    np.matmul(KERNEL.T.astype(dy.dtype), products.reshape(POINTS, -1), out=dW.reshape(3, -1))
