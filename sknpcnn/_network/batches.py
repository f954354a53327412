"""Lazy mini-batches: rows of the user's data are converted to images when they are needed.

The data keep their dtype and may be on disk; a few rows at a time become floats, standardized and
height first, just before the first layer reads them.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sknpcnn._engine.context import RunningContext, Workspace
from sknpcnn._network.standard import Standard
from sknpcnn.augmentation.base import augmented
from sknpcnn.spec import Steps

Array = np.ndarray

# Roughly how many temporary elements augmentations need per element.
AUGMENT_FACTOR = 8


@dataclass(frozen=True)
class Rows:
    """Rows of the data, as a batch of images whose parts are loaded on demand."""

    X: Array
    """(n, features)"""
    image: tuple[int, int, int]
    standard: Standard | None = None
    index: Array | slice = field(default_factory=lambda: slice(None))
    augment: Steps = ()
    """Augmentations of training images, by name."""
    flat: bool = False
    """Whether the first layer takes vectors, so that rows stay rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole batch, height first."""
        h, w, c = self.image
        return (len(self), h * w * c) if self.flat else (h, w, len(self), c)

    def __len__(self) -> int:
        index = self.index
        return len(range(*index.indices(len(self.X)))) if isinstance(index, slice) else len(index)

    def part(self, lo: int, hi: int) -> "Rows":
        """Return rows lo to hi of these, to be loaded on demand as well."""
        if not isinstance(self.index, slice):
            return replace(self, index=self.index[lo:hi])
        first = self.index.start or 0
        return replace(self, index=slice(first + lo, first + hi))

    def augmented(self, workspace: Workspace) -> "Rows":
        """Augment the images of this batch, in floating point, on all threads.

        This happens before the batch is split into the network's chunks: they have only a few
        images, for which the overhead of NumPy's calls would exceed the work.
        """
        if not self.augment:
            return self
        n, size = len(self), self.X.shape[1]
        draws = {
            name: RunningContext(workspace, ("augment", name)).random_bits((n, step.draws))
            * 2.0**-32
            for name, step in self.augment
        }
        ctx = RunningContext(workspace)
        changed = ctx.empty((n, size), self._precision(ctx.dtype))
        parts = ctx.tiles(n, AUGMENT_FACTOR * size)

        def change(i: int, scratch: Any) -> None:
            part = slice(*parts[i])
            images = self._rows(part).astype(changed.dtype, copy=False).reshape(-1, *self.image)
            images = augmented(images, self.augment, lambda name, count: draws[name][part])
            changed[part] = images.reshape(-1, size)

        ctx.map(change, len(parts))
        return replace(self, X=changed, index=slice(None), augment=())

    def _precision(self, dtype: Any) -> np.dtype:
        """Return the dtype for augmentation: that of the mean that is subtracted later."""
        if self.standard is not None:
            return self.standard.mean.dtype
        return (
            np.dtype(dtype) if self.X.dtype.kind in "iub" else np.result_type(self.X.dtype, dtype)
        )

    def _rows(self, part: slice) -> Array:
        """Return rows of this batch from the data."""
        if isinstance(self.index, slice):
            start, stop, _ = self.index.indices(len(self.X))
            return self.X[start + part.start : min(start + part.stop, stop)]
        rows: Array = self.X[self.index[part]]
        return rows

    def load(self, ctx: RunningContext, lo: int, hi: int) -> Array:
        """Return images lo to hi of this batch."""
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
        if rows.dtype == out.dtype and c > 1:  # a pixel is copied as one item
            pixel = np.dtype((np.void, out.itemsize * c))
            rows, images, c = np.ascontiguousarray(rows).view(pixel), out.view(pixel), 1
        images[...] = rows.reshape(hi - lo, h, w, c).transpose(1, 2, 0, 3)
        return out
