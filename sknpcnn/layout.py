"""How X lies in memory: images as rows, the shape of an image, and a word when that looks wrong.

What can be read in two ways is read in the documented one, with a warning that has the call which
was probably meant. It looks at shapes, names and a few rows, so that it costs nothing.
"""

import re
import sys
import warnings
from collections.abc import Mapping
from math import isqrt, prod
from os import PathLike
from typing import Any

import numpy as np

from sknpcnn.arrays import to_numpy
from sknpcnn.brief import brief
from sknpcnn.checks import plain_integer, plain_items

Array = np.ndarray
Image = tuple[int, int, int]

MIN_SIDE = 8
"""Fewer pixels in a row or column are no hint of images: tables are like that, too."""
MIN_SURE_SIDE = 32
"""From so many on, three numbers for each pixel of a square are colors, whatever they are."""
MAX_PROPORTION = 3
"""An image is at most so many times longer than wide, where there is a doubt."""
MAX_PEEKED = 100
"""How many rows are looked at."""

_COLORS = (3, 4)
_TARGETS = {"class", "label", "labels", "target", "y"}


def flatten(X: Any, name: str = "X", image: Image | None = None) -> tuple[Any, Image | None]:
    """Turn images (n, h, w[, c]) into rows (n, features); rows stay what they are.

    Also returns the shape of an image, None for rows. ``image`` is what shape is wanted.
    """
    X = to_numpy(X, name)
    refuse_no_arrays(X, name, image)
    shape = getattr(X, "shape", ())
    if isinstance(X, (list, tuple)):
        try:
            shape = np.shape(X)
        except ValueError:  # ragged: scikit-learn has a message for that
            return X, None
        if len(shape) > 2:
            X = np.asarray(X)
    if image is not None:
        _check_batch(shape, image, name)
    ndim = getattr(X, "ndim", 2)
    if not isinstance(ndim, int) or ndim <= 2:
        return X, None
    X = np.asarray(X)
    if ndim > 4 or 0 in X.shape[1:]:
        raise ValueError(
            f"X has the shape {X.shape}; needed: images (n, h, w) or (n, h, w, channels), or rows "
            "(n, features), none of them empty."
        )
    _, h, w, *channels = X.shape
    return X.reshape(len(X), prod(X.shape[1:])), (h, w, *(channels or [1]))


def _check_batch(shape: Any, image: Image, name: str) -> None:
    """Raise if X has the shape of one image where a batch of them is needed."""
    colored = shape == image and (*shape[1:], 1) != image
    gray = shape == image[:2] and image[0] > 1 and image[2] == 1
    if colored or gray:
        raise ValueError(f"{name} has the shape {shape}; needed: a batch of images: {name}[None].")


def check_shape(estimator: Any, given: Image | None, image: Image, name: str) -> None:
    """Raise if X holds images of another shape than those that an estimator was fitted on."""
    if given is None or given == image:
        return
    h, w, channels = image
    turned = f" Give {name}.transpose(0, 2, 3, 1)." if given == (channels, h, w) else ""
    raise ValueError(
        f"{name} holds images of shape {given}, but {type(estimator).__name__} was fitted on "
        f"images of shape {image}.{turned}"
    )


def check_several(given: Image | None, n: int, y: Any) -> None:
    """Raise if X is one image, and y its label, where a batch of them is needed."""
    single = len(y) == 1 if isinstance(y, (list, tuple)) else getattr(y, "shape", ()) == (1,)
    if single and given is not None and given[2] == 1 and n > 1:
        raise ValueError(
            f"X holds {n} images of shape {given}, but y one label; needed: as many. If X is one "
            "image, give X[None]."
        )


def is_table(n_features: int, given: Image | None, image_shape: Any, names: Any) -> bool:
    """Return whether rows are no images, so that each column is a quantity of its own.

    They are images if somebody says so, by the shape of X or by ``image_shape``. Else they are if
    they could be square ones, and the columns are called alike, but for numbers: ``pixel_0_1``.
    """
    if given is not None or image_shape is not None:
        return False
    side = isqrt(n_features)
    stems = {re.sub(r"[\d\W_]+", "", name) for name in ([] if names is None else names)}
    return side * side != n_features or side < MIN_SIDE or len(stems) > 1


