"""``check_layer`` accepts a layer that fulfills its contract, and names what is violated."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import (
    Conv2D,
    Dense,
    GlobalAvgPool2D,
    Hints,
    Layer,
    MaxPool2D,
    Parameter,
    ReLU,
    Residual,
)
from sknpcnn.testing import check_layer
from tests.models import assert_same_weights

frozen = dataclass(frozen=True, repr=False)


@frozen
class Doubling(Layer):
    """A layer that fulfills the contract, for subclasses that violate it."""

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
    def whole_batch(self, training):
        return training

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


@frozen
class NeedsInputAfterAll(Doubling):
    hints = Hints(needs_input=False)

    def forward(self, params, x, ctx):
        return np.multiply(x, x, out=ctx.output(x.shape, x.dtype)), x

    def backward(self, params, x, dy, grads, ctx):
        return 2 * x * dy


@frozen
class ReturnsItsInput(Doubling):
    hints = Hints(needs_input=False)

    def forward(self, params, x, ctx):
        return x, None

    def backward(self, params, cache, dy, grads, ctx):
        return dy


@frozen
class KeepsItsOutputInSilence(Doubling):
    def forward(self, params, x, ctx):
        y = np.tanh(x, out=ctx.output(x.shape, x.dtype))
        return y, y

    def backward(self, params, y, dy, grads, ctx):
        return dy * (1 - y * y)


@frozen
class FallsSomewhere(Doubling):
    """A bowl: x * |x| would rise everywhere, x * x does not."""

    hints = Hints(monotonic=True)

    def forward(self, params, x, ctx):
        return x * x, x

    def backward(self, params, x, dy, grads, ctx):
        return 2 * x * dy


@frozen
class RisesButMixes(Doubling):
    hints = Hints(monotonic=True)

    def forward(self, params, x, ctx):
        return x + x[..., ::-1], None

    def backward(self, params, cache, dy, grads, ctx):
        return dy + dy[..., ::-1]


@frozen
class FallsInTheLastBit(Doubling):
    """Rises except for rounding, by which another pixel may become the maximum in a pooling."""

    hints = Hints(monotonic=True)

    def forward(self, params, x, ctx):
        return (x + 3) * (x + 3) * 0.1 - 0.1 * x * x, x

    def backward(self, params, x, dy, grads, ctx):
        return dy * 0.6


@frozen
class AveragesWithinAChunk(Doubling):
    def parameters(self, shape):
        return {"mean": Parameter(shape[-1:], running=0.9)}

    def backward(self, params, cache, dy, grads, ctx):
        grads["mean"][...] = 0
        return 2 * dy


@frozen
class WritesBesideItsGradient(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        dx = super().backward(params, cache, dy, grads, ctx)
        np.lib.stride_tricks.as_strided(grads["b"], (len(grads["b"]) + 1,))[-1] = 1
        return dx


@frozen
class SkipsGradientsWithDx(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        dx = super().backward(params, cache, dy, grads, ctx)
        if not ctx.needs_dx:
            grads["b"] *= 2
        return dx


@frozen
class DividesByZero(Doubling):
    def forward(self, params, x, ctx):
        return x / 0, None


@frozen
class CountsBackwards(Doubling):
    def multiply_adds(self, shape):
        return -1


@frozen
class LearnsSomethingElseEachTime(Learning):
    def parameters(self, shape):
        start = np.random.default_rng().random()
        return super().parameters(shape) | {"extra": Parameter((1,), start=start)}


@frozen
class LearnsNoParameter(Doubling):
    def parameters(self, shape):
        return {"W": shape}


@frozen
class PredictsAnotherShape(Doubling):
    def forward(self, params, x, ctx):
        return (2 * x if ctx.training else 2 * x[..., :1]), None


@frozen
class PredictsDoubles(Doubling):
    def forward(self, params, x, ctx):
        return (2 * x if ctx.training else 2 * x.astype(np.float64)), None


@frozen
class ForgetsInPrediction(Doubling):
    def forward(self, params, x, ctx):
        return x * x, x if ctx.training else None

    def backward(self, params, x, dy, grads, ctx):
        return 2 * x * dy


@frozen
class PredictsTriples(Doubling):
    def forward(self, params, x, ctx):
        return (2 * x if ctx.training else 3 * x), None


@frozen
class HasNoHash(Doubling):
    __hash__ = object.__hash__


@frozen
class TrustsItsStrides(Doubling):
    def forward(self, params, x, ctx):
        flat = np.lib.stride_tricks.as_strided(x, (x.size,), (x.itemsize,))
        return 2 * flat.reshape(x.shape), None


@frozen
class TakesOneBranchBack(Residual):
    """Forgets the gradient of its other branch."""

    def backward(self, params, cache, dy, grads, ctx):
        return ctx.backward(params, cache[0], dy.copy(), grads, branch=0)


@frozen
class GivesTheWeightedSampleTwice(Doubling):
    def backward(self, params, cache, dy, grads, ctx):
        return 2 * dy if ctx.weights is None else 2 * dy * ctx.weights[:, None]


@pytest.mark.parametrize("layer", [Doubling(), Learning()])
def test_check_layer_accepts_a_layer_that_keeps_its_promises(layer):
    check_layer(layer, (4,))


BROKEN = [
    (ModifiesInput(), "modifies x"),
    (ModifiesGradient(), "modifies dy"),
    (ModifiesParameters(), "modifies params"),
    (WritesHalfOfAGradient(), "does not write all of the gradient of W"),
    (AddsToGradients(), "does not write all of the gradient of b"),
    (WrongInputGradient(), "wrong gradient of x"),
    (WrongBiasGradient(), "wrong gradient of b"),
    (WidensFloats(), "y is float64 where x is float32"),
    (AnnouncesAnotherShape(), r"y is of shape \(5, 4\), not \(5, 5\)"),
    (LooksAtOtherSamples(), "depends on how the batch is split"),
    (PredictsTogether(), "the prediction of a sample depends on the other samples"),
    (IgnoresWeights(), "a sample of weight two"),
    (DrawsFromAStream(), "another result when it runs again"),
    (RemembersInScratch(), "wrong gradient of x"),
    (RemembersOnItself(), "has changed it"),
    (CanBeChanged(), "can be set"),
    (NeedsInputAfterAll(), "needs x or y in backward"),
    (ReturnsItsInput(), "returns x"),
    (KeepsItsOutputInSilence(), "needs x or y in backward"),
    (FallsSomewhere(), "monotonic, but y falls"),
    (RisesButMixes(), "monotonic, but a value depends on several"),
    (FallsInTheLastBit(), "monotonic, but y falls"),
    (AveragesWithinAChunk(), "averages mean, but not over the whole batch"),
    (WritesBesideItsGradient(), "writes outside of its gradients"),
    (SkipsGradientsWithDx(), "the gradients change if dx is not needed"),
    (DividesByZero(), "y is not finite"),
    (CountsBackwards(), r"multiply_adds\(\) is negative"),
    (LearnsSomethingElseEachTime(), "differs from call to call"),
    (LearnsNoParameter(), "is not a Parameter"),
    (PredictsAnotherShape(), "predicts the shape"),
    (PredictsDoubles(), "predicts float64 where x is float32"),
    (ForgetsInPrediction(), "backward fails where ctx.training is False.*TypeError"),
    (PredictsTriples(), "wrong gradient of a prediction"),
    (HasNoHash(), "has another hash than"),
    (TrustsItsStrides(), "parts of larger arrays|depends on how"),
    (TakesOneBranchBack([Doubling()]), "wrong gradient of x"),
    (GivesTheWeightedSampleTwice(), "a sample of weight two"),
]


@pytest.mark.parametrize(("layer", "broken"), BROKEN, ids=[type(b[0]).__name__ for b in BROKEN])
def test_check_layer_names_the_broken_promise(layer, broken):
    with pytest.raises(AssertionError, match=broken):
        check_layer(layer, (4,))


LYING = [NeedsInputAfterAll(), ReturnsItsInput(), KeepsItsOutputInSilence(), FallsSomewhere()]
LYING += [RisesButMixes(), FallsInTheLastBit()]


@pytest.mark.parametrize("layer", LYING, ids=lambda layer: type(layer).__name__)
def test_a_layer_whose_hints_are_wrong_trains_what_it_would_without_them(layer, monkeypatch):
    """Nothing is assumed of it: it is found out by check_layer, and harmless without."""
    X, y = load_digits(return_X_y=True)
    layers = [Conv2D(4), layer, MaxPool2D(), Conv2D(4), layer, ReLU(), GlobalAvgPool2D()]

    def fit():
        clf = NumpyCNNClassifier(layers=layers, max_iter=1, random_state=0, learning_rate_init=1e-3)
        return clf.fit(X[:300], y[:300])

    found = fit()
    monkeypatch.setattr(type(layer), "hints", Hints())
    copied = type(layer).forward

    def without_reuse(self, params, x, ctx):
        output, cache = copied(self, params, x.copy(), ctx)
        kept = output.copy()
        return kept, kept if cache is output else cache

    monkeypatch.setattr(type(layer), "forward", without_reuse)
    assert_same_weights(found, fit())
