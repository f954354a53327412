"""Where mini-batches come from: rows of the user's data, turned into images when they are needed.

The data stay as they are, uint8 or on disk; a few rows at a time become floats, standardised and
height first, just before the first layer reads them.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sknpcnn.augmentation.base import augmented
from sknpcnn.context import Place, RunningContext
from sknpcnn.spec import Steps
from sknpcnn.standard import Standard

Array = np.ndarray

# How many numbers an augmentation works with for each one that it changes, about.
CHANGED = 8


@dataclass(frozen=True)
class Rows:
    """Rows of the data, as a batch of images that is made when somebody asks for a part of it."""

    X: Array
    """(n, features)"""
    image: tuple[int, int, int]
    standard: Standard | None = None
    index: Array | slice = field(default_factory=lambda: slice(None))
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

    def augmented(self, place: Place) -> "Rows":
        """Change the images of this batch, as floating-point numbers, on all threads.

        That is done before the batch is cut into the network's chunks, of only a few images:
        NumPy would take longer to begin with each than to change it.
        """
        if not self.augment:
            return self
        n, size = len(self), self.X.shape[1]
        draws = {
            name: RunningContext(place, ("augment", name)).random_bits((n, step.draws)) * 2.0**-32
            for name, step in self.augment
        }
        ctx = RunningContext(place)
        changed = ctx.empty((n, size), self._precision(ctx.dtype))
        parts = ctx.tiles(n, CHANGED * size)

        def change(i: int, scratch: Any) -> None:
            part = slice(*parts[i])
            images = self._rows(part).astype(changed.dtype, copy=False).reshape(-1, *self.image)
            images = augmented(images, self.augment, lambda name, count: draws[name][part])
            changed[part] = images.reshape(-1, size)

        ctx.map(change, len(parts))
        return replace(self, X=changed, index=slice(None), augment=())

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
        h, w, c = self.image
        out = ctx.empty(rows.shape if self.flat else (h, w, hi - lo, c))
        if self.standard is not None:  # one long run per row
            mean, scale = self.standard.of_rows(rows.shape[1])
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
