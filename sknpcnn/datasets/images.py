"""Image files, which come from anywhere: read by Pillow, in no more memory than they need."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from sknpcnn.datasets.loading import Array
from sknpcnn.files import open_regular

if TYPE_CHECKING:
    from PIL import Image

# Only these: Pillow goes by the content of a file, and has formats that start other programs.
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

# Images of more pixels are brought near to the size that is asked for before all else, but not
# nearer than this many times, so that what they are resized to hardly differs.
MAX_WHOLE, MIN_GAP = 2**24, 3
_STRIP = 2**20  # pixels that are converted at once

# A JPEG may refine its pixels in any number of scans, of a few bytes each; ten are usual. This is
# how many pixels all scans together may have, 85 scans of 50 million.
MAX_SCANNED = 2**32
_MIN_SCAN_SIZE = 10  # bytes
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

_TURNS = {  # what an orientation in EXIF asks for
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_SIDEWAYS = {5, 6, 7, 8}


def read_size(path: Path) -> tuple[int, int]:
    """Read the height and width of an image, as it is stored: a camera may have been turned."""
    with _opened(path) as image:
        return image.height, image.width


def read_image(path: Path, shape: tuple[int, int] | None, color: bool) -> Array:
    """Read an image: (h, w, 3) or gray (h, w), resized to a shape if there is one."""
    with _opened(path) as image:
        if image.format in ("JPEG", "MPO"):  # MPO is JPEG with more images after it
            _check_scans(image)
        return np.asarray(_prepared(image, shape, color))


@contextmanager
def _opened(path: Path) -> Iterator["Image.Image"]:
    """Open an image, of which only the head is read; name it in errors, also in later ones."""
    try:
        from PIL import Image
    except ImportError as error:
        message = 'load_image_folder needs Pillow: pip install "sknpcnn[images]"'
        raise ImportError(message) from error

    with open_regular(path) as file:
        try:
            image = Image.open(file, formats=sorted(set(FORMATS.values())))
            limit = Image.MAX_IMAGE_PIXELS  # beyond which Pillow only warns
            if limit is not None and image.width * image.height > limit:
                raise Image.DecompressionBombError(f"{image.width} x {image.height}")
            yield image
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ValueError(
                f"{path}: has too many pixels ({error}); needed: at most {Image.MAX_IMAGE_PIXELS}. "
                "Make it smaller, or set PIL.Image.MAX_IMAGE_PIXELS if you trust it."
            ) from error
        except MemoryError as error:
            error.add_note(f"{path}: memory ran out while it was read.")
            raise
        except Exception as error:  # Pillow has no common one for what is wrong with a file
            if isinstance(error, OSError) and error.errno is not None:  # the system's, of the disk
                raise
            if "out of memory" in str(error):
                raise MemoryError(f"{path}: memory ran out while it was read.") from error
            raise ValueError(
                f"{path}: cannot be read as an image ({error}); needed: an intact one with 8 bits "
                "per channel. Mend it or take it out of the folder."
            ) from error


def _check_scans(image: "Image.Image") -> None:
    """Raise if a JPEG has so many scans that decoding would take minutes."""
    file: BinaryIO = cast(Any, image).fp
    position, pixels = file.tell(), image.width * image.height
    if file.seek(0, os.SEEK_END) // _MIN_SCAN_SIZE * pixels > MAX_SCANNED:
        file.seek(0)
        if (n := count_scans(file.read())) * pixels > MAX_SCANNED:
            raise ValueError(f"it consists of {n} scans of {pixels} pixels")
    file.seek(position)


def count_scans(content: bytes) -> int:
    """Count the scans of a JPEG, from marker to marker, up to the one that ends the image."""
    position = n = 0
    while found := _MARKER.search(content, position):
        marker, position = found[0][1], found.end()
        if marker == 0xD9:
            break
        n += marker == 0xDA
        if marker not in (0x01, 0xD8):  # all others have a length, and content to pass over
            position += int.from_bytes(content[position : position + 2], "big")
    return n


def _prepared(image: "Image.Image", shape: tuple[int, int] | None, color: bool) -> "Image.Image":
    from PIL import Image

    if image.mode[0] in "IF":  # Pillow would cut them off at 255
        raise ValueError("its pixels have more than 8 bits")
    if shape and image.width * image.height > MAX_WHOLE:
        return _resized_in_steps(image, shape, color)
    image.load()
    image = _in_mode(_turned(image, _orientation_of(image)), color)
    return image.resize(shape[::-1], Image.Resampling.BILINEAR) if shape else image


def _resized_in_steps(image: "Image.Image", shape: tuple[int, int], color: bool) -> "Image.Image":
    """Resize a large image, without room for all of it in color.

    JPEG can be decoded at a half to an eighth of its size. Then pixels are averaged, in strips.
    """
    from PIL import Image

    near = MIN_GAP * max(shape)  # in both directions, since it may have to be turned
    drafted = image.draft(None, (near, near))
    width, height = drafted[1][2:] if drafted else image.size  # may end within a pixel
    image.load()
    fx, fy = max(1, image.width // near), max(1, image.height // near)
    reduced = Image.new("RGB" if color else "L", (-(-image.width // fx), -(-image.height // fy)))
    n_rows = fy * max(1, _STRIP // (image.width * fy))
    for top in range(0, image.height, n_rows):
        strip = image.crop((0, top, image.width, min(top + n_rows, image.height)))
        reduced.paste(_in_mode(strip, color).reduce((fx, fy)), (0, top // fy))
    orientation = _orientation_of(image)
    size = shape if orientation in _SIDEWAYS else shape[::-1]
    box = 0, 0, width / fx, height / fy
    return _turned(reduced.resize(size, Image.Resampling.BILINEAR, box=box), orientation)


def _orientation_of(image: "Image.Image") -> int:
    return image.getexif().get(0x0112, 1)


def _turned(image: "Image.Image", orientation: int) -> "Image.Image":
    from PIL import Image

    if orientation not in _TURNS:
        return image
    return image.transpose(Image.Transpose[_TURNS[orientation]])


def _in_mode(image: "Image.Image", color: bool) -> "Image.Image":
    """Drop transparency and all but three channels or one."""
    mode = "RGB" if color else "L"
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)  # which would copy it
