"""Infers the shape of an image from X, and warns if the layout of X is probably wrong.

An ambiguous layout is interpreted as documented, with a warning that shows the call for the other
interpretation. Only shapes, names and a few rows are inspected, which takes next to no time.
"""

import re
import sys
import warnings
from collections.abc import Mapping
from math import isqrt, prod
from os import PathLike
from typing import Any

import numpy as np

from sknpcnn._estimator.protocol import AnyEstimator, Estimator
from sknpcnn._values.arrays import to_numpy
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import plain_integer, plain_items

Array = np.ndarray
Image = tuple[int, int, int]

MIN_SIDE = 8
"""The fewest pixels per side that suggest images: small tables have as many columns as that."""
MIN_COLOR_SIDE = 32
"""The fewest pixels per side from which rows of 3 * side**2 values are always taken for colors."""
MAX_ASPECT_RATIO = 3
"""The largest aspect ratio at which an ambiguous shape is taken for an image."""
MAX_INSPECTED_ROWS = 100
"""The most rows that are inspected."""

_COLORS = (3, 4)
_TARGET_NAMES = {"class", "label", "labels", "target", "y"}


def flatten(X: Any, name: str = "X", image: Image | None = None) -> tuple[Any, Image | None]:
    """Reshape images (n, h, w[, c]) to rows (n, features); return rows unchanged.

    Also returns the shape of an image, None for rows. ``image`` is the expected shape, if any.
    """
    X = to_numpy(X, name)
    check_is_numeric(X, name, image)
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


def check_shape(estimator: AnyEstimator, given: Image | None, image: Image, name: str) -> None:
    """Raise if X holds images of a different shape than the estimator was fitted on."""
    if given is None or given == image:
        return
    h, w, channels = image
    fix = f" Give {name}.transpose(0, 2, 3, 1)." if given == (channels, h, w) else ""
    raise ValueError(
        f"{name} holds images of shape {given}, but {type(estimator).__name__} was fitted on "
        f"images of shape {image}.{fix}"
    )


def check_one_label_per_image(given: Image | None, n: int, y: Any) -> None:
    """Raise if X is a single image and y its label, where a batch of images is needed."""
    single = len(y) == 1 if isinstance(y, (list, tuple)) else getattr(y, "shape", ()) == (1,)
    if single and given is not None and given[2] == 1 and n > 1:
        raise ValueError(
            f"X holds {n} images of shape {given}, but y one label; needed: {n} labels. If X is "
            "one image, give X[None]."
        )


def is_table(n_features: int, given: Image | None, image_shape: Any, names: Any) -> bool:
    """Return whether rows are not images, so that each column is a separate quantity.

    They are images if the shape of X or ``image_shape`` says so; otherwise if they could be square
    images and the names of the columns differ only by digits, as ``pixel_0_1`` does.
    """
    if given is not None or image_shape is not None:
        return False
    side = isqrt(n_features)
    stems = {re.sub(r"[\d\W_]+", "", name) for name in ([] if names is None else names)}
    return side * side != n_features or side < MIN_SIDE or len(stems) > 1


def infer_image_shape(n_features: int, given: Image | None, image_shape: Any, table: bool) -> Image:
    """Return the shape of an image: from X, from the parameter, or assuming a square."""
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
    valid = [n for n in map(plain_integer, given_sizes) if n is not None and n >= 1]
    if len(valid) not in (2, 3) or len(valid) < len(given_sizes):
        raise ValueError(
            f"image_shape={brief(image_shape)}; needed: (height, width) or (height, width, "
            "channels), or None."
        )
    h, w, *channels = valid
    shape = (h, w, channels[0] if channels else 1)
    if given is not None and given != shape:
        raise ValueError(
            f"X holds images of shape {given}, but image_shape={brief(image_shape)}. Leave "
            "image_shape at None: it is only needed for rows (n, features)."
        )
    if prod(shape) != n_features:
        raise ValueError(
            f"X has {n_features} features, but image_shape={brief(image_shape)} needs "
            f"{brief(prod(shape))}."
        )
    return shape


def check_is_numeric(X: Any, name: str, image: Image | None = None) -> None:
    """Raise if X is not numeric: files, Pillow images, a Bunch, or images of different sizes."""
    if isinstance(X, Mapping):
        needed = f"{name}.data, and its target as y" if "data" in X else "an array of images"
        raise TypeError(
            f"{name} is a {type(X).__name__} with {brief(list(X)[:10])}; needed: {needed}."
        )
    call = f"sknpcnn.datasets.load_images({name}, {_loader_arguments(image)})"
    if isinstance(X, (str, bytes, PathLike)):
        raise TypeError(f"{name} is {brief(X)}; needed: images. If it is a file or folder: {call}.")
    if _is_pillow_image(X):
        raise TypeError(f"{name} is a Pillow image; needed: an array of images: {call}.")
    items = _items(X)
    if items is None:
        return
    first = items[0]
    if isinstance(first, (str, PathLike)):
        shown = str(first) if isinstance(first, np.str_) else first
        raise TypeError(f"{name} holds {brief(shown)}; needed: images. If these are files: {call}.")
    if _is_pillow_image(first):
        raise TypeError(f"{name} holds Pillow images; needed: an array of images: {call}.")
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


