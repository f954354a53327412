"""What all displays share: the images that a network sees, and arrays that can be drawn."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sknpcnn._estimator import fitted, inputs
from sknpcnn._network.batches import Array
from sknpcnn._values.arrays import to_numpy
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import plain_integer
from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.regressor import NumpyCNNRegressor

NETWORKS = NumpyCNNClassifier, NumpyCNNRegressor

Limits = tuple[float, float]
"""The values that are drawn black and white."""


class Split(NamedTuple):
    """An estimator, split into the network and what comes before it."""

    before: list[Any]
    """Transformers, in the order in which they are applied; often none."""
    network: NumpyCNNClassifier | NumpyCNNRegressor


def split_estimator(estimator: Any) -> Split:
    """Split a network, a Pipeline that ends in one, or a fitted search; it may be frozen."""
    before: list[Any] = []
    last = estimator
    while not isinstance(last, NETWORKS):
        if isinstance(last, FrozenEstimator):
            last = last.estimator
        elif isinstance(last, Pipeline):
            if len(last.steps) > 1:
                before.append(last[:-1])
            last = last.steps[-1][1]
        elif hasattr(last, "best_estimator_"):
            last = last.best_estimator_
        elif hasattr(last, "refit"):
            raise NotFittedError(
                f"estimator holds a {type(last).__name__} without best_estimator_; needed: one "
                "that is fitted, with refit=True."
            )
        else:
            inside = "is a" if last is estimator else "ends in a"
            raise TypeError(
                f"estimator {inside} {type(last).__name__}; needed: a NumpyCNNClassifier or "
                "NumpyCNNRegressor, a Pipeline that ends in one, or a fitted search for one."
            )
    return Split(before, last)


def images_seen(estimator: Any, X: Any) -> Array:
    """Return X as the fitted network of an estimator sees it: images (n, h, w, c).

    X is what ``estimator.predict`` takes: rows or images, before the steps of a Pipeline.
    """
    before, network = split_estimator(estimator)
    check_is_fitted(network)
    for step in before:
        X = step.transform(X)
    rows = inputs.check_prediction_data(network, X, network.image_shape_)
    return rows.reshape(-1, *network.image_shape_)


def predicting(network: Any) -> Any:
    """Return a fitted network that takes images as arrays, without names of their features."""
    check_is_fitted(network)
    copied = fitted.snapshot(network)
    vars(copied).pop("feature_names_in_", None)
    return copied


def single(X: Any, index: int) -> Any:
    """Return a batch of the one image of X that a user asks for; raise if there is none."""
    place = plain_integer(index)
    if place is None or not -len(X) <= place < len(X):
        raise ValueError(f"index={brief(index)}; needed: one of the {len(X)} images of X.")
    index = place % len(X)
    return X.iloc[[index]] if hasattr(X, "iloc") else X[index : index + 1]


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Return how many of something to draw; raise unless that is an integer of at least some."""
    number = plain_integer(value)
    if number is None or number < least:
        raise ValueError(f"{name}={brief(value)}; needed: an integer of at least {least}.")
    return number


def as_images(images: Any, n: int | None = None) -> Array:
    """Return images that were given to be drawn, (n, h, w) or (n, h, w, c), as (n, h, w, c)."""
    given = np.asarray(to_numpy(images, "images"))
    if given.ndim not in (3, 4) or 0 in given.shape[1:] or n not in (None, len(given)):
        raise ValueError(
            f"images has the shape {given.shape}; needed: ({'n' if n is None else n}, h, w) or "
            f"({'n' if n is None else n}, h, w, channels)."
        )
    if given.dtype.kind not in "biuf":
        raise ValueError(f"images has the dtype {given.dtype}; needed: numbers.")
    return given[..., None] if given.ndim == 3 else given


def limits_of(images: Array) -> Limits:
    """Return the values to draw black and white: those of bytes or of fractions, or the extremes.

    Values that are not finite do not count.
    """
    if images.dtype == np.uint8:
        return 0, 255
    finite = images if images.dtype.kind in "biu" else images[np.isfinite(images)]
    if not finite.size:
        return 0, 1
    low, high = float(finite.min()), float(finite.max())
    return (0, 1) if low >= 0 and high <= 1 else (low, high)


def drawable(images: Array, limits: Limits | None = None) -> Array:
    """Return images (n, h, w, c) with values from 0 to 1: gray (n, h, w), or color (n, h, w, 3).

    Of 2 channels, or of more than 3, the mean is drawn. ``limits`` are the values that become 0 and
    1; by default those of ``limits_of``, for all images alike. Images that are constant are gray;
    values that are not finite become 0 or 1.
    """
    known = limits_of(images) if limits is None else limits
    if images.shape[3] not in (1, 3):
        fixed = limits is not None or known in ((0, 255), (0, 1))
        with np.errstate(all="ignore"):  # of values that are not finite
            images = images.mean(axis=3, keepdims=True, dtype=np.float64)
        known = known if fixed else limits_of(images)
    low, high = known
    shown: Array = np.full(images.shape, 0.5)
    if low < high:
        size = max(abs(low), abs(high))  # so that no difference overflows
        shares = (images.astype(np.float64) / size - low / size) / (high / size - low / size)
        shown = np.nan_to_num(shares.clip(0, 1), nan=0.0)
    return shown[..., 0] if shown.shape[3] == 1 else shown
