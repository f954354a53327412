"""Operators of ONNX that only say how axes lie, or turn images into vectors."""

import numpy as np

from sknpcnn.layers import Flatten
from sknpcnn.onnx.reading.folding import PROBE, axes_of
from sknpcnn.onnx.reading.pieces import Call, Result
from sknpcnn.onnx.reading.tensors import Tensor


def flatten(call: Call) -> Result:
    """Return Flatten."""
    if call.attributes.get("axis", 1) % len(call.x.model_shape) != 1:
        raise ValueError(f"it has axis={call.attributes['axis']}; needed: 1")
    return _as_vector(call)


def _as_vector(call: Call) -> Result:
    if call.x.is_image:
        return [call.piece(Flatten())], call.x.flattened()
    return [], Tensor("vector", call.x.shape, call.x.order)


def reshape(call: Call) -> Result:
    """Return Flatten, or nothing if it only views the same images in another way."""
    x, wanted = call.x, [int(size) for size in call.constant(1, "shape").ravel()]
    sizes = [
        x.model_shape[i] if n == 0 and i < len(x.model_shape) else n for i, n in enumerate(wanted)
    ]
    known = int(np.prod([n for n in sizes if n != -1], dtype=object))
    total = int(np.prod(x.model_shape, dtype=object))
    if sizes.count(-1) > 1 or known < 1 or total % known:
        known_batch = sizes[:1] == [-1] and total // PROBE == known
        if not known_batch:
            raise ValueError(f"it reshapes {x.model_shape[1:]} to {wanted}")
    sizes = [total // known if n == -1 else n for n in sizes]
    if sizes[0] != PROBE:
        raise ValueError(f"it reshapes images of {x.model_shape[1:]} to {wanted}, across images")
    sample = tuple(sizes[1:])
    if len(sample) == 1:
        return _as_vector(call)
    if not x.is_image:
        if sample == (*x.shape, 1, 1):
            return [], Tensor("vector of one pixel", x.shape, x.order)
    else:
        for kind in _views_of(x):
            if Tensor(kind, x.shape).model_shape[1:] == sample:
                return [], Tensor(kind, x.shape)
    raise ValueError(f"it reshapes {x.model_shape[1:]} to {sample}")


def _views_of(x: Tensor) -> tuple[str, ...]:
    """Return how the same numbers in the same order may be seen."""
    if x.shape[2] == 1:
        return "channels first", "channels last", "gray"
    if x.kind in ("rows", "channels last"):
        return ("channels last",)
    return ("channels first",)


def transpose(call: Call) -> Result:
    """Return nothing, if it moves the channels from first to last or back."""
    turns: dict[tuple[str, tuple[int, ...]], str] = {
        ("channels first", (0, 2, 3, 1)): "channels last",
        ("channels last", (0, 3, 1, 2)): "channels first",
    }
    perm = tuple(int(axis) for axis in call.attributes.get("perm", ()))
    kind = turns.get((call.x.kind, perm))
    if kind is None:
        raise ValueError(f"it permutes the axes of {call.x.kind} by {perm}")
    return [], Tensor(kind, call.x.shape)


def squeeze(call: Call) -> Result:
    """Return nothing, or Flatten, if it removes the axes of a single pixel."""
    x, axes = call.x, axes_of(call.attributes, call.inputs)
    if x.kind == "vector of one pixel" and sorted(axis % 4 for axis in axes or [2, 3]) == [2, 3]:
        return [], Tensor("vector", x.shape, x.order)
    if x.is_image and x.kind == "channels first" and x.shape[:2] == (1, 1):
        return _as_vector(call)
    raise ValueError(f"it removes the axes {axes} of {x.model_shape[1:]}")


def unsqueeze(call: Call) -> Result:
    """Return nothing, if it adds the axes of a single pixel, or that of a single channel."""
    x, axes = call.x, axes_of(call.attributes, call.inputs)
    if x.kind == "vector" and axes is not None and sorted(axis % 4 for axis in axes) == [2, 3]:
        return [], Tensor("vector of one pixel", x.shape, x.order)
    if x.kind == "gray" and axes in ([1], [3], [-1]):
        return [], Tensor("channels first" if axes == [1] else "channels last", x.shape)
    raise ValueError(f"it adds the axes {axes} to {x.model_shape[1:]}")
