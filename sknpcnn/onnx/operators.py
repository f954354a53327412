"""Layers as operators of ONNX: for each kind of layer, the nodes that compute what it predicts.

Images are ``(n, channels, h, w)`` in ONNX, and ``(h, w, n, channels)`` here; kernels are
``(filters, channels, kh, kw)`` there, and ``(kh, kw, channels, filters)`` here.
"""

from collections.abc import Callable
from math import pi, prod, sqrt
from typing import Any

import numpy as np

from sknpcnn._values.brief import brief
from sknpcnn._values.checks import as_border, as_pair
from sknpcnn.layers import (
    ELU,
    GELU,
    Add,
    AvgPool2D,
    BatchNorm,
    Branches,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GroupNorm,
    HardSwish,
    Identity,
    LayerNorm,
    LeakyReLU,
    MaxPool2D,
    PReLU,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    SqueezeExcite,
    Tanh,
    ZeroPad2D,
)
from sknpcnn.layers.base import Arrays, Shape
from sknpcnn.layers.conv import axes
from sknpcnn.layers.pool import window_and_stride
from sknpcnn.layers.rewriting import fold_batch_norms, fold_parameters
from sknpcnn.layers.steps import Steps, with_shapes
from sknpcnn.onnx.graph import Graph

LOWEST = float(np.finfo(np.float32).min)
"""Fills a border that is never the maximum."""

Translation = Callable[[Any, Arrays, Shape, str, Graph], str]
"""Appends the nodes of a layer with these parameters, for samples of some shape, to a graph.

Gets the name of the tensor that the layer reads, and returns that of its output."""


def write_layers(
    steps: Steps, params: Arrays, shape: Shape, x: str, graph: Graph, fold: bool
) -> str:
    """Append layers, one after the other, to a graph; return the name of the last output.

    With ``fold``, batch normalizations become part of the convolutions before them.
    """
    if fold:
        steps, foldings = fold_batch_norms(steps)
        params = fold_parameters(params, foldings, np.empty)
    outer = graph.scope
    for name, layer, s in with_shapes(steps, shape):
        graph.scope = f"{outer}.{name}" if outer else name
        own = params.get(name, {})
        if type(layer) in COMPOSITES:
            outputs = [write_layers(branch, own, s, x, graph, fold) for branch in layer.branches]
            x = COMPOSITES[type(layer)](graph, outputs)
        elif type(layer) in TRANSLATIONS:
            x = TRANSLATIONS[type(layer)](layer, own, s, x, graph)
        else:
            raise TypeError(
                f"Layer {graph.scope} is {brief(layer)}, which ONNX export does not know; needed: "
                "layers of sknpcnn.layers. Layers of your own cannot be exported."
            )
    graph.scope = outer
    return x


def _sum(graph: Graph, outputs: list[str]) -> str:
    total = outputs[0]
    for output in outputs[1:]:
        total = graph.node("Add", total, output)
    return total


def _side_by_side(graph: Graph, outputs: list[str]) -> str:
    return graph.node("Concat", *outputs, axis=1)


COMPOSITES: dict[type, Callable[[Graph, list[str]], str]] = {
    Sequential: lambda graph, outputs: outputs[0],
    Residual: _sum,
    Add: _sum,
    Branches: _side_by_side,
}
"""What is done with the outputs of the branches."""


