"""Images of your own, from a folder with one sub-folder per class."""

from pathlib import Path
from typing import Any

import numpy as np

from sknpcnn._values.brief import brief
from sknpcnn.datasets.images import FORMATS
from sknpcnn.datasets.loader import ImageLoader
from sknpcnn.datasets.loading import PARTS, Name, bunch_or_arrays, check_word, parts_of
from sknpcnn.datasets.reading import images_in, preparation_of, read_all


def load_image_folder(
    folder: Name,
    *,
    size: int | tuple[int, int] | None = None,
    color: bool = True,
    fit: str = "stretch",
    background: str | tuple[int, int, int] = "white",
    split: str | None = None,
    labels: str = "numbers",
    errors: str = "raise",
    verbose: bool = True,
    return_X_y: bool = False,
) -> Any:
    """Load images that are sorted into one sub-folder per class.

    Needs Pillow: ``pip install "sknpcnn[images]"``.

    Parameters
    ----------
    folder : str or path
        Its sub-folders are the classes, and the files directly in them the images: png, jpg, gif,
        webp, bmp, tif, ppm. Hidden files and other kinds of files are skipped. If a file has
        several images, the first is loaded. One with more than ``PIL.Image.MAX_IMAGE_PIXELS``
        pixels, 89 million, is an error. Photos are rotated according to their EXIF orientation; of
        16 bits per channel the upper 8 are kept.
    size : int, (height, width) or None, default=None
        Size to which all images are resized. With None they are not resized, and must all have the
        same size. Images of more than 16 million pixels that are much larger than this are read at
        a lower resolution first, which saves memory.
    color : bool, default=True
        Whether to load three channels, red, green and blue, or a single gray one.
    fit : {"stretch", "crop", "pad"}, default="stretch"
        How an image with another aspect ratio is resized to ``size``: "stretch" changes the ratio,
        "crop" takes the largest centered part with the right ratio, and "pad" keeps all of it and
        adds bars of the background.
    background : str or (red, green, blue), default="white"
        Color of transparent pixels and of the bars: the name of a color, "#aabbcc", or three
        numbers from 0 to 255.
    split : {"train", "test", "all"}, default=None
        For a folder that holds ``train`` and ``test``, each with one sub-folder per class: which
        part to load; "all" is the training images followed by the test images. The classes are
        those of both parts, so that they have the same numbers in each. For such a folder ``split``
        is required.
    labels : {"numbers", "names"}, default="numbers"
        Whether ``target`` holds numbers, or the names of the sub-folders. A classifier takes and
        predicts either.
    errors : {"raise", "warn"}, default="raise"
        What to do about files that cannot be read: raise an error that lists them, after all others
        have been read, or warn and skip them.
    verbose : bool, default=True
        Whether to show the progress of loading, for a thousand images or more.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or (data, target)
        ``data``, uint8 images (n, h, w, 3), or (n, h, w) without color; ``target``, int64 classes
        (n,), or their names; ``target_names``, the names of the classes: the sub-folders, sorted;
        ``filenames``, the paths of the images; ``loader``, an :class:`ImageLoader` that loads other
        images in the same way; ``DESCR``.

    See Also
    --------
    load_images : Load images that are not in such a folder.

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

    For new photos, put ``things.loader`` before the classifier, which then takes files:

    >>> from sklearn.pipeline import make_pipeline
    >>> from sknpcnn import NumpyCNNClassifier
    >>> clf = NumpyCNNClassifier(max_iter=5).fit(things.data, things.target)
    >>> model = make_pipeline(things.loader, clf)
    >>> model.predict(["new.jpg", "newer.png"])  # doctest: +SKIP
    array([1, 0])
    """
    how = preparation_of(size, color, fit, background, verbose)
    check_word("labels", labels, ("numbers", "names"))
    check_word("errors", errors, ("raise", "warn"))
    home = Path(folder).expanduser()
    names, found = _images_of(home, split)
    paths = [path for path, _ in found]
    data, kept = read_all(paths, how, skip=errors == "warn", verbose=verbose)
    target = np.array([found[i][1] for i in kept], np.int64)
    return bunch_or_arrays(
        data,
        np.array(names)[target] if labels == "names" else target,
        names,
        f"{len(kept)} images of {len(names)} classes from the folder {home}.",
        return_X_y,
        filenames=[str(paths[i]) for i in kept],
        loader=ImageLoader(
            data.shape[1:3], color=how.color, fit_mode=how.fit, background=background
        ),
    )


def _images_of(home: Path, split: str | None) -> tuple[list[str], list[tuple[Path, int]]]:
    """Return the names of the classes, and each image with the number of its class."""
    if not home.is_dir():
        raise FileNotFoundError(f"{home} is not a folder; needed: one with a sub-folder per class.")
    if split is None:
        wanted = [home]
        known = _folders_in(home)
        _check_not_split(home, [folder.name for folder in known])
    else:
        wanted = [home / part for part in parts_of(split)]
        for part in wanted:
            if not part.is_dir():
                raise FileNotFoundError(
                    f"{home} holds no folder {part.name}; needed for split={split!r}: one with a "
                    "sub-folder per class."
                )
        parts = [home / part for part in PARTS["all"]]
        known = [folder for part in parts if part.is_dir() for folder in _folders_in(part)]
    names = sorted({folder.name for folder in known})
    found = []
    for part in wanted:
        folders = _folders_in(part)
        if not folders:
            raise ValueError(
                f"{part} holds no sub-folders; needed: one per class, with its images."
            )
        for folder in folders:
            number = names.index(folder.name)
            found += [(path, number) for path in _images_of_class(folder)]
    return names, found


def _folders_in(home: Path) -> list[Path]:
    return sorted(path for path in home.iterdir() if path.is_dir() and path.name[0] != ".")


def _check_not_split(home: Path, names: list[str]) -> None:
    """Raise if the sub-folders are the parts of a split, not classes."""
    parts = [part for part in PARTS["all"] if part in names]
    if parts and all(_folders_in(home / part) for part in parts):
        raise ValueError(
            f"{home} holds {' and '.join(parts)}, with sub-folders of their own; needed: split="
            + ", ".join(map(repr, parts))
            + (" or 'all'." if len(parts) == 2 else ".")
        )


def _images_of_class(folder: Path) -> list[Path]:
    images = images_in(folder, 5)
    if images:
        return images
    deeper = _folders_in(folder)
    raise ValueError(
        f"{folder} holds no images; needed: at least one, with a name that ends in "
        f"{', '.join(FORMATS)}. "
        + (
            f"If its sub-folders are the classes, load {brief(str(folder))}."
            if deeper
            else "If it is not a class, move it elsewhere."
        )
    )
