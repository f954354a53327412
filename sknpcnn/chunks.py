"""Ranges of samples, and the shapes and views of arrays that belong to them."""

from typing import Any

import numpy as np

from sknpcnn.layers.base import Array, Arrays, Shape, batch_axis

BLOCK = 2**18
"""How many numbers of the data are looked at together, where all of them have to be read."""


def cut(n: int, size: int, even: bool = False) -> list[tuple[int, int]]:
    """Cut n things into ranges of at most that size, as equal as can be.

    ``even`` asks for an even number of them, if there is more than one, for two threads to share.
    """
    parts = max(-(-n // size), 1)
    if even and parts > 1:
        parts = min(parts + parts % 2, n)
    return [(i * n // parts, (i + 1) * n // parts) for i in range(parts)]


def of_one_sample(shape: Shape) -> Shape:
    """Return the shape of one sample of a batch."""
    return (*shape[:2], shape[3]) if len(shape) == 4 else shape[1:]


def with_samples(shape: Shape, n: int) -> Shape:
    """Return the shape of a batch of n samples of some shape."""
    return (*shape[:2], n, shape[2]) if len(shape) == 3 else (n, *shape)


def of_samples(x: Array, lo: int, hi: int) -> tuple[slice, ...]:
    """Index the samples lo to hi of a batch."""
    return (slice(None),) * batch_axis(x) + (slice(lo, hi),)


def laid_out(tree: Arrays, row: Array) -> tuple[dict[str, Any], Array]:
    """Lay the tree's arrays out in a row of numbers; also return what is left of the row."""
    views: dict[str, Any] = {}
    for name, branch in tree.items():
        if isinstance(branch, np.ndarray):
            views[name] = row[: branch.size].reshape(branch.shape)
            row = row[branch.size :]
        else:
            views[name], row = laid_out(branch, row)
    return views, row
