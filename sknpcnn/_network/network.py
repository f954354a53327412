"""The network binds named layers to the shape of an image and to a flat vector of parameters."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np

from sknpcnn._engine.context import MiniBatch, backward, forward
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.parallel import whole_batch
from sknpcnn._engine.plan import Plan, plan
from sknpcnn._network.batches import Rows
from sknpcnn._network.gradient import Gradient, elements
from sknpcnn._network.parameters import Layout
from sknpcnn._network.prediction import Prediction, may_share, predict
from sknpcnn._values.brief import brief, magnitude
from sknpcnn.layers import Dense, Flatten, Identity
from sknpcnn.layers.base import Array, Layer, Shape
from sknpcnn.layers.rewriting import drop_flatten
from sknpcnn.layers.steps import Steps, parameters, shapes, with_shapes
from sknpcnn.losses import Loss, measure

MAX_LAYER_SIZE = 2**40
"""The most elements in a layer's output for one image, or in its parameters."""
MIN_ROWS_TO_FOLD = 16
"""The fewest samples for which folding batch normalization into the weights saves time."""


class LayerSummary(NamedTuple):
    """One row of ``summary()``."""

    name: str
    kind: str
    output_shape: Shape
    parameters: int
    multiply_adds: int


class Network:
    """Named layers, and the layout of their parameters in a flat vector, which it does not hold."""

    def __init__(
        self, steps: Iterable[tuple[str, Layer]], image: tuple[int, int, int], n_outputs: int
    ) -> None:
        # The input layer makes the images; it starts the first segment, perhaps the only one.
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
        """Raise if a layer is too large for any memory, before the training data are processed."""
        for name, layer, shape in with_shapes(self.steps, self.image):
            n_parameters = sum(p.size for p in layer.parameters(shape).values())
            n_outputs = prod(layer.output_shape(shape))
            if max(n_parameters, n_outputs) > MAX_LAYER_SIZE:
                raise ValueError(
                    f"layer {brief(name)}: {brief(layer)} has {magnitude(n_parameters)} parameters "
                    f"and {magnitude(n_outputs)} outputs for one image of shape {shape}; needed: "
                    f"no more than {MAX_LAYER_SIZE:.3g}. Use fewer filters (conv_filters) or units "
                    "(hidden_layer_sizes), a smaller kernel, less padding, or pool before it."
                )

    @contextmanager
    def explaining_memory_errors(self) -> Iterator[None]:
        """Replace a MemoryError by an error that names the largest layer, and says what to do."""
        try:
            yield
        except MemoryError as error:
            largest = max(self.summary(), key=lambda row: row.parameters)
            layer = dict(self.steps)[largest.name]
            raise ValueError(
                f"The network has {magnitude(self.layout.size)} parameters, "
                f"{magnitude(largest.parameters)} of them in the layer {brief(largest.name)}: "
                f"{brief(layer)}. There is not enough memory; needed: about four times the size of "
                "the parameters. Use fewer filters (conv_filters) or units "
                "(hidden_layer_sizes), or pool before it."
            ) from error

    def logits(
        self, theta: Array, rows: Rows, engine: Engine, batch_size: int | None = None
    ) -> Array:
        """Compute the outputs of the network for all rows, (n, outputs), on an engine's threads."""
        return predict(self.prediction(theta, rows, engine), batch_size, engine)

    def prediction(
        self, theta: Array, rows: Rows, engine: Engine, layer: str | None = None
    ) -> Prediction:
        """Plan the prediction of rows, up to the output of a layer if one is named."""
        fold = len(rows) >= MIN_ROWS_TO_FOLD or engine.derived is not None
        if layer is None:
            plan, flat = self._folded if fold else self._unfolded
        else:
            n_steps = [name for name, _ in self.steps].index(layer) + 1
            plan, flat = self._plan(self.steps[:n_steps], fold=fold)
        return Prediction(plan, self.layout, theta, replace(rows, flat=flat))

    def gradient(self, layer: str | None = None) -> Gradient:
        """Plan the gradient with respect to the images, or to the output of a layer."""
        found = shapes(self.steps, self.image)
        (n_outputs,) = found[-1]
        if layer is None:
            tail, flat = self._plan(self.steps, needs_dx=True)
            return Gradient(None, tail, self.layout, flat, (prod(self.image),), n_outputs)
        n_steps = [name for name, _ in self.steps].index(layer) + 1
        head, flat = self._plan(self.steps[:n_steps])
        shape = found[n_steps]
        tail = plan(self.steps[n_steps:], shape, training=False, needs_dx=True)
        return Gradient(head, tail, self.layout, flat, shape, n_outputs)

    def _plan(
        self, steps: Steps, training: bool = False, fold: bool = False, needs_dx: bool = False
    ) -> tuple[Plan, bool]:
        """Plan how to run layers; return also whether they get flat rows instead of images."""
        steps, flat = drop_flatten(steps)
        shape = (prod(self.image),) if flat else self.image
        return plan(steps, shape, training, fold=fold, needs_dx=needs_dx), flat

    @property
    def elements(self) -> int:
        """How many values a gradient keeps for one image: the outputs of all layers."""
        return elements(self.steps, self.image)

    @property
    def may_share(self) -> bool:
        """Whether processes may train it together."""
        return may_share(self._trained[0])

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
        """Compute the gradient of the mean loss of a mini-batch; return its total loss and outputs.

        ``identify`` returns the hashes of its samples, which random values depend on.
        """
        engine.tapes.register(theta=theta, grad=grad)
        params, grads = (engine.views(self.layout, vector) for vector in (theta, grad))
        # of a magnitude that float32 can represent
        shares = None if weights is None else weights / weights.mean()
        batch = MiniBatch(len(rows), True, key, shares, identify)
        ctx = whole_batch(engine, batch)
        plan, flat = self._trained
        with np.errstate(all="ignore"):  # the caller checks that the loss is finite
            x = replace(rows, flat=flat).augmented(ctx)
            y, caches = forward(plan, params, x, ctx)
            total, gradient = measure(loss, y, targets, weights)
            outputs = y.copy()
            backward(plan, params, caches, gradient, grads, ctx)
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
