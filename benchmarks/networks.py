"""The networks that are measured, defined once, and random data for them."""

from math import prod

import numpy as np

from sknpcnn._network.network import Network
from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
)
from sknpcnn.spec import named

CLASSES = 10
MNIST, CIFAR, DIGITS = (28, 28, 1), (32, 32, 3), (8, 8, 1)
PHOTO, LARGER, LARGE = (64, 64, 3), (96, 96, 3), (128, 128, 3)


def conv(filters: int, kernel_size: int = 3, padding: str = "same") -> list[Layer]:
    return [Conv2D(filters, kernel_size, padding=padding), ReLU()]


def normed(filters: int) -> list[Layer]:
    return [Conv2D(filters), BatchNorm(), ReLU()]


def dense(units: int) -> list[Layer]:
    return [Dense(units), ReLU()]


def block(filters: int, stride: int = 1) -> list[Layer]:
    """Make a residual block, which halves the image if its stride is 2."""
    first = Conv2D(filters, stride=stride, padding=1, bias=False)
    second = Conv2D(filters, padding=1, bias=False)
    layers = [first, BatchNorm(), ReLU(), second, BatchNorm()]
    shortcut = None if stride == 1 else Conv2D(filters, 1, stride=stride)
    return [Residual(layers, shortcut), ReLU()]


POOL = [MaxPool2D()]
OVERLAPPING = [MaxPool2D(3, stride=2, padding="same")]
FLAT: list[Layer] = [Flatten()]

# Without the dense layer of ten outputs that every network ends in.
NETWORKS: dict[str, tuple[tuple[int, int, int], list[Layer]]] = {
    "A": (MNIST, conv(32, 5) + POOL + conv(64, 5) + POOL + FLAT + dense(1024)),
    "B": (MNIST, conv(32, 3, "valid") + conv(64, 3, "valid") + POOL + FLAT + dense(128)),
    "C": (MNIST, conv(16) + POOL + conv(16) + POOL + FLAT + dense(64)),
    "D": (CIFAR, conv(8) + POOL + conv(16) + conv(32) + POOL + FLAT + dense(64)),
    "E": (
        MNIST,
        conv(16) + OVERLAPPING + conv(32) + OVERLAPPING + conv(64) + FLAT + dense(100),
    ),
    "F": (
        CIFAR,
        2 * normed(64) + POOL + 2 * normed(128) + POOL + normed(256) + [GlobalAvgPool2D()],
    ),
    # Unlike the others: large kernels and 1x1 on small maps of odd sizes; residual blocks as in
    # ResNet-8; larger images with unusual numbers of channels.
    "G": (
        MNIST,
        conv(4, 7, "valid")
        + POOL
        + normed(32)
        + conv(32, 1)
        + conv(48, 5)
        + POOL
        + FLAT
        + dense(64),
    ),
    "R": (
        CIFAR,
        normed(16) + block(16) + block(32, 2) + block(64, 2) + [GlobalAvgPool2D()],
    ),
    "P": (PHOTO, conv(24, 5) + POOL + conv(40) + POOL + conv(40) + POOL + FLAT + dense(96)),
    # Larger images, for the table of what takes the time; they do not count in the means either.
    "H": (
        LARGER,
        normed(24) + POOL + block(24) + POOL + block(48, 2) + [GlobalAvgPool2D()],
    ),
    "L": (
        LARGE,
        conv(16) + POOL + conv(16) + POOL + 2 * (conv(32) + POOL) + FLAT + dense(64),
    ),
    # The classifier's default network on images as small as scikit-learn's digits: here the
    # overhead of a mini-batch shows. It does not count in the means.
    "S": (DIGITS, conv(16) + POOL + conv(32) + POOL + FLAT + dense(100)),
}


def network(name: str) -> Network:
    """Make one of the networks."""
    image, layers = NETWORKS[name]
    return Network(named(layers), image, CLASSES)


def parameters(network: Network, dtype: type = np.float32, seed: int = 0) -> np.ndarray:
    """Draw parameters as training starts with, but with biases and averages off their start."""
    theta = network.layout.start(seed, np.float64)
    rng = np.random.default_rng(seed)
    for name, parameter in network.layout.parameters.items():
        if parameter.fan_in is None:
            theta[network.layout.slices[name]] += rng.uniform(0.0, 0.2, parameter.size)
    return theta.astype(dtype)


def data(
    image: tuple[int, int, int], n: int, dtype: type = np.float32, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw n images (n, h, w, c) and their classes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, prod(image)), np.float32).astype(dtype, copy=False)
    return X.reshape(n, *image), np.arange(n) % CLASSES
