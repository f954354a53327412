"""Images of one's own: a folder with one sub-folder per class."""

from pathlib import Path
from typing import Any

import numpy as np

from sknpcnn.datasets.loading import Array, Name, answer
from sknpcnn.spec import is_integer

# Only these: Pillow goes by the content of a file, and has formats that start other programs.
_FORMATS = {
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


def load_image_folder(
    folder: Name,
    *,
    size: int | tuple[int, int] | None = None,
    color: bool = True,
    return_X_y: bool = False,
) -> Any:
    """Load images that are sorted into one sub-folder per class.

    Needs Pillow: ``pip install "sknpcnn[images]"``.

    Parameters
    ----------
    folder : str or path
        Its sub-folders are the classes, and what is directly in them the images: png, jpg, gif,
        webp, bmp, tif, ppm. Hidden files and files of other kinds are left out.
    size : int, (height, width) or None, default=None
        What all images are resized to; their proportions are not kept. With None they are not
        resized, and must be of one size.
    color : bool, default=True
        Whether to load three channels, red, green and blue, or one gray one. Transparency is
        dropped.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or (data, target)
        ``data``, uint8 images (n, h, w, 3), or (n, h, w) without color; ``target``, int64 classes
        (n,); ``target_names``, what class k is called: the sub-folders, sorted; ``filenames``,
        where the images are from; ``DESCR``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sknpcnn.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as folder:  # a red image and a gray one
    ...     for name, pixel in {"apple": [255, 0, 0], "stone": [90, 90, 90]}.items():
    ...         Path(folder, name).mkdir()
    ...         _ = Path(folder, name, "1.ppm").write_bytes(b"P6 1 1 255 " + bytes(pixel))
    ...     things = load_image_folder(folder, size=8)
    >>> things.data.shape, things.target, things.target_names
    ((2, 8, 8, 3), array([0, 1]), ['apple', 'stone'])
    """
    shape = _shape_of(size)
    home = Path(folder).expanduser()
    classes = _classes(home)
    paths = [path for images in classes.values() for path in images]

    first = _read(paths[0], shape, color)
    data = np.empty((len(paths), *first.shape), np.uint8)
    for i, path in enumerate(paths):
        image = _read(path, shape, color) if i else first
        if image.shape != first.shape:
            raise ValueError(
                f"{path}: is an image of {image.shape[0]} x {image.shape[1]} pixels, but "
                f"{paths[0]} is one of {first.shape[0]} x {first.shape[1]}; needed: images of one "
                "size, or size=(height, width) to resize them."
            )
        data[i] = image
    target = np.repeat(np.arange(len(classes)), [len(images) for images in classes.values()])
    descr = f"{len(paths)} images of {len(classes)} classes from the folder {home}."
    filenames = [str(path) for path in paths]
    return answer(data, target, list(classes), descr, return_X_y, filenames=filenames)


def _shape_of(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    numbers = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(numbers) != 2 or not all(is_integer(n) and n >= 1 for n in numbers):
        raise ValueError(
            f"size={size!r}; needed: (height, width), one number for both, or None for images that "
            "are of one size already."
        )
    return int(numbers[0]), int(numbers[1])


def _classes(home: Path) -> dict[str, list[Path]]:
    """List the images of each class."""
    if not home.is_dir():
        raise FileNotFoundError(f"{home} is not a folder; needed: one with a sub-folder per class.")
    folders = sorted(path for path in home.iterdir() if path.is_dir() and path.name[0] != ".")
    if not folders:
        raise ValueError(f"{home} holds no sub-folders; needed: one per class, with its images.")
    classes = {}
    for folder in folders:
        images = [
            path
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in _FORMATS and path.name[0] != "." and path.is_file()
        ]
        if not images:
            raise ValueError(
                f"{folder} holds no images; needed: at least one, with a name that ends in "
                f"{', '.join(_FORMATS)}. If it is not a class, move it elsewhere."
            )
        classes[folder.name] = images
    return classes


def _read(path: Path, shape: tuple[int, int] | None, color: bool) -> Array:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        message = 'load_image_folder needs Pillow: pip install "sknpcnn[images]"'
        raise ImportError(message) from error

    with path.open("rb") as file:
        try:
            image: Image.Image = Image.open(file, formats=sorted(set(_FORMATS.values())))
            if image.mode[0] in "IF":  # Pillow would cut them off at 255
                raise ValueError("its pixels have more than 8 bits")
            image = ImageOps.exif_transpose(image)
            if "transparency" in image.info:
                image = image.convert("RGBA")
            image = image.convert("RGB" if color else "L")
            if shape is not None:
                image = image.resize(shape[::-1], Image.Resampling.BILINEAR)
            return np.asarray(image)
        except Exception as error:  # Pillow has no common one for what is wrong with a file
            raise ValueError(
                f"{path}: cannot be read as an image ({error}); needed: an intact one with 8 bits "
                "per channel. Mend it or take it out of the folder."
            ) from error
