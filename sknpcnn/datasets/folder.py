"""Images of one's own: a folder with one sub-folder per class."""

from pathlib import Path
from typing import Any

import numpy as np

from sknpcnn.datasets.images import FORMATS, read_image, read_size
from sknpcnn.datasets.loading import Array, Name, answer
from sknpcnn.spec import is_integer


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
        webp, bmp, tif, ppm. Hidden files and files of other kinds are left out. Of a file with
        several images, the first is loaded. One with more than ``PIL.Image.MAX_IMAGE_PIXELS``
        pixels, 89 million, is refused.
    size : int, (height, width) or None, default=None
        What all images are resized to; their proportions are not kept. With None they are not
        resized, and must be of one size. Images of more than 16 million pixels that are much
        larger than this are read at a lower resolution first, which saves memory.
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

    if shape is None:  # before there is room for as many images of the size of the first
        first, *others = map(read_size, paths)
        for path, found in zip(paths[1:], others, strict=True):
            if sorted(found) != sorted(first):  # some may yet be turned
                raise _of_another_size(path, found, paths[0], first)
    first_image = read_image(paths[0], shape, color)
    data = _room_for(len(paths), first_image)
    for i, path in enumerate(paths):
        image = read_image(path, shape, color) if i else first_image
        if image.shape != first_image.shape:
            raise _of_another_size(path, image.shape, paths[0], first_image.shape)
        data[i] = image
    target = np.repeat(np.arange(len(classes)), [len(images) for images in classes.values()])
    descr = f"{len(paths)} images of {len(classes)} classes from the folder {home}."
    filenames = [str(path) for path in paths]
    return answer(data, target, list(classes), descr, return_X_y, filenames=filenames)


def _room_for(n: int, image: Array) -> Array:
    try:
        return np.empty((n, *image.shape), np.uint8)
    except MemoryError as error:
        error.add_note(f"There are {n} images; size=(height, width) loads them smaller.")
        raise


def _of_another_size(
    path: Path, found: tuple[int, ...], other: Path, first: tuple[int, ...]
) -> ValueError:
    return ValueError(
        f"{path}: is an image of {found[0]} x {found[1]} pixels, but {other} is one of {first[0]} "
        f"x {first[1]}; needed: images of one size, or size=(height, width) to resize them."
    )


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
            if path.suffix.lower() in FORMATS and path.name[0] != "." and not path.is_dir()
        ]
        if not images:
            raise ValueError(
                f"{folder} holds no images; needed: at least one, with a name that ends in "
                f"{', '.join(FORMATS)}. If it is not a class, move it elsewhere."
            )
        classes[folder.name] = images
    return classes
