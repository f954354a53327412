"""Computes what a model computes from constants alone, most of all the shapes that it reshapes to.

What depends on the number of images is computed for a number that no network has as a size, so that
it is known again.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from sknpcnn.onnx.reading.model import attributes_of, described

Array = np.ndarray

PROBE = 1_000_003
"""Stands for the number of images, a prime."""
MAX_ELEMENTS = 2**20
"""The most elements of something that is larger than what it is computed from."""


def axes_of(attributes: dict[str, Any], inputs: list[Any], place: int = 1) -> list[int] | None:
    """Return the axes of a node: an attribute in old models, an input in newer ones."""
    if len(inputs) > place and inputs[place] is not None:
        return [int(axis) for axis in np.ravel(inputs[place])]
    found = attributes.get("axes")
    return None if found is None else [int(axis) for axis in found]


def fold(node: NodeProto, inputs: list[Array]) -> Array:
    """Compute a node of constants."""
    attributes = attributes_of(node)
    if node.op_type not in FOLDED:
        raise ValueError(
            f"{described(node)} computes a constant, and its operator is not supported there; "
            f"supported: {', '.join(sorted(FOLDED))}."
        )
    try:
        found = np.asarray(FOLDED[node.op_type](attributes, inputs))
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise ValueError(f"{described(node)} cannot be computed: {error}") from error
    if found.size > max(MAX_ELEMENTS, *(array.size for array in inputs), 0):
        raise ValueError(f"{described(node)} makes a constant of {found.size} elements.")
    return found


def _constant(attributes: dict[str, Any], inputs: list[Array]) -> Any:
    (value,) = attributes.values()
    return value


def _reshape(attributes: dict[str, Any], inputs: list[Array]) -> Array:
    array, shape = inputs[0], [int(size) for size in inputs[1]]
    copied = [array.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    reshaped: Array = array.reshape(copied)
    return reshaped


def _unsqueeze(attributes: dict[str, Any], inputs: list[Array]) -> Array:
    return np.expand_dims(inputs[0], tuple(axes_of(attributes, inputs) or ()))


def _squeeze(attributes: dict[str, Any], inputs: list[Array]) -> Array:
    axes = axes_of(attributes, inputs)
    return np.squeeze(inputs[0], None if axes is None else tuple(axes))


def _slice(attributes: dict[str, Any], inputs: list[Array]) -> Array:
    starts, stops = inputs[1:3]
    axes = inputs[3] if len(inputs) > 3 else np.arange(len(starts))
    steps = inputs[4] if len(inputs) > 4 else np.ones(len(starts), int)
    index = [slice(None)] * inputs[0].ndim
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        index[int(axis)] = slice(int(start), int(stop), int(step))
    return inputs[0][tuple(index)]


def _concat(attributes: dict[str, Any], inputs: list[Array]) -> Array:
    return np.concatenate(inputs, axis=attributes["axis"])


def _cast(attributes: dict[str, Any], inputs: list[Array]) -> Array:
    return inputs[0].astype(helper.tensor_dtype_to_np_dtype(attributes["to"]))


def _constant_of_shape(attributes: dict[str, Any], inputs: list[Array]) -> Array:
    shape = [int(size) for size in inputs[0]]
    value = np.ravel(attributes.get("value", np.zeros(1, np.float32)))[0]
    return np.broadcast_to(value, shape)  # which takes no memory


def _elementwise(function: Callable[..., Any]) -> Callable[[dict[str, Any], list[Array]], Any]:
    @np.errstate(all="ignore")
    def compute(attributes: dict[str, Any], inputs: list[Array]) -> Any:
        shape = np.broadcast_shapes(*(array.shape for array in inputs))
        if np.prod(shape, dtype=float) > max(MAX_ELEMENTS, *(array.size for array in inputs)):
            raise ValueError(f"its result would have the shape {shape}")
        return function(*inputs)

    return compute


def _divide(a: Array, b: Array) -> Array:
    quotient: Array = a // b if a.dtype.kind in "iu" else a / b
    return quotient


FOLDED: dict[str, Callable[[dict[str, Any], list[Array]], Any]] = {
    "Add": _elementwise(np.add),
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Div": _elementwise(_divide),
    "Gather": lambda attributes, inputs: inputs[0].take(inputs[1], axis=attributes.get("axis", 0)),
    "Identity": lambda attributes, inputs: inputs[0],
    "Mul": _elementwise(np.multiply),
    "Neg": _elementwise(np.negative),
    "ReduceProd": lambda attributes, inputs: np.prod(
        inputs[0], keepdims=bool(attributes.get("keepdims", 1))
    ),
    "Reshape": _reshape,
    "Shape": lambda attributes, inputs: np.array(inputs[0].shape, np.int64),
    "Slice": _slice,
    "Sqrt": _elementwise(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _elementwise(np.subtract),
    "Transpose": lambda attributes, inputs: inputs[0].transpose(attributes.get("perm")),
    "Unsqueeze": _unsqueeze,
}
"""How nodes of constants are computed."""
