"""Augmentations that move pixels: shifts, crops, flips and affine transforms."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn._values.brief import brief
from sknpcnn._values.checks import as_pair, check_fill, check_pair, check_real, is_word
from sknpcnn.augmentation.base import Array, Augmentation, Image

BORDERS = ("edge", "reflect")
MAX_SHIFT = 2.0**20
"""Maximum shift in pixels and shear: beyond any image, and still exact in float32."""


@dataclass(frozen=True, repr=False)
class Shift(Augmentation):
    """Move the image by some pixels along each axis.

    Parameters
    ----------
    pixels : int or (rows, columns)
        Maximum shift.
    fill : float
        Value of pixels outside of the image, in the units of the data.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.augmentation import Shift
    >>> NumpyCNNClassifier(augment=[Shift(2)]).get_params()["shift_1__pixels"]
    2
    """

    draws: ClassVar[int] = 2

    pixels: int | tuple[int, int] = 2
    fill: float = 0.0

    def __post_init__(self) -> None:
        check_pair(self, "pixels", 0)
        check_fill(self, "fill")

    def check(self, image: Image) -> None:
        _check_inside(self, "pixels", self.pixels, image)

    def apply(self, images: Array, random: Array) -> Array:
        return _random_crop(images, self.pixels, random, constant_values=self.fill)


@dataclass(frozen=True, repr=False)
class RandomCrop(Augmentation):
    """Pad the image, and crop a random part of the original size.

    Parameters
    ----------
    padding : int or (rows, columns)
        Width of the border.
    border : "reflect", "edge" or float
        Values of the border: the reflected image, its edge pixels, or a constant.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.augmentation import HorizontalFlip, RandomCrop
    >>> clf = NumpyCNNClassifier(augment=[RandomCrop(4), HorizontalFlip()])
    """

    draws: ClassVar[int] = 2

    padding: int | tuple[int, int] = 4
    border: str | float = "reflect"

    def __post_init__(self) -> None:
        check_pair(self, "padding", 0)
        if not is_word(self, "border", BORDERS):
            check_fill(self, "border", "'reflect', 'edge' or ")

    def check(self, image: Image) -> None:
        _check_inside(self, "padding", self.padding, image)

    def apply(self, images: Array, random: Array) -> Array:
        if self.border in BORDERS:
            return _random_crop(images, self.padding, random, mode=self.border)
        return _random_crop(images, self.padding, random, constant_values=self.border)


@dataclass(frozen=True, repr=False)
class HorizontalFlip(Augmentation):
    """Flip some of the images horizontally.

    Parameters
    ----------
    rate : float
        Fraction of the images, in expectation.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.augmentation import HorizontalFlip
    >>> image = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    >>> HorizontalFlip(rate=1.0).apply(image, np.array([[0.7]])).ravel()
    array([3., 2., 1.])
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        check_real(self, "rate", 0.0, 1.0)

    def apply(self, images: Array, random: Array) -> Array:
        flipped = random[:, 0] < self.rate
        changed = images.copy()
        changed[flipped] = images[flipped, :, ::-1]
        return changed


@dataclass(frozen=True, repr=False)
class Affine(Augmentation):
    """Rotate, zoom, shear and shift the image around its center, with bilinear interpolation.

    Parameters
    ----------
    degrees : float
        Maximum rotation, in either direction.
    zoom : float
        Maximum relative change of the size.
    shear : float
        Maximum shear, in pixels per row; up to 2**20.
    shift : float
        Maximum shift in pixels, along each axis; up to 2**20.
    fill : float
        Value of pixels outside of the image, in the units of the data; must fit into float32.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.augmentation import Affine
    >>> clf = NumpyCNNClassifier(augment=[Affine(degrees=10, zoom=0.1)])
    """

    draws: ClassVar[int] = 5

    degrees: float = 10.0
    zoom: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    fill: float = 0.0

    def __post_init__(self) -> None:
        check_real(self, "degrees", 0.0, 180.0)
        check_real(self, "zoom", 0.0, 1.0, open_="high")
        check_real(self, "shear", 0.0, MAX_SHIFT)
        check_real(self, "shift", 0.0, MAX_SHIFT)
        check_fill(self, "fill")

    def apply(self, images: Array, random: Array) -> Array:
        _, h, w, _ = images.shape
        limits = np.array([np.deg2rad(self.degrees), self.zoom, self.shear, self.shift, self.shift])
        drawn = ((2 * random - 1) * limits).astype(images.dtype)
        angle, zoom, shear, down, along = drawn.T[..., None, None]
        rows, columns = np.arange(h, dtype=images.dtype), np.arange(w, dtype=images.dtype)
        y, x = rows[:, None] - (h - 1) / 2 - down, columns - (w - 1) / 2 - along
        # inverse transform: the position in the input of each pixel of the output
        larger = np.maximum(1 + zoom, np.finfo(images.dtype).eps)  # rounding may make it zero
        cos, sin = np.cos(angle) / larger, np.sin(angle) / larger
        from_y = cos * y + sin * x
        from_x = cos * x - sin * y - shear * from_y
        return _interpolate(images, from_y + (h - 1) / 2, from_x + (w - 1) / 2, self.fill)


def _check_inside(step: Augmentation, name: str, value: Any, image: Image) -> None:
    if any(pixels >= length for pixels, length in zip(as_pair(value), image[:2], strict=True)):
        raise ValueError(
            f"{brief(step)} is given images of {image[0]}x{image[1]} pixels; needed: {name} less "
            "than their height and width. A pair (rows, columns) may differ by axis."
        )


def _random_crop(images: Array, pixels: int | tuple[int, int], random: Array, **how: Any) -> Array:
    """Pad images, and crop the original size from each at a random position."""
    n, h, w, c = images.shape
    border = as_pair(pixels)
    padded = np.pad(images, ((0, 0), *((p, p) for p in border), (0, 0)), **how)
    rows, columns = np.floor(random * (2 * np.array(border) + 1)).astype(np.intp).T
    crops = np.lib.stride_tricks.sliding_window_view(padded, (h, w, c), axis=(1, 2, 3))
    shown: Array = crops[np.arange(n), rows, columns, 0]
    return shown


def _interpolate(images: Array, y: Array, x: Array, fill: float) -> Array:
    """Interpolate images bilinearly at positions (n, h, w); outside they are ``fill``."""
    n, h, w, c = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=fill)
    pixels = padded.reshape(-1, c)
    y, x = np.clip(y, -1, h), np.clip(x, -1, w)
    top, left = np.minimum(np.floor(y), h - 1), np.minimum(np.floor(x), w - 1)
    down, along = (y - top)[..., None], (x - left)[..., None]
    first = np.arange(n)[:, None, None] * (h + 2) * (w + 2)
    at = first + (top.astype(np.intp) + 1) * (w + 2) + left.astype(np.intp) + 1
    upper, lower = (_interpolate_row(pixels, at + step, along) for step in (0, w + 2))
    return _lerp(upper, lower, down)


def _interpolate_row(pixels: Array, at: Array, weight: Array) -> Array:
    """Interpolate between pixels and their right neighbors."""
    return _lerp(pixels.take(at, axis=0), pixels.take(at + 1, axis=0), weight)


def _lerp(start: Array, end: Array, weight: Array) -> Array:
    end -= start
    end *= weight
    end += start
    return end
