"""What a network is trained or validated on: rows of the user's data, targets and weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sknpcnn.balance import Counts
from sknpcnn.chunks import cut
from sknpcnn.kernels.randomness import row_ids

Array = np.ndarray

HASHED = 2**14
"""How many numbers are hashed together, which takes several passes of eight bytes for each."""


@dataclass(frozen=True)
class Samples:
    """What a network is trained or validated on."""

    X: Array
    """(n, features), as the user gave it"""
    targets: Array
    """What a loss compares outputs with: the number of each sample's class, (n,), or (n, k)"""
    weights: Array | None
    """(n,), or None where all samples count the same"""
    index: Array
    """Which of the rows take part"""
    counts: Counts = ()
    """How much weight each class has in all of the rows, whatever the classes weigh"""

    def __len__(self) -> int:
        return len(self.index)

    def at(self, index: Array) -> "Samples":
        """Select some of the rows."""
        return replace(self, index=index)

    def weights_at(self, index: Array) -> Array | None:
        """Return the weights of some rows."""
        return None if self.weights is None else self.weights[index]


def content_ids(samples: Samples, seen: Callable[[Array], Array] = lambda rows: rows) -> Array:
    """Hash what is in each row, block by block: copies of a sample have the same number.

    Rows count as copies if they are ``seen`` as the same numbers.
    """
    blocks = cut(len(samples), max(HASHED // samples.X.shape[1], 1))
    rows = (samples.X[samples.index[lo:hi]] for lo, hi in blocks)
    return np.concatenate([row_ids(seen(some)) for some in rows])
