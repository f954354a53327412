"""How much each part of an image adds to a score, computed in four ways, for SaliencyDisplay.

Images are those that the network sees, (n, h, w, c), and targets one for each of them. What is
returned is one number for each pixel, (n, h, w).
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from scipy.ndimage import zoom

from sknpcnn._estimator import fitted, gradients
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._network.batches import Array
from sknpcnn._values.arrays import to_numpy
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import as_pair, plain_pair, plain_word
from sknpcnn.display.pictures import check_count
from sknpcnn.layers import AvgPool2D, Dropout, MaxPool2D

_NOT_LAST = AvgPool2D, MaxPool2D, Dropout
"""Layers whose outputs are those of the layer before, but smaller or the same."""


def gradient(network: Estimator, images: Array, targets: Array) -> Array:
    """Compute the largest absolute value over the channels (Simonyan et al. 2014)."""
    found: Array = np.abs(_gradient(network, images, targets)).max(axis=3)
    return found


def integrated_gradients(
    network: Estimator, images: Array, targets: Array, baseline: Any = 0, steps: int = 50
) -> Array:
    """Integrate the gradient from a baseline to the image (Sundararajan et al. 2017).

    The values of an image add up to the difference of the scores of image and baseline, but for
    the error of the integral, which is smaller for more ``steps``.
    """
    start = as_baseline(network, images, baseline)
    difference = images.astype(np.float64) - start
    total = np.zeros(images.shape)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    for node, weight in zip(nodes, weights, strict=True):  # from -1 to 1
        between = start + (node + 1) / 2 * difference
        total += weight / 2 * _gradient(network, between, targets)
    found: Array = (total * difference).sum(axis=3)
    return found


def grad_cam(network: Estimator, images: Array, targets: Array, layer: str | None = None) -> Array:
    """Weigh the maps of a layer by their mean gradient, and keep what is positive.

    The sum is resized to the size of the image (Selvaraju et al. 2017).
    """
    name = last_map(network) if layer is None else map_layer(network, layer)
    rows = images.reshape(len(images), -1)
    slopes = gradients.score_gradient(network, rows, targets, name)
    maps = fitted.outputs_of(network, rows, name, warn=False).reshape(slopes.shape)
    weights = slopes.mean(axis=(1, 2), dtype=np.float64)
    summed = np.maximum(np.einsum("nhwc,nc->nhw", maps, weights), 0)
    (h, w), (rows_in, columns_in) = images.shape[1:3], summed.shape[1:]
    factors = 1, h / rows_in, w / columns_in
    resized: Array = zoom(summed, factors, order=1, mode="nearest", grid_mode=True)
    return resized


def occlusion(
    network: Estimator,
    images: Array,
    targets: Array,
    baseline: Any = 0,
    patch: tuple[int, int] = (4, 4),
    stride: tuple[int, int] = (2, 2),
) -> Array:
    """Compute how much the score falls if a patch is replaced (Zeiler & Fergus 2014).

    A pixel gets the mean of all patches that contain it. The last patches of a row and of a column
    end where the image does.
    """
    n, h, w, _ = images.shape
    fill = np.broadcast_to(as_baseline(network, images, baseline), images.shape)
    whole = gradients.scores(network, images.reshape(n, -1), targets)
    falls, counts = np.zeros((n, h, w)), np.zeros((h, w))
    changed = images.astype(np.result_type(images.dtype, fill.dtype))
    for top in _starts(h, patch[0], stride[0]):
        for left in _starts(w, patch[1], stride[1]):
            part = slice(top, top + patch[0]), slice(left, left + patch[1])
            changed[:, *part] = fill[:, *part]
            fall = whole - gradients.scores(network, changed.reshape(n, -1), targets)
            changed[:, *part] = images[:, *part]
            falls[:, *part] += fall[:, None, None]
            counts[part] += 1
    return falls / counts


def _starts(length: int, size: int, step: int) -> list[int]:
    """Return where patches begin: at every step, and so that the last one ends at the edge."""
    return sorted({*range(0, length - size, step), length - size})


def _gradient(network: Estimator, images: Array, targets: Array) -> Array:
    rows = images.reshape(len(images), -1)
    return gradients.score_gradient(network, rows, targets).reshape(images.shape)


def as_baseline(network: Estimator, images: Array, baseline: Any) -> Array:
    """Return what images without anything look like, in a shape that is broadcast to theirs."""
    shape = images.shape[1:]
    if isinstance(baseline, str):
        standard = fitted.standard_of(network)
        if baseline != "mean" or standard is None:
            raise ValueError(
                f"baseline={brief(baseline)}; needed: a number, an image, or 'mean' for the mean "
                "of the training data, which a network with standardize=True knows."
            )
        mean, _ = standard.of_rows(prod(shape))
        return mean.reshape(shape).astype(np.float64)
    given = np.asarray(to_numpy(baseline, "baseline"))
    if given.shape == images.shape[1:3]:
        given = given[..., None]
    fits = given.shape in ((), (1,), shape[2:], (*shape[:2], 1), shape, images.shape)
    if not fits or given.dtype.kind not in "biuf" or not np.isfinite(given).all():
        raise ValueError(
            f"baseline={brief(baseline)}; needed: a finite number, an image of shape {shape}, or "
            "'mean' for the mean of the training data."
        )
    return given.astype(np.float64)


def last_map(network: Estimator) -> str:
    """Return the last layer with maps of more than one pixel, before they are pooled."""
    found = [
        name
        for (name, layer), (h, w, _) in _maps(network)
        if h * w > 1 and not isinstance(layer, _NOT_LAST)
    ]
    if not found:
        raise ValueError(
            "The network has no layer whose output is a map; needed for method='grad_cam': "
            "convolutions. Other methods do without."
        )
    return str(found[-1])


def map_layer(network: Estimator, layer: Any) -> str:
    """Return the name of a layer; raise unless its output is a map."""
    name = fitted.find_layer(network, layer)
    maps = [known for (known, _), _ in _maps(network)]
    if name not in maps:
        raise ValueError(
            f"layer={brief(layer)} has no map as its output; needed for method='grad_cam': one of "
            f"{', '.join(maps)}, or None."
        )
    return name


def _maps(network: Estimator) -> list[Any]:
    """Return the layers whose outputs are maps, and the shapes of these."""
    made = fitted.network_of(network)
    shapes = [row.output_shape for row in made.summary()]
    found = zip(made.steps[1:], shapes, strict=True)
    return [(step, shape) for step, shape in found if len(shape) == 3]


METHODS: dict[str, tuple[Callable[..., Array], tuple[str, ...]]] = {
    "grad_cam": (grad_cam, ("layer",)),
    "gradient": (gradient, ()),
    "integrated_gradients": (integrated_gradients, ("baseline", "steps")),
    "occlusion": (occlusion, ("baseline", "patch", "stride")),
}
"""What computes the maps, and the options that it has."""


def options_of(method: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are given, not None; raise if one is of another method."""
    if plain_word(method, tuple(METHODS)) is None:
        raise ValueError(f"method={brief(method)}; needed: one of {', '.join(METHODS)}.")
    known = METHODS[method][1]
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if name not in known:
            users = [other for other, (_, names) in METHODS.items() if name in names]
            raise ValueError(
                f"{name}={brief(value)}, but method={method!r} has no use for it; needed: None, or "
                f"method={' or '.join(map(repr, users))}."
            )
    if "steps" in given:
        check_count("steps", given["steps"])
    return given


