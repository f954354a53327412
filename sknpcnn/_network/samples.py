"""Samples bundle X, targets and weights, so that subsets can be selected without copying X."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sknpcnn._engine.chunks import cut
from sknpcnn._kernels.randomness import row_ids
from sknpcnn._network.balance import Counts

Array = np.ndarray

HASH_BLOCK_SIZE = 2**14
"""The number of elements hashed at once: several passes over eight bytes for each must be fast."""


@dataclass(frozen=True)
class Samples:
    """The data that a network is trained or validated on."""

    X: Array
    """(n, features), as given by the user"""
    targets: Array
    """What a loss compares outputs with: the index of each sample's class, (n,), or (n, k)"""
    weights: Array | None
    """(n,), or None if all samples have equal weight"""
    index: Array
    """Indices of the selected rows"""
    y: Array | None = None
    """What the targets were made of, (n,) or (n, k)"""
    counts: Counts = ()
    """Total sample weight of each class over all rows, before class weights are applied"""

    def __len__(self) -> int:
        return len(self.index)

    def at(self, index: Array) -> "Samples":
        """Select some of the rows."""
        return replace(self, index=index)

    def weights_at(self, index: Array) -> Array | None:
        """Return the weights of some rows, None if all are equal."""
        return None if self.weights is None else self.weights[index]


def content_ids(samples: Samples, transform: Callable[[Array], Array] = lambda rows: rows) -> Array:
    """Hash the content of each row, block by block: copies of a sample have the same id.

    Rows are copies if ``transform`` makes them equal.
    """
    blocks = cut(len(samples), max(HASH_BLOCK_SIZE // samples.X.shape[1], 1))
    rows = (samples.X[samples.index[lo:hi]] for lo, hi in blocks)
    return np.concatenate([row_ids(transform(block)) for block in rows])
