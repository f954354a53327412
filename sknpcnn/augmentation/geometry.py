"""Augmentations that move pixels: shifts, crops, mirrors and small turns."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn.augmentation.base import Array, Augmentation, Image
from sknpcnn.spec import as_pair, check_pair, check_real, hold_tuples, refuse

BORDERS = ("edge", "reflect")


@dataclass(frozen=True, repr=False)
class Shift(Augmentation):
    """Move the image by some pixels along each axis.

    Parameters
    ----------
    pixels : int or (rows, columns)
        How far at most.
    fill : float
        What comes in from outside, in the units of the data.

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
        hold_tuples(self)
        check_pair(self, "pixels", 0)
        check_real(self, "fill", -np.inf)

    def check(self, image: Image) -> None:
        _check_inside(self, "pixels", self.pixels, image)

    def apply(self, images: Array, random: Array) -> Array:
        rows, columns = as_pair(self.pixels)
        border = ((0, 0), (rows, rows), (columns, columns), (0, 0))
        return _cut_out(np.pad(images, border, constant_values=self.fill), images.shape, random)


@dataclass(frozen=True, repr=False)
class RandomCrop(Augmentation):
    """Put a border around the image and cut a part of the old size out of it.

    Parameters
    ----------
    padding : int or (rows, columns)
        How wide the border is.
    border : "reflect", "edge" or float
        What the border is made of: the image in a mirror, its outermost pixels, or a number.

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
        hold_tuples(self)
        check_pair(self, "padding", 0)
        if self.border not in BORDERS:
            if isinstance(self.border, str):
                refuse(self, "border", "'reflect', 'edge' or a number")
            check_real(self, "border", -np.inf)

    def check(self, image: Image) -> None:
        _check_inside(self, "padding", self.padding, image)

    def apply(self, images: Array, random: Array) -> Array:
        rows, columns = as_pair(self.padding)
        border = ((0, 0), (rows, rows), (columns, columns), (0, 0))
        how: dict[str, Any] = {"mode": self.border}
        if self.border not in BORDERS:
            how = {"constant_values": self.border}
        return _cut_out(np.pad(images, border, **how), images.shape, random)


@dataclass(frozen=True, repr=False)
class HorizontalFlip(Augmentation):
    """Show some of the images in a mirror.

    Parameters
    ----------
    rate : float
        How many of them.

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
    """Turn, zoom, shear and move the image a little around its centre.

    New pixels lie between old ones and are mixed from the four around them.

    Parameters
    ----------
    degrees : float
        How far it is turned at most, to either side.
    zoom : float
        By which part it is made larger or smaller at most.
    shear : float
        How many pixels per pixel its rows are moved against each other at most.
    shift : float
        How many pixels it is moved at most, along each axis.
    fill : float
        What comes in from outside, in the units of the data.

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
        check_real(self, "shear")
        check_real(self, "shift")
        check_real(self, "fill", -np.inf)

    def apply(self, images: Array, random: Array) -> Array:
        _, h, w, _ = images.shape
        most = np.array([np.deg2rad(self.degrees), self.zoom, self.shear, self.shift, self.shift])
        angle, zoom, shear, down, along = (2 * random - 1).T[..., None, None] * most[
            :, None, None, None
        ]
        y, x = np.arange(h)[:, None] - (h - 1) / 2 - down, np.arange(w) - (w - 1) / 2 - along
        # backwards: where in the old image does each pixel of the new one come from?
        cos, sin = np.cos(angle) / (1 + zoom), np.sin(angle) / (1 + zoom)
        from_y = cos * y + sin * x
        from_x = cos * x - sin * y - shear * from_y
        return _between(images, from_y + (h - 1) / 2, from_x + (w - 1) / 2, self.fill)


def _check_inside(step: Augmentation, name: str, value: Any, image: Image) -> None:
    if any(pixels >= length for pixels, length in zip(as_pair(value), image[:2], strict=True)):
        raise ValueError(
            f"{step!r} is given images of {image[0]}x{image[1]} pixels; needed: {name} less than "
            "their height and width. A pair (rows, columns) may differ by axis."
        )


def _cut_out(padded: Array, shape: tuple[int, ...], random: Array) -> Array:
    """Cut images of a shape out of larger ones, each at a place of its own."""
    n, h, w, c = shape
    room = np.array([padded.shape[1] - h + 1, padded.shape[2] - w + 1])
    rows, columns = np.floor(random * room).astype(np.intp).T
    places = np.lib.stride_tricks.sliding_window_view(padded, (h, w, c), axis=(1, 2, 3))
    return places[np.arange(n), rows, columns, 0]


def _between(images: Array, y: Array, x: Array, fill: float) -> Array:
    """Read images at places between pixels, (n, h, w) each; outside they are ``fill``."""
    n, h, w, c = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=fill)
    pixels = padded.reshape(-1, c)
    y, x = np.clip(y, -1, h), np.clip(x, -1, w)
    top, left = np.minimum(np.floor(y), h - 1), np.minimum(np.floor(x), w - 1)
    down, along = ((a - b).astype(images.dtype)[..., None] for a, b in ((y, top), (x, left)))
    first = np.arange(n)[:, None, None] * (h + 2) * (w + 2)
    at = first + ((top + 1) * (w + 2) + left + 1).astype(np.intp)
    upper = pixels[at] + (pixels[at + 1] - pixels[at]) * along
    lower = pixels[at + w + 2] + (pixels[at + w + 3] - pixels[at + w + 2]) * along
    return upper + (lower - upper) * down
