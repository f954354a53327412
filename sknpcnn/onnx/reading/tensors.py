"""What is known of a tensor while a model is read: where its axes are here, and in the model."""

from dataclasses import dataclass
from math import prod

import numpy as np

from sknpcnn.layers.base import Shape
from sknpcnn.onnx.reading.folding import PROBE

Array = np.ndarray

MAX_SIZE = 2**28
"""The most elements of a tensor for one image."""
AXES = {
    "channels first": (2, 0, 1),
    "channels last": (0, 1, 2),
    "gray": (0, 1),
    "rows": (0, 1, 2),
    "rows, channels first": (2, 0, 1),
    "vector": (0,),
    "vector of one pixel": (0,),
}
"""How the axes of a sample lie in the model, as axes of a sample here: images (h, w, c)."""


@dataclass(frozen=True)
class Tensor:
    """A tensor that depends on the images."""

    kind: str
    """A key of ``AXES``."""
    shape: Shape
    """Of a sample, as layers have it: (h, w, c) or (features,)."""
    order: Array | None = None
    """The feature of the model that each feature of a vector here is; None if they are the same."""

    def __post_init__(self) -> None:
        if prod(self.shape) > MAX_SIZE:
            raise ValueError(f"It has the shape {self.shape}, which is too large.")

    @property
    def model_shape(self) -> Shape:
        """The shape in the model, with a number in place of that of the images."""
        sizes = tuple(self.shape[axis] for axis in AXES[self.kind])
        if self.kind.startswith("rows"):
            return PROBE, prod(sizes)
        return (PROBE, *sizes, 1, 1) if self.kind == "vector of one pixel" else (PROBE, *sizes)

    @property
    def is_image(self) -> bool:
        """Whether layers see images."""
        return len(self.shape) == 3

    def per_element(self, values: Array) -> tuple[Array, bool]:
        """Return constants to be combined with it: for each channel, or for each pixel as well.

        Raises a ValueError if they do not fit.
        """
        target = (1, *self.model_shape[1:])
        if np.broadcast_shapes(values.shape, target) != target:
            raise ValueError(f"constants of shape {values.shape} do not fit {target[1:]}")
        aligned = values.reshape((1,) * (len(target) - values.ndim) + values.shape)
        if not self.is_image:
            whole = np.broadcast_to(aligned, target).reshape(-1)
            return (whole if self.order is None else whole[self.order]), False
        axes = AXES[self.kind]
        if self.kind.startswith("rows"):
            sizes = tuple(self.shape[axis] for axis in axes)
            spread = aligned.size > 1
            sample = np.broadcast_to(aligned, target).reshape(sizes)
        else:
            sample = aligned[0]
            spread = any(sample.shape[axes.index(axis)] > 1 for axis in (0, 1))
            if self.kind == "gray":
                sample, axes = sample[..., None], (0, 1, 2)
            sample = np.broadcast_to(sample, tuple(self.shape[axis] for axis in axes))
        ours = sample.transpose(np.argsort(axes))
        return (ours, True) if spread else (ours[0, 0], False)

    def rows_of(self, W: Array) -> Array:
        """Put the rows of a matrix that a vector is multiplied with into the order here."""
        return W if self.order is None else W[self.order]

    def flattened(self) -> "Tensor":
        """Return it as a vector, in the order of the model."""
        h, w, c = self.shape
        order = None
        if self.kind == "channels first" and c > 1 and (h, w) != (1, 1):
            order = np.arange(prod(self.shape)).reshape(c, h, w).transpose(1, 2, 0).ravel()
        return Tensor("vector", (prod(self.shape),), order)
