"""Reads ONNX models that are not trusted: every size is checked before anything is allocated.

A model is a graph of nodes that refer to tensors by name. What is read here is what leads to one
output: its nodes, in an order in which each comes after those that it reads, and its constants.
"""

from collections import deque
from dataclasses import dataclass, field
from math import prod
from os import PathLike, fspath, path
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from sknpcnn._storage import files
from sknpcnn._values.brief import brief

Array = np.ndarray

MAX_NODES = 10_000
MAX_RANK = 8
ITEM_SIZES: dict[int, int] = {
    TensorProto.FLOAT: 4,
    TensorProto.DOUBLE: 8,
    TensorProto.FLOAT16: 2,
    TensorProto.INT64: 8,
    TensorProto.INT32: 4,
    TensorProto.INT8: 1,
    TensorProto.UINT8: 1,
    TensorProto.BOOL: 1,
}
"""The types of constants that networks are made of, and the bytes of an element."""
FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
}
"""Where elements lie if they are no raw bytes; all others lie in ``int32_data``."""
PREFERRED = ("probabilities", "output_probability", "variable", "logits")
"""Outputs that are meant if there are several."""

Model = str | PathLike[str] | bytes | ModelProto


@dataclass
class Source:
    """What leads to an output of a model."""

    nodes: list[NodeProto]
    constants: dict[str, Array]
    input_name: str
    input_shape: tuple[int | None, ...]
    """Without the batch axis; None where it is free."""
    output_name: str
    opset: int
    metadata: dict[str, str] = field(default_factory=dict)


def read_model(model: Model, output: str | None) -> Source:
    """Read what leads to an output of a model, and raise a ValueError unless it is sound."""
    proto, folder = _parse(model)
    graph = proto.graph
    if len(graph.node) > MAX_NODES:
        raise ValueError(f"The model has {len(graph.node)} nodes; needed: {MAX_NODES} at most.")
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initializers]
    if len(inputs) != 1:
        raise ValueError(
            f"The model has {len(inputs)} inputs ({brief([i.name for i in inputs])}); needed: one, "
            "the images."
        )
    producers = _producers(graph, {inputs[0].name, *initializers})
    name = _output_name(graph, producers, output)
    nodes = _in_order(name, producers, {inputs[0].name, *initializers})
    used = {name for node in nodes for name in node.input}
    constants = {
        tensor.name: read_tensor(tensor, folder)
        for tensor in graph.initializer
        if tensor.name in used
    }
    if inputs[0].name not in used:
        raise ValueError(f"Output {brief(name)} does not depend on input {inputs[0].name!r}.")
    return Source(
        nodes,
        constants,
        inputs[0].name,
        _input_shape(inputs[0]),
        name,
        _opset(proto),
        {entry.key: entry.value for entry in proto.metadata_props},
    )


def _parse(model: Model) -> tuple[ModelProto, Path | None]:
    """Return the model, and the folder in which its external data may lie, if it is a file."""
    if isinstance(model, ModelProto):
        return model, None
    folder = None
    if isinstance(model, bytes):
        content = model
    else:
        file = Path(fspath(model))
        folder = file.resolve().parent
        with files.open_regular(file) as opened:
            content = opened.read()
    proto = ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(
            f"{brief(model) if folder else 'The model'} is not an intact ONNX model."
        ) from error
    return proto, folder


def _producers(graph: Any, known: set[str]) -> dict[str, NodeProto]:
    """Return the node that each tensor comes from; raise if there are several."""
    producers: dict[str, NodeProto] = {}
    for node in graph.node:
        for name in filter(None, node.output):
            if name in producers or name in known:
                raise ValueError(f"The model defines the tensor {brief(name)} twice.")
            producers[name] = node
    return producers


def _output_name(graph: Any, producers: dict[str, NodeProto], wanted: str | None) -> str:
    names = [value.name for value in graph.output]
    if wanted is None:
        known = [name for name in PREFERRED if name in names]
        if len(names) != 1 and not known:
            raise ValueError(f"The model has the outputs {names}. Choose one: output={names[:1]}.")
        wanted = known[0] if known else names[0]
    if wanted not in producers:
        raise ValueError(
            f"output={brief(wanted)} is not computed by the model; needed: one of {brief(names)}, "
            "or the name of another tensor in it."
        )
    return wanted


