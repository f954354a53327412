"""Places of images in two dimensions: by their features, and so that pictures do not overlap."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from sknpcnn._network.batches import Array
from sknpcnn._values.brief import brief

NOISE = 1e-5
"""The largest relative difference of features that is nothing but rounding."""


def two_dimensions(
    features: Array, transformer: Any, random_state: int | None
) -> tuple[Array, str]:
    """Return features (n, k) in two dimensions, and the name of these."""
    n = len(features)
    if isinstance(transformer, str) and transformer == "tsne":
        if n < 4:
            raise ValueError(f'transformer="tsne" is given {n} images; needed: 4 or more.')
        tsne = TSNE(perplexity=min(30.0, (n - 1) / 3), random_state=random_state)
        return tsne.fit_transform(features), "t-SNE"
    if isinstance(transformer, str) and transformer == "pca":
        points = np.zeros((n, 2))
        if np.ptp(features, axis=0).max() > NOISE * np.abs(features).max():
            k = min(2, *features.shape)
            points[:, :k] = PCA(k, random_state=random_state).fit_transform(features)
        return points, "principal component"
    if isinstance(transformer, (str, type)) or not hasattr(transformer, "fit_transform"):
        raise ValueError(
            f'transformer={brief(transformer)}; needed: "pca", "tsne" or an instance of a '
            "transformer, such as Isomap()."
        )
    points = np.asarray(transformer.fit_transform(features))
    if points.shape != (n, 2):
        raise ValueError(
            f"transformer={brief(transformer)} returns the shape {points.shape}; needed: {(n, 2)}. "
            "Set its number of components to 2."
        )
    return points, type(transformer).__name__


def classes_and_names(y: Array, names: Sequence[Any] | None) -> tuple[Array, Any]:
    """Return the class of each image, (n,), and the names of the classes.

    The combinations of labels in an indicator matrix are classes.
    """
    n_needed = len(np.unique(y)) if y.ndim == 1 else y.shape[1]
    if names is not None and len(names) != n_needed:
        raise ValueError(f"label_names has {len(names)} names; needed: {n_needed}.")
    if y.ndim == 1:
        return y, None if names is None else dict(zip(np.unique(y).tolist(), names, strict=True))
    named = [str(k if names is None else names[k]) for k in range(y.shape[1])]
    rows = [", ".join(named[k] for k in np.flatnonzero(row)) or "no label" for row in y]
    return np.array(rows), None


def choose_apart(positions: Array, distance: float, most: int) -> Array:
    """Return the indices of points that are apart along an axis, chosen at random, in order."""
    chosen: list[int] = []
    for i in np.random.default_rng(0).permutation(len(positions)):
        if len(chosen) == most:
            break
        apart = np.abs(positions[chosen] - positions[i]).max(axis=1)
        if (apart >= distance).all():
            chosen.append(i)
    return np.sort(np.array(chosen, dtype=int))
