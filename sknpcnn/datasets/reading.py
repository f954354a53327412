"""Loading of many images into one array; one error lists all files that cannot be read."""

import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from sknpcnn._values.brief import brief
from sknpcnn._values.checks import plain_integer, plain_items
from sknpcnn.datasets.images import (
    FITS,
    FORMATS,
    Preparation,
    import_pillow,
    prepare_image,
    read_image,
    read_size,
)
from sknpcnn.datasets.loading import Array, check_word

MAX_SIDE = 2**16
"""Maximum height and width to which images are resized."""
MAX_LISTED = 10
"""How many files a message lists."""
MIN_FOR_PROGRESS = 1000
"""Progress is shown for at least this many images."""
UPDATE_INTERVAL = 1.0
"""Seconds between progress updates on a terminal; in a file they are ten times as rare."""

# Formats that cameras and the web also use and Pillow may not read: skipped with a warning.
_FOREIGN = {".avif", ".heic", ".heif", ".jp2", ".jxl", ".svg"}


def preparation_of(
    size: Any, color: Any, fit: Any, background: Any, verbose: Any, fit_name: str = "fit"
) -> Preparation:
    """Check the parameters of a loader, and return the preparation of images."""
    if not isinstance(color, (bool, np.bool_)):
        raise ValueError(
            f"color={brief(color)}; needed: True for three channels, red, green and blue, or False "
            "for a single gray one."
        )
    word = check_word(fit_name, fit, FITS)
    if not isinstance(verbose, (bool, np.bool_)) and plain_integer(verbose) is None:
        raise ValueError(f"verbose={brief(verbose)}; needed: True or False.")
    return Preparation(_shape_of(size), bool(color), word, _color_of(background))


def _shape_of(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    items = plain_items(size)
    numbers = [plain_integer(n) for n in ([size, size] if items is None else items)]
    valid = [n for n in numbers if n is not None and 1 <= n <= MAX_SIDE]
    if len(numbers) != 2 or len(valid) != 2:
        raise ValueError(
            f"size={brief(size)}; needed: (height, width), one number for both, up to {MAX_SIDE}, "
            "or None for images of one size."
        )
    return valid[0], valid[1]


def _color_of(background: Any) -> tuple[int, int, int]:
    numbers = [plain_integer(n) for n in plain_items(background) or []]
    valid = [n for n in numbers if n is not None and 0 <= n <= 255]
    if len(numbers) == len(valid) == 3:
        return valid[0], valid[1], valid[2]
    if isinstance(background, str):
        import_pillow()
        from PIL import ImageColor

        try:
            return ImageColor.getrgb(str.__str__(background))[:3]
        except ValueError:
            pass
    raise ValueError(
        f"background={brief(background)}; needed: the name of a color, such as 'white', "
        "'black' or '#aabbcc', or (red, green, blue), each from 0 to 255."
    )


def images_in(folder: Path, caller: int) -> list[Path]:
    """Return the images that are directly in a folder, sorted by name.

    Warn about unsupported ones; ``caller`` is the stack level of the user's call.
    """
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.name[0] != "." and not path.is_dir() and path.suffix
    ]
    foreign = [path.name for path in files if path.suffix.lower() in _FOREIGN]
    if foreign:
        warnings.warn(
            f"{folder}: {len(foreign)} files such as {brief(foreign[0])} are skipped; needed: "
            f"{', '.join(FORMATS)}. Convert them.",
            stacklevel=caller,
        )
    return [path for path in files if path.suffix.lower() in FORMATS]


def sources_of(images: Any) -> list[Any]:
    """Return a list of the sources of images: paths, images of Pillow, and arrays."""
    if isinstance(images, (str, PathLike)):
        return _paths_of(Path(images).expanduser())
    if isinstance(images, (dict, bytes)) or not isinstance(images, Iterable):
        if hasattr(images, "getexif"):  # an image of Pillow
            return [images]
        raise TypeError(
            f"images is of type {type(images).__name__}; needed: the path of an image or of a "
            "folder, an image of Pillow, an array, or a list of these."
        )
    if len(getattr(images, "shape", (0,))) != 1:  # an array, or a frame
        images = np.asarray(images)
        if images.dtype.kind in "OUT" and images.shape[1:] == (1,):
            images = images.ravel()
        elif images.ndim not in (3, 4) or (images.ndim == 3 and images.shape[2] in (3, 4)):
            raise ValueError(
                f"images is an array of shape {images.shape}; needed: (n, h, w) or (n, h, w, "
                "channels), or a list of images: [image] for a single one."
            )
    found = [_source_of(item, f"images[{i}]") for i, item in enumerate(images)]
    if not found:
        raise ValueError("images is empty; needed: at least one image.")
    return found


def _paths_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if found := images_in(path, 5):
        return found
    deeper = any(inner.is_dir() for inner in path.iterdir())
    raise ValueError(
        f"{path} holds no images; needed: at least one, with a name that ends in "
        f"{', '.join(FORMATS)}."
        + (" For a folder with one sub-folder per class, use load_image_folder." * deeper)
    )


