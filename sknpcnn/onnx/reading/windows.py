"""Convolutions, pooling and borders of ONNX as layers; and products with matrices."""

from typing import Any

import numpy as np

from sknpcnn._kernels.windows import axis_pads
from sknpcnn.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ZeroPad2D,
)
from sknpcnn.onnx.reading.folding import axes_of
from sknpcnn.onnx.reading.pieces import Call, Result, Translation
from sknpcnn.onnx.reading.tensors import Tensor

Array = np.ndarray
Pair = tuple[int, int]

VERY_NEGATIVE = -1e30
"""What a border is filled with that is never the maximum."""


def convolution(call: Call) -> Result:
    """Return a convolution; for vectors, seen as images of one pixel, a dense layer."""
    W = call.constant(1, "W")
    bias = call.optional(2)
    if W.ndim != 4:
        raise ValueError(f"its kernel has {W.ndim} axes; needed: 4, as images are convolved")
    filters, channels, *window = W.shape
    groups = int(call.attributes.get("group", 1))
    if call.x.kind == "vector of one pixel" and (groups, *window) == (1, 1, 1):
        return _matrix(call, W.reshape(filters, channels).T, bias)
    x = call.images()
    if channels * groups != x.shape[2]:
        raise ValueError(f"its kernel is for {channels * groups} channels of {x.shape[2]}")
    stride, dilation = (_pair(call, name) for name in ("strides", "dilations"))
    layer = Conv2D(
        filters,
        _brief(window),
        _brief(stride),
        _border(call, window, stride, dilation),
        _brief(dilation),
        groups,
        bias is not None,
        call.lr_scale,
    )
    params = {"W": W.transpose(2, 3, 1, 0)}
    return call.becomes(layer, **params, **({} if bias is None else {"b": bias}))


def _pair(call: Call, name: str) -> Pair:
    rows, columns = call.attributes.get(name, (1, 1))
    return int(rows), int(columns)


def _brief(pair: Any) -> Any:
    """Write a pair of equal numbers as one."""
    rows, columns = (int(n) for n in pair)
    return rows if rows == columns else (rows, columns)


def _border(call: Call, window: Any, stride: Pair, dilation: Pair = (1, 1)) -> Any:
    """Return the border of a window: a number, or those of all four sides."""
    mode = call.attributes.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        sides = []
        for length, k, s, d in zip(call.x.shape, window, stride, dilation, strict=False):
            less, more = axis_pads(length, int(k), s, d, "same")
            sides += [less, more] if mode == "SAME_UPPER" else [more, less]
    elif mode == "VALID":
        sides = [0, 0, 0, 0]
    else:
        top, left, bottom, right = (int(n) for n in call.attributes.get("pads", (0, 0, 0, 0)))
        sides = [top, bottom, left, right]
    return sides[0] if len(set(sides)) == 1 else tuple(sides)


def dense(call: Call) -> Result:
    """Return a dense layer."""
    given = call.attributes
    if given.get("transA", 0) or given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1:
        raise ValueError("it transposes or scales its input; needed: transA=0, alpha=1, beta=1")
    W = call.constant(1, "B")
    return _matrix(call, W.T if given.get("transB", 0) else W, call.optional(2))


def product(call: Call) -> Result:
    """Return a dense layer without bias."""
    if not isinstance(call.inputs[0], Tensor):
        raise ValueError("its first input is a constant; needed: the second one")
    return _matrix(call, call.constant(1, "B"), None)


def _matrix(call: Call, W: Array, bias: Array | None) -> Result:
    """Return a dense layer; the rows of its matrix are put into our order."""
    if call.x.is_image or W.ndim != 2 or W.shape[0] != call.x.shape[0]:
        raise ValueError(f"a matrix of shape {W.shape} is multiplied with {call.x.shape}")
    params = {"W": call.x.rows_of(W)}
    if bias is not None:
        params["b"] = np.broadcast_to(bias.reshape(-1), W.shape[1:])
    layer = Dense(W.shape[1], bias is not None, call.lr_scale)
    return [call.piece(layer, **params)], Tensor(_vector_kind(call), (W.shape[1],))