def image_of(n_features: int, given: Image | None, image_shape: Any, table: bool) -> Image:
    """Decide what shape the images have: from X, from the parameter, or by guessing a square."""
    if isinstance(image_shape, np.ndarray):
        image_shape = image_shape.tolist()
    if table:
        return 1, n_features, 1
    if image_shape is None:
        if given is not None:
            return given
        side = isqrt(n_features)
        return side, side, 1
    given_sizes = plain_items(image_shape) or ()
    numbers = [n for n in map(plain_integer, given_sizes) if n is not None and n >= 1]
    if len(numbers) not in (2, 3) or len(numbers) < len(given_sizes):
        raise ValueError(
            f"image_shape={brief(image_shape)}; needed: (height, width) or (height, width, "
            "channels), or None."
        )
    h, w, *channels = numbers
    wanted = (h, w, channels[0] if channels else 1)
    if given is not None and given != wanted:
        raise ValueError(
            f"X holds images of shape {given}, but image_shape={brief(image_shape)}. Leave "
            "image_shape at None: it is only needed for rows (n, features)."
        )
    if prod(wanted) != n_features:
        raise ValueError(
            f"X has {n_features} features, but image_shape={brief(image_shape)} needs "
            f"{brief(prod(wanted))}."
        )
    return wanted


def refuse_no_arrays(X: Any, name: str, image: Image | None = None) -> None:
    """Raise if X is not numbers at all, but files, images of Pillow, a Bunch, or of many sizes."""
    if isinstance(X, Mapping):
        needed = f"{name}.data, and its target as y" if "data" in X else "an array of images"
        raise TypeError(
            f"{name} is a {type(X).__name__} with {brief(list(X)[:10])}; needed: {needed}."
        )
    call = f"sknpcnn.datasets.load_images({name}, {_settings(image)})"
    if isinstance(X, (str, bytes, PathLike)):
        raise TypeError(f"{name} is {brief(X)}; needed: images. If it is a file or folder: {call}.")
    if _is_of_pillow(X):
        raise TypeError(f"{name} is an image of Pillow; needed: an array of images: {call}.")
    items = _items_of(X)
    if items is None:
        return
    first = items[0]
    if isinstance(first, (str, PathLike)):
        shown = str(first) if isinstance(first, np.str_) else first
        raise TypeError(f"{name} holds {brief(shown)}; needed: images. If these are files: {call}.")
    if _is_of_pillow(first):
        raise TypeError(f"{name} holds images of Pillow; needed: an array of images: {call}.")
    found = (getattr(item, "shape", None) for item in items)
    shapes = {tuple(shape) for shape in found if isinstance(shape, tuple) and len(shape) > 1}
    if len(shapes) > 1:
        one, other, *_ = sorted(shapes)
        raise ValueError(
            f"{name} holds images of different shapes, such as {one} and {other}; needed: one "
            f"array of images of one size: {call}, where size= resizes them."
        )
    if shapes and not isinstance(X, (list, tuple)):
        raise ValueError(
            f"{name} holds arrays as objects; needed: one array of numbers: np.stack(list({name}))."
        )


def _settings(image: Image | None) -> str:
    """Return what load_images has to be told to make images of this shape, or of any."""
    if image is None:
        return "size=64"
    h, w, channels = image
    return f"size=({h}, {w})" + ("" if channels == 3 else ", color=False")


