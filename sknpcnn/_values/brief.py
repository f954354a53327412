"""Short representations of arbitrary values for error messages, even if their repr fails."""

from functools import partial
from itertools import islice
from typing import Any

MAX_BITS = 128
"""Longer integers are described by their length: the digits of 10**400 are of no use."""
MAX_ITEMS, MAX_LEVELS = 20, 3
"""How many items of a list are shown, and how many levels of nesting."""
MAX_LENGTH = 300
"""How many characters are shown of any value."""

_BRACKETS: dict[Any, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", dict: "{}"}


def brief(value: Any, levels: int = MAX_LEVELS) -> str:
    """Return the repr of a value, abbreviated where it is long; it never raises."""
    try:
        text = _shown(value, levels)
    except Exception:  # a repr may raise whatever it likes
        text = unshowable(value)
    return shortened(text, MAX_LENGTH)


def unshowable(value: Any) -> str:
    """Return what stands for a value whose repr fails."""
    return f"<{type(value).__name__} that cannot be shown>"


def shortened(text: str, length: int) -> str:
    """Replace the middle of a long text by dots."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


def magnitude(number: int) -> str:
    """Return an integer to three digits, even if it is too large for a floating-point number."""
    return f"{number:.3g}" if abs(number) < 2**1023 else f"2**{number.bit_length() - 1}"


def _shown(value: Any, levels: int) -> str:
    if isinstance(value, int) and int.bit_length(value) > MAX_BITS:
        bits = int.bit_length(value)
        more = ", more than a float holds" if bits > 1024 else ""
        return f"<{type(value).__name__} of {bits} bits{more}>"
    if isinstance(value, (str, bytes, bytearray)) and len(value) > MAX_LENGTH:
        half = MAX_LENGTH // 2
        return f"{value[:half]!r}...{value[-half:]!r}"
    if type(value) in _BRACKETS:
        return _items(value, levels)
    size = getattr(value, "size", 0)
    if isinstance(size, int) and size > MAX_ITEMS and hasattr(value, "shape"):
        return f"<{type(value).__name__} of shape {value.shape}>"
    return repr(value)


def _items(value: Any, levels: int) -> str:
    brackets = _BRACKETS[type(value)]
    if not value:
        return repr(value)
    if levels == 0:
        return f"{brackets[0]}...{brackets[1]}"
    show = partial(brief, levels=levels - 1)
    if isinstance(value, dict):
        shown = [f"{show(key)}: {show(item)}" for key, item in islice(value.items(), MAX_ITEMS)]
    else:
        shown = [show(item) for item in islice(value, MAX_ITEMS)]
    if len(value) > MAX_ITEMS:
        shown.append(f"... {len(value)} in all")
    end = "," if type(value) is tuple and len(value) == 1 else ""
    return f"{brackets[0]}{', '.join(shown)}{end}{brackets[1]}"