def _convolution(layer: Conv2D, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    kernel, stride, dilation = map(as_pair, (layer.kernel_size, layer.stride, layer.dilation))
    weights = graph.constant(params["W"].transpose(3, 2, 0, 1), "W")
    bias = [graph.constant(params["b"], "b")] if layer.bias is True else []
    y = graph.node(
        "Conv",
        *(x, weights, *bias),
        kernel_shape=kernel,
        strides=stride,
        dilations=dilation,
        group=layer.groups,
        pads=_pads(layer, shape, kernel, stride, dilation),
    )
    if layer.bias != "position":
        return y
    return graph.node("Add", y, graph.constant(params["b"].transpose(2, 0, 1), "b"))


def _pads(layer: Any, shape: Shape, *geometry: tuple[int, int]) -> list[int]:
    """Return the border as ONNX has it: what comes before both axes, then what comes after."""
    (rows, _), (columns, _) = axes(layer, shape, *geometry)
    return [rows[0], columns[0], max(rows[1], 0), max(columns[1], 0)]  # some are cropped


def _dense(layer: Dense, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    bias = [graph.constant(params["b"], "b")] if layer.bias else []
    return graph.node("Gemm", x, graph.constant(params["W"], "W"), *bias)


def _max_pool(layer: MaxPool2D, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    window, stride = window_and_stride(layer)
    pads = _pads(layer, shape, window, stride)
    if stride == (1, 1):
        x, pads = _padded(x, pads, LOWEST, graph)
    return graph.node("MaxPool", x, kernel_shape=window, strides=stride, pads=pads)


def _avg_pool(layer: AvgPool2D, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    window, stride = window_and_stride(layer)
    before = pads = _pads(layer, shape, window, stride)
    x, pads = _padded(x, pads, 0.0, graph)
    y = graph.node(
        "AveragePool",
        x,
        kernel_shape=window,
        strides=stride,
        pads=pads,
        count_include_pad=int(layer.count_padding),
    )
    if pads == before or layer.count_padding:
        return y
    counts = _pixels_inside(before, shape, window, stride, layer.output_shape(shape))
    return graph.node("Mul", y, graph.constant(prod(window) / counts, "share"))


def _padded(x: str, pads: list[int], fill: float, graph: Graph) -> tuple[str, list[int]]:
    """Append a border of its own where it is not the same on all sides; return what remains of it.

    Pooling has attributes for that, but the reference implementation of ONNX mistakes them.
    """
    if len(set(pads)) == 1:
        return x, pads
    top, left, bottom, right = pads
    sizes = graph.constant([0, 0, top, left, 0, 0, bottom, right], "pads")
    return graph.node("Pad", x, sizes, graph.constant(fill, "fill")), [0, 0, 0, 0]


def _pixels_inside(
    pads: list[int],
    shape: Shape,
    window: tuple[int, int],
    stride: tuple[int, int],
    outputs: Shape,
) -> np.ndarray:
    """Count the pixels of the image in each window: (ho, wo)."""
    counts = []
    for axis in (0, 1):
        first = np.arange(outputs[axis]) * stride[axis] - pads[axis]
        counts.append(np.minimum(first + window[axis], shape[axis]) - np.maximum(first, 0))
    inside: np.ndarray = np.multiply.outer(*counts)
    return inside


def _global_pool(operator: str) -> Translation:
    return lambda layer, params, shape, x, graph: graph.flattened(graph.node(operator, x))


def _flatten(layer: Flatten, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    """Flatten in our order: pixel by pixel."""
    if shape[:2] != (1, 1):
        x = graph.node("Transpose", x, perm=(0, 2, 3, 1))
    return graph.flattened(x)


def _zero_pad(layer: ZeroPad2D, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    rows, columns = as_border(layer.border)
    before, after = zip((0, 0), as_pair(layer.channels), rows, columns, strict=True)
    return graph.node("Pad", x, graph.constant([*before, *after], "pads"))


def _batch_norm(layer: BatchNorm, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    constants = (graph.constant(params[name], name) for name in ("gamma", "beta", "mean", "var"))
    return graph.node(
        "BatchNormalization", x, *constants, epsilon=layer.epsilon, momentum=layer.momentum
    )


def _group_norm(layer: GroupNorm, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    """Normalize groups as instances: what the operator for groups means, differs by version."""
    groups = layer.groups
    together = graph.node("Reshape", x, graph.constant([0, groups, -1], "shape"))
    ones, zeros = (graph.constant(np.full(groups, value)) for value in (1.0, 0.0))
    y = graph.node("InstanceNormalization", together, ones, zeros, epsilon=layer.epsilon)
    sizes = [0, shape[-1], *shape[:-1]]
    return _scale_and_shift(
        params, shape, graph.node("Reshape", y, graph.constant(sizes, "shape")), graph
    )


def _layer_norm(layer: LayerNorm, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    centered = graph.node("Sub", x, graph.mean(x, (1,)))
    variance = graph.mean(graph.node("Mul", centered, centered), (1,))
    deviation = graph.node("Sqrt", graph.node("Add", variance, graph.constant(layer.epsilon)))
    return _scale_and_shift(params, shape, graph.node("Div", centered, deviation), graph)


def _scale_and_shift(params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    scaled = graph.node("Mul", x, graph.per_channel(params["gamma"], shape, "gamma"))
    return graph.node("Add", scaled, graph.per_channel(params["beta"], shape, "beta"))


def _squeeze_excite(
    layer: SqueezeExcite, params: Arrays, shape: Shape, x: str, graph: Graph
) -> str:
    weights = {name: graph.constant(array, name) for name, array in params.items()}
    means = graph.flattened(graph.node("GlobalAveragePool", x))
    squeezed = graph.node("Gemm", means, weights["W_squeeze"], weights["b_squeeze"])
    hidden = graph.node("Relu", squeezed)
    excited = graph.node("Gemm", hidden, weights["W_excite"], weights["b_excite"])
    gates = _hard_sigmoid(excited, graph) if layer.hard else graph.node("Sigmoid", excited)
    return graph.node("Mul", x, graph.node("Unsqueeze", gates, graph.constant([2, 3], "axes")))


def _prelu(layer: PReLU, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    return graph.node("PRelu", x, graph.per_channel(params["slope"], shape, "slope"))


def _relu6(layer: ReLU6, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    return graph.node("Clip", x, graph.constant(0.0), graph.constant(6.0))


def _hard_swish(layer: HardSwish, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    return graph.node("Mul", x, _hard_sigmoid(x, graph))


def _hard_sigmoid(x: str, graph: Graph) -> str:
    return graph.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _silu(layer: SiLU, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    return graph.node("Mul", x, graph.node("Sigmoid", x))


def _gelu(layer: GELU, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    """``x / 2 * (1 + erf(x / sqrt(2)))``, or the approximation of it by ``tanh``."""

    def times(a: str, factor: float) -> str:
        return graph.node("Mul", a, graph.constant(factor))

    if layer.approximate:
        cube = graph.node("Mul", graph.node("Mul", x, x), x)
        inner = graph.node("Add", x, times(cube, 0.044715))
        curve = graph.node("Tanh", times(inner, sqrt(2 / pi)))
    else:
        curve = graph.node("Erf", times(x, 1 / sqrt(2)))
    return graph.node("Mul", times(x, 0.5), graph.node("Add", curve, graph.constant(1.0)))


def _unchanged(layer: Any, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    return x


def _activation(operator: str, **fields: str) -> Translation:
    """Translate to a single operator; ``fields`` names the attribute that each field becomes."""

    def write(layer: Any, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
        attributes = {name: getattr(layer, field) for name, field in fields.items()}
        return graph.node(operator, x, **attributes)

    return write


TRANSLATIONS: dict[type, Translation] = {
    AvgPool2D: _avg_pool,
    BatchNorm: _batch_norm,
    Conv2D: _convolution,
    Dense: _dense,
    Dropout: _unchanged,
    ELU: _activation("Elu", alpha="scale"),
    Flatten: _flatten,
    GELU: _gelu,
    GlobalAvgPool2D: _global_pool("GlobalAveragePool"),
    GlobalMaxPool2D: _global_pool("GlobalMaxPool"),
    GroupNorm: _group_norm,
    HardSwish: _hard_swish,
    Identity: _unchanged,
    LayerNorm: _layer_norm,
    LeakyReLU: _activation("LeakyRelu", alpha="slope"),
    MaxPool2D: _max_pool,
    PReLU: _prelu,
    ReLU: _activation("Relu"),
    ReLU6: _relu6,
    SiLU: _silu,
    Sigmoid: _activation("Sigmoid"),
    Softplus: _activation("Softplus"),
    SqueezeExcite: _squeeze_excite,
    Tanh: _activation("Tanh"),
    ZeroPad2D: _zero_pad,
}
