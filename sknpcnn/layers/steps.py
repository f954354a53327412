"""Named sequences of layers, and the shapes between them."""

from collections.abc import Iterator, Sequence
from typing import Any

from sknpcnn._values.brief import brief
from sknpcnn.layers.parameter import Parameter

Shape = tuple[int, ...]
Steps = Sequence[tuple[str, Any]]
"""Pairs of a name and a layer."""


def shapes(steps: Steps, shape: Shape) -> list[Shape]:
    """Compute the shape of a sample before the first layer and after each of them."""
    found = [shape]
    for name, layer in steps:
        try:
            found.append(layer.output_shape(found[-1]))
        except ValueError as error:
            raise ValueError(f"layer {brief(name)}: {error}") from None
    return found


def with_shapes(steps: Steps, shape: Shape) -> Iterator[tuple[str, Any, Shape]]:
    """Iterate over names, layers and the input shape of each."""
    before = shapes(steps, shape)[:-1]
    return ((*step, s) for step, s in zip(steps, before, strict=True))


def parameters(steps: Steps, shape: Shape) -> dict[str, Parameter]:
    """Return the parameters of the layers by name, such as ``conv2d_1.W``."""
    return {
        f"{name}.{key}": parameter
        for name, layer, s in with_shapes(steps, shape)
        for key, parameter in layer.parameters(s).items()
    }
