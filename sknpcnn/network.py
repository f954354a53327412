"""The network: named layers bound to the shape of an image and to a flat vector of parameters."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np

from sknpcnn.batches import Rows
from sknpcnn.brief import brief, magnitude
from sknpcnn.chunks import cut
from sknpcnn.context import MiniBatch, backward, forward
from sknpcnn.engine import Engine
from sknpcnn.layers import Dense, Flatten, Identity
from sknpcnn.layers.base import Array, Layer, Shape
from sknpcnn.layers.rewriting import drop_flatten
from sknpcnn.layers.steps import Steps, parameters, shapes, with_shapes
from sknpcnn.losses import Loss, measure
from sknpcnn.parallel import whole_batch
from sknpcnn.parameters import Layout
from sknpcnn.plan import Plan, plan

# How many samples are predicted together: enough for the dense layers, little in memory.
PREDICT = 512
# How many numbers a layer may make of one image, or learn: more than that fill any memory.
MOST = 2**40
# From how many samples on it pays to scale the weights instead of what comes out.
FOLD = 16


class LayerSummary(NamedTuple):
    """One row of ``summary()``."""

    name: str
    kind: str
    output_shape: Shape
    parameters: int
    multiply_adds: int


class Network:
    """Layers, and where in a flat vector their parameters lie. It holds no parameters itself."""

    def __init__(
        self, steps: Iterable[tuple[str, Layer]], image: tuple[int, int, int], n_outputs: int
    ) -> None:
        # The input step makes the images; it begins the first stretch, which may be only it.
        self.steps: list[tuple[str, Layer]] = [("input", Identity()), *steps]
        if len(shapes(self.steps, image)[-1]) == 3:
            self.steps.append(("flatten", Flatten()))
        self.steps.append(("output", Dense(n_outputs)))
        self.image = image
        self.widest = max(map(prod, shapes(self.steps, image)))
        self._check_size()
        self.layout = Layout(parameters(self.steps, image))
        self._trained = self._plan(self.steps, training=True)
        self._unfolded, self._folded = (self._plan(self.steps, fold=fold) for fold in (False, True))

    def _check_size(self) -> None:
        """Refuse what no computer has room for, before the training data are looked at."""
        for name, layer, shape in with_shapes(self.steps, self.image):
            learned = sum(p.size for p in layer.parameters(shape).values())
            made = prod(layer.output_shape(shape))
            if max(learned, made) > MOST:
                raise ValueError(
                    f"layer {brief(name)}: {brief(layer)} has {magnitude(learned)} parameters and "
                    f"makes {magnitude(made)} numbers of one image of shape {shape}; needed: "
                    f"no more than {MOST:.3g}. Use fewer filters (conv_filters) or units "
                    "(hidden_layer_sizes), a smaller kernel, less padding, or pool before it."
                )

    @contextmanager
    def explaining_memory(self) -> Iterator[None]:
        """Have an error of memory say which layer learns the most, and what to do about it."""
        try:
            yield
        except MemoryError as error:
            most = max(self.summary(), key=lambda row: row.parameters)
            layer = dict(self.steps)[most.name]
            raise ValueError(
                f"The network has {magnitude(self.layout.size)} parameters, "
                f"{magnitude(most.parameters)} of them in the layer {brief(most.name)}: "
                f"{brief(layer)}, for which there is no memory; needed: some "
                "four times as much as they take. Use fewer filters (conv_filters) or units "
                "(hidden_layer_sizes), or pool before it."
            ) from error

    def logits(self, theta: Array, rows: Rows, engine: Engine, at_once: int | None = None) -> Array:
        """Compute the outputs of the network for all rows, (n, outputs), some at a time."""
        pays = len(rows) >= FOLD or engine.derived is not None
        planned = self._folded if pays else self._unfolded
        return self._predict(*planned, theta, rows, engine, at_once)

    def outputs(
        self, theta: Array, rows: Rows, engine: Engine, at_once: int | None, last: str
    ) -> Array:
        """Compute what comes out of a layer for all rows, (n, features)."""
        n_steps = [name for name, _ in self.steps].index(last) + 1
        planned = self._plan(self.steps[:n_steps], fold=len(rows) >= FOLD)
        return self._predict(*planned, theta, rows, engine, at_once)

    def _plan(self, steps: Steps, training: bool = False, fold: bool = False) -> tuple[Plan, bool]:
        """Plan how to run layers, and whether they are given rows that do not become images."""
        steps, flat = drop_flatten(steps)
        shape = (prod(self.image),) if flat else self.image
        return plan(steps, shape, training, fold=fold), flat

    def _predict(
        self, plan: Plan, flat: bool, theta: Array, rows: Rows, engine: Engine, at_once: int | None
    ) -> Array:
        engine.tapes.register(theta=theta)
        views = self.layout.views(theta)
        params = engine.derive("folded", lambda room: plan.fold_parameters(views, room.empty))
        parts = []
        for lo, hi in cut(len(rows), min(at_once or PREDICT, PREDICT)):
            index = _part(rows.index, lo, hi)
            part = Rows(rows.X, rows.image, rows.standard, index, flat=flat)
            place = whole_batch(engine, MiniBatch(hi - lo, training=False))
            with np.errstate(all="ignore"):
                y, _ = forward(plan, params, part, place)
            if y.ndim == 4:
                y = y.transpose(2, 0, 1, 3)
            parts.append(y.reshape(hi - lo, -1).copy())
        return np.concatenate(parts)

    def learn(
        self,
        theta: Array,
        grad: Array,
        rows: Rows,
        targets: Array,
        weights: Array | None,
        engine: Engine,
        loss: Loss,
        key: int = 0,
        identify: Callable[[], Array] | None = None,
    ) -> tuple[float, Array]:
        """Write the gradient of the mean loss of a mini-batch; return its summed loss and outputs.

        ``identify`` computes the hashes of its samples, which random numbers depend on.
        """
        engine.tapes.register(theta=theta, grad=grad)
        params, grads = self.layout.views(theta), self.layout.views(grad)
        shares = (
            None if weights is None else weights / weights.mean()
        )  # of a size that fits float32
        batch = MiniBatch(len(rows), True, key, shares, identify)
        place = whole_batch(engine, batch)
        plan, flat = self._trained
        with np.errstate(all="ignore"):  # the loss shows what is not finite
            x = replace(rows, flat=flat).augmented(place)
            y, caches = forward(plan, params, x, place)
            total, gradient = measure(loss, y, targets, weights)
            outputs = y.copy()
            backward(plan, params, caches, gradient, grads, place)
        return total, outputs

    def summary(self) -> list[LayerSummary]:
        """Describe every layer."""
        return [
            LayerSummary(
                name,
                type(layer).__name__,
                layer.output_shape(shape),
                sum(p.size for p in layer.parameters(shape).values()),
                layer.multiply_adds(shape),
            )
            for name, layer, shape in with_shapes(self.steps[1:], self.image)
        ]


def _part(index: Array | slice, lo: int, hi: int) -> Array | slice:
    if isinstance(index, slice):
        return slice((index.start or 0) + lo, (index.start or 0) + hi)
    return index[lo:hi]
