"""The layers: each a frozen dataclass of hyperparameters with pure functions."""

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
from sknpcnn.layers.base import Layer
from sknpcnn.layers.compose import Residual, Sequential
from sknpcnn.layers.conv import Conv2D
from sknpcnn.layers.dense import Dense
from sknpcnn.layers.dropout import Dropout
from sknpcnn.layers.norm import BatchNorm
from sknpcnn.layers.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from sknpcnn.layers.shape import Flatten

__all__ = [
    "ELU",
    "GELU",
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2D",
    "Identity",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Tanh",
]
