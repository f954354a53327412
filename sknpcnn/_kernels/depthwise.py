"""Depthwise convolution: each channel is convolved with a kernel of its own.

There is nothing to sum over channels, so there are no matrix products: the output is the sum of
shifted images, each times one number per channel. With an array operation for each pixel of the
kernel, every image would be read and written nine times and more. ``einsum`` does it all in one
call: it takes a run of output pixels, and adds to it what all pixels of the kernel contribute,
before it goes on. Runs are as long as one pixel of all images, so that the numbers of the kernel
are repeated for each image. A kernel is ``(kh, kw, 1, channels, 1)``, that of ``grouped`` with
groups of one channel.
"""

import numpy as np

from sknpcnn._kernels.windows import Empty, Window, pad, strided


def prepare(W: np.ndarray, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """View the kernel as one row of numbers per pixel: (kh, kw, channels)."""
    return W.reshape(*W.shape[:2], -1)


def workspace_size(window: Window, shape: tuple[int, int, int], filters: int) -> int:
    """Count the temporary elements for one image (h, w, c)."""
    h, w, c = shape
    return h * w * c


def correlate(
    x: np.ndarray,
    kernel: np.ndarray,
    window: Window,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Slide the prepared kernel over x (h, w, n, c): (ho, wo, n, c)."""
    n, channels = x.shape[2:]
    factors = repeated(kernel, n, scratch).reshape(*window.size, -1)
    y = empty((*window.outputs, n, channels), x.dtype)
    runs = y.reshape(*window.outputs, -1)
    np.einsum("ijrsk,ijk->rsk", _shifted(x, window, scratch), factors, out=runs)
    return y


def kernel_gradient(
    x: np.ndarray, dy: np.ndarray, window: Window, dW: np.ndarray, scratch: Empty = np.empty
) -> None:
    """Write the gradient of the kernel into ``dW``: sums by row first, which lose fewer digits."""
    (ho, wo), (n, channels) = window.outputs, dy.shape[2:]
    sums = scratch((ho, *window.size, n * channels), dy.dtype)
    runs = dy.reshape(ho, wo, -1)
    np.einsum("ijrsk,rsk->rijk", _shifted(x, window, scratch), runs, out=sums)
    of_images = scratch((*window.size, n * channels), dy.dtype)
    np.add.reduce(sums, axis=0, out=of_images)
    parts = of_images.reshape(*window.size, n, channels)
    np.add.reduce(parts, axis=2, out=dW.reshape(*window.size, channels))


def repeated(kernel: np.ndarray, n: int, scratch: Empty) -> np.ndarray:
    """Repeat the numbers of each pixel for all images: (kh, kw, channels) -> (kh, kw, n, c)."""
    factors = scratch((*kernel.shape[:2], n, kernel.shape[2]), kernel.dtype)
    factors[...] = kernel[:, :, None]
    return factors


def _shifted(x: np.ndarray, window: Window, scratch: Empty) -> np.ndarray:
    """View the padded images as each pixel of the kernel sees them: (kh, kw, ho, wo, n * c)."""
    x = pad(x, window.pads, 0.0, scratch)
    pixel, row = x[0, 0].size, x[0].size
    down, along = window.dilation[0] * row, window.dilation[1] * pixel
    strides = (down, along, window.stride[0] * row, window.stride[1] * pixel, 1)
    return strided(x, (*window.size, *window.outputs, pixel), strides)