def compute(
    method: str, network: Estimator, images: Array, targets: Array, options: dict[str, Any]
) -> Array:
    """Compute the maps of a method, with the options that ``options_of`` has returned."""
    if method == "occlusion":
        options = options | _patches(images.shape[1:3], options.get("patch"), options.get("stride"))
    maps: Array = METHODS[method][0](network, images, targets, **options)
    return maps


def _patches(image: tuple[int, ...], patch: Any, stride: Any) -> dict[str, Any]:
    """Return the size of the patch, no larger than the image, and the step, as pairs."""
    usual = max(min(image) // 7, 1)
    h, w = (min(pair) for pair in zip(_pair("patch", patch, (usual, usual)), image, strict=True))
    steps = _pair("stride", stride, (max(h // 2, 1), max(w // 2, 1)))
    if steps[0] > h or steps[1] > w:
        raise ValueError(
            f"stride={brief(stride)} leaves out pixels between patches of {h}x{w}; needed: no more "
            "than the size of the patch."
        )
    return {"patch": (h, w), "stride": steps}


def _pair(name: str, value: Any, usual: tuple[int, int]) -> tuple[int, int]:
    if value is None:
        return usual
    pair = plain_pair(value, 1)
    if pair is None:
        raise ValueError(
            f"{name}={brief(value)}; needed: an integer of at least 1, or (rows, columns)."
        )
    return as_pair(pair)
