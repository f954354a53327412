"""Initializes the parameters: signals of equal size in all layers, and constant predictions.

A network learns fast if at first every layer preserves the size of its input, and if the loss is
that of predicting the frequencies of the classes. Fixed formulas for the size of random weights
(Glorot and Bengio 2010, He et al. 2015) do not account for pooling, most activations, or images of
similar pixels; their errors multiply from layer to layer. So the weights are drawn by such a
formula, and then scaled by measurement: a few training images are passed through the layers, and
the weights of each layer are divided by the size of its output (LSUV, Mishkin and Matas 2016).
Three things are added:

* The output of a rectifier or sigmoid has a mean, which is the same for all images and soon
  dominates their differences. After the first layer, the weights of a unit therefore start with a
  sum of zero (Brock et al. 2021), which cancels this mean.
* A residual block adds the output of its layers to its input. So that the sum does not grow from
  block to block, a block starts close to the identity (Goyal et al. 2017, Zhang et al. 2019), but
  not exactly: after a rectifier, weights of zero would never learn.
* The output layer starts with weights near zero, and with the best constant as bias: the
  logarithms of the classes' frequencies, or the mean of real targets.

The images are chosen by their content, so that the order of samples, copies and weights do not
matter. They are processed by one thread in one batch, so that the bits are always the same.
"""

from collections import defaultdict
from dataclasses import replace
from itertools import accumulate
from operator import add
from typing import Any

import numpy as np

from sknpcnn._engine.chunks import sample_shape
from sknpcnn._engine.context import MiniBatch, forward
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.parallel import whole_batch
from sknpcnn._engine.plan import plan
from sknpcnn._kernels.randomness import keyed
from sknpcnn._network.batches import Array, Rows
from sknpcnn._network.network import Network
from sknpcnn._network.samples import Samples, content_ids
from sknpcnn._network.standard import Standard
from sknpcnn.layers import (
    Add,
    BatchNorm,
    Branches,
    GroupNorm,
    LayerNorm,
    Residual,
    Sequential,
    SqueezeExcite,
)
from sknpcnn.layers.base import Arrays, Layer
from sknpcnn.layers.steps import Steps

# The number of images measured, limited also by the elements of the largest layer's output.
MAX_IMAGES, MIN_IMAGES, MAX_ELEMENTS = 256, 8, 2**22
# The target for the mean square of each layer's output. 0.25 learned faster than 0.5 or 1: a step
# changes small weights more, even where batch normalization cancels their size.
MEAN_SQUARE = 0.25
# How often weights are scaled at most, the ratio to the target size that ends this, and the largest
# ratio that is accepted after it.
MAX_ITERATIONS, TOLERANCE, MAX_RATIO = 5, 1.05, 2.0
# The size of a residual block's branch relative to its skip connection.
BRANCH_SCALE = 0.1
# The size of the logits relative to other layers' outputs. Their mean square of 0.01 raises the
# first loss by less than 1 % of the entropy; with zero, the hidden layers would not learn in the
# first steps, which costs a short training some percent of its accuracy.
LOGIT_SCALE = 0.14
# The most pixels by which images are compared, and the rounding steps per standard deviation.
MAX_COMPARED_PIXELS, STEPS_PER_DEVIATION = 256, 16
# The sum of weights of units with fewer inputs is kept: removing it would change too much.
MIN_INPUTS_TO_CENTER = 8