def _is_of_pillow(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")  # who has an image has imported it
    return module is not None and isinstance(value, module.Image)


def _items_of(X: Any) -> Any:
    """Return what a list holds, or a column of objects; None for anything else."""
    if isinstance(X, (list, tuple)):
        return X if len(X) else None
    shape = getattr(X, "shape", None)
    dtype = getattr(X, "dtype", None)
    column = isinstance(shape, tuple) and len(shape) in (1, 2) and shape[1:] in ((), (1,))
    if not column or getattr(dtype, "kind", "O") not in "OUT":
        return None
    items = np.asarray(X).ravel()
    return items if items.dtype.kind in "OUT" and len(items) else None


def warn_of_layout(estimator: Any, X: Array, y: Array, given: Image | None) -> None:
    """Warn if images are probably not what their layout says.

    ``given`` is the shape of an image in X, None where X holds rows; they are rows here.
    """
    if estimator.image_shape is not None:
        return
    names = getattr(estimator, "feature_names_in_", None)
    if given is not None:
        message = _channels_first(given, len(X))
    elif (message := _stray_label(X, y, names)) is None and names is None:
        message = _rows_of_colors(X)
    if message:
        warnings.warn(message, stacklevel=7)  # who calls fit


def _channels_first(image: Image, n: int) -> str | None:
    first, h, w = image
    if min(h, w) < MIN_SIDE or first not in (1, *_COLORS):
        return None
    if h != w and (first == 1 or max(h, w) > MAX_PROPORTION * min(h, w)):
        return None
    channels = f"{first} channel{'s' * (first > 1)}"
    return (
        f"X has the shape {(n, *image)}, and is read as images of {first} x {h} pixels with {w} "
        f"channels. If they are images of {h} x {w} pixels with {channels}, give "
        f"X.transpose(0, 2, 3, 1); if not, image_shape={image} says so."
    )


@np.errstate(all="ignore")  # whether these are finite numbers is looked at later
def _rows_of_colors(X: Array) -> str | None:
    side = isqrt(X.shape[1] // 3)
    if side < MIN_SIDE or 3 * side * side != X.shape[1]:
        return None
    rows = X[:MAX_PEEKED].astype(np.float64)
    if side < MIN_SURE_SIDE and not _are_pixels(rows):
        return None
    by_pixel = _roughness(rows, 3) + _roughness(rows, 3 * side)
    by_channel = _roughness(rows, 1) + _roughness(rows, side)
    call = f"image_shape=({side}, {side}, 3)"
    if by_channel < 0.75 * by_pixel:  # as in the files of CIFAR-10
        call = f"X.reshape(-1, 3, {side}, {side}).transpose(0, 2, 3, 1)"
    return (
        f"X has {X.shape[1]} columns, and is read as images of 1 x {X.shape[1]} pixels. If they "
        f"are color images of {side} x {side} pixels, give {call}; if not, image_shape=(1, "
        f"{X.shape[1]}) says so."
    )


def _are_pixels(rows: Array) -> bool:
    """Return whether numbers look like pixels: bytes, or parts of one."""
    low, high = rows.min(), rows.max()
    if low < 0 or high > 255:
        return False
    whole = (rows == np.floor(rows)).all()
    return bool(whole and high >= 128) or bool(not whole and 0.5 < high <= 1)


def _roughness(rows: Array, lag: int) -> float:
    """Compute how much numbers differ that lie so far apart: neighbors in an image do little."""
    return float(np.abs(rows[:, lag:] - rows[:, :-lag]).mean())


def _stray_label(X: Array, y: Array, names: Array | None) -> str | None:
    """Tell of a column too many for square images, if it is y, or is called so."""
    n = X.shape[1] - 1
    if not any(isqrt(n // c) >= MIN_SIDE and c * isqrt(n // c) ** 2 == n for c in (1, 3)):
        return None
    for column in (0, n):
        if _is_target(X[:, column], y):
            what = f"X[:, {column}]" if names is None else f"the column {brief(str(names[column]))}"
            return (
                f"{what} holds the labels y themselves, beside {n} pixels. Leave it out of X, or "
                "the network is told what it is to find out."
            )
    if names is None:
        return None
    targets = [str(name) for name in names if str(name).lower() in _TARGETS]
    numbered = sum(any(char.isdigit() for char in str(name)) for name in names)
    if len(targets) == 1 and numbered == n:
        return (
            f"X has a column {brief(targets[0])} beside {n} that may be pixels. If it holds the "
            f"labels, leave it out: X.drop(columns={brief(targets[0])})."
        )
    return None


def _is_target(column: Array, y: Array) -> bool:
    if y.dtype.kind not in "biuf" or (y == y[0]).all():
        return False
    return bool(np.array_equal(column, y))
