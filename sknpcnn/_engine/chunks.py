"""Ranges of samples, and the shapes and slices of arrays that go with them."""

from sknpcnn.layers.base import Array, Shape
from sknpcnn.layers.batch import batch_axis

BLOCK = 2**18
"""How many elements of the data are processed at once where all of them have to be read."""


def cut(n: int, size: int, even: bool = False) -> list[tuple[int, int]]:
    """Split ``range(n)`` into ranges of at most ``size``, as equal as possible.

    ``even`` asks for an even number of ranges, if more than one, for two threads to share.
    """
    parts = max(-(-n // size), 1)
    if even and parts > 1:
        parts = min(parts + parts % 2, n)
    return [(i * n // parts, (i + 1) * n // parts) for i in range(parts)]


def sample_shape(shape: Shape) -> Shape:
    """Return the shape of one sample of a batch."""
    return (*shape[:2], shape[3]) if len(shape) == 4 else shape[1:]


def batch_shape(shape: Shape, n: int) -> Shape:
    """Return the shape of a batch of n samples."""
    return (*shape[:2], n, shape[2]) if len(shape) == 3 else (n, *shape)


def sample_slice(x: Array, lo: int, hi: int) -> tuple[slice, ...]:
    """Return the index of samples lo to hi of a batch."""
    return (slice(None),) * batch_axis(x) + (slice(lo, hi),)
