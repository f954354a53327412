"""Our networks as PyTorch modules: layer by layer, and the parameters both ways."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

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
    Residual,
)
from sknpcnn.layers.pool import window_and_stride
from sknpcnn.layers.steps import Steps, with_shapes

from .geometry import pads_of

NAMES = {
    Conv2D: {"W": "weight", "b": "bias"},
    Dense: {"W": "weight", "b": "bias"},
    BatchNorm: {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"},
}


class PaddedMaxPool2d(nn.Module):
    """Pooling with a border that may differ from side to side, as "same" asks for."""

    def __init__(self, size: tuple, stride: tuple, pads: tuple) -> None:
        super().__init__()
        (top, bottom), (left, right) = pads
        self.size, self.stride, self.pads = size, stride, (left, right, top, bottom)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(x, self.pads, value=float("-inf"))
        return functional.max_pool2d(padded, self.size, self.stride)


class Sum(nn.Module):
    """The sum of some layers and a shortcut."""

    def __init__(self, layer: Residual, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.through, self.around = (_sequence(steps, shape) for steps in layer.branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.through(x) + self.around(x)


def _sequence(steps: Steps, shape: tuple[int, ...]) -> nn.Sequential:
    module = nn.Sequential()
    for name, layer, s in with_shapes(steps, shape):
        module.add_module(name, _module(layer, s))
    return module


def module_of(network: Network, theta: np.ndarray) -> nn.Sequential:
    """Make the same network, with the same parameters, for images (n, c, h, w)."""
    module = _sequence(network.steps, network.image)
    module.to(torch.from_numpy(theta).dtype)
    arrays = dict(network.layout.arrays(theta))
    with torch.no_grad():
        for name, tensor, image in _tensors(network, module):
            tensor.copy_(torch.from_numpy(_to_torch(arrays[name], image)))
    return module


def arrays_of(
    network: Network, module: nn.Sequential, gradients: bool = False
) -> dict[str, np.ndarray]:
    """Read a module's parameters, or their gradients, named and shaped as ours."""
    shapes = network.layout.parameters
    found = {}
    for name, tensor, image in _tensors(network, module):
        if gradients and not isinstance(tensor, nn.Parameter):
            continue
        values = (tensor.grad if gradients else tensor).detach().numpy()
        found[name] = _from_torch(values, shapes[name].shape, image)
    return found


def _module(layer: Layer, shape: tuple[int, ...]) -> nn.Module:
    if isinstance(layer, Conv2D):
        (top, bottom), (left, right) = pads_of(layer, shape)
        if (top, left) != (bottom, right):
            raise NotImplementedError(f"{layer!r}: a border that differs from side to side")
        kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
        return nn.Conv2d(
            shape[2],
            layer.filters,
            kernel,
            stride,
            (top, left),
            dilation,
            layer.groups,
            layer.bias is True,
        )
    if isinstance(layer, Residual):
        return Sum(layer, shape)
    if isinstance(layer, MaxPool2D):
        window, stride = window_and_stride(layer)
        pads = pads_of(layer, shape)
        if pads == ((0, 0), (0, 0)):
            return nn.MaxPool2d(window, stride)
        return PaddedMaxPool2d(window, stride, pads)
    if isinstance(layer, BatchNorm):
        kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        return kind(shape[-1], layer.epsilon, 1 - layer.momentum)
    if isinstance(layer, Dense):
        return nn.Linear(shape[0], layer.units, layer.bias)
    if isinstance(layer, GlobalAvgPool2D):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return {Identity: nn.Identity, ReLU: nn.ReLU, Flatten: nn.Flatten}[type(layer)]()


def _tensors(
    network: Network, module: nn.Sequential
) -> Iterator[tuple[str, torch.Tensor, tuple[int, ...] | None]]:
    """Name each tensor as we do; with it the image that a dense layer sees flattened, if it does.

    We flatten images in the order (h, w, c), PyTorch in the order (c, h, w).
    """
    yield from _tensors_of(network.steps, network.image, module, "")


def _tensors_of(
    steps: Steps, start: tuple[int, ...], module: nn.Module, prefix: str
) -> Iterator[tuple[str, torch.Tensor, tuple[int, ...] | None]]:
    image = None
    for name, layer, shape in with_shapes(steps, start):
        if isinstance(layer, Flatten):
            image = shape
            continue
        if isinstance(layer, Residual):
            own = getattr(module, name)
            for part, steps_in in zip((own.through, own.around), layer.branches, strict=True):
                yield from _tensors_of(steps_in, shape, part, f"{prefix}{name}.")
            continue
        learned = layer.parameters(shape)
        for ours, theirs in NAMES.get(type(layer), {}).items():
            if ours not in learned:
                continue
            flattened = image if isinstance(layer, Dense) and ours == "W" else None
            yield f"{prefix}{name}.{ours}", getattr(getattr(module, name), theirs), flattened
        if isinstance(layer, Dense):
            image = None


def _to_torch(array: np.ndarray, image: tuple[int, ...] | None) -> np.ndarray:
    if array.ndim == 4:  # (kh, kw, in, out) to (out, in, kh, kw)
        return array.transpose(3, 2, 0, 1).copy()
    if array.ndim == 2 and image is not None:
        return array.reshape(*image, -1).transpose(3, 2, 0, 1).reshape(array.shape[1], -1)
    return array.T.copy()


def _from_torch(
    array: np.ndarray, shape: tuple[int, ...], image: tuple[int, ...] | None
) -> np.ndarray:
    if len(shape) == 4:
        return array.transpose(2, 3, 1, 0)
    if image is not None:
        h, w, c = image
        return array.reshape(-1, c, h, w).transpose(2, 3, 1, 0).reshape(shape)
    return array.T.reshape(shape)
