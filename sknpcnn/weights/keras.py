"""Layers and weights of Keras models, read without importing Keras."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sknpcnn._values.brief import brief
from sknpcnn.layers import (
    ELU,
    GELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    HardSwish,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool2D,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    ZeroPad2D,
)
from sknpcnn.layers.steps import parameters
from sknpcnn.spec import named

Array = np.ndarray
Config = dict[str, Any]
Pieces = list[tuple[Layer, dict[str, Array]]]


class Network(NamedTuple):
    """What ``from_keras`` returns: a pair."""

    layers: list[tuple[str, Layer]]
    """For ``layers=``, without the output layer."""
    weights: dict[str, Array]
    """For ``set_weights``, with the output layer."""


def from_keras(model: Any) -> Network:
    """Turn a sequential Keras model into layers and weights.

    Parameters
    ----------
    model : keras.Model
        A model whose layers follow each other, for images with the channels last, that ends in a
        dense layer. Others come in as ONNX models: ``model.export("model.onnx", format="onnx")``,
        then ``NumpyCNNClassifier.from_onnx``. Average pooling with ``padding="same"`` leaves out
        the border, as on TensorFlow; on PyTorch, Keras repeats the image there.

    Returns
    -------
    network : Network
        ``layers, weights = from_keras(model)``, for ``NumpyCNNClassifier(layers=layers)`` and its
        ``set_weights``. A softmax or sigmoid at the end is left out, as the loss has it.

    Raises
    ------
    ValueError
        If a layer is not supported; the error names it.

    Examples
    --------
    >>> from sknpcnn.weights import from_keras
    >>> from_keras("model.keras")
    Traceback (most recent call last):
        ...
    ValueError: from_keras is given 'model.keras'; needed: a model, as keras.load_model returns.
    """
    if not hasattr(model, "layers") or not hasattr(model, "input_shape"):
        raise ValueError(
            f"from_keras is given {brief(model)}; needed: a model, as keras.load_model returns."
        )
    shape = tuple(model.input_shape)[1:]
    if len(shape) != 3 or any(type(size) is not int for size in shape):
        raise ValueError(
            f"The model is for inputs of shape {shape}; needed: images of a fixed size."
        )
    pieces: Pieces = []
    before: Any = None
    for layer in model.layers:
        kind, config = type(layer).__name__, layer.get_config()
        if kind == "InputLayer":
            continue
        previous, before = before, layer
        follows = previous is None or layer.input is previous.output
        if kind not in LAYERS or not follows or config.get("data_format") == "channels_first":
            raise ValueError(
                f"Layer {brief(layer.name)} ({kind}) is not supported, or its input is not the "
                f"layer before it; supported, one after the other: {', '.join(LAYERS)}."
            )
        weights = [np.asarray(array) for array in layer.get_weights()]
        try:
            pieces += LAYERS[kind](config, weights)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"Layer {brief(layer.name)} ({kind}): {error}") from error
    return _network(pieces, shape)


def _network(pieces: Pieces, shape: tuple[int, ...]) -> Network:
    """Name the layers, of which the last one becomes the output layer."""
    if pieces and type(pieces[-1][0]) in (Sigmoid, _Softmax):
        pieces = pieces[:-1]
    if not pieces or type(pieces[-1][0]) is not Dense:
        raise ValueError("The model does not end in a dense layer; needed: one as its output.")
    *body, (_, output) = pieces
    wrong = next((layer for layer, _ in body if type(layer) is _Softmax), None)
    if wrong is not None:
        raise ValueError("The model has a softmax that is not at its end.")
    steps = list(named([layer for layer, _ in body], "layers", Layer))
    weights = {
        f"{name}.{key}": array
        for (name, _), (_, params) in zip(steps, body, strict=True)
        for key, array in params.items()
    }
    expected = {name: p.shape for name, p in parameters(steps, shape).items()}
    for name, wanted in expected.items():
        if weights[name].shape != wanted:
            raise ValueError(f"{name} has the shape {weights[name].shape}; needed: {wanted}.")
    return Network(steps, {**weights, **{f"output.{key}": a for key, a in output.items()}})


class _Softmax(Identity):
    """Stands for a softmax until the end of the model is reached."""


ACTIVATIONS: dict[str, Layer | None] = {
    "elu": ELU(),
    "gelu": GELU(),
    "hard_silu": HardSwish(),
    "hard_swish": HardSwish(),
    "leaky_relu": LeakyReLU(0.2),
    "linear": None,
    "relu": ReLU(),
    "relu6": ReLU6(),
    "sigmoid": Sigmoid(),
    "silu": SiLU(),
    "softmax": _Softmax(),
    "softplus": Softplus(),
    "swish": SiLU(),
    "tanh": Tanh(),
}


def _activated(config: Config) -> Pieces:
    """Return the activation that a layer of another kind has at its end."""
    name = config.get("activation", "linear")
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={brief(name)}; supported: {', '.join(ACTIVATIONS)}")
    layer = ACTIVATIONS[name]
    return [] if layer is None else [(layer, {})]


def _convolution(config: Config, weights: list[Array]) -> Pieces:
    """Return a convolution, depthwise if its kernels say so."""
    W, *bias = weights
    groups = config.get("groups", 1)
    if "depth_multiplier" in config:  # (kh, kw, channels, filters of each)
        groups = W.shape[2]
        W = W.reshape(*W.shape[:2], 1, -1)
    size, stride, dilation = (
        tuple(config[name]) for name in ("kernel_size", "strides", "dilation_rate")
    )
    layer = Conv2D(W.shape[3], size, stride, config["padding"], dilation, groups, bool(bias))
    return [(layer, {"W": W, **({"b": bias[0]} if bias else {})}), *_activated(config)]


def _dense(config: Config, weights: list[Array]) -> Pieces:
    W, *bias = weights
    layer = Dense(W.shape[1], bool(bias))
    return [(layer, {"W": W, **({"b": bias[0]} if bias else {})}), *_activated(config)]


def _batch_norm(config: Config, weights: list[Array]) -> Pieces:
    found = iter(weights)
    mean_only = weights[-1]
    gamma = next(found) if config["scale"] else np.ones_like(mean_only)
    beta = next(found) if config["center"] else np.zeros_like(mean_only)
    mean, var = found
    layer = BatchNorm(config["momentum"], config["epsilon"])
    return [(layer, {"gamma": gamma, "beta": beta, "mean": mean, "var": var})]


def _layer_norm(config: Config, weights: list[Array]) -> Pieces:
    if len(weights) != 2 or config.get("rms_scaling"):
        raise ValueError("it has no scale or no offset")
    return [(LayerNorm(config["epsilon"]), dict(zip(("gamma", "beta"), weights, strict=True)))]


def _pooling(kind: type[MaxPool2D] | type[AvgPool2D]) -> Callable[[Config, list[Array]], Pieces]:
    def make(config: Config, weights: list[Array]) -> Pieces:
        size, stride = tuple(config["pool_size"]), tuple(config["strides"])
        return [(kind(size, stride, config["padding"]), {})]

    return make


def _global(layer: Layer) -> Callable[[Config, list[Array]], Pieces]:
    def make(config: Config, weights: list[Array]) -> Pieces:
        if config.get("keepdims"):
            raise ValueError("keepdims=True; needed: False")
        return [(layer, {})]

    return make


def _relu(config: Config, weights: list[Array]) -> Pieces:
    highest, slope = config.get("max_value"), float(config.get("negative_slope") or 0)
    if config.get("threshold") or (highest is not None and (highest != 6 or slope)):
        raise ValueError(f"max_value={highest}, threshold={config.get('threshold')}")
    if highest == 6:
        return [(ReLU6(), {})]
    return [(LeakyReLU(slope) if slope else ReLU(), {})]


def _prelu(config: Config, weights: list[Array]) -> Pieces:
    (slope,) = weights
    if slope.size != slope.shape[-1]:
        raise ValueError("it has a slope for every pixel; needed: shared_axes=[1, 2]")
    return [(PReLU(), {"slope": slope.reshape(-1)})]


def _padding(config: Config, weights: list[Array]) -> Pieces:
    (top, bottom), (left, right) = config["padding"]
    return [(ZeroPad2D((top, bottom, left, right)), {})]


LAYERS: dict[str, Callable[[Config, list[Array]], Pieces]] = {
    "Activation": lambda config, weights: _activated(config),
    "AveragePooling2D": _pooling(AvgPool2D),
    "BatchNormalization": _batch_norm,
    "Conv2D": _convolution,
    "Dense": _dense,
    "DepthwiseConv2D": _convolution,
    "Dropout": lambda config, weights: [(Dropout(config["rate"]), {})],
    "ELU": lambda config, weights: [(ELU(float(config["alpha"])), {})],
    "Flatten": lambda config, weights: [(Flatten(), {})],
    "GlobalAveragePooling2D": _global(GlobalAvgPool2D()),
    "GlobalMaxPooling2D": _global(GlobalMaxPool2D()),
    "LayerNormalization": _layer_norm,
    "LeakyReLU": lambda config, weights: [(LeakyReLU(float(config["negative_slope"])), {})],
    "MaxPooling2D": _pooling(MaxPool2D),
    "PReLU": _prelu,
    "ReLU": _relu,
    "Softmax": lambda config, weights: [(_Softmax(), {})],
    "ZeroPadding2D": _padding,
}
"""How the layers of Keras are translated."""
