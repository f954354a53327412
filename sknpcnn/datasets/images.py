"""Image files from untrusted sources, read by Pillow in no more memory than they need."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from sknpcnn._storage.files import open_regular
from sknpcnn.datasets.loading import Array

if TYPE_CHECKING:
    from PIL import Image

# Only these: Pillow detects formats by content, and some of them start other programs.
FORMATS = {
    ".bmp": "BMP",
    ".gif": "GIF",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".pgm": "PPM",
    ".png": "PNG",
    ".pnm": "PPM",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}

# Larger images are first reduced towards the requested size, but to no less than this multiple of
# it, so that the result hardly differs.
MAX_DIRECT_PIXELS, MIN_OVERSAMPLING = 2**24, 3
_STRIP = 2**20  # how many pixels are converted at once

# A JPEG may refine its pixels in any number of scans of a few bytes each; ten are usual. All scans
# together may have this many pixels, which is 85 scans of 50 million.
MAX_SCAN_PIXELS = 2**32
_MIN_SCAN_SIZE = 10  # bytes
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

_TRANSPOSES = {  # by the orientation in EXIF
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_SIDEWAYS = {5, 6, 7, 8}
_16_BIT_FORMATS = {"PNG", "PPM"}  # Pillow stores their 16 bits in 32
_TRANSPARENT = {"LA", "La", "PA", "RGBA", "RGBa"}

FITS = ("stretch", "crop", "pad")

Size = tuple[int, int]  # width and height, as in Pillow
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Preparation:
    """How images are prepared: their shape (height, width), channels, fit and background.

    Without a shape, images keep their size.
    """

    shape: tuple[int, int] | None
    color: bool
    fit: str
    background: tuple[int, int, int]

    @property
    def mode(self) -> str:
        """The mode of the result in Pillow."""
        return "RGB" if self.color else "L"


def read_size(path: Path) -> tuple[int, int]:
    """Read the height and width of an image as stored, before EXIF orientation is applied."""
    with _opened(path) as image:
        return image.height, image.width


def read_image(path: Path, how: Preparation) -> Array:
    """Read an image as (h, w, 3) or gray (h, w)."""
    with _opened(path) as image:
        if image.format in ("JPEG", "MPO"):  # MPO is JPEG with more images after it
            _check_scans(image)
        return np.asarray(_prepared(image, how, drafted=True))


def prepare_image(image: "Image.Image", name: str, how: Preparation) -> Array:
    """Prepare an image that the caller has opened, without modifying it."""
    with _named_errors(name):
        return np.asarray(_prepared(image, how, drafted=False))


def import_pillow() -> Any:
    """Import Pillow, or raise an error that says what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('reading images needs Pillow: pip install "sknpcnn[images]"') from error
    return Image


