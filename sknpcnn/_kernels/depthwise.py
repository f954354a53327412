"""Depthwise convolution: each channel is convolved with a kernel of its own.

There is nothing to sum over channels, so there are no matrix products: the output is the sum of
shifted images, each times one number per channel. With an array operation for each pixel of the
kernel, every image would be read and written nine times and more. ``einsum`` does it all in one
call: it takes a run of output pixels, and adds to it what all pixels of the kernel contribute,
before it goes on. A run is a few pixels of all images, side by side, so that the numbers of the
kernel are repeated for each of them. A kernel is ``(kh, kw, 1, channels, 1)``, that of ``grouped``
with groups of one channel.
"""

import numpy as np

from sknpcnn._kernels.windows import Empty, Window, pad, strided

RUN = 2048
"""The most elements of a run: long enough that calls do not matter, while the numbers of a kernel,
repeated, stay in the cache. With runs of 256 a convolution took half as long again."""


def prepare(W: np.ndarray, window: Window, empty: Empty = np.empty) -> np.ndarray:
    """View the kernel as one row of numbers per pixel: (kh, kw, channels)."""
    return W.reshape(*W.shape[:2], -1)


def workspace_size(window: Window, shape: tuple[int, int, int], filters: int) -> int:
    """Count the temporary elements for one image (h, w, c)."""
    h, w, c = shape
    return (h * w + window.size[0] * window.size[1] * window.outputs[1]) * c


def correlate(
    x: np.ndarray,
    kernel: np.ndarray,
    window: Window,
    empty: Empty = np.empty,
    scratch: Empty = np.empty,
) -> np.ndarray:
    """Slide the prepared kernel over x (h, w, n, c): (ho, wo, n, c)."""
    (ho, wo), (n, channels) = window.outputs, x.shape[2:]
    pixels = _pixels_of_a_run(window, n * channels)
    factors = repeated(kernel, pixels * n, scratch).reshape(*window.size, -1)
    y = empty((ho, wo, n, channels), x.dtype)
    runs = y.reshape(ho, wo // pixels, -1)
    np.einsum("ijrsk,ijk->rsk", _shifted(x, window, pixels, scratch), factors, out=runs)
    return y


def kernel_gradient(
    x: np.ndarray, dy: np.ndarray, window: Window, dW: np.ndarray, scratch: Empty = np.empty
) -> None:
    """Write the gradient of the kernel into ``dW``: sums of columns first, for their digits."""
    (ho, wo), (n, channels) = window.outputs, dy.shape[2:]
    sums = scratch((*window.size, wo, n * channels), dy.dtype)
    runs = dy.reshape(ho, wo, -1)
    np.einsum("ijrsk,rsk->ijsk", _shifted(x, window, 1, scratch), runs, out=sums)
    parts = sums.reshape(*window.size, wo * n, channels)
    np.add.reduce(parts, axis=2, out=dW.reshape(*window.size, channels))


def repeated(kernel: np.ndarray, n: int, scratch: Empty) -> np.ndarray:
    """Repeat the numbers of each pixel for all images: (kh, kw, channels) -> (kh, kw, n, c)."""
    factors = scratch((*kernel.shape[:2], n, kernel.shape[2]), kernel.dtype)
    factors[...] = kernel[:, :, None]
    return factors


def _pixels_of_a_run(window: Window, pixel: int) -> int:
    """Choose how many pixels of a row make a run: pixels that are read side by side."""
    wo = window.outputs[1]
    most = RUN // pixel if window.stride[1] == 1 else 1
    return next(m for m in range(min(max(most, 1), wo), 0, -1) if wo % m == 0)


def _shifted(x: np.ndarray, window: Window, pixels: int, scratch: Empty) -> np.ndarray:
    """View the padded images as each pixel of the kernel sees them: (kh, kw, ho, runs, run)."""
    x = pad(x, window.pads, 0.0, scratch)
    pixel, row = x[0, 0].size, x[0].size
    down, along = window.dilation[0] * row, window.dilation[1] * pixel
    strides = (down, along, window.stride[0] * row, window.stride[1] * pixels * pixel, 1)
    (ho, wo), run = window.outputs, pixels * pixel
    return strided(x, (*window.size, ho, wo // pixels, run), strides)
