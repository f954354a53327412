"""Layers with windows that slide over images, and borders, as operators of ONNX."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from sknpcnn._values.checks import as_border, as_pair
from sknpcnn.layers import AvgPool2D, Conv2D, MaxPool2D, ZeroPad2D
from sknpcnn.layers.base import Arrays, Shape
from sknpcnn.layers.conv import axes
from sknpcnn.layers.pool import window_and_stride
from sknpcnn.onnx.writing.graph import Graph

LOWEST = float(np.finfo(np.float32).min)
"""Fills a border that is never the maximum."""


def convolution(layer: Conv2D, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    """Append a convolution."""
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


def max_pool(layer: MaxPool2D, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    """Append max pooling."""
    window, stride = window_and_stride(layer)
    pads = _pads(layer, shape, window, stride)
    if stride == (1, 1):
        x, pads = _padded(x, pads, LOWEST, graph)
    return graph.node("MaxPool", x, kernel_shape=window, strides=stride, pads=pads)


def avg_pool(layer: AvgPool2D, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    """Append average pooling."""
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


def global_pool(operator: str) -> Callable[[Any, Arrays, Shape, str, Graph], str]:
    """Make the translation of a global pooling."""
    return lambda layer, params, shape, x, graph: graph.flattened(graph.node(operator, x))


def zero_pad(layer: ZeroPad2D, params: Arrays, shape: Shape, x: str, graph: Graph) -> str:
    """Append a border of zeros."""
    rows, columns = as_border(layer.border)
    before, after = zip((0, 0), as_pair(layer.channels), rows, columns, strict=True)
    return graph.node("Pad", x, graph.constant([*before, *after], "pads"))
