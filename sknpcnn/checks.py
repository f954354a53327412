"""Hyperparameters checked, and kept as Python's own numbers, words and tuples.

What comes in the types of NumPy or of an enumeration is kept as ``int``, ``float``, ``bool``,
``str`` or ``tuple``. So equal values compare, hash, print and pickle alike, and no size is computed
in eight bits. A pair is a tuple or a list of two integers; nothing else is one.
"""

import re
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any, Never, TypeGuard

import numpy as np

from sknpcnn.brief import brief
from sknpcnn.suggestions import did_you_mean

MAX_EXACT = 2**53
"""Up to this, a float holds every integer."""
MAX_FLOAT32 = float(np.finfo(np.float32).max)
"""What a number that comes into images may be at most, either side of zero."""


def refuse(owner: Any, name: str, needed: str) -> Never:
    """Raise the error for one hyperparameter: what was given and what is needed."""
    value = getattr(owner, name)
    words = re.findall(r"'(\w+)'", needed)
    raise ValueError(
        f"{type(owner).__name__}: {name}={brief(value)}; needed: {needed}."
        f"{did_you_mean(value, words)}"
    )


def check_integer(owner: Any, name: str, minimum: int = 1, needed: str = "") -> None:
    """Refuse a hyperparameter that is not an integer of at least ``minimum``."""
    number = plain_integer(getattr(owner, name))
    if number is None or number < minimum:
        refuse(owner, name, needed or f"an integer of at least {minimum}")
    _keep(owner, name, number)


def check_pair(owner: Any, name: str, minimum: int = 1, needed: str = "") -> None:
    """Refuse a hyperparameter that is neither an integer nor a pair of integers."""
    value = plain_pair(getattr(owner, name), minimum)
    if value is None:
        usual = f"an integer of at least {minimum}, or a pair (rows, columns) of them"
        refuse(owner, name, needed or usual)
    _keep(owner, name, value)


def check_real(
    owner: Any, name: str, low: float = 0.0, high: float = inf, open_: str = "", needed: str = ""
) -> None:
    """Refuse a number outside ``[low, high]``; ``open_`` may name ends that are not included."""
    number = plain_real(getattr(owner, name))
    if (
        number is None
        or not low <= number <= high
        or ("low" in open_ and number == low)
        or ("high" in open_ and number == high)
    ):
        left = "above" if "low" in open_ else "of at least"
        right = "" if high == inf else f" and {'below' if 'high' in open_ else 'at most'} {high}"
        refuse(owner, name, needed or f"a number {left} {low}{right}")
    _keep(owner, name, number)


def check_fill(owner: Any, name: str, or_: str = "") -> None:
    """Refuse what cannot stand in an image in place of a pixel."""
    check_real(
        owner, name, -MAX_FLOAT32, MAX_FLOAT32, needed=f"{or_}a number that float32 can hold"
    )


def check_flag(owner: Any, name: str, needed: str = "True or False") -> None:
    """Refuse a hyperparameter that is not a bool."""
    value = getattr(owner, name)
    if not isinstance(value, (bool, np.bool_)):
        refuse(owner, name, needed)
    _keep(owner, name, bool(value))


def is_word(owner: Any, name: str, words: tuple[str, ...]) -> bool:
    """Return whether a hyperparameter is one of these words."""
    word = plain_word(getattr(owner, name), words)
    if word is not None:
        _keep(owner, name, word)
    return word is not None


def _keep(owner: Any, name: str, value: Any) -> None:
    object.__setattr__(owner, name, value)  # it is about to be made, and frozen from then on


def plain_integer(value: Any) -> int | None:
    """Return an integer as an ``int``, and None for anything else.

    A bool is none, nor is one beyond all floating-point numbers.
    """
    try:
        number = int(value) if is_integer(value) else None
    except Exception:  # what calls itself an integer may raise whatever it likes
        return None
    return number if number is not None and is_finite(number) else None


def plain_items(value: Any) -> list[Any] | None:
    """Return what a tuple or a list holds, and None for anything else."""
    try:
        return list(value) if isinstance(value, (tuple, list)) else None
    except Exception:  # a class of the user's own may raise whatever it likes
        return None


def plain_pair(value: Any, minimum: int) -> int | tuple[int, int] | None:
    """Return an integer, or a pair of them as a tuple, and None for anything else."""
    items = plain_items(value)
    numbers = [plain_integer(item) for item in ([value] if items is None else items)]
    sound = [number for number in numbers if number is not None and number >= minimum]
    if len(sound) != len(numbers) or len(sound) != (1 if items is None else 2):
        return None
    return sound[0] if items is None else (sound[0], sound[1])


def plain_word(value: Any, words: tuple[str, ...]) -> str | None:
    """Return one of these words as a ``str``, and None for anything else."""
    word = str.__str__(value) if isinstance(value, str) else None
    return word if word in words else None


def plain_real(value: Any, endless: bool = False) -> float | None:
    """Return a finite number as a ``float``, and None for anything else; a bool is none.

    An integer that a float holds exactly stays an ``int``. ``endless`` allows infinity too.
    """
    try:
        if not isinstance(value, Real) or isinstance(value, (bool, np.timedelta64)):
            return None
        if is_integer(value) and abs(int(value)) <= MAX_EXACT:
            return int(value)
        number = float(value) + 0.0  # zero has no sign
    except Exception:  # an enormous integer, or what only calls itself a number
        return None
    return number if isfinite(number) or (endless and number == inf) else None


def is_finite(number: Any) -> bool:
    """Tell whether a floating-point number can hold it: not infinity, nor an enormous integer."""
    try:
        return isfinite(number)
    except OverflowError:
        return False


def is_integer(value: Any) -> TypeGuard[int]:
    """Tell whether a value is an integer, and not a bool."""
    # ints first: the question whether something is Integral takes long, and is asked often
    return type(value) is int or (
        isinstance(value, Integral) and not isinstance(value, (bool, np.timedelta64))
    )


def as_pair(value: Any) -> tuple[int, int]:
    """Turn an integer or a pair into a pair (rows, columns)."""
    if is_integer(value):
        return int(value), int(value)
    rows, columns = value
    return int(rows), int(columns)
