"""Operators of ONNX as layers: what each node with one computed input does to it.

The opposite of ``operators``. A node becomes a few pieces, each a layer with its parameters, and
perhaps none, if it only says how the axes lie.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto

from sknpcnn.layers import (
    ELU,
    GELU,
    BatchNorm,
    Dropout,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    HardSwish,
    Layer,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    Scale,
    Sigmoid,
    Softplus,
    Tanh,
)
from sknpcnn.onnx.reading import views, windows
from sknpcnn.onnx.reading.model import attributes_of, described
from sknpcnn.onnx.reading.pieces import Call, Piece, Result, Translation
from sknpcnn.onnx.reading.tensors import Tensor

Array = np.ndarray


def translate(node: NodeProto, inputs: list[Any], x: Tensor, lr_scale: float) -> Result:
    """Return the pieces that a node becomes, and its output."""
    if node.op_type not in TRANSLATIONS:
        return [Piece(None, {}, node)], x
    try:
        return TRANSLATIONS[node.op_type](Call(node, attributes_of(node), x, inputs, lr_scale))
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise ValueError(f"{described(node)}: {error}") from error


def _batch_norm(call: Call) -> Result:
    names = ("gamma", "beta", "mean", "var")
    found = [call.constant(i, name) for i, name in enumerate(names, 1)]
    if call.attributes.get("training_mode", 0):
        raise ValueError("it is in training mode; export the model for inference")
    if any(values.shape != call.x.shape[-1:] for values in found):
        raise ValueError(f"its parameters do not fit the shape {call.x.shape}")
    momentum = float(call.attributes.get("momentum", 0.9))
    epsilon = float(np.float32(call.attributes.get("epsilon", 1e-5)))
    layer = BatchNorm(momentum if 0 <= momentum < 1 else 0.9, epsilon, call.lr_scale)
    params = {name: call.x.rows_of(array) for name, array in zip(names, found, strict=True)}
    return call.same(layer, **params)


def _clip(call: Call) -> Result:
    found = []
    for place, name in ((1, "min"), (2, "max")):
        value = call.optional(place)
        found.append(call.attributes.get(name) if value is None else float(value.ravel()[0]))
    low, high = found
    if low == 0 and (high is None or high > 1e30):
        return call.same(ReLU())
    if (low, high) == (0, 6):
        return call.same(ReLU6())
    return call.same(None)


def _prelu(call: Call) -> Result:
    slope, spread = call.x.per_element(call.constant(1, "slope"))
    if spread:
        raise ValueError("it has a slope for every pixel; needed: one for each channel")
    if slope.min() == slope.max() and 0 <= slope[0] <= 1 and call.inputs[1].size == 1:
        return call.same(LeakyReLU(float(slope[0])))
    return call.same(PReLU(lr_scale=call.lr_scale), slope=slope)


def _gelu(call: Call) -> Result:
    return call.same(GELU(approximate=call.attributes.get("approximate", "none") == "tanh"))


def _dropout(call: Call) -> Result:
    given = call.optional(1)
    rate = call.attributes.get("ratio", 0.5) if given is None else float(given.ravel()[0])
    return call.same(Dropout(rate))


def _softmax(call: Call) -> Result:
    """Return what is dropped at the end of a network, and an error elsewhere."""
    if call.x.is_image or call.attributes.get("axis", -1) not in (1, -1):
        raise ValueError("it is not over the outputs of the network")
    return call.same(None)


def _unchanged(call: Call) -> Result:
    return [], call.x


def _alone(call: Call) -> Result:
    if len(call.inputs) > 1:
        raise ValueError("it joins a computed tensor and constants")
    return [], call.x


def _with_constant(combine: Callable[[Array, bool], tuple[Array, Array]]) -> Translation:
    """Translate arithmetic with a constant to a factor and an offset."""

    def make(call: Call) -> Result:
        first = not isinstance(call.inputs[0], Tensor)
        values, spread = call.x.per_element(call.constant(0 if first else 1, "constant"))
        gamma, beta = combine(values.astype(np.float64), first)
        layer = Scale(spread, call.lr_scale)
        return call.same(layer, gamma=gamma, beta=beta)

    return make


def _divided(values: Array, first: bool) -> tuple[Array, Array]:
    if first:
        raise ValueError("it divides a constant; needed: a division by one")
    return 1 / values, 0 * values


def _activation(make: Callable[[Call], Layer]) -> Translation:
    return lambda call: call.same(make(call))


TRANSLATIONS: dict[str, Translation] = {
    "Add": _with_constant(lambda values, first: (np.ones_like(values), values)),
    "AveragePool": windows.avg_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _unchanged,
    "Clip": _clip,
    "Concat": _alone,
    "Conv": windows.convolution,
    "Div": _with_constant(_divided),
    "Dropout": _dropout,
    "Elu": _activation(lambda call: ELU(call.attributes.get("alpha", 1.0))),
    "Flatten": views.flatten,
    "Gelu": _gelu,
    "Gemm": windows.dense,
    "GlobalAveragePool": windows.global_pool(GlobalAvgPool2D()),
    "GlobalMaxPool": windows.global_pool(GlobalMaxPool2D()),
    "HardSwish": _activation(lambda call: HardSwish()),
    "Identity": _unchanged,
    "LeakyRelu": _activation(lambda call: LeakyReLU(call.attributes.get("alpha", 0.01))),
    "LogSoftmax": _softmax,
    "MatMul": windows.product,
    "MaxPool": windows.max_pool,
    "Mul": _with_constant(lambda values, first: (values, 0 * values)),
    "PRelu": _prelu,
    "Pad": windows.pad,
    "ReduceMean": windows.reduce_mean,
    "Relu": _activation(lambda call: ReLU()),
    "Reshape": views.reshape,
    "Sigmoid": _activation(lambda call: Sigmoid()),
    "Softmax": _softmax,
    "Softplus": _activation(lambda call: Softplus()),
    "Squeeze": views.squeeze,
    "Sub": _with_constant(
        lambda values, first: (
            np.full_like(values, -1 if first else 1),
            values if first else -values,
        )
    ),
    "Tanh": _activation(lambda call: Tanh()),
    "Transpose": views.transpose,
    "Unsqueeze": views.unsqueeze,
}
"""How nodes with one computed input are translated."""
JOINS = ("Add", "Concat", "Mul", "Sum", "Sub", "Div")
"""The operators that may have several computed inputs."""
SUPPORTED = ", ".join(sorted({*TRANSLATIONS, "Concat", "Constant", "HardSigmoid", "Sum"}))
