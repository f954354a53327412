"""Builds named layers from the hyperparameters of an estimator."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from sknpcnn._estimator.layout import Image
from sknpcnn._training import defaults
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import as_pair, plain_integer, plain_items, plain_pair, plain_word
from sknpcnn._values.suggestions import did_you_mean
from sknpcnn.layers import (
    ELU,
    GELU,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Identity,
    Layer,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)
from sknpcnn.layers.base import Shape
from sknpcnn.spec import Steps, check_nesting, named

ACTIVATIONS: dict[str, Layer] = {
    "relu": ReLU(),
    "leaky_relu": LeakyReLU(),
    "elu": ELU(),
    "gelu": GELU(),
    "silu": SiLU(),
    "tanh": Tanh(),
    "logistic": Sigmoid(),
    "identity": Identity(),
}

ARCHITECTURE: dict[str, Any] = {
    "conv_filters": "auto",
    "kernel_size": 3,
    "pool_size": 2,
    "padding": "same",
    "residual": "auto",
    "global_pooling": "auto",
    "hidden_layer_sizes": "auto",
    "activation": "relu",
    "batch_norm": True,
    "dropout": 0.1,
}
"""The hyperparameters, with their defaults, that define the network if ``layers`` is None."""


def build_layers(params: Mapping[str, Any], image: Image) -> Steps:
    """Build the named layers before the output layer from hyperparameters without "auto".

    "auto" is resolved before, so that a fitted network does not change when defaults do.
    """
    if params["layers"] is not None:
        return _check_layers(params["layers"])
    filters = read_sizes("conv_filters", params["conv_filters"])
    hidden = read_sizes("hidden_layer_sizes", params["hidden_layer_sizes"])
    if params["global_pooling"] and not filters:
        raise ValueError(
            "global_pooling=True needs convolution blocks, whose filters it takes the mean of; "
            "there are none here. Give conv_filters, or leave global_pooling at its default."
        )
    kernels = read_per_block("kernel_size", params["kernel_size"], len(filters))
    pools = read_per_block("pool_size", params["pool_size"], len(filters))
    paddings = read_per_block("padding", params["padding"], len(filters))
    residual = read_flags_per_block("residual", params["residual"], len(filters))
    extras: list[Layer] = [ACTIVATIONS[params["activation"]]]
    after: list[Layer] = [Dropout(params["dropout"])] if params["dropout"] else []
    if params["batch_norm"]:
        extras.insert(0, BatchNorm())
    bias = not params["batch_norm"]  # its beta is a bias already

    layers: list[Layer] = []
    shape: Shape = image
    for i, (n, kernel, pool, padding, is_residual) in enumerate(
        zip(filters, kernels, pools, paddings, residual, strict=True), start=1
    ):
        block: list[Layer] = [Conv2D(n, kernel, padding=padding, bias=bias), *extras]
        if is_residual:  # its default padding keeps the size
            block.append(Residual([Conv2D(n, kernel, bias=bias), *extras]))
        try:
            shape = block[0].output_shape(shape)
            pooling = _pooling(pool, padding, shape)
            shape = pooling[0].output_shape(shape) if pooling else shape
        except ValueError as error:
            raise ValueError(f"convolution block {i}: {error}") from None
        layers += [*block, *pooling]
        if not params["global_pooling"]:
            layers += after
    layers += [GlobalAvgPool2D(), *after] if params["global_pooling"] else [Flatten()]
    for units in hidden:
        layers += [Dense(units, bias=bias), *extras, *after]
    return named(layers)


def choose_architecture(params: Mapping[str, Any], image: Image, table: bool) -> dict[str, Any]:
    """Resolve "auto": blocks depend on the image, dense layers on the number of blocks."""
    filters = defaults.filters(image, table)
    given = params["conv_filters"]
    n_blocks = len(filters if is_auto(given) else read_sizes("conv_filters", given))
    halves = np.array_equal(params["pool_size"], 2)  # as the choice of residual blocks assumes
    residual = defaults.residual(image, n_blocks) if is_auto(given) and halves else []
    return {
        "conv_filters": filters,
        "residual": residual if any(residual) else False,
        "global_pooling": defaults.global_pooling(image, n_blocks),
        "hidden_layer_sizes": defaults.hidden_layers(n_blocks),
    }


def is_auto(value: Any) -> bool:
    """Return whether a parameter is "auto"."""
    return plain_word(value, ("auto",)) is not None


def warn_of_two_outputs(layers: Any, n_outputs: int) -> None:
    """Warn if ``layers`` ends with an output layer: fit adds another one."""
    last = layers
    while isinstance(last, (list, tuple, Sequential)):
        steps = last.layers if isinstance(last, Sequential) else named(last)
        last = steps[-1][1] if steps else None
    if isinstance(last, Dense) and last.units == n_outputs > 1:
        warnings.warn(
            f"layers ends with {last!r}, and the network has {n_outputs} outputs, one for each "
            "class, label or column of y. fit adds the output layer itself: remove this one, or "
            "add an activation after it if it is meant to be a hidden layer.",
            stacklevel=8,
        )


def read_sizes(name: str, value: Any) -> list[int]:
    """Return layer sizes as a list; a single integer becomes a list of one."""
    items = value.tolist() if isinstance(value, np.ndarray) else value
    several = list(items) if isinstance(items, range) else plain_items(items)
    integers = [plain_integer(item) for item in ([items] if several is None else several)]
    valid = [number for number in integers if number is not None and number >= 1]
    if len(valid) == len(integers):
        return valid
    raise ValueError(
        f"{name}={brief(value)}; needed: an integer of at least 1, or a tuple of them, "
        "one per layer; () for none."
    )


def read_per_block(name: str, value: Any, n_blocks: int) -> list[Any]:
    """Return a parameter of each convolution block, from a list or from one value for all."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    several = plain_items(value) if isinstance(value, list) else None
    values = [value] * n_blocks if several is None else several
    if len(values) != n_blocks:
        raise ValueError(
            f"{name}={brief(value)} has {len(values)} entries for {n_blocks} convolution blocks; "
            "give one entry per block, or a single value (a pair is a tuple, not a list) for all."
        )
    words, minimum = (("same", "valid"), 0) if name == "padding" else ((), 1)
    found = [
        plain_word(entry, words) if isinstance(entry, str) else plain_pair(entry, minimum)
        for entry in values
    ]
    if None in found:
        known = "".join(f"{word!r}, " for word in words)
        raise ValueError(
            f"{name}={brief(value)}; needed: {known}an integer of at least {minimum}, a pair "
            "(rows, columns), or a list with one of these per convolution block."
            + did_you_mean(values[found.index(None)], words)
        )
    return found


