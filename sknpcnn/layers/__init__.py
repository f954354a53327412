"""The layers that networks are made of: frozen dataclasses of hyperparameters, pure functions."""

from sknpcnn.layers.activation import (
    ELU,
    GELU,
    Identity,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from sknpcnn.layers.base import Array, Arrays, Context, Hints, Layer, Shape
from sknpcnn.layers.batch import batch_axis, image_shape, matrix, per_channel, vector_size
from sknpcnn.layers.branches import Add, Branches
from sknpcnn.layers.compose import Residual, Sequential
from sknpcnn.layers.conv import Conv2D
from sknpcnn.layers.dense import Dense
from sknpcnn.layers.dropout import Dropout
from sknpcnn.layers.norm import BatchNorm
from sknpcnn.layers.parameter import Parameter
from sknpcnn.layers.pool import AvgPool2D, GlobalAvgPool2D, GlobalMaxPool2D, MaxPool2D
from sknpcnn.layers.rectifiers import HardSwish, LeakyReLU, PReLU, ReLU, ReLU6
from sknpcnn.layers.sample_norm import GroupNorm, LayerNorm
from sknpcnn.layers.scale import Scale
from sknpcnn.layers.shape import Flatten, ZeroPad2D
from sknpcnn.layers.squeeze import SqueezeExcite

# The layers, and what is needed to write one.
__all__ = [
    "ELU",
    "GELU",
    "Add",
    "Array",
    "Arrays",
    "AvgPool2D",
    "BatchNorm",
    "Branches",
    "Context",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GroupNorm",
    "HardSwish",
    "Hints",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaxPool2D",
    "PReLU",
    "Parameter",
    "ReLU",
    "ReLU6",
    "Residual",
    "Scale",
    "Sequential",
    "Shape",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "SqueezeExcite",
    "Tanh",
    "ZeroPad2D",
    "batch_axis",
    "image_shape",
    "matrix",
    "per_channel",
    "vector_size",
]
