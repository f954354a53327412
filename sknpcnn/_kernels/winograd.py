r"""Winograd's convolution: fewer multiplications, by evaluating polynomials at points.

A kernel of ``k`` rows slides over ``k + 3`` rows of input and makes four rows of output: a product
of two polynomials, transposed. Given their values at points, a product of polynomials is cheap:
``k + 3`` points determine it, and each takes one multiplication. So ``k + 3`` rows of input are
transformed into as many values at points (``INPUT``), and so are the kernel's rows (``KERNEL``);
these are multiplied elementwise, and the products give four rows of output (``OUTPUT``)::

    y[0..3] = OUTPUT @ ((KERNEL @ W) * (INPUT @ x[0..k+2]))

The columns are transformed likewise. So 4x4 outputs of a 3x3 kernel take 36 products instead of
144, those of a 5x5 kernel 64 instead of 400. At each point of this grid one matrix product over the
channels remains, and nothing is gathered. Rows and columns of all images are contiguous, so each
transform is a tiny matrix times a large one.

The gradient of the kernel transforms ``dy`` by the transpose of ``OUTPUT``, multiplies at the
points, and transforms the products by the transpose of ``KERNEL``. ``benchmarks/accuracy.py``
measures the rounding error.
"""

from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from sknpcnn._kernels.memory import constant
from sknpcnn._kernels.windows import Empty, Window, pad, strided

TILES = {3: {4: 2048}, 5: {4: 32, 3: 64}}
"""By length of the kernel: the outputs per tile along an axis, and how many channels may be summed
for the error to stay below 1e-5 in single precision."""

POINTS = {
    6: (0, 0.75, -0.75, 1.5, -1.5),
    7: (0, 0.625, -0.625, 1, -1, -3),
    8: (0, 0.5, -0.5, 1, -1, 2, -2),
}
"""Where the polynomials are evaluated, by the number of points; infinity is one of these.

Their powers should be neither large nor small: so they lie around one, and not too close together.
The usual 0, 1, -1, 2, -2 have more than three times the error of these.
"""

MIN_CHANNELS = 8
"""With fewer channels the matrix products are too short."""

MIN_TILES = 32
"""With fewer tiles, over all images, transforming the kernel costs more than it saves."""

BLOCK, MIN_KERNELS = 2**19, 4
"""How many elements, at all points, are transformed and multiplied before the next rows of tiles:
they should stay in the cache. But the kernel is read again each time, so that there are at least a
few times as many as in it."""


class Transforms(NamedTuple):
    """The transform matrices for kernels of one length."""

    input: np.ndarray
    kernel: np.ndarray
    output: np.ndarray


@lru_cache
def transforms(length: int, tile: int, dtype: np.dtype | None = None) -> Transforms:
    """Compute the matrices by Lagrange interpolation.

    The polynomial that is one at a point ``p`` and zero at all others ``q`` is the product of
    ``(x - q) / (p - q)``. Its numerators go to the input, the denominators to the kernel. The value
    of a polynomial at infinity is its highest coefficient.
    """
    n = length + tile - 1
    points = np.array(POINTS[n], float)
    to_input, kernel, output = np.zeros((n, n)), np.zeros((n, length)), np.zeros((n, tile))
    for i, p in enumerate(points):
        others = np.delete(points, i)
        to_input[i, :-1] = np.poly(others)[::-1]
        kernel[i] = p ** np.arange(length) / np.prod(p - others)
        output[i] = p ** np.arange(tile)
    to_input[-1] = np.poly(points)[::-1]
    kernel[-1, -1] = output[-1, -1] = 1
    return Transforms(*(constant(m.astype(dtype)) for m in (to_input, kernel, output.T)))


@lru_cache
def tile_size(length: int, depth: int) -> int:
    """Return the outputs per tile along an axis if ``depth`` channels are summed; 0 for none."""
    return next((t for t, max_depth in TILES.get(length, {}).items() if depth <= max_depth), 0)


