"""``check_layer`` accepts a layer that keeps its promises, and names the promise that is broken."""

from dataclasses import dataclass

import numpy as np
import pytest

from sknpcnn.layers import Dense, Layer
from sknpcnn.testing import check_layer

frozen = dataclass(frozen=True, repr=False)


@frozen
class Doubling(Layer):
    """A layer that keeps all promises, for subclasses that break one."""

    def forward(self, params, x, ctx):
        return np.multiply(x, 2, out=ctx.empty(x.shape, x.dtype)), None

    def backward(self, params, cache, dy, grads, ctx):
        return np.multiply(dy, 2, out=ctx.empty(dy.shape, dy.dtype))


@frozen
class Learning(Doubling):
    """Adds a bias, as Dense does."""

    def parameters(self, shape):
        return Dense(shape[-1]).parameters(shape[-1:])

    def forward(self, params, x, ctx):
        return x @ params["W"] + params["b"], x

    def backward(self, params, cache, dy, grads, ctx):
        grads["W"][...] = cache.T @ dy
        grads["b"][...] = dy.sum(axis=0)
        return dy @ params["W"].T


@frozen
class ModifiesInput(Doubling):
    def forward(self, params, x, ctx):
        return np.multiply(x, 2, out=x), None


@frozen
class ModifiesGradient(Doubling):
    def backward(self, params, cache, dy, grads, ctx):
        return np.multiply(dy, 2, out=dy)


@frozen
class ModifiesParameters(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        params["b"] -= 0.1
        return super().backward(params, cache, dy, grads, ctx)


@frozen
class WritesHalfOfAGradient(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        grads["W"][:1] = (cache.T @ dy)[:1]
        grads["b"][...] = dy.sum(axis=0)
        return dy @ params["W"].T


@frozen
class AddsToGradients(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        grads["W"][...] = cache.T @ dy
        grads["b"] += dy.sum(axis=0)
        return dy @ params["W"].T


@frozen
class WrongInputGradient(Doubling):
    def backward(self, params, cache, dy, grads, ctx):
        return dy * 2.0001


@frozen
class WrongBiasGradient(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        dx = super().backward(params, cache, dy, grads, ctx)
        grads["b"] *= 0.999
        return dx


@frozen
class WidensFloats(Doubling):
    def forward(self, params, x, ctx):
        return x * np.float64(2), None


@frozen
class AnnouncesAnotherShape(Doubling):
    def output_shape(self, shape):
        return (*shape[:-1], shape[-1] + 1)


@frozen
class LooksAtOtherSamples(Doubling):
    def forward(self, params, x, ctx):
        return 2 * x - 2 * x.mean(axis=0), None

    def backward(self, params, cache, dy, grads, ctx):
        return 2 * dy - 2 * dy.mean(axis=0)


@frozen
class PredictsTogether(Doubling):
    def forward(self, params, x, ctx):
        return (2 * x if ctx.training else 2 * x - x.mean(axis=0)), None


@frozen
class IgnoresWeights(Doubling):
    whole_batch = True

    def forward(self, params, x, ctx):
        return (2 * x - 2 * x.mean(axis=0) if ctx.training else 2 * x), None

    def backward(self, params, cache, dy, grads, ctx):
        return 2 * dy - 2 * dy.mean(axis=0)


@frozen
class DrawsFromAStream(Doubling):
    stream = np.random.default_rng(0)

    def forward(self, params, x, ctx):
        return 2 * x + 1e-9 * self.stream.random(), None


@frozen
class RemembersInScratch(Doubling):
    def forward(self, params, x, ctx):
        kept = np.multiply(x, x, out=ctx.scratch(x.shape, x.dtype))
        return x * x * x / 3, kept

    def backward(self, params, cache, dy, grads, ctx):
        return dy * cache


@frozen
class RemembersOnItself(Doubling):
    def forward(self, params, x, ctx):
        object.__setattr__(self, "x", x)
        return 2 * x, None


class CanBeChanged(Doubling):
    """Lacks the decorator."""


@pytest.mark.parametrize("layer", [Doubling(), Learning()])
def test_check_layer_accepts_a_layer_that_keeps_its_promises(layer):
    check_layer(layer, (4,))


@pytest.mark.parametrize(
    ("layer", "broken"),
    [
        (ModifiesInput(), "modifies x"),
        (ModifiesGradient(), "modifies dy"),
        (ModifiesParameters(), "modifies params"),
        (WritesHalfOfAGradient(), "does not write all of the gradient of W"),
        (AddsToGradients(), "does not write all of the gradient of b"),
        (WrongInputGradient(), "wrong gradient of x"),
        (WrongBiasGradient(), "wrong gradient of b"),
        (WidensFloats(), "y is float64 where x is float32"),
        (AnnouncesAnotherShape(), r"y is of shape \(5, 4\), not \(5, 5\)"),
        (LooksAtOtherSamples(), "depends on how the batch is cut up"),
        (PredictsTogether(), "the prediction of a sample depends on the other samples"),
        (IgnoresWeights(), "a sample of weight two"),
        (DrawsFromAStream(), "another result when it runs again"),
        (RemembersInScratch(), "wrong gradient of x"),
        (RemembersOnItself(), "has changed it"),
        (CanBeChanged(), "can be set"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else "",
)
def test_check_layer_names_the_broken_promise(layer, broken):
    with pytest.raises(AssertionError, match=broken):
        check_layer(layer, (4,))