def _source_of(item: Any, name: str) -> Any:
    if isinstance(item, (str, PathLike)):
        return Path(item).expanduser()
    if hasattr(item, "getexif"):
        return item
    array = item if isinstance(item, np.ndarray) else None
    if array is None and hasattr(item, "__array__"):
        array = np.asarray(item)
    if array is None:
        raise TypeError(
            f"{name} is {brief(item)}, of type {type(item).__name__}; needed: a path, an image of "
            "Pillow, or an array."
        )
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)) or not array.size:
        raise ValueError(
            f"{name} has the shape {array.shape}; needed: (h, w), or (h, w, channels) with 1, 3 or "
            "4 channels."
        )
    if array.dtype != np.uint8:
        raise ValueError(
            f"{name} has the dtype {array.dtype}; needed: uint8, from 0 to 255, such as "
            "(255 * image).astype('uint8') for an image from 0 to 1."
        )
    return array


def read_all(
    sources: Sequence[Any], how: Preparation, *, skip: bool | None = None, verbose: bool = False
) -> tuple[Array, list[int]]:
    """Read images (n, h, w[, 3]); also return their indices in ``sources``.

    Raise an error that lists those that cannot be read; with ``skip`` warn and skip them. None is
    for callers that need all of them, and do not offer to skip.
    """
    import_pillow()
    failures: dict[int, Exception] = {}
    if how.shape is None:  # before memory for all images is allocated
        _check_sizes(sources, failures)
    data: Array | None = None
    first = 0
    kept: list[int] = []
    for i in _with_progress(len(sources), verbose):
        if i in failures:
            continue
        try:
            image = _read(sources[i], i, how)
        except (ValueError, FileNotFoundError) as error:
            failures[i] = error
            continue
        if data is None:
            data, first = _allocate(len(sources), image), i
        if image.shape != data.shape[1:]:
            raise _size_error(sources, i, image.shape, first, data.shape[1:])
        data[len(kept)] = image
        kept.append(i)
    if failures:
        problem = _combined_error([failures[i] for i in sorted(failures)], len(sources))
        if skip is False:
            problem.add_note("With errors='warn' such files are skipped.")
        if not skip or data is None:
            raise problem
        warnings.warn(f"Skipped: {problem}", stacklevel=3)
    assert data is not None
    return data[: len(kept)], kept


def _read(source: Any, i: int, how: Preparation) -> Array:
    if isinstance(source, Path):
        return read_image(source, how)
    if isinstance(source, np.ndarray):
        source = import_pillow().fromarray(source[..., 0] if source.shape[2:] == (1,) else source)
    return prepare_image(source, f"images[{i}]", how)


def _check_sizes(sources: Sequence[Any], failures: dict[int, Exception]) -> None:
    """Raise if images differ in size; note which ones cannot be opened."""
    first: tuple[int, tuple[int, int]] | None = None
    for i, source in enumerate(sources):
        try:
            size = _size_of(source)
        except (ValueError, FileNotFoundError) as error:
            failures[i] = error
            continue
        if first is None:
            first = i, size
        elif sorted(size) != sorted(first[1]):  # EXIF orientation may still swap the axes
            raise _size_error(sources, i, size, *first)


def _size_of(source: Any) -> tuple[int, int]:
    if isinstance(source, Path):
        return read_size(source)
    if isinstance(source, np.ndarray):
        return source.shape[0], source.shape[1]
    return source.height, source.width


def _allocate(n: int, image: Array) -> Array:
    try:
        return np.empty((n, *image.shape), np.uint8)
    except MemoryError as error:
        error.add_note(f"There are {n} images; size=(height, width) loads them smaller.")
        raise


def _size_error(
    sources: Sequence[Any], i: int, found: tuple[int, ...], j: int, first: tuple[int, ...]
) -> ValueError:
    path, other = (sources[k] if isinstance(sources[k], Path) else f"images[{k}]" for k in (i, j))
    return ValueError(
        f"{path}: is an image of {found[0]} x {found[1]} pixels, but {other} is one of {first[0]} "
        f"x {first[1]}; needed: images of one size, or size=(height, width) to resize them."
    )


def _combined_error(failures: list[Exception], n: int) -> Exception:
    """Combine the errors of all images that cannot be read into one."""
    if len(failures) == 1:
        return failures[0]
    lines = [f"  {str(error).split('; needed: ')[0]}" for error in failures[:MAX_LISTED]]
    if len(failures) > MAX_LISTED:
        lines.append(f"  and {len(failures) - MAX_LISTED} more")
    missing = all(isinstance(error, FileNotFoundError) for error in failures)
    kind = FileNotFoundError if missing else ValueError
    needed = "needed: intact images with 8 or 16 bits per channel."
    return kind("\n".join([f"{len(failures)} of {n} images cannot be read:", *lines, needed]))


def _with_progress(n: int, verbose: bool) -> Iterator[int]:
    """Iterate over ``range(n)``, and show progress if it takes long."""
    if not verbose or n < MIN_FOR_PROGRESS or sys.stderr is None:
        yield from range(n)
        return
    terminal = sys.stderr.isatty()
    start, end = ("\r", "") if terminal else ("", "\n")
    interval = UPDATE_INTERVAL if terminal else 10 * UPDATE_INTERVAL
    last_update = monotonic()
    for i in range(n):
        if (now := monotonic()) - last_update >= interval:
            last_update = now
            print(f"{start}Loading images: {i:,} of {n:,}", end=end, file=sys.stderr, flush=True)
        yield i
    print(f"{start}Loading images: {n:,} of {n:,}", file=sys.stderr, flush=True)
