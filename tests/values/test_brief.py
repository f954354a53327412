"""Values on a line of an error: short, and never an error themselves."""

import sys

import numpy as np
import pandas as pd
import pytest

from sknpcnn._values.brief import MAX_LENGTH, brief, magnitude, shortened
from tests.hostile.values import UNPRINTABLE, VALUES


@pytest.mark.parametrize(
    "value",
    [3, -1.5, "same", None, True, (2, 2), (2,), [1, [2, "a"]], {1: 2}, {3}, set(), (), b"\2", ...],
)
def test_short_values_are_shown_as_they_are(value):
    assert brief(value) == repr(value)


@pytest.mark.parametrize("kind", VALUES)
def test_any_value_is_shown_on_few_characters(kind):
    value = VALUES[kind]()
    shown = brief(value)
    if hasattr(type(value), "close"):
        value.close()
    assert 0 < len(shown) <= MAX_LENGTH + 3


def test_enormous_integers_are_told_by_their_length():
    assert brief(10**30) == repr(10**30)
    assert brief(2**200) == "<int of 201 bits>"
    assert brief(-UNPRINTABLE) == "<int of 16610 bits, more than a float holds>"
    assert brief([UNPRINTABLE, 1]) == "[<int of 16610 bits, more than a float holds>, 1]"
    assert sys.get_int_max_str_digits() <= 5000


def test_of_long_lists_the_beginning_is_shown_and_how_long_they_are():
    assert brief(list(range(100))).endswith("18, 19, ... 100 in all]")
    assert brief({n: n for n in range(50)}).endswith("19: 19, ... 50 in all}")
    assert brief([[[[[1]]]]]) == "[[[[...]]]]"


def test_large_arrays_and_frames_are_told_by_their_shape():
    with np.printoptions(threshold=sys.maxsize):
        assert brief(np.zeros((1000, 30))) == "<ndarray of shape (1000, 30)>"
    assert brief(pd.DataFrame(np.zeros((100, 3)))) == "<DataFrame of shape (100, 3)>"
    assert brief(np.array([1, 2])) == "array([1, 2])"


def test_a_magnitude_is_told_of_any_integer():
    assert magnitude(123456) == "1.23e+05"
    assert magnitude(2**1023 - 1) == "8.99e+307"
    assert magnitude(2**1024) == "2**1024"
    assert magnitude(UNPRINTABLE) == "2**16609"


def test_a_long_text_loses_its_middle():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abc...efg"
