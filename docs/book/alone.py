"""Runs one layer of the package on its own, as the chapters do to look at its numbers.

In a network, layers are given memory that is used again and again, and threads to share their work.
Here every array is new, and there is one thread: nothing but NumPy stands behind the layer.
"""

import numpy as np


class Alone:
    """What a layer receives beside its input, where no network is around it."""

    training = True
    needs_dx = True
    keeps_cache = True
    weights = None
    first = True

    def __init__(self, samples=1):
        self.samples = samples

    def empty(self, shape, dtype=float, keep=False):
        """Return a new array."""
        return np.empty(shape, dtype)

    output = scratch = empty

    def constant(self, make, *args):
        """Return what a function makes."""
        return make(*args)

    def map(self, task, count, work=None):
        """Run tasks, one after the other."""
        for i in range(count):
            task(i, self.empty)

    def tiles(self, rows, values_per_row, at_least=1):
        """Leave the work in one piece."""
        return [(0, rows)]


def height_first(images):
    """Turn images, (n, h, w) or (n, h, w, c), into the order of the package, (h, w, n, c)."""
    images = images[..., None] if images.ndim == 3 else images
    return np.ascontiguousarray(images.transpose(1, 2, 0, 3))


def forward(layer, x, **params):
    """Run a layer; return its output and what it keeps for ``backward``."""
    samples = x.shape[2] if x.ndim == 4 else len(x)
    return layer.forward(params, x, Alone(samples))


def backward(layer, cache, dy, **params):
    """Run a layer backward; return the gradients of its input and of its parameters, by name."""
    samples = dy.shape[2] if dy.ndim == 4 else len(dy)
    grads = {name: np.empty_like(value) for name, value in params.items()}
    return layer.backward(params, cache, dy, grads, Alone(samples)), grads