def _vector_kind(call: Call) -> str:
    """Return how the output of a layer for vectors lies."""
    return "vector of one pixel" if call.node.op_type == "Conv" else "vector"


def max_pool(call: Call) -> Result:
    """Return max pooling."""
    if len([name for name in call.node.output if name]) > 1:
        raise ValueError("its indices are used; needed: only the maxima")
    if _pair(call, "dilations") != (1, 1):
        raise ValueError(f"its window has gaps: dilations={call.attributes['dilations']}")
    call.images()
    window, stride = _pair(call, "kernel_shape"), _pair(call, "strides")
    border = _border(call, window, stride)
    ceil_mode = bool(call.attributes.get("ceil_mode", 0))
    return call.becomes(MaxPool2D(_brief(window), _brief(stride), border, ceil_mode))


def avg_pool(call: Call) -> Result:
    """Return average pooling."""
    x, window, stride = call.images(), _pair(call, "kernel_shape"), _pair(call, "strides")
    if _pair(call, "dilations") != (1, 1):
        raise ValueError(f"its window has gaps: dilations={call.attributes['dilations']}")
    counted = bool(call.attributes.get("count_include_pad", 0))
    border = _border(call, window, stride)
    layer = AvgPool2D(_brief(window), _brief(stride), border, counted)
    if call.attributes.get("ceil_mode", 0):
        rounded = MaxPool2D(_brief(window), _brief(stride), border, ceil_mode=True)
        if rounded.output_shape(x.shape) != layer.output_shape(x.shape):
            raise ValueError("it has ceil_mode=1, which makes a difference here; needed: 0")
    return call.becomes(layer)


def global_pool(layer: Layer) -> Translation:
    """Make the translation to a global pooling."""

    def make(call: Call) -> Result:
        call.images()
        return call.becomes(layer)

    return make


def reduce_mean(call: Call) -> Result:
    """Return global pooling, if it is the mean of all pixels."""
    x, rank = call.x, len(call.x.model_shape)
    axes = axes_of(call.attributes, call.inputs)
    pixels = {"channels first": [2, 3], "channels last": [1, 2]}.get(x.kind)
    if axes is None or sorted(axis % rank for axis in axes) != pixels:
        raise ValueError(f"it computes the mean over the axes {axes}; needed: those of the pixels")
    kept = call.attributes.get("keepdims", 1) and x.kind == "channels first"
    out = Tensor("vector of one pixel" if kept else "vector", x.shape[2:])
    return [call.piece(GlobalAvgPool2D())], out


def pad(call: Call) -> Result:
    """Return a border of zeros; or of very negative numbers, which pooling will take over."""
    x = call.images()
    sizes = call.attributes.get("pads")
    sizes = [int(n) for n in (call.constant(1, "pads") if sizes is None else sizes)]
    value = call.optional(2)
    fill = call.attributes.get("value", 0.0) if value is None else float(value.ravel()[0])
    mode, axes = call.attributes.get("mode", "constant"), call.optional(3)
    if axes is not None:
        whole = [0] * 8
        for i, axis in enumerate(int(axis) % 4 for axis in axes):
            whole[axis], whole[axis + 4] = sizes[i], sizes[len(axes) + i]
        sizes = whole
    (n0, before, top, left), (n1, after, bottom, right) = sizes[:4], sizes[4:]
    outside = fill < VERY_NEGATIVE
    if mode != "constant" or n0 or n1 or not (fill == 0 or (outside and not before and not after)):
        raise ValueError(f"it pads {sizes} in mode {mode} with {fill}; needed: zeros")
    layer = ZeroPad2D((top, bottom, left, right), (before, after))
    shape = layer.output_shape(x.shape)
    params = {"fill": np.array(fill)} if outside else {}  # until the pooling after it takes it over
    return [call.piece(layer, **params)], Tensor(x.kind, shape)
