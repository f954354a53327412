"""What nodes of a model become: pieces, each of which is a layer with its parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto

from sknpcnn.layers import Layer
from sknpcnn.onnx.reading.tensors import Tensor

Array = np.ndarray


class Piece(NamedTuple):
    """A layer and its parameters; of a composite, also the pieces of each of its branches."""

    layer: Layer | None
    """None for what is no layer, but may be a part of one, such as a sigmoid that is a gate."""
    params: dict[str, Array]
    node: NodeProto
    parts: tuple[list["Piece"], ...] = ()


class Call(NamedTuple):
    """A node, its attributes, and its inputs: one computed tensor, and constants."""

    node: NodeProto
    attributes: dict[str, Any]
    x: Tensor
    inputs: list[Any]
    lr_scale: float

    def constant(self, place: int, name: str) -> Array:
        """Return the constant at some place of the inputs."""
        found = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(found, np.ndarray):
            raise ValueError(f"its input {name} is computed; needed: a constant")
        return found

    def optional(self, place: int) -> Array | None:
        """Return the constant at some place of the inputs, if there is one."""
        if place >= len(self.inputs) or self.inputs[place] is None:
            return None
        return self.constant(place, f"number {place}")

    def images(self) -> Tensor:
        """Return the input, if it is images with the channels first."""
        if self.x.kind != "channels first":
            raise ValueError(f"its input is {self.x.kind}; needed: images, channels first")
        return self.x

    def same(self, layer: Layer | None, **params: Array) -> "Result":
        """Return a layer that keeps the shape."""
        return [self.piece(layer, **params)], self.x

    def becomes(self, layer: Layer, **params: Array) -> "Result":
        """Return a layer that turns images into others, or into vectors."""
        shape = layer.output_shape(self.x.shape)
        kind = "channels first" if len(shape) == 3 else "vector of one pixel"
        return [self.piece(layer, **params)], Tensor(kind, shape)

    def piece(self, layer: Layer | None, **params: Array) -> Piece:
        """Make a piece."""
        return Piece(layer, params, self.node)


Result = tuple[list[Piece], Tensor]
Translation = Callable[[Call], Result]
