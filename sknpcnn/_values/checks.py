"""Validation of hyperparameters, which are converted to plain Python types.

Values of NumPy types or enumerations become ``int``, ``float``, ``bool``, ``str`` or ``tuple``. So
equal values compare, hash, print and pickle alike, and no size is computed in eight bits. A pair is
a tuple or list of two integers, nothing else.
"""

import re
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any, Never, TypeGuard

import numpy as np

from sknpcnn._values.brief import brief
from sknpcnn._values.suggestions import did_you_mean

MAX_EXACT = 2**53
"""Up to this, a float can represent every integer."""
MAX_FLOAT32 = float(np.finfo(np.float32).max)
"""Maximum absolute value of numbers that are written into images."""


def refuse(owner: Any, name: str, needed: str) -> Never:
    """Raise the error for a hyperparameter: its value and what is needed instead."""
    value = getattr(owner, name)
    words = re.findall(r"'(\w+)'", needed)
    raise ValueError(
        f"{type(owner).__name__}: {name}={brief(value)}; needed: {needed}."
        f"{did_you_mean(value, words)}"
    )


def check_integer(owner: Any, name: str, minimum: int = 1, needed: str = "") -> None:
    """Raise if a hyperparameter is not an integer of at least ``minimum``."""
    number = plain_integer(getattr(owner, name))
    if number is None or number < minimum:
        refuse(owner, name, needed or f"an integer of at least {minimum}")
    _keep(owner, name, number)


def check_pair(owner: Any, name: str, minimum: int = 1, needed: str = "") -> None:
    """Raise if a hyperparameter is neither an integer nor a pair of integers."""
    value = plain_pair(getattr(owner, name), minimum)
    if value is None:
        usual = f"an integer of at least {minimum}, or a pair (rows, columns) of them"
        refuse(owner, name, needed or usual)
    _keep(owner, name, value)


def check_border(owner: Any, name: str, or_: str = "") -> None:
    """Raise if a hyperparameter is no border: an integer, a pair of them, or four."""
    value = getattr(owner, name)
    items = plain_items(value)
    border: Any
    if items is not None and len(items) == 4:
        rows, columns = plain_pair(items[:2], 0), plain_pair(items[2:], 0)
        border = None if rows is None or columns is None else (*as_pair(rows), *as_pair(columns))
    else:
        border = plain_pair(value, 0)
    if border is None:
        kinds = "an integer of at least 0, (rows, columns) or (top, bottom, left, right)"
        refuse(owner, name, or_ + kinds)
    _keep(owner, name, border)


def check_real(
    owner: Any, name: str, low: float = 0.0, high: float = inf, open_: str = "", needed: str = ""
) -> None:
    """Raise if a number is outside ``[low, high]``; ``open_`` names bounds that are excluded."""
    number = plain_real(getattr(owner, name))
    if (
        number is None
        or not low <= number <= high
        or ("low" in open_ and number == low)
        or ("high" in open_ and number == high)
    ):
        lower = "above" if "low" in open_ else "of at least"
        upper = "" if high == inf else f" and {'below' if 'high' in open_ else 'at most'} {high}"
        refuse(owner, name, needed or f"a number {lower} {low}{upper}")
    _keep(owner, name, number)


def check_fill(owner: Any, name: str, or_: str = "") -> None:
    """Raise if a hyperparameter cannot be the value of a pixel."""
    check_real(
        owner, name, -MAX_FLOAT32, MAX_FLOAT32, needed=f"{or_}a number that float32 can hold"
    )


def check_flag(owner: Any, name: str, needed: str = "True or False") -> None:
    """Raise if a hyperparameter is not a bool."""
    value = getattr(owner, name)
    if not isinstance(value, (bool, np.bool_)):
        refuse(owner, name, needed)
    _keep(owner, name, bool(value))


def is_word(owner: Any, name: str, words: tuple[str, ...]) -> bool:
    """Return whether a hyperparameter is one of ``words``."""
    word = plain_word(getattr(owner, name), words)
    if word is not None:
        _keep(owner, name, word)
    return word is not None


def _keep(owner: Any, name: str, value: Any) -> None:
    object.__setattr__(owner, name, value)  # called from __post_init__ of a frozen dataclass


def plain_integer(value: Any) -> int | None:
    """Return an integer as an ``int``, and None for anything else.

    A bool does not count, nor does an integer beyond the range of floats.
    """
    try:
        number = int(value) if is_integer(value) else None
    except Exception:  # a subclass may raise anything
        return None
    return number if number is not None and is_finite(number) else None


def plain_items(value: Any) -> list[Any] | None:
    """Return the items of a tuple or list, and None for anything else."""
    try:
        return list(value) if isinstance(value, (tuple, list)) else None
    except Exception:  # a subclass may raise anything
        return None


def plain_pair(value: Any, minimum: int) -> int | tuple[int, int] | None:
    """Return an integer, or a pair of them as a tuple, and None for anything else."""
    items = plain_items(value)
    numbers = [plain_integer(item) for item in ([value] if items is None else items)]
    valid = [number for number in numbers if number is not None and number >= minimum]
    if len(valid) != len(numbers) or len(valid) != (1 if items is None else 2):
        return None
    return valid[0] if items is None else (valid[0], valid[1])


def plain_word(value: Any, words: tuple[str, ...]) -> str | None:
    """Return a value that is one of ``words`` as a ``str``, and None for anything else."""
    word = str.__str__(value) if isinstance(value, str) else None
    return word if word in words else None


def plain_real(value: Any, allow_infinity: bool = False) -> float | None:
    """Return a finite number, not a bool, as a ``float``, and None for anything else.

    An integer that a float can represent becomes an ``int``; ``allow_infinity`` accepts infinity.
    """
    try:
        if not isinstance(value, Real) or isinstance(value, (bool, np.timedelta64)):
            return None
        if is_integer(value) and abs(int(value)) <= MAX_EXACT:
            return int(value)
        number = float(value) + 0.0  # -0.0 becomes 0.0
    except Exception:  # an enormous integer, or a subclass that raises
        return None
    return number if isfinite(number) or (allow_infinity and number == inf) else None


def is_finite(number: Any) -> bool:
    """Return whether a number is finite and within the range of floats."""
    try:
        return isfinite(number)
    except OverflowError:
        return False


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether a value is an integer and not a bool."""
    # int first: the check for Integral is slow, and called often
    return type(value) is int or (
        isinstance(value, Integral) and not isinstance(value, (bool, np.timedelta64))
    )


def as_border(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return a border as ((top, bottom), (left, right))."""
    if not is_integer(value) and len(value) == 4:
        top, bottom, left, right = value
    else:
        top, left = bottom, right = as_pair(value)
    return (top, bottom), (left, right)


def as_pair(value: Any) -> tuple[int, int]:
    """Return an integer or a pair as a pair (rows, columns)."""
    if is_integer(value):
        return int(value), int(value)
    rows, columns = value
    return int(rows), int(columns)
