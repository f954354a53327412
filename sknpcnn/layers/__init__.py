"""The layers that networks are made of: frozen dataclasses of hyperparameters, pure functions."""

from sknpcnn.layers.activation import (
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from sknpcnn.layers.base import Array, Arrays, Context, Hints, Layer, Shape
from sknpcnn.layers.batch import batch_axis, image_shape, matrix, per_channel, vector_size
from sknpcnn.layers.compose import Residual, Sequential
from sknpcnn.layers.conv import Conv2D
from sknpcnn.layers.dense import Dense
from sknpcnn.layers.dropout import Dropout
from sknpcnn.layers.norm import BatchNorm
from sknpcnn.layers.parameter import Parameter
from sknpcnn.layers.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from sknpcnn.layers.shape import Flatten

# The layers, and what is needed to write one.
__all__ = [
    "ELU",
    "GELU",
    "Array",
    "Arrays",
    "AvgPool2D",
    "BatchNorm",
    "Context",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2D",
    "Hints",
    "Identity",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "Parameter",
    "ReLU",
    "Residual",
    "Sequential",
    "Shape",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "batch_axis",
    "image_shape",
    "matrix",
    "per_channel",
    "vector_size",
]
