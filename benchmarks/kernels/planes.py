"""Convolution by planes next to the one by rows, on images of few channels: longer runs to copy."""

from sknpcnn._kernels import planes

from . import Measured
from .winograd import Case, agree, compare

CASES = [
    Case(3, 1, 16, 28, 16),
    Case(5, 1, 32, 28, 10),
    Case(3, 3, 16, 32, 16),
    Case(5, 3, 32, 32, 8),
]
PARTS = ("forward", "kernel gradient")
"""The gradient of the input is not needed: such images are the data."""


def check() -> None:
    agree(planes, CASES, PARTS)


def measure(rounds: int) -> Measured:
    return compare(planes, CASES, PARTS, rounds)
