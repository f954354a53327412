"""Where training starts: with signals of one size in all layers, and no opinion on any image.

A network learns fast from a start at which every layer passes on as much as it is given, and at
which the loss is that of knowing nothing but how frequent the classes are. Fixed formulas for the
size of random weights (Glorot and Bengio 2010, He et al. 2015) know nothing of pooling, of most
activations, or of images whose pixels are alike; their errors multiply from layer to layer. So the
weights are drawn by such a formula, and then *measured*: a few training images go through the
layers once, and the weights of each are divided by the size of what comes out (LSUV, Mishkin and
Matas 2016). Three things are added:

* What comes out of a rectifier or a sigmoid has a mean, which is the same for all images and soon
  drowns what is different between them. Behind the first layer, the weights of a unit therefore
  start with a sum of zero (Brock et al. 2021), which lets no such mean pass.
* A residual block adds what its layers make to what it is given. So that the sum does not grow from
  block to block, a block starts close to doing nothing (Goyal et al. 2017, Zhang et al. 2019), but
  not at nothing: behind a rectifier, weights of zero would never learn.
* The output layer starts with weights near zero, and with the best constant as bias: the
  logarithms of the classes' frequencies, or what real targets are about.

The images are chosen by what is in them, as everything here that may not depend on order, copies or
weights. They go through the layers on one thread, in one piece: the same bits for everybody.
"""

from collections import defaultdict
from dataclasses import replace
from itertools import accumulate
from operator import add
from typing import Any

import numpy as np

from sknpcnn.batches import Array, Rows
from sknpcnn.chunks import sample_shape
from sknpcnn.context import MiniBatch, forward
from sknpcnn.engine import Engine
from sknpcnn.kernels.randomness import keyed
from sknpcnn.layers import BatchNorm, Residual, Sequential
from sknpcnn.layers.base import Arrays, Layer
from sknpcnn.layers.steps import Steps
from sknpcnn.network import Network
from sknpcnn.parallel import whole_batch
from sknpcnn.plan import plan
from sknpcnn.samples import Samples, content_ids
from sknpcnn.standard import Standard

# How many images are looked at: that many, or as many as make so many numbers in a layer, but some.
MAX_IMAGES, MIN_IMAGES, NUMBERS = 256, 8, 2**22
# The mean square of what each layer makes. A quarter learned more than a half or one did: the
# smaller weights are, the more a step changes them, also where batch normalization makes up for
# their size.
MEAN_SQUARE = 0.25
# How often weights are divided by the size of what they make, and how close that has to come.
MAX_ROUNDS, NEAR, FAR = 5, 1.05, 2.0
# How large what a residual block adds may be, compared with what it is added to.
BRANCH = 0.1
# How large the logits are, compared with what other layers make. Their mean square of 0.01 raises
# the first loss by less than 1 % of the entropy; from zero, the first steps would teach the hidden
# layers nothing, which costs a short training some percent of its accuracy.
OUTPUT = 0.14
# By how many of their pixels images are compared, and in how many steps to a standard deviation.
COMPARED, STEPS = 256, 16
# A unit that reads fewer numbers keeps the sum of its weights: it would lose too much with it.
LEAST_INPUTS = 8