@contextmanager
def _opened(path: Path) -> Iterator["Image.Image"]:
    """Open an image and read its header; errors, also later ones, name the image."""
    module = import_pillow()
    with open_regular(path) as file, _named_errors(str(path)):
        image = module.open(file, formats=sorted(set(FORMATS.values())))
        limit = module.MAX_IMAGE_PIXELS  # beyond which Pillow only warns
        if limit is not None and image.width * image.height > limit:
            raise module.DecompressionBombError(f"{image.width} x {image.height}")
        yield image


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Make errors name the image and say what to do."""
    module = import_pillow()
    try:
        yield
    except (module.DecompressionBombError, module.DecompressionBombWarning) as error:
        raise ValueError(
            f"{name}: has too many pixels ({error}); needed: at most {module.MAX_IMAGE_PIXELS}. "
            "Make it smaller, or set PIL.Image.MAX_IMAGE_PIXELS if you trust it."
        ) from error
    except MemoryError as error:
        error.add_note(f"{name}: memory ran out while it was read.")
        raise
    except Exception as error:  # Pillow has no common class for errors in files
        if isinstance(error, OSError) and error.errno is not None:  # of the system
            raise
        if "out of memory" in str(error):
            raise MemoryError(f"{name}: memory ran out while it was read.") from error
        problem = str(error).split(" <")[0]  # Pillow adds the object that it reads from
        raise ValueError(
            f"{name}: cannot be read as an image ({problem}); needed: an intact one with 8 or 16 "
            "bits per channel. Repair or remove it."
        ) from error


def _check_scans(image: "Image.Image") -> None:
    """Raise if a JPEG has so many scans that decoding it would take minutes."""
    file: BinaryIO = cast(Any, image).fp
    position, pixels = file.tell(), image.width * image.height
    if file.seek(0, os.SEEK_END) // _MIN_SCAN_SIZE * pixels > MAX_SCAN_PIXELS:
        file.seek(0)
        if (n := count_scans(file.read())) * pixels > MAX_SCAN_PIXELS:
            raise ValueError(f"it consists of {n} scans of {pixels} pixels")
    file.seek(position)


def count_scans(content: bytes) -> int:
    """Count the scans of a JPEG by its markers, up to the end of the image."""
    position = n = 0
    while found := _MARKER.search(content, position):
        marker, position = found[0][1], found.end()
        if marker == 0xD9:
            break
        n += marker == 0xDA
        if marker not in (0x01, 0xD8):  # other markers have a length, and content to skip
            position += int.from_bytes(content[position : position + 2], "big")
    return n


def _prepared(image: "Image.Image", how: Preparation, drafted: bool) -> "Image.Image":
    if image.mode[0] == "F" or (image.mode == "I" and image.format not in _16_BIT_FORMATS):
        raise ValueError("its pixels have more than 16 bits")
    if how.shape and image.width * image.height > MAX_DIRECT_PIXELS:
        return _resized_in_steps(image, how, how.shape, drafted)
    image.load()
    image = _in_mode(_oriented(image, _orientation_of(image)), how)
    if how.shape is None:
        return image
    box, size = _fitted(image.width, image.height, how.shape, how.fit)
    return _padded(_resized(image, size, box), how.shape, how)


def _resized_in_steps(
    image: "Image.Image", how: Preparation, shape: tuple[int, int], drafted: bool
) -> "Image.Image":
    """Resize a large image without holding all of it in color in memory.

    JPEG can be decoded at a half to an eighth of its size. Then pixels are averaged in strips.
    """
    min_size = MIN_OVERSAMPLING * max(shape)  # along both axes, as it may have to be rotated
    draft = image.draft(None, (min_size, min_size)) if drafted else None
    width, height = draft[1][2:] if draft else image.size  # fractions of a pixel
    image.load()
    orientation = _orientation_of(image)
    stored_shape = shape[::-1] if orientation in _SIDEWAYS else shape
    (left, top, right, bottom), size = _fitted(width, height, stored_shape, how.fit)
    x0, y0 = int(left), int(top)
    x1, y1 = min(ceil(right), image.width), min(ceil(bottom), image.height)
    fx, fy = max(1, (x1 - x0) // min_size), max(1, (y1 - y0) // min_size)
    reduced = import_pillow().new(how.mode, (-(-(x1 - x0) // fx), -(-(y1 - y0) // fy)))
    n_rows = fy * max(1, _STRIP // ((x1 - x0) * fy))
    for y in range(y0, y1, n_rows):
        strip = image.crop((x0, y, x1, min(y + n_rows, y1)))
        reduced.paste(_in_mode(strip, how).reduce((fx, fy)), (0, (y - y0) // fy))
    box = (left - x0) / fx, (top - y0) / fy, (right - x0) / fx, (bottom - y0) / fy
    return _padded(_oriented(_resized(reduced, size, box), orientation), shape, how)


def _fitted(width: float, height: float, shape: tuple[int, int], fit: str) -> tuple[Box, Size]:
    """Return which part of an image is resized, and to what width and height."""
    h, w = shape
    whole = 0.0, 0.0, width, height
    if fit == "crop":  # the largest centered part with this aspect ratio
        scale = min(width / w, height / h)
        x, y = max(0.0, width - scale * w) / 2, max(0.0, height - scale * h) / 2
        return (x, y, min(width, x + scale * w), min(height, y + scale * h)), (w, h)
    if fit == "pad":
        scale = min(w / width, h / height)
        return whole, (max(1, round(scale * width)), max(1, round(scale * height)))
    return whole, (w, h)


def _resized(image: "Image.Image", size: Size, box: Box) -> "Image.Image":
    return image.resize(size, import_pillow().Resampling.BILINEAR, box=box)


def _padded(image: "Image.Image", shape: tuple[int, int], how: Preparation) -> "Image.Image":
    """Center an image on the background."""
    h, w = shape
    if image.size == (w, h):
        return image
    canvas = _canvas((w, h), how)
    canvas.paste(image, ((w - image.width) // 2, (h - image.height) // 2))
    return canvas


def _canvas(size: Size, how: Preparation) -> "Image.Image":
    pixel = import_pillow().new("RGB", (1, 1), how.background).convert(how.mode)
    canvas: Image.Image = import_pillow().new(how.mode, size, pixel.getpixel((0, 0)))
    return canvas


def _orientation_of(image: "Image.Image") -> int:
    orientation: int = image.getexif().get(0x0112, 1)
    return orientation


def _oriented(image: "Image.Image", orientation: int) -> "Image.Image":
    if orientation not in _TRANSPOSES:
        return image
    return image.transpose(import_pillow().Transpose[_TRANSPOSES[orientation]])


def _in_mode(image: "Image.Image", how: Preparation) -> "Image.Image":
    """Put transparent images on the background, and convert to color or gray."""
    if image.mode[0] == "I":
        image = _in_8_bits(image)
    if "transparency" in image.info or image.mode in _TRANSPARENT:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        canvas = _canvas(image.size, how)
        canvas.paste(image if how.color else image.convert("L"), mask=image)
        return canvas
    return image if image.mode == how.mode else image.convert(how.mode)  # convert would copy it


def _in_8_bits(image: "Image.Image") -> "Image.Image":
    """Keep the upper half of 16 bits, as Pillow does for color; it would clip gray at 255."""
    upper = (np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)
    converted: Image.Image = import_pillow().fromarray(upper)
    return converted
