"""What the input is shifted and scaled by, and what that tells of data on another scale."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn.chunks import BLOCK, cut
from sknpcnn.samples import Samples

Array = np.ndarray

FAR = 20.0
"""So many times the usual size, or so many deviations on the average, make another scale."""
LOOKED_AT = 2**13
"""How many numbers are looked at to tell whether they are on the usual scale."""


@dataclass(frozen=True)
class Standard:
    """What each channel is shifted and scaled by before the first layer; in tables each column."""

    mean: Array
    scale: Array

    def of_rows(self, n_features: int) -> tuple[Array, Array]:
        """Return mean and scale of each number of a row: repeated for every pixel."""
        repeats = n_features // len(self.mean)
        return np.tile(self.mean, repeats), np.tile(self.scale, repeats)


@np.errstate(all="ignore")
def standard_of(samples: Samples, channels: int, dtype: Any) -> Standard:
    """Compute weighted mean and deviation of every channel, in double precision, block by block.

    A table has as many channels as columns.
    """
    total, mean, squares, largest = 0.0, np.zeros(channels), np.zeros(channels), 0.0
    for lo, hi in cut(len(samples), max(BLOCK // samples.X.shape[1], 1)):
        index = samples.index[lo:hi]
        pixels = samples.X[index].reshape(hi - lo, -1, channels).astype(np.float64)
        largest = max(largest, float(np.abs(pixels).max()))
        weights = samples.weights_at(index)
        weights = np.ones(hi - lo) if weights is None else weights
        weight = weights.sum() * pixels.shape[1]
        block_mean = np.einsum("n,npc->c", weights, pixels) / weight
        pixels -= block_mean
        # merge with the blocks before (Chan et al. 1979): no cancellation, whatever the mean
        apart = block_mean - mean
        squares += np.einsum("n,npc,npc->c", weights, pixels, pixels)
        squares += apart**2 * (total * weight / (total + weight))
        total += weight
        mean += apart * (weight / total)
    deviation = np.sqrt(squares / total)
    least = np.finfo(dtype).tiny
    if not (deviation <= np.finfo(dtype).max / 4).all():
        spread = np.nan_to_num(deviation, nan=np.inf, posinf=np.inf).max()
        raise ValueError(
            f"standardize=True, but X varies by {spread:.3g}, which {np.dtype(dtype)} "
            "cannot scale. Divide X by a power of ten, or set standardize=False."
        )
    flat = deviation <= np.maximum(1e-12 * np.abs(mean), least)  # constant, but for rounding
    scale = 1 / np.where(flat, 1.0, deviation)
    # The mean is subtracted in the precision of the data: it may be large, and the rest small.
    # Integers that the network's precision holds exactly are the same images as bytes or floats.
    exact = samples.X.dtype.kind in "iub" and largest <= 2 ** np.finfo(dtype).nmant
    precision = dtype if exact else np.result_type(samples.X.dtype, dtype)
    return Standard(mean.astype(precision), scale.astype(dtype))


def warn_of_other_scale(X: Array, standard: Standard) -> None:
    """Warn if images lie on another scale than those that a classifier was trained on.

    That is what ``standardize`` knows. A look at the first rows is enough: bytes that are given to
    a network that knows 0 to 1 are far away on the average, and the other way round all of them are
    fractions where hundreds are usual. Dark images of bytes are small too, but they are integers.
    """
    rows = X[: max(LOOKED_AT // X.shape[1], 1)]
    mean, scale = standard.of_rows(rows.shape[1])
    away = float((np.abs(rows - mean) * scale).mean())
    largest = float(np.abs(rows).max())
    usual = float((np.abs(standard.mean) + 1 / standard.scale).max())
    small = largest <= 1 < usual / FAR and X.dtype.kind == "f" and bool((rows % 1 != 0).any())
    if small or away > FAR:
        warnings.warn(
            f"X holds numbers of up to {largest:.3g}, but this network was trained on numbers of "
            f"about {usual:.3g}. Give it images on the scale of the training data: were these "
            "divided by 255, or those?",
            stacklevel=6,
        )
