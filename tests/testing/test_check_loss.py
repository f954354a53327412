"""check_loss: every loss of the package passes, and every violation is named."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from sknpcnn.losses import NAMED, CrossEntropy, Huber, Loss, Quantile, softmax
from sknpcnn.testing import check_loss


def value(kind):
    return dataclass(frozen=True, repr=False)(kind)


@pytest.mark.parametrize("loss", [*NAMED.values(), CrossEntropy(0.2), Huber(0.1), Quantile(0.9)])
@pytest.mark.parametrize("n_outputs", [1, 4])
def test_losses_of_the_package_pass(loss, n_outputs):
    check_loss(loss, n_outputs=n_outputs)


@value
class Squared(Loss):
    def compute(self, outputs, targets):
        error = outputs - targets.astype(outputs.dtype)
        return (error.astype(np.float64) ** 2).sum(axis=1), 2 * error


@value
class WrongGradient(Squared):
    def compute(self, outputs, targets):
        losses, gradient = super().compute(outputs, targets)
        return losses, gradient / 2


@value
class MeanOverTheBatch(Squared):
    def compute(self, outputs, targets):
        losses, gradient = super().compute(outputs, targets)
        return losses / len(losses), gradient / len(losses)


@value
class DoubleGradient(Squared):
    def compute(self, outputs, targets):
        losses, gradient = super().compute(outputs, targets)
        return losses, gradient.astype(np.float64)


@value
class SingleLosses(Squared):
    def compute(self, outputs, targets):
        losses, gradient = super().compute(outputs, targets)
        return losses.astype(np.float32), gradient


@value
class OneNumber(Squared):
    def compute(self, outputs, targets):
        losses, gradient = super().compute(outputs, targets)
        return losses.sum(keepdims=True), gradient


@value
class InPlace(Squared):
    def compute(self, outputs, targets):
        outputs -= targets.astype(outputs.dtype)
        return (outputs.astype(np.float64) ** 2).sum(axis=1), 2 * outputs


@value
class ReturnsOutputs(Loss):
    def compute(self, outputs, targets):
        return 0.5 * (outputs.astype(np.float64) ** 2).sum(axis=1), outputs


@value
class Random(Squared):
    def compute(self, outputs, targets):
        losses, gradient = super().compute(outputs, targets)
        return losses + np.random.default_rng().random(), gradient


@value
class Infinite(Squared):
    def compute(self, outputs, targets):
        losses, gradient = super().compute(outputs, targets)
        return losses + np.inf, gradient


@value
class NoProbabilities(CrossEntropy):
    def link(self, outputs):
        return outputs


@value
class SumOfTwo(CrossEntropy):
    def link(self, outputs):
        return np.minimum(2 * softmax(outputs), 1)


@value
class OtherLogarithm(CrossEntropy):
    def log_link(self, outputs):
        return outputs


@value
class UnknownTargets(Squared):
    targets: ClassVar[str] = "ranks"


class NotEqual(Squared):
    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__


@value
class NotComparable(Squared):
    values: list = field(default_factory=list)


BROKEN = {
    NotComparable: "cannot be pickled or compared",
    WrongGradient: "not the slope",
    MeanOverTheBatch: "depends on the others",
    DoubleGradient: "its gradient is float64",
    SingleLosses: "its losses are float32",
    OneNumber: r"its losses are of shape \(1,\)",
    InPlace: "modifies its arguments",
    ReturnsOutputs: "not an array of its own",
    Random: "two calls",
    Infinite: "not finite",
    NoProbabilities: "does not make probabilities",
    SumOfTwo: "do not add up to 1",
    OtherLogarithm: "not the logarithm",
    UnknownTargets: "targets='ranks'",
    NotEqual: "not equal to a copy",
}


def test_a_sound_loss_of_ones_own_passes():
    check_loss(Squared())


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_promise_is_named(kind):
    with pytest.raises(AssertionError, match=BROKEN[kind]):
        check_loss(kind())


def test_what_is_no_loss_is_said():
    with pytest.raises(AssertionError, match="not an instance"):
        check_loss("mse")