@np.errstate(all="ignore")  # what is not finite is left as it was drawn
def initial_parameters(
    network: Network,
    samples: Samples,
    standard: Standard | None,
    seed: int,
    dtype: Any,
    constant: Array,
) -> Array:
    """Make the vector that training starts from, with the ``constant`` outputs of no opinion."""
    theta = network.layout.start(seed, dtype)
    n = min(max(NUMBERS // network.widest, MIN_IMAGES), MAX_IMAGES)
    index = _chosen(samples, standard, n, seed)
    rows = Rows(samples.X, network.image, standard, index)
    with Engine(1, dtype) as engine:
        measured = _Measured(network, theta, engine, len(index))
        logits = measured.walk(network.steps, rows)
    output = network.layout.views(theta)["output"]
    size = _size(logits)
    output["W"] *= OUTPUT / size if 0 < size < np.inf else 0
    output["b"][...] = constant
    return theta


def _chosen(samples: Samples, standard: Standard | None, n: int, seed: int) -> Array:
    """Choose different samples by what they show, so that order, copies, weights do not count.

    Nor do scale and offset of the pixels, where these are standardized: they are rounded then. A
    part of the pixels tells images apart; all of a large file would take long to hash.
    """
    features = samples.X.shape[1]
    some = slice(None, None, max(features // COMPARED, 1))
    known = replace(samples, X=samples.X[:, some])
    if standard is None:
        ids = content_ids(known)
    else:
        mean, scale = (a[some] for a in standard.of_rows(features))
        finely = STEPS * scale.astype(np.float64)
        ids = content_ids(known, lambda rows: np.rint((rows - mean) * finely))
    _, first = np.unique(keyed(ids, seed), return_index=True)
    return samples.index[first[:n]]


class _Measured:
    """A walk of a few images through the layers, which scales the weights on its way."""

    def __init__(self, network: Network, theta: Array, engine: Engine, n: int) -> None:
        known = network.layout.parameters.items()
        self._inputs = {name: p.fan_in for name, p in known if p.fan_in is not None}
        self._random: dict[tuple[str, ...], list[str]] = defaultdict(list)
        """The randomly drawn parameters in each layer, by its path."""
        for name in self._inputs:
            for path in accumulate(((part,) for part in name.split(".")[:-1]), add):
                self._random[path].append(name)
        self._arrays = dict(network.layout.arrays(theta))
        self._params = network.layout.views(theta)
        self._engine, self._n = engine, n
        self._first = True

    def walk(self, steps: Steps, x: Any, path: tuple[str, ...] = ()) -> Any:
        """Scale the weights of steps so that what each layer makes is of one size; return it."""
        for name, layer in steps:
            place = (*path, name)
            if type(layer) is Sequential:  # of these very types: what inherits may do anything
                x = self.walk(layer.layers, x, place)
            elif type(layer) is Residual:
                x = self._residual(layer, x, place)
            else:
                x = self._scaled(layer, x, place)
        return x

    def _residual(self, block: Residual, x: Any, path: tuple[str, ...]) -> Array:
        through, around = (self.walk(steps, x, path) for steps in block.branches)
        last = self._last(block.layers, path)
        passed = _size(through)
        factor = BRANCH * _size(around) / passed if passed else 0.0
        if not (last and 0 < factor < np.inf):
            return through + around
        for name in last:
            self._arrays[name] *= factor ** (1 / len(last))
        return self._output(block, x, path)

    def _last(self, steps: Any, path: tuple[str, ...]) -> list[str]:
        """Find what the size of a sequence's output depends on: its last weights, or gamma."""
        for name, layer in reversed(steps):
            place = (*path, name)
            if type(layer) is Residual:  # a sum, which has no such weights
                return []
            if type(layer) is BatchNorm:
                return [".".join((*place, "gamma"))]
            if type(layer) is Sequential:
                found = self._last(layer.layers, place)
            else:
                found = self._random[place]
            if found:
                return found
        return []

    def _scaled(self, layer: Layer, x: Any, path: tuple[str, ...]) -> Array:
        weights = self._random[path]
        drawn = {name: self._arrays[name].copy() for name in weights}
        if not self._first:
            for name in weights:
                self._center(name)
        self._first = self._first and not weights
        y = self._output(layer, x, path)
        for _ in range(MAX_ROUNDS if weights else 0):
            size = _size(y)
            if 1 / NEAR < size < NEAR or not 0 < size < np.inf:
                break
            for name in weights:
                self._arrays[name] *= size ** (-1 / len(weights))
            y = self._output(layer, x, path)
        # what is constant or not finite, or does not grow as its weights do
        if weights and not 1 / FAR < _size(y) < FAR:
            for name in weights:
                self._arrays[name][...] = drawn[name]
            y = self._output(layer, x, path)
        return y

    def _center(self, name: str) -> None:
        """Let the weights of each unit add up to zero, if there is one column of them per unit."""
        W, inputs = self._arrays[name], self._inputs[name]
        columns = W.reshape(-1, W.shape[-1])
        if len(columns) == inputs >= LEAST_INPUTS:
            columns -= columns.mean(axis=0)

    def _output(self, layer: Layer, x: Any, path: tuple[str, ...]) -> Array:
        params: Arrays = self._params
        for name in path:
            params = params.get(name, {})
        name = ".".join(path)  # others may have the same one, in other composite layers
        place = whole_batch(self._engine, MiniBatch(self._n, training=True))
        single = plan([(name, layer)], sample_shape(x.shape), training=True)
        y, _ = forward(single, {name: params}, x, place)
        return y.copy()


def _size(y: Array) -> float:
    """Compute the root of the mean square, in parts of the one that is wanted."""
    return float(np.sqrt(np.square(y, dtype=np.float64).mean() / MEAN_SQUARE))