def _loader_arguments(image: Image | None) -> str:
    """Return the arguments with which load_images makes images of this shape, or of any."""
    if image is None:
        return "size=64"
    h, w, channels = image
    return f"size=({h}, {w})" + ("" if channels == 3 else ", color=False")


def _is_pillow_image(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")  # imported if X is a Pillow image
    return module is not None and isinstance(value, module.Image)


def _items(X: Any) -> Any:
    """Return the items of a list or of an object column; None for anything else."""
    if isinstance(X, (list, tuple)):
        return X if len(X) else None
    shape = getattr(X, "shape", None)
    dtype = getattr(X, "dtype", None)
    column = isinstance(shape, tuple) and len(shape) in (1, 2) and shape[1:] in ((), (1,))
    if not column or getattr(dtype, "kind", "O") not in "OUT":
        return None
    items = np.asarray(X).ravel()
    return items if items.dtype.kind in "OUT" and len(items) else None


def warn_of_layout(estimator: Estimator, X: Array, y: Array, given: Image | None) -> None:
    """Warn if the layout of X is probably not the intended one.

    ``given`` is the shape of an image as given by the user, None for rows; X is flattened already.
    """
    if estimator.image_shape is not None:
        return
    names = getattr(estimator, "feature_names_in_", None)
    if given is not None:
        message = _describe_channels_first(given, len(X))
    elif (message := _describe_label_column(X, y, names)) is None and names is None:
        message = _describe_color_rows(X)
    if message:
        warnings.warn(message, stacklevel=8)  # the caller of fit


def _describe_channels_first(image: Image, n: int) -> str | None:
    first, h, w = image
    if min(h, w) < MIN_SIDE or first not in (1, *_COLORS):
        return None
    if h != w and (first == 1 or max(h, w) > MAX_ASPECT_RATIO * min(h, w)):
        return None
    channels = f"{first} channel{'s' * (first > 1)}"
    return (
        f"X has the shape {(n, *image)}, and is read as images of {first} x {h} pixels with {w} "
        f"channels. If they are images of {h} x {w} pixels with {channels}, give "
        f"X.transpose(0, 2, 3, 1); if not, image_shape={image} says so."
    )


@np.errstate(all="ignore")  # finiteness is checked later
def _describe_color_rows(X: Array) -> str | None:
    side = isqrt(X.shape[1] // 3)
    if side < MIN_SIDE or 3 * side * side != X.shape[1]:
        return None
    rows = X[:MAX_INSPECTED_ROWS].astype(np.float64)
    if side < MIN_COLOR_SIDE and not _look_like_pixels(rows):
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


def _look_like_pixels(rows: Array) -> bool:
    """Return whether values look like pixels: bytes, or fractions of one."""
    low, high = rows.min(), rows.max()
    if low < 0 or high > 255:
        return False
    whole = (rows == np.floor(rows)).all()
    return bool(whole and high >= 128) or bool(not whole and 0.5 < high <= 1)


def _roughness(rows: Array, lag: int) -> float:
    """Compute the mean difference of values ``lag`` apart: small for neighboring pixels."""
    return float(np.abs(rows[:, lag:] - rows[:, :-lag]).mean())


def _describe_label_column(X: Array, y: Array, names: Array | None) -> str | None:
    """Describe a column that probably holds y, beside columns that form square images."""
    n = X.shape[1] - 1
    if not any(isqrt(n // c) >= MIN_SIDE and c * isqrt(n // c) ** 2 == n for c in (1, 3)):
        return None
    for column in (0, n):
        if _equals_target(X[:, column], y):
            what = f"X[:, {column}]" if names is None else f"the column {brief(str(names[column]))}"
            return (
                f"{what} holds the labels y themselves, beside {n} pixels. Leave it out of X, or "
                "the network learns nothing but to read it."
            )
    if names is None:
        return None
    targets = [str(name) for name in names if str(name).lower() in _TARGET_NAMES]
    numbered = sum(any(char.isdigit() for char in str(name)) for name in names)
    if len(targets) == 1 and numbered == n:
        return (
            f"X has a column {brief(targets[0])} beside {n} that may be pixels. If it holds the "
            f"labels, leave it out: X.drop(columns={brief(targets[0])})."
        )
    return None


def _equals_target(column: Array, y: Array) -> bool:
    if y.dtype.kind not in "biuf" or (y == y[0]).all():
        return False
    return bool(np.array_equal(column, y))