@np.errstate(all="ignore")  # weights whose outputs are not finite are not scaled
def initial_parameters(
    network: Network,
    samples: Samples,
    standard: Standard | None,
    seed: int,
    dtype: Any,
    constant: Array,
) -> Array:
    """Return the initial parameters, with ``constant`` as the bias of the output layer."""
    theta = network.layout.start(seed, dtype)
    n = min(max(MAX_ELEMENTS // network.widest, MIN_IMAGES), MAX_IMAGES)
    index = _choose_images(samples, standard, n, seed)
    rows = Rows(samples.X, network.image, standard, index)
    with Engine(1, dtype) as engine:
        scaler = _WeightScaler(network, theta, engine, len(index))
        logits = scaler.scale_layers(network.steps, rows)
    output = network.layout.views(theta)["output"]
    size = _relative_size(logits)
    output["W"] *= LOGIT_SCALE / size if 0 < size < np.inf else 0
    output["b"][...] = constant
    return theta


def _choose_images(samples: Samples, standard: Standard | None, n: int, seed: int) -> Array:
    """Choose distinct samples by content, so that order, copies and weights do not matter.

    Standardized pixels are rounded, so that their scale and offset do not matter either. Only some
    of the pixels are compared, as hashing all of a large file would take long.
    """
    features = samples.X.shape[1]
    subset = slice(None, None, max(features // MAX_COMPARED_PIXELS, 1))
    reduced = replace(samples, X=samples.X[:, subset])
    if standard is None:
        ids = content_ids(reduced)
    else:
        mean, scale = (a[subset] for a in standard.of_rows(features))
        resolution = STEPS_PER_DEVIATION * scale.astype(np.float64)
        ids = content_ids(reduced, lambda rows: np.rint((rows - mean) * resolution))
    _, first = np.unique(keyed(ids, seed), return_index=True)
    return samples.index[first[:n]]


class _WeightScaler:
    """Passes a few images through the layers, and scales the weights of each on the way."""

    def __init__(self, network: Network, theta: Array, engine: Engine, n: int) -> None:
        parameters = network.layout.parameters.items()
        self._inputs = {name: p.fan_in for name, p in parameters if p.fan_in is not None}
        self._random: dict[tuple[str, ...], list[str]] = defaultdict(list)
        """The randomly drawn parameters in each layer, by its path."""
        for name in self._inputs:
            for path in accumulate(((part,) for part in name.split(".")[:-1]), add):
                self._random[path].append(name)
        self._arrays = dict(network.layout.arrays(theta))
        self._params = network.layout.views(theta)
        self._engine, self._n = engine, n
        self._first = True

    def scale_layers(self, steps: Steps, x: Any, path: tuple[str, ...] = ()) -> Any:
        """Scale weights so that the outputs of all layers have the same size; return the last."""
        for name, layer in steps:
            place = (*path, name)
            if type(layer) is Sequential:  # subclasses may do anything
                x = self.scale_layers(layer.layers, x, place)
            elif type(layer) is Residual:
                x = self._scale_residual(layer, x, place)
            elif type(layer) in (Add, Branches):
                x = self._scale_branches(layer, x, place)
            else:
                x = self._scale_layer(layer, x, place)
        return x

    def _scale_residual(self, block: Residual, x: Any, path: tuple[str, ...]) -> Array:
        branch, skip = (self.scale_layers(steps, x, path) for steps in block.branches)
        last = self._scaling_parameters(block.layers, path)
        size = _relative_size(branch)
        factor = BRANCH_SCALE * _relative_size(skip) / size if size else 0.0
        if not (last and 0 < factor < np.inf):
            total: Array = branch + skip
            return total
        for name in last:
            self._arrays[name] *= factor ** (1 / len(last))
        return self._output(block, x, path)

    def _scale_branches(self, block: Layer, x: Any, path: tuple[str, ...]) -> Array:
        for steps in block.branches:
            self.scale_layers(steps, x, path)
            last = self._scaling_parameters(steps, path) if type(block) is Add else []
            for name in last:  # independent terms of a sum add up their squares
                self._arrays[name] *= len(block.branches) ** (-0.5 / len(last))
        return self._output(block, x, path)

    def _scaling_parameters(self, steps: Any, path: tuple[str, ...]) -> list[str]:
        """Return the parameters that scale a sequence's output: its last weights, or gamma."""
        for name, layer in reversed(steps):
            place = (*path, name)
            if type(layer) in (Residual, Add, Branches):  # does not scale with one part's weights
                return []
            if type(layer) is SqueezeExcite:  # scales as its input does
                continue
            if type(layer) in (BatchNorm, GroupNorm, LayerNorm):
                return [".".join((*place, "gamma"))]
            if type(layer) is Sequential:
                found = self._scaling_parameters(layer.layers, place)
            else:
                found = self._random[place]
            if found:
                return found
        return []

    def _scale_layer(self, layer: Layer, x: Any, path: tuple[str, ...]) -> Array:
        weights = [] if type(layer) is SqueezeExcite else self._random[path]
        drawn = {name: self._arrays[name].copy() for name in weights}
        if not self._first:
            for name in weights:
                self._center(name)
        self._first = self._first and not weights
        y = self._output(layer, x, path)
        for _ in range(MAX_ITERATIONS if weights else 0):
            size = _relative_size(y)
            if 1 / TOLERANCE < size < TOLERANCE or not 0 < size < np.inf:
                break
            for name in weights:
                self._arrays[name] *= size ** (-1 / len(weights))
            y = self._output(layer, x, path)
        # reset if the output is constant, not finite, or does not scale with the weights
        if weights and not 1 / MAX_RATIO < _relative_size(y) < MAX_RATIO:
            for name in weights:
                self._arrays[name][...] = drawn[name]
            y = self._output(layer, x, path)
        return y

    def _center(self, name: str) -> None:
        """Subtract the mean of each unit's weights, if they form one column per unit."""
        W, inputs = self._arrays[name], self._inputs[name]
        columns = W.reshape(-1, W.shape[-1])
        if len(columns) == inputs >= MIN_INPUTS_TO_CENTER:
            columns -= columns.mean(axis=0)

    def _output(self, layer: Layer, x: Any, path: tuple[str, ...]) -> Array:
        params: Arrays = self._params
        for name in path:
            params = params.get(name, {})
        name = ".".join(path)  # unique, unlike the last part alone
        ctx = whole_batch(self._engine, MiniBatch(self._n, training=True))
        single = plan([(name, layer)], sample_shape(x.shape), training=True)
        y, _ = forward(single, {name: params}, x, ctx)
        return y.copy()


def _relative_size(y: Array) -> float:
    """Compute the root mean square relative to the target."""
    return float(np.sqrt(np.square(y, dtype=np.float64).mean() / MEAN_SQUARE))
