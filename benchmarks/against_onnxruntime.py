"""Prediction next to onnxruntime, with the same weights in a graph of the same layers."""

from importlib.util import find_spec
from typing import Any

import numpy as np

from sknpcnn._network.network import Network
from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Identity,
    Layer,
    MaxPool2D,
    ReLU,
)
from sknpcnn.layers.pool import window_and_stride
from sknpcnn.layers.steps import with_shapes
from sknpcnn.spec import as_pair

from . import networks, ours, timing
from .geometry import pads_of

OPSET, IR_VERSION = 17, 8
PREDICTED_TOGETHER = (128, 512)
TOLERANCE = 1e-4


def measure(name: str, threads: int, rounds: int, n: int) -> dict[str, Any]:
    """Check that both predict the same, then time both; or tell what is missing."""
    missing = [package for package in ("onnx", "onnxruntime") if find_spec(package) is None]
    if missing:
        return {"skipped": f"not installed: {', '.join(missing)}"}
    network = networks.network(name)
    theta = networks.parameters(network)
    X, _ = networks.data(network.image, n)
    clf = ours.fitted(name, threads, theta)
    images = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    session = session_of(network, theta, threads)

    def predict(size: int, stop: int = n) -> np.ndarray:
        parts = [slice(lo, min(lo + size, stop)) for lo in range(0, stop, size)]
        return np.concatenate([session.run(None, {"x": images[part]})[0] for part in parts])

    few = min(n, 2 * max(PREDICTED_TOGETHER))
    error = float(np.abs(clf.predict_proba(X[:few]) - predict(512, few)).max())
    if not error <= TOLERANCE:
        raise AssertionError(f"Network {name} predicts otherwise than onnxruntime, by {error:.2g}.")
    taken = {
        size: min(timing.seconds(lambda s=size: predict(s, few)) for _ in range(3))
        for size in PREDICTED_TOGETHER
    }
    fastest = min(taken, key=lambda size: taken[size])
    times = timing.repeats(lambda: predict(fastest))
    turns = {
        "ours": timing.repeated(lambda: clf.predict_proba(X), times),
        f"{fastest} together": timing.repeated(lambda: predict(fastest), times),
    }
    return timing.summary(timing.alternate(turns, rounds), n) | {"largest_error": error}


def session_of(network: Network, theta: np.ndarray, threads: int) -> Any:
    """Make the network ready to run in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = model_of(network, theta).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def model_of(network: Network, theta: np.ndarray) -> Any:
    """Write the network as an ONNX graph, from images (n, c, h, w) to probabilities."""
    from onnx import TensorProto, checker, helper, numpy_helper

    arrays = dict(network.layout.arrays(theta))
    nodes, constants, value, image = [], [], "x", None
    for name, layer, shape in with_shapes(network.steps, network.image):
        if isinstance(layer, Identity):
            continue
        if isinstance(layer, Flatten):
            image = shape
        kind, inputs, attributes = _node(name, layer, shape, arrays, image)
        if isinstance(layer, Dense):
            image = None
        for i, array in enumerate(inputs):
            constants.append(numpy_helper.from_array(np.ascontiguousarray(array), f"{name}_{i}"))
        names = [f"{name}_{i}" for i in range(len(inputs))]
        nodes.append(helper.make_node(kind, [value, *names], [name], **attributes))
        value = name
        if isinstance(layer, GlobalAvgPool2D):
            nodes.append(helper.make_node("Flatten", [value], [f"{name}_flat"]))
            value = f"{name}_flat"
    nodes.append(helper.make_node("Softmax", [value], ["probabilities"], axis=1))
    h, w, c = network.image
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", c, h, w])
    y = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", networks.CLASSES])
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    checker.check_model(model)
    return model


def _node(
    name: str, layer: Layer, shape: tuple, arrays: dict[str, np.ndarray], image: tuple | None
) -> tuple[str, list[np.ndarray], dict[str, Any]]:
    """Return the operator of a layer, its constant inputs and its attributes."""
    if isinstance(layer, Conv2D):
        W, b = arrays[f"{name}.W"].transpose(3, 2, 0, 1), arrays[f"{name}.b"]
        strides, dilations = as_pair(layer.stride), as_pair(layer.dilation)
        pads = _pads(layer, shape)
        return "Conv", [W, b], {"strides": strides, "dilations": dilations, "pads": pads}
    if isinstance(layer, MaxPool2D):
        window, strides = window_and_stride(layer)
        pads = _pads(layer, shape)
        return "MaxPool", [], {"kernel_shape": window, "strides": strides, "pads": pads}
    if isinstance(layer, BatchNorm):
        inputs = [arrays[f"{name}.{key}"] for key in ("gamma", "beta", "mean", "var")]
        return "BatchNormalization", inputs, {"epsilon": layer.epsilon}
    if isinstance(layer, Dense):
        W = arrays[f"{name}.W"]
        if image is not None:  # from our order of flattened images, (h, w, c), to (c, h, w)
            W = W.reshape(*image, -1).transpose(2, 0, 1, 3).reshape(W.shape)
        return "Gemm", [W, arrays[f"{name}.b"]], {}
    names = {ReLU: "Relu", Flatten: "Flatten", GlobalAvgPool2D: "GlobalAveragePool"}
    return names[type(layer)], [], {}


def _pads(layer: Conv2D | MaxPool2D, shape: tuple) -> list[int]:
    (top, bottom), (left, right) = pads_of(layer, shape)
    return [top, left, bottom, right]