def _in_order(output: str, producers: dict[str, NodeProto], known: set[str]) -> list[NodeProto]:
    """Return the nodes that lead to an output, each after those that it reads."""
    needed: dict[int, NodeProto] = {}
    stack = [output]
    while stack:
        name = stack.pop()
        node = producers.get(name)
        if node is None:
            if name not in known:
                raise ValueError(f"The model reads the tensor {brief(name)}, which nobody makes.")
        elif id(node) not in needed:
            needed[id(node)] = node
            stack += filter(None, node.input)
    readers: dict[int, list[int]] = {key: [] for key in needed}
    waiting = dict.fromkeys(needed, 0)
    for key, node in needed.items():
        for before in {id(producers[name]) for name in node.input if name in producers}:
            readers[before].append(key)
            waiting[key] += 1
    ready = deque(key for key, n in waiting.items() if n == 0)
    ordered = []
    while ready:
        key = ready.popleft()
        ordered.append(needed[key])
        for reader in readers[key]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                ready.append(reader)
    if len(ordered) < len(needed):
        stuck = next(needed[key] for key, n in waiting.items() if n)
        raise ValueError(f"{described(stuck)} is part of a cycle.")
    return ordered


def _input_shape(value: Any) -> tuple[int | None, ...]:
    kind = value.type.tensor_type
    if not kind.HasField("shape") or not 2 <= len(kind.shape.dim) <= 4:
        raise ValueError(
            f"Input {value.name!r} has {len(kind.shape.dim)} axes; needed: rows (n, features) or "
            "images with 3 or 4 axes."
        )
    _, *sizes = (dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    if any(size is not None and size < 1 for size in sizes):
        raise ValueError(f"Input {value.name!r} has the shape {sizes}; needed: positive sizes.")
    return tuple(sizes)


def _opset(proto: ModelProto) -> int:
    versions = [known.version for known in proto.opset_import if known.domain in ("", "ai.onnx")]
    if not versions:
        raise ValueError("The model does not say which version of the operators it uses.")
    return int(versions[0])


def described(node: NodeProto) -> str:
    """Name a node in an error."""
    return f"Node {brief(node.name or node.output[0])} ({node.op_type})"


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """Return the attributes of a node; tensors are checked."""
    found = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, TensorProto):
            value = read_tensor(value, folder=None)
        found[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return found


def read_tensor(tensor: TensorProto, folder: Path | None) -> Array:
    """Return the values of a tensor, if there are as many as it says."""
    name, shape = brief(tensor.name), tuple(tensor.dims)
    if len(shape) > MAX_RANK or any(size < 0 for size in shape):
        raise ValueError(f"The tensor {name} has the shape {brief(shape)}, which is impossible.")
    if tensor.data_type not in ITEM_SIZES:
        kind = TensorProto.DataType.Name(tensor.data_type)
        raise ValueError(f"The tensor {name} has the type {kind}; needed: numbers.")
    n_bytes = prod(shape) * ITEM_SIZES[tensor.data_type]
    if tensor.data_location == TensorProto.EXTERNAL:
        raw = _external(tensor, folder, n_bytes)
        return np.frombuffer(raw, helper.tensor_dtype_to_np_dtype(tensor.data_type)).reshape(shape)
    if tensor.HasField("raw_data"):
        there, needed = len(tensor.raw_data), n_bytes
    else:
        there = len(getattr(tensor, FIELDS.get(tensor.data_type, "int32_data")))
        needed = prod(shape)
    if there != needed:
        raise ValueError(
            f"The tensor {name} of shape {shape} holds {there} "
            f"{'bytes' if tensor.HasField('raw_data') else 'elements'}; needed: {needed}."
        )
    try:
        return numpy_helper.to_array(tensor)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"The tensor {name} cannot be read: {error}") from error


def _external(tensor: TensorProto, folder: Path | None, n_bytes: int) -> bytes:
    """Read the bytes of a tensor from the file beside the model that it names."""
    name = brief(tensor.name)
    found = {entry.key: entry.value for entry in tensor.external_data}
    location = found.get("location", "")
    if folder is None:
        raise ValueError(
            f"The tensor {name} lies in another file, {brief(location)}. Give the path of the "
            "model instead of its content."
        )
    file = Path(path.realpath(folder / location))
    if not location or not file.is_relative_to(folder):
        raise ValueError(
            f"The tensor {name} lies in {brief(location)}; needed: a file in the model's folder."
        )
    try:
        offset, length = (
            int(found.get(key, default)) for key, default in (("offset", 0), ("length", n_bytes))
        )
    except ValueError:
        offset, length = -1, -1
    if length != n_bytes or offset < 0:
        raise ValueError(
            f"The tensor {name} takes {n_bytes} bytes, but has {brief(found)} as its place."
        )
    with files.open_regular(file) as opened:
        opened.seek(offset)
        raw = opened.read(length)
    if len(raw) != n_bytes:
        raise ValueError(
            f"The tensor {name} takes {n_bytes} bytes; {brief(location)} holds {len(raw)} there."
        )
    return raw
