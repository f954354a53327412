"""How the options of commands are read; nothing else is imported to show their help."""

from argparse import ArgumentTypeError
from math import inf

from sknpcnn.augmentation import (
    Affine,
    Augmentation,
    Brightness,
    HorizontalFlip,
    RandomCrop,
    Shift,
)

AUGMENTATIONS: dict[str, Augmentation] = {
    "shift": Shift(),
    "crop": RandomCrop(),
    "flip": HorizontalFlip(),
    "affine": Affine(),
    "brightness": Brightness(),
}
FAILED, INTERRUPTED = 1, 130
"""Exit statuses: of an error, and, as shells have it, of Ctrl-C."""


def image_size(text: str) -> int | tuple[int, int]:
    """Read a number of pixels, or HEIGHTxWIDTH."""
    sizes = [int(part) for part in text.lower().split("x") if part.isdecimal()]
    if len(sizes) != text.lower().count("x") + 1 or len(sizes) > 2 or min(sizes) < 1:
        raise ArgumentTypeError(f"{text!r} is no image size; needed: such as 64, or 48x64")
    return sizes[0] if len(sizes) == 1 else (sizes[0], sizes[1])


def duration(text: str) -> float:
    """Read seconds, or a number with a unit, such as 90s, 20m or 1.5h."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < inf:
        raise ArgumentTypeError(f"{text!r} is no duration; needed: such as 90s, 20m or 1.5h")
    return seconds


def count(text: str) -> int:
    """Read a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}; needed: a number of at least 1")
    return int(text)
