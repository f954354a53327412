"""Where mini-batches come from: rows of the user's data, turned into images when they are needed.

The data stay as they are, uint8 or on disk; a few rows at a time become floats, standardised and
height first, just before the first layer reads them.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sknpcnn.augmentation.base import augmented
from sknpcnn.chunks import cut
from sknpcnn.kernels.randomness import row_ids
from sknpcnn.parallel import RunningContext
from sknpcnn.spec import Steps

Array = np.ndarray

# Rows of data that are looked at together, in numbers, where all of the data have to be read.
BLOCK = 2**18
# The same where they are hashed, which takes several passes of eight bytes per number.
HASHED = 2**14
# How many numbers an augmentation works with for each one that it changes, about.
CHANGED = 8


@dataclass(frozen=True)
class Standard:
    """What each channel is shifted and scaled by before the first layer."""

    mean: Array
    scale: Array


@dataclass(frozen=True)
class Rows:
    """Rows of the data, as a batch of images that is made when somebody asks for a part of it."""

    X: Array
    """(n, features)"""
    image: tuple[int, int, int]
    standard: Standard | None = None
    index: Array | slice = field(default_factory=lambda: slice(None))
    ids: Array | None = None
    """Hashes of the rows, where random numbers will be asked for: these depend on the content."""
    augment: Steps = ()
    """How training images are changed, by name."""
    flat: bool = False
    """Whether the first layer takes vectors: then rows are given to it as rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole batch, height first."""
        h, w, c = self.image
        return (len(self), h * w * c) if self.flat else (h, w, len(self), c)

    def __len__(self) -> int:
        index = self.index
        return len(range(*index.indices(len(self.X)))) if isinstance(index, slice) else len(index)

    def augmented(self, ctx: RunningContext) -> "Rows":
        """Change the images of this batch, as floating-point numbers, on all threads.

        That is done before the batch is cut into the network's chunks, of only a few images:
        NumPy would take longer to begin with each than to change it.
        """
        if not self.augment:
            return self
        if self.ids is not None:
            ctx.note_ids(self.ids)
        n, size = len(self), self.X.shape[1]
        draws = {}
        for name, step in self.augment:
            with ctx.inside("augment", name):
                draws[name] = ctx.random_bits((n, step.draws)) * 2.0**-32
        changed = ctx.empty((n, size), self._precision(ctx.dtype))
        parts = ctx.tiles(n, CHANGED * size)

        def change(i: int, scratch: Any) -> None:
            part = slice(*parts[i])
            images = self._rows(part).astype(changed.dtype, copy=False).reshape(-1, *self.image)
            images = augmented(images, self.augment, lambda name, count: draws[name][part])
            changed[part] = images.reshape(-1, size)

        ctx.map(change, len(parts))
        return replace(self, X=changed, index=slice(None), ids=None, augment=())

    def _precision(self, dtype: Any) -> np.dtype:
        """Return the precision in which images are changed: that of the mean to be subtracted."""
        if self.standard is not None:
            return self.standard.mean.dtype
        return (
            np.dtype(dtype) if self.X.dtype.kind in "iub" else np.result_type(self.X.dtype, dtype)
        )

    def _rows(self, part: slice) -> Array:
        """Take rows of this batch out of the data."""
        if isinstance(self.index, slice):
            start, stop, _ = self.index.indices(len(self.X))
            return self.X[start + part.start : min(start + part.stop, stop)]
        return self.X[self.index[part]]

    def load(self, ctx: RunningContext, lo: int, hi: int) -> Array:
        """Make the images lo to hi of this batch."""
        rows = self._rows(slice(lo, hi))
        if self.ids is not None:
            ctx.note_ids(self.ids[lo:hi])
        h, w, c = self.image
        out = ctx.empty(rows.shape if self.flat else (h, w, hi - lo, c))
        with ctx.inside("rows"):
            if self.standard is not None:  # repeated for every pixel: one long run per row
                mean, scale = (np.tile(a, h * w) for a in (self.standard.mean, self.standard.scale))
                standard = ctx.scratch(rows.shape)
                np.subtract(rows, mean, out=standard, dtype=mean.dtype, casting="same_kind")
                rows = np.multiply(standard, scale, out=standard)
            if self.flat:
                out[...] = rows
                return out
            images = out
            if rows.dtype == out.dtype and c > 1:  # a pixel is copied as one thing
                pixel = np.dtype((np.void, out.itemsize * c))
                rows, images, c = np.ascontiguousarray(rows).view(pixel), out.view(pixel), 1
            images[...] = rows.reshape(hi - lo, h, w, c).transpose(1, 2, 0, 3)
        return out


@dataclass(frozen=True)
class Samples:
    """What a network is trained or validated on."""

    X: Array
    """(n, features), as the user gave it"""
    classes: Array
    """(n,), the number of each sample's class"""
    weights: Array | None
    """(n,), or None where all samples count the same"""
    index: Array
    """Which of the rows take part"""

    def __len__(self) -> int:
        return len(self.index)

    def at(self, index: Array) -> "Samples":
        """Select some of the rows."""
        return Samples(self.X, self.classes, self.weights, index)

    def weights_at(self, index: Array) -> Array | None:
        """Return the weights of some rows."""
        return None if self.weights is None else self.weights[index]


@np.errstate(all="ignore")
def standard_of(samples: Samples, image: tuple[int, int, int], dtype: Any) -> Standard:
    """Compute weighted mean and deviation of every channel, in double precision, block by block."""
    channels = image[2]
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


def content_ids(
    samples: Samples, standard: Standard | None = None, steps: float | None = None
) -> Array:
    """Hash what is in each row, block by block: copies of a sample have the same number.

    With ``steps``, rows count as copies if, standardized, they round to the same numbers.
    """
    blocks = cut(len(samples), max(HASHED // samples.X.shape[1], 1))
    rows = (samples.X[samples.index[lo:hi]] for lo, hi in blocks)
    if standard is not None and steps is not None:
        rows = (np.rint(steps * _standardized(x, standard)) for x in rows)
    return np.concatenate([row_ids(x) for x in rows])


def _standardized(rows: Array, standard: Standard) -> Array:
    channels = rows.reshape(len(rows), -1, len(standard.mean))
    return ((channels - standard.mean) * standard.scale.astype(np.float64)).reshape(rows.shape)