def tile_counts(window: Window, depth: int) -> tuple[int, int]:
    """Count the tiles along both axes; the last ones may be cut off."""
    height, width = (
        -(-outputs // tile_size(k, depth))
        for k, outputs in zip(window.size, window.outputs, strict=True)
    )
    return height, width


def is_faster(window: Window, channels: int, filters: int, samples: int) -> bool:
    """Return whether it saves at least half of the products, and these are large enough."""
    if min(channels, filters) < MIN_CHANNELS:
        return False
    if not all(tile_size(k, channels) for k in window.size):
        return False
    if not window.stride == window.dilation == (1, 1):
        return False
    large = samples * prod(tile_counts(window, channels)) >= MIN_TILES
    return large and 2 * _count_products(window, channels) <= prod(window.size + window.outputs)


def _count_products(window: Window, depth: int) -> int:
    """Count the points of all tiles of an image."""
    return prod(tile_counts(window, depth)) * prod(k + tile_size(k, depth) - 1 for k in window.size)


def _transforms_of(window: Window, depth: int, dtype: np.dtype) -> tuple[Transforms, Transforms]:
    """Return the matrices for both axes."""
    down, along = (transforms(k, tile_size(k, depth), dtype) for k in window.size)
    return down, along


def prepare(W: np.ndarray, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """Evaluate the kernel at the points: (kh, kw, c, filters) -> (points, c, filters)."""
    kh, kw, c, filters = W.shape
    down, along = (transform.kernel for transform in _transforms_of(window, c, W.dtype))
    rows = np.matmul(down, W.reshape(kh, -1), out=empty((len(down), kw * c * filters), W.dtype))
    at_points = empty((len(down), len(along), c * filters), W.dtype)
    np.matmul(along, rows.reshape(len(down), kw, -1), out=at_points)
    return at_points.reshape(-1, c, filters)


def workspace_size(window: Window, shape: tuple[int, int, int], filters: int) -> int:
    """Count the temporary elements for one image (h, w, c)."""
    return _count_products(window, shape[2]) * (shape[2] + filters)


def correlate(
    x: np.ndarray,
    kernel: np.ndarray,
    window: Window,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Slide the prepared kernel over x (h, w, n, c): (ho, wo, n, filters)."""
    (ho, wo), n, (_, c, filters) = window.outputs, x.shape[2], kernel.shape
    down, along = (transform.output for transform in _transforms_of(window, c, x.dtype))
    height, width = tile_counts(window, c)
    at_once = _rows_at_once(window, c, n, c, filters)
    y = empty((len(down) * height, wo, n, filters), x.dtype)
    products_memory = scratch((len(kernel) * at_once * width * n * filters,), x.dtype)
    mixed_memory = scratch((down.shape[1] * at_once * width * len(along) * n * filters,), x.dtype)
    for first, grid in _grids(x, window, c, at_once, scratch):
        rows, columns, tiles = grid.shape[:3]
        products = _part(products_memory, (rows, columns, tiles, width, n * filters))
        at_points = products.reshape(rows * columns, -1, filters)
        np.matmul(grid.reshape(rows * columns, -1, c), kernel, out=at_points)
        mixed = _part(mixed_memory, (rows, tiles, width, len(along), n * filters))
        np.matmul(along, products.transpose(0, 2, 3, 1, 4), out=mixed)
        inside = mixed.reshape(rows, tiles, -1)[..., : wo * n * filters]
        target = y.reshape(height, len(down), -1)[first : first + tiles]
        np.matmul(down, inside.swapaxes(0, 1), out=target)
    return y[:ho]


def kernel_gradient(
    x: np.ndarray, dy: np.ndarray, window: Window, dW: np.ndarray, scratch: Empty = np.empty
) -> None:
    """Write the gradient of the kernel into ``dW``.

    The sum runs over tiles, those of one row or a few together: short sums lose fewer digits.
    """
    (kh, kw, c, filters), n = dW.shape, x.shape[2]
    down, along = _transforms_of(window, 1, x.dtype)
    points = len(down.input), len(along.input)
    tall, wide = len(down.output), len(along.output)
    height, width = tile_counts(window, 1)
    missing = (0, tall * height - dy.shape[0]), (0, wide * width - dy.shape[1])
    dy = pad(dy, missing, 0.0, scratch).reshape(height, tall, -1)
    short = max(window.size) == 5  # 3x3 has digits to spare
    at_once = 1 if short else _rows_at_once(window, 1, n, c, filters)
    rows_memory = scratch((at_once, points[0], dy.shape[2]), x.dtype)
    memory = scratch((prod(points) * at_once * width * n * filters,), x.dtype)
    total, more = (scratch((prod(points), c, filters), x.dtype) for _ in range(2))
    for first, grid in _grids(x, window, 1, at_once, scratch):
        tiles = grid.shape[2]
        rows = np.matmul(down.output.T, dy[first : first + tiles], out=rows_memory[:tiles])
        rows = rows.reshape(tiles, points[0], width, wide, n * filters)
        at_points = _part(memory, (*points, tiles, width, n * filters))
        np.matmul(along.output.T, rows, out=at_points.transpose(2, 0, 3, 1, 4))
        inputs = grid.reshape(prod(points), -1, c).swapaxes(1, 2)
        found = more if first else total
        np.matmul(inputs, at_points.reshape(prod(points), -1, filters), out=found)
        if first:
            np.add(total, found, out=total)
    columns = scratch((points[0], kw, c * filters), x.dtype)
    np.matmul(along.kernel.T, total.reshape(*points, -1), out=columns)
    np.matmul(down.kernel.T, columns.reshape(points[0], -1), out=dW.reshape(kh, -1))


def _grids(
    x: np.ndarray, window: Window, depth: int, at_once: int, scratch: Empty
) -> Iterator[tuple[int, np.ndarray]]:
    """Evaluate rows, then columns, at the points: (points, points, tiles, tiles, n, c).

    A few rows of tiles are completed before the next ones: these are yielded with the first of
    them. All are in the same memory.
    """
    down, along = (transform.input for transform in _transforms_of(window, depth, x.dtype))
    height, width = tile_counts(window, depth)
    tall, wide = (tile_size(k, depth) for k in window.size)
    h, w, n, c = x.shape
    (top, _), (left, _) = window.pads
    down_to, right_to = tall * (height - 1) + len(down), wide * (width - 1) + len(along)
    x = pad(x, ((top, down_to - top - h), (left, right_to - left - w)), 0.0, scratch)
    pixel, row = n * c, right_to * n * c
    x = strided(x, (height, len(down), row), (tall * row, row, 1))
    rows_memory = scratch((at_once, len(down), row), x.dtype)
    memory = scratch((len(down) * len(along) * at_once * width * pixel,), x.dtype)
    for first in range(0, height, at_once):
        rows = rows_memory[: min(at_once, height - first)]
        np.matmul(down, x[first : first + len(rows)], out=rows)
        grid = _part(memory, (len(down), len(along), len(rows), width, pixel))
        shape = (len(rows), len(down), width, len(along), pixel)
        windows = strided(rows, shape, (len(down) * row, row, wide * pixel, pixel, 1))
        np.matmul(along, windows, out=grid.transpose(2, 0, 3, 1, 4))
        yield first, grid.reshape(*grid.shape[:4], n, c)


def _rows_at_once(window: Window, depth: int, n: int, c: int, filters: int) -> int:
    """Return how many rows of tiles are transformed and multiplied at once."""
    height, width = tile_counts(window, depth)
    points = prod(k + tile_size(k, depth) - 1 for k in window.size)
    row = width * points * n * (c + filters)
    size = max(BLOCK, MIN_KERNELS * points * c * filters)
    blocks = min(-(-height * row // size), height)
    return -(-height // blocks)


def _part(memory: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """View the beginning of a block of memory as an array."""
    return memory[: prod(shape)].reshape(shape)
