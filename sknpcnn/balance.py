"""How much of each class has been seen, and the weights that make all classes count the same.

``partial_fit`` sees a stream, and the same data again must give the same weights, to the bit. So
the counts are exact: rational numbers, kept as pairs of integers.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import zip_longest
from sys import float_info

import numpy as np

Array = np.ndarray
Counts = Sequence[Fraction]
"""How much weight the samples of each class have, in the order of the classes."""
Seen = tuple[tuple[int, int], ...]
"""The same as (numerator, denominator), which every file can hold; empty for nothing."""

MAX_BITS = 4096
"""How long these integers are at most: sums of 2**53 floating-point numbers have half as many."""


def counts_of(place: Array, weights: Array | None, n_classes: int) -> Counts:
    """Compute how much weight each class has; ``place`` (n,) is the number of a sample's class."""
    return [Fraction(float(count)) for count in np.bincount(place, weights, n_classes)]


def added(seen: Seen, counts: Counts, times: int = 1) -> Seen:
    """Return what has been seen after so many times more of these counts."""
    before = [Fraction(*pair) for pair in seen]
    pairs = zip_longest(before, counts, fillvalue=Fraction(0))
    return tuple((have + times * more).as_integer_ratio() for have, more in pairs)


def balanced(seen: Seen) -> Array:
    """Compute the weights of the classes, as scikit-learn does: all classes count the same.

    A class that has not been seen keeps one.
    """
    counts = [Fraction(*pair) for pair in seen]
    present = sum(count > 0 for count in counts)
    total, largest = sum(counts), Fraction(float_info.max)
    return np.array(
        [float(min(total / (present * count), largest)) if count else 1.0 for count in counts]
    )


def is_seen(value: object, n_classes: int) -> bool:
    """Return whether what was read from a file are counts of so many classes."""
    if type(value) is not tuple or len(value) not in (0, n_classes):
        return False
    return all(
        type(pair) is tuple
        and [type(number) for number in pair] == [int, int]
        and max(number.bit_length() for number in pair) <= MAX_BITS
        and pair[0] >= 0
        and pair[1] > 0
        for pair in value
    )