def read_flags_per_block(name: str, value: Any, n_blocks: int) -> list[bool]:
    """Return a flag of each convolution block, from a list or from one value for all."""
    flags = plain_items(value.tolist() if isinstance(value, np.ndarray) else value)
    flags = [value] * n_blocks if flags is None else flags
    if len(flags) != n_blocks or not all(isinstance(flag, (bool, np.bool_)) for flag in flags):
        raise ValueError(
            f"{name}={brief(value)}; needed: True or False, or a list of these with one entry for "
            f"each of the {n_blocks} convolution blocks."
        )
    return [bool(flag) for flag in flags]


def _pooling(size: Any, padding: Any, shape: Shape) -> list[Layer]:
    """Return the pooling layer of a block, if any: an axis of one pixel is not pooled."""
    rows, columns = as_pair(size)
    window = (1 if shape[0] == 1 else rows, 1 if shape[1] == 1 else columns)
    if window == (1, 1):
        return []
    if window[0] > shape[0] or window[1] > shape[1]:
        raise ValueError(
            f"pool_size={brief(size)} is larger than the {shape[0]}x{shape[1]} pixels that are "
            "left there. Pool less, in this block or in those before it."
        )
    return [MaxPool2D(window, padding="same" if padding == "same" else "valid")]


def _check_layers(layers: Any) -> Steps:
    """Return the named layers given by the user; raise if they are invalid."""
    if not isinstance(layers, (list, tuple)):
        raise TypeError(
            f"layers={brief(layers)}; needed: a list of layers, such as [Conv2D(16), ReLU(), "
            "Flatten()], or of (name, layer) pairs."
        )
    steps = named(layers, "layers", Layer)
    check_nesting(layers, "layers")
    for name, _ in steps:
        if name in ("input", "output", "flatten"):
            raise ValueError(
                f"layers: the name {name!r} is taken: fit adds an input and an output layer. "
                "Choose another one."
            )
    return steps
