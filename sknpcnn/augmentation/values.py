"""Augmentations that change the values of pixels, not their positions."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sknpcnn._values.brief import brief
from sknpcnn._values.checks import check_fill, check_integer, check_real
from sknpcnn.augmentation.base import Array, Augmentation, Image


@dataclass(frozen=True, repr=False)
class Cutout(Augmentation):
    """Cover a random square of the image, which may extend beyond the border.

    Parameters
    ----------
    size : int
        Side of the square in pixels.
    fill : float
        Value of the covered pixels, in the units of the data.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.augmentation import Cutout
    >>> image = np.ones((1, 3, 3, 1))
    >>> Cutout(2).apply(image, np.array([[0.1, 0.5]]))[0, :, :, 0]
    array([[0., 0., 1.],
           [1., 1., 1.],
           [1., 1., 1.]])
    """

    draws: ClassVar[int] = 2

    size: int = 8
    fill: float = 0.0

    def __post_init__(self) -> None:
        check_integer(self, "size")
        check_fill(self, "fill")

    def check(self, image: Image) -> None:
        if self.size >= max(image[:2]):
            raise ValueError(
                f"{brief(self)} is given images of {image[0]}x{image[1]} pixels, which it may "
                "cover completely; needed: a smaller size."
            )

    def apply(self, images: Array, random: Array) -> Array:
        _, h, w, _ = images.shape
        covered = []
        for length, r in ((h, random[:, :1]), (w, random[:, 1:])):
            start = np.floor(r * length) - self.size // 2
            place = np.arange(length)
            covered.append((place >= start) & (place < start + self.size))
        square = covered[0][:, :, None] & covered[1][:, None, :]
        return np.where(square[..., None], images.dtype.type(self.fill), images)


@dataclass(frozen=True, repr=False)
class Brightness(Augmentation):
    """Make the image brighter or darker: multiply it by a random factor around one.

    Parameters
    ----------
    amount : float
        Maximum distance of that factor from one.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.augmentation import Brightness
    >>> Brightness(0.2).apply(np.full((1, 1, 1, 1), 100.0), np.array([[1.0]])).item()
    120.0
    """

    amount: float = 0.2

    def __post_init__(self) -> None:
        check_real(self, "amount", 0.0, 1.0)

    def apply(self, images: Array, random: Array) -> Array:
        brighter: Array = images * _random_factors(random, self.amount, images)
        return brighter


@dataclass(frozen=True, repr=False)
class Contrast(Augmentation):
    """Change the contrast of the image: scale the distance of its pixels from its mean.

    Parameters
    ----------
    amount : float
        Maximum distance of the scale from one.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.augmentation import Contrast
    >>> image = np.array([10.0, 30.0]).reshape(1, 1, 2, 1)
    >>> Contrast(0.5).apply(image, np.array([[0.0]])).ravel()
    array([15., 25.])
    """

    amount: float = 0.2

    def __post_init__(self) -> None:
        check_real(self, "amount", 0.0, 1.0)

    def apply(self, images: Array, random: Array) -> Array:
        mean = images.mean(axis=(1, 2, 3), keepdims=True)
        changed: Array = mean + (images - mean) * _random_factors(random, self.amount, images)
        return changed


def _random_factors(random: Array, amount: float, images: Array) -> Array:
    """Return factors from 1 - amount to 1 + amount, one per image."""
    return (1 + (2 * random[:, 0] - 1) * amount).astype(images.dtype)[:, None, None, None]
