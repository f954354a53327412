"""The borders that our layers put around images, which other libraries have to be told."""

from sknpcnn.layers import Conv2D, MaxPool2D
from sknpcnn.layers.conv import axes
from sknpcnn.layers.pool import window_and_stride
from sknpcnn.spec import as_pair

Pads = tuple[tuple[int, int], tuple[int, int]]


def pads_of(layer: Conv2D | MaxPool2D, shape: tuple[int, ...]) -> Pads:
    """Return (top, bottom), (left, right)."""
    if isinstance(layer, Conv2D):
        sizes = (layer.kernel_size, layer.stride, layer.dilation)
        (rows, _), (columns, _) = axes(layer, shape, *(as_pair(size) for size in sizes))
    else:
        (rows, _), (columns, _) = axes(layer, shape, *window_and_stride(layer))
    return tuple(rows), tuple(columns)
