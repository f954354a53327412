"""Exact class counts of a stream, and balanced class weights computed from them.

``partial_fit`` sees a stream, and the same data must give the same weights, to the bit, however
they are divided into calls. So the counts are exact rational numbers, kept as pairs of integers.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import zip_longest
from sys import float_info

import numpy as np

Array = np.ndarray
Counts = Sequence[Fraction]
"""Total sample weight of each class, in the order of the classes."""
Seen = tuple[tuple[int, int], ...]
"""The same as pairs (numerator, denominator), which can be saved; empty before any data."""

MAX_BITS = 4096
"""Maximum length of these integers: a sum of 2**53 floating-point numbers needs half of it."""


def class_counts(codes: Array, weights: Array | None, n_classes: int) -> Counts:
    """Compute the total weight of each class; ``codes`` (n,) are the class indices of samples."""
    return [Fraction(float(count)) for count in np.bincount(codes, weights, n_classes)]


def add_counts(seen: Seen, counts: Counts, times: int = 1) -> Seen:
    """Return the counts after adding others a number of times."""
    before = [Fraction(*pair) for pair in seen]
    pairs = zip_longest(before, counts, fillvalue=Fraction(0))
    return tuple((old + times * new).as_integer_ratio() for old, new in pairs)


def balanced_weights(seen: Seen) -> Array:
    """Compute balanced class weights as scikit-learn does: all classes have the same total weight.

    A class that has not been seen has weight one.
    """
    counts = [Fraction(*pair) for pair in seen]
    present = sum(count > 0 for count in counts)
    total, largest = sum(counts), Fraction(float_info.max)
    return np.array(
        [float(min(total / (present * count), largest)) if count else 1.0 for count in counts]
    )


def is_valid_seen(value: object, n_classes: int) -> bool:
    """Return whether a value read from a file is a valid ``Seen`` for that many classes."""
    if type(value) is not tuple or len(value) not in (0, n_classes):
        return False
    return all(
        type(pair) is tuple
        and [type(part) for part in pair] == [int, int]
        and max(part.bit_length() for part in pair) <= MAX_BITS
        and pair[0] >= 0
        and pair[1] > 0
        for pair in value
    )
