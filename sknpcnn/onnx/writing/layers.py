"""Layers as operators of ONNX: for each kind of layer, the nodes that compute what it predicts.

Images are ``(n, channels, h, w)`` in ONNX, and ``(h, w, n, channels)`` here; kernels are
``(filters, channels, kh, kw)`` there, and ``(kh, kw, channels, filters)`` here.
"""

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from sknpcnn._values.brief import brief
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
    Scale,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    SqueezeExcite,
    Tanh,
    ZeroPad2D,
)
from sknpcnn.layers.base import Arrays, Shape
from sknpcnn.layers.rewriting import fold_batch_norms, fold_parameters
from sknpcnn.layers.steps import Steps, with_shapes
from sknpcnn.onnx.writing import windows
from sknpcnn.onnx.writing.graph import Graph

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


def _dense(layer: Dense, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    bias = [graph.constant(params["b"], "b")] if layer.bias else []
    return graph.node("Gemm", x, graph.constant(params["W"], "W"), *bias)


def _flatten(layer: Flatten, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    """Flatten in our order: pixel by pixel."""
    if shape[:2] != (1, 1):
        x = graph.node("Transpose", x, perm=(0, 2, 3, 1))
    return graph.flattened(x)


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


def _scale(layer: Scale, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    if not layer.position:
        return _scale_and_shift(params, shape, x, graph)
    gamma, beta = (graph.constant(params[name].transpose(2, 0, 1)) for name in ("gamma", "beta"))
    return graph.node("Add", graph.node("Mul", x, gamma), beta)


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
    AvgPool2D: windows.avg_pool,
    BatchNorm: _batch_norm,
    Conv2D: windows.convolution,
    Dense: _dense,
    Dropout: _unchanged,
    ELU: _activation("Elu", alpha="scale"),
    Flatten: _flatten,
    GELU: _gelu,
    GlobalAvgPool2D: windows.global_pool("GlobalAveragePool"),
    GlobalMaxPool2D: windows.global_pool("GlobalMaxPool"),
    GroupNorm: _group_norm,
    HardSwish: _hard_swish,
    Identity: _unchanged,
    LayerNorm: _layer_norm,
    LeakyReLU: _activation("LeakyRelu", alpha="slope"),
    MaxPool2D: windows.max_pool,
    PReLU: _prelu,
    ReLU: _activation("Relu"),
    ReLU6: _relu6,
    Scale: _scale,
    SiLU: _silu,
    Sigmoid: _activation("Sigmoid"),
    Softplus: _activation("Softplus"),
    SqueezeExcite: _squeeze_excite,
    Tanh: _activation("Tanh"),
    ZeroPad2D: windows.zero_pad,
}
