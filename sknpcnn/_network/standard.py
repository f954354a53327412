"""Standardizes the input, and warns if images to predict are on another scale."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn._engine.chunks import BLOCK, cut
from sknpcnn._network.samples import Samples

Array = np.ndarray

MAX_SCALE_RATIO = 20.0
"""The largest ratio to the usual size, or average distance in deviations, of the same scale."""
MAX_INSPECTED_VALUES = 2**13
"""The most values inspected to judge the scale of the data."""


@dataclass(frozen=True)
class Standard:
    """Mean and inverse deviation of each channel, or of each column of a table."""

    mean: Array
    scale: Array

    def of_rows(self, n_features: int) -> tuple[Array, Array]:
        """Return mean and scale of each element of a row: repeated for every pixel."""
        repeats = n_features // len(self.mean)
        return np.tile(self.mean, repeats), np.tile(self.scale, repeats)


@np.errstate(all="ignore")
def measure_standard(samples: Samples, channels: int, dtype: Any) -> Standard:
    """Compute weighted mean and deviation of each channel, in double precision, block by block.

    In a table each column is a channel.
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
        # merge with earlier blocks (Chan et al. 1979): no cancellation, whatever the mean
        difference = block_mean - mean
        squares += np.einsum("n,npc,npc->c", weights, pixels, pixels)
        squares += difference**2 * (total * weight / (total + weight))
        total += weight
        mean += difference * (weight / total)
    deviation = np.sqrt(squares / total)
    tiny = np.finfo(dtype).tiny
    if not (deviation <= np.finfo(dtype).max / 4).all():
        spread = np.nan_to_num(deviation, nan=np.inf, posinf=np.inf).max()
        raise ValueError(
            f"standardize=True, but X varies by {spread:.3g}, which {np.dtype(dtype)} "
            "cannot scale. Divide X by a power of ten, or set standardize=False."
        )
    constant = deviation <= np.maximum(1e-12 * np.abs(mean), tiny)  # up to rounding
    scale = 1 / np.where(constant, 1.0, deviation)
    # The mean is subtracted in the precision of the data: it may be large, and the rest small.
    # Integers that the network's precision holds exactly are the same images as bytes or floats.
    exact = samples.X.dtype.kind in "iub" and largest <= 2 ** np.finfo(dtype).nmant
    precision = dtype if exact else np.result_type(samples.X.dtype, dtype)
    return Standard(mean.astype(precision), scale.astype(dtype))


def warn_of_other_scale(X: Array, standard: Standard) -> None:
    """Warn if images are on another scale than those that a network was trained on.

    The first rows are enough to tell: bytes given to a network trained on pixels from 0 to 1 are
    many deviations away on average; and in the opposite case all of them are fractions where
    values in the hundreds are usual. Dark images of bytes are small too, but they are integers.
    """
    rows = X[: max(MAX_INSPECTED_VALUES // X.shape[1], 1)]
    mean, scale = standard.of_rows(rows.shape[1])
    distance = float((np.abs(rows - mean) * scale).mean())
    largest = float(np.abs(rows).max())
    usual = float((np.abs(standard.mean) + 1 / standard.scale).max())
    small = (
        largest <= 1 < usual / MAX_SCALE_RATIO
        and X.dtype.kind == "f"
        and bool((rows % 1 != 0).any())
    )
    if small or distance > MAX_SCALE_RATIO:
        warnings.warn(
            f"X holds values of up to {largest:.3g}, but this network was trained on values of "
            f"about {usual:.3g}. Give it images on the scale of the training data: were these "
            "divided by 255, or those?",
            stacklevel=6,
        )
