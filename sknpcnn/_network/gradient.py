"""Gradients of what a network predicts, with respect to its input or to the output of a layer.

Its layers run as in prediction, with running averages and without dropout, but keep what backward
needs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from sknpcnn._engine.chunks import cut
from sknpcnn._engine.context import MiniBatch, backward, forward
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.parallel import whole_batch
from sknpcnn._engine.plan import Plan
from sknpcnn._network.batches import Array, Rows
from sknpcnn._network.parameters import Layout
from sknpcnn.layers.base import Shape
from sknpcnn.layers.steps import Steps, with_shapes

GRADIENT_BATCH = 64
"""The most samples at once: the outputs of all layers are kept for them, as in training."""


@dataclass(frozen=True)
class Gradient:
    """A network that is cut in two: the gradient is that of the input of the second part."""

    head: Plan | None
    """The layers before the cut; None if the network is not cut, but differentiated as a whole."""
    tail: Plan
    layout: Layout
    flat: bool
    """Whether the first layer takes rows instead of images."""
    shape: Shape
    """Of the gradient for one sample."""
    n_outputs: int

    def compute(
        self,
        theta: Array,
        rows: Rows,
        slope: Callable[[Array, slice], Array],
        engine: Engine,
        batch_size: int,
    ) -> tuple[Array, Array]:
        """Compute the gradient for all rows, (n, ...); also return the outputs, (n, outputs).

        ``slope(outputs, part)`` returns the gradient with respect to the outputs of some rows.
        """
        n, grad = len(rows), np.empty_like(theta)
        engine.tapes.register(theta=theta, grad=grad)
        params, grads = (engine.views(self.layout, vector) for vector in (theta, grad))
        gradient = np.empty((n, *self.shape), theta.dtype)
        outputs = np.empty((n, self.n_outputs), theta.dtype)
        for lo, hi in cut(n, min(batch_size, GRADIENT_BATCH)):
            x: Any = replace(rows.part(lo, hi), flat=self.flat)
            if self.head is not None:
                ctx = whole_batch(engine, MiniBatch(hi - lo, training=False))
                x = forward(self.head, params, x, ctx)[0].copy()
            ctx = whole_batch(engine, MiniBatch(hi - lo, training=False, keeps_cache=True))
            outputs[lo:hi], caches = forward(self.tail, params, x, ctx)
            dy = slope(outputs[lo:hi], slice(lo, hi))
            dx = backward(self.tail, params, caches, dy, grads, ctx)
            if dx is None:
                raise ValueError(
                    "A layer of your own returns no gradient of its input, although ctx.needs_dx "
                    "is True. sknpcnn.testing.check_layer tells more."
                )
            dx = dx.transpose(2, 0, 1, 3) if dx.ndim == 4 else dx
            gradient[lo:hi] = dx.reshape(hi - lo, *self.shape)
        if self.head is None and rows.standard is not None:
            flat = gradient.reshape(n, -1)
            flat *= rows.standard.of_rows(flat.shape[1])[1]
        return gradient, outputs


def elements(steps: Steps, shape: Shape) -> int:
    """Count the values that are kept for one sample: the outputs of all layers, nested ones too."""
    total = 0
    for _, layer, s in with_shapes(steps, shape):
        total += prod(layer.output_shape(s))
        total += sum(elements(branch, s) for branch in layer.branches)
    return total
