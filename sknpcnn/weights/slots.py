"""The parameters of a network as other libraries arrange them: layer by layer, in other layouts."""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np

from sknpcnn.layers import (
    Add,
    BatchNorm,
    Branches,
    Conv2D,
    Dense,
    Flatten,
    GroupNorm,
    LayerNorm,
    PReLU,
    Residual,
    Sequential,
    SqueezeExcite,
)
from sknpcnn.layers.base import Shape
from sknpcnn.layers.steps import Steps, with_shapes

Array = np.ndarray

NAMES: dict[type, dict[str, str]] = {
    Conv2D: {"W": "weight", "b": "bias"},
    Dense: {"W": "weight", "b": "bias"},
    BatchNorm: {
        "gamma": "weight",
        "beta": "bias",
        "mean": "running_mean",
        "var": "running_var",
    },
    GroupNorm: {"gamma": "weight", "beta": "bias"},
    LayerNorm: {"gamma": "weight", "beta": "bias"},
    PReLU: {"slope": "weight"},
}
"""What PyTorch calls the parameters of a layer."""


class Slot(NamedTuple):
    """The parameters of a layer that PyTorch has as one module."""

    path: str
    """The name of the layer here."""
    names: dict[str, str]
    """PyTorch's name of each parameter."""
    shapes: dict[str, Shape]
    """Their shapes here."""
    order: Array | None
    """The feature there that each feature of the vectors here is, if images were flattened."""

    def here(self, key: str, array: Array) -> Array:
        """Turn a parameter of PyTorch into ours."""
        if array.ndim == 4 and len(self.shapes[key]) == 4:  # (f, c, kh, kw)
            return array.transpose(2, 3, 1, 0)
        if len(self.shapes[key]) == 2:  # (outputs, inputs), perhaps as a kernel of 1x1
            array = array.reshape(array.shape[:2]).T
        order = self._order_of(key)
        return array if order is None else array[order]

    def there(self, key: str, array: Array) -> Array:
        """Turn a parameter of ours into PyTorch's."""
        if array.ndim == 4:
            return array.transpose(3, 2, 0, 1)
        order = self._order_of(key)
        return (array if order is None else array[np.argsort(order)]).T

    def _order_of(self, key: str) -> Array | None:
        """Return the order of a parameter's first axis; that of a bias is the same."""
        return None if "W" in self.shapes and key != "W" else self.order

    def shape_there(self, key: str) -> Shape:
        """Return the shape of a parameter in PyTorch."""
        shape = self.shapes[key]
        return (*shape[:1:-1], *shape[:2]) if len(shape) == 4 else shape[::-1]


def slots(steps: Steps, image: Shape) -> list[Slot]:
    """List the parameters of a network, in the order in which its layers are computed."""
    return list(_slots(steps, image, "", None))


def _slots(steps: Steps, shape: Shape, prefix: str, order: Array | None) -> Iterator[Slot]:
    for name, layer, s in with_shapes(steps, shape):
        path, found = f"{prefix}{name}", {k: p.shape for k, p in layer.parameters(s).items()}
        if type(layer) in (Sequential, Residual, Branches, Add):
            for branch in layer.branches:
                yield from _slots(branch, s, f"{path}.", order)
        elif isinstance(layer, SqueezeExcite):
            for part in ("squeeze", "excite"):
                names = {f"W_{part}": "weight", f"b_{part}": "bias"}
                yield Slot(path, names, {key: found[key] for key in names}, None)
        elif found:
            names = NAMES.get(type(layer), {})
            if set(found) - set(names) or (type(layer) is Conv2D and layer.bias == "position"):
                raise ValueError(f"Layer {path} ({layer!r}) has no counterpart in PyTorch.")
            yield Slot(path, {key: names[key] for key in found}, found, order)
        if isinstance(layer, Flatten):
            h, w, c = s
            order = np.arange(prod(s)).reshape(c, h, w).transpose(1, 2, 0).ravel()
        elif isinstance(layer, Dense):
            order = None
