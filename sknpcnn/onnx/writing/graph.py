"""An ONNX graph in the making: nodes are appended one by one, and every tensor gets a name."""

from collections import Counter
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Array = np.ndarray


class Graph:
    """Nodes and constants, to be made a graph in the end.

    Tensors are named by the layer that is being written, and by what they are.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.scope = ""
        """The name of the layer that is being written."""
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._names: Counter[str] = Counter()

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node; return the name of its output."""
        name = self._name(operator.lower())
        output = output or name
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def constant(self, values: Any, what: str = "constant") -> str:
        """Add a tensor: reals in single precision, integers in 64 bits, or strings."""
        array = np.asarray(values)
        name = self._name(what)
        if array.dtype.kind in "UO":
            tensor = numpy_helper.from_array(array.astype(object), name)
        else:
            kind = np.float32 if array.dtype.kind == "f" else np.int64
            tensor = numpy_helper.from_array(np.ascontiguousarray(array, kind), name)
        self.constants.append(tensor)
        return name

    def flattened(self, x: str) -> str:
        """Append what turns images of one pixel into vectors."""
        return self.node("Flatten", x, axis=1)

    def mean(self, x: str, axes: tuple[int, ...]) -> str:
        """Append the mean over some axes, which are kept."""
        if self.opset < 18:
            return self.node("ReduceMean", x, axes=axes, keepdims=1)
        return self.node("ReduceMean", x, self.constant(axes, "axes"), keepdims=1)

    def per_channel(self, values: Array, x_shape: tuple[int, ...], what: str) -> str:
        """Add one number per channel, to be combined with images or with vectors."""
        return self.constant(values.reshape(-1, *(1,) * (len(x_shape) - 1)), what)

    def proto(
        self, name: str, inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]
    ) -> GraphProto:
        """Make the graph."""
        return helper.make_graph(self.nodes, name, inputs, outputs, self.constants)

    def _name(self, what: str) -> str:
        base = f"{self.scope}.{what}" if self.scope else what
        self._names[base] += 1
        return base if self._names[base] == 1 else f"{base}_{self._names[base]}"
