"""How y becomes the targets of a loss and back, and the scores, as scikit-learn computes them."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from sknpcnn._network.samples import Samples
from sknpcnn._training.classes import Classes, Labels
from sknpcnn._training.reals import Reals
from sknpcnn._training.targets import found
from sknpcnn.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    Huber,
    Loss,
    Poisson,
    Quantile,
    SquaredError,
    measure,
)

N = 40
rng = np.random.default_rng(0)
WEIGHTS = [None, rng.integers(0, 4, N).astype(float)]
REAL = {
    "a row": rng.normal(3, 5, N),
    "a column for each": rng.normal([0, 1e6, -3], [1, 1e3, 1e-3], (N, 3)),
    "counts": rng.poisson(3, N).astype(float),
}


def samples_of(targets, weights=None):
    index = np.arange(N) if weights is None else np.flatnonzero(weights)
    return Samples(np.zeros((N, 1)), targets, weights, index)


def score_of(target, outputs, targets, weights, loss):
    """Add the sums of two mini-batches up."""
    parts = slice(0, 13), slice(13, None)
    some = [None if weights is None else weights[part] for part in parts]
    sums = [
        target.sums(outputs[part], targets[part], w, loss)
        for part, w in zip(parts, some, strict=True)
    ]
    return target.score(sums[0] + sums[1])


@pytest.mark.parametrize("y", REAL.values(), ids=REAL)
@pytest.mark.parametrize("weights", WEIGHTS, ids=["plain", "weighted"])
def test_real_targets_are_standardized_and_come_back(y, weights):
    target = found(y, weights, SquaredError())
    targets = target.encode(y)
    assert targets.shape == (N, y[0].size)
    np.testing.assert_allclose(np.average(targets, axis=0, weights=weights), 0, atol=1e-9)
    np.testing.assert_allclose(np.average(targets**2, axis=0, weights=weights), 1)
    np.testing.assert_allclose(target.predict(targets, SquaredError()), y, rtol=1e-12)


def test_targets_of_counts_are_scaled_by_their_mean_and_never_negative():
    y = REAL["counts"]
    target = found(y, None, Poisson())
    assert target.mean == 0
    np.testing.assert_allclose(target.scale, y.mean())
    np.testing.assert_allclose(target.predict(np.zeros((2, 1)), Poisson()), y.mean())


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e-30, 1.0, 1e30, 1e300, 8e307])
@pytest.mark.parametrize("shape", [(N,), (N, 2)])
def test_targets_of_any_size_are_finite(size, shape):
    y = rng.uniform(-1, 1, shape) * size
    for loss, values in ((SquaredError(), y), (Poisson(), abs(y))):
        target = found(values, None, loss)
        targets = target.encode(values)
        assert np.isfinite(targets).all()
        assert 0.1 < np.abs(targets).max() < 10
        back = target.predict(targets, SquaredError())
        np.testing.assert_allclose(back, values, rtol=1e-9, atol=size * 1e-9)


@pytest.mark.parametrize("value", [0.0, 1e-200, 5.0, -1e300])
def test_a_constant_is_no_reason_to_divide_by_zero(value):
    target = found(np.full(N, value), None, SquaredError())
    np.testing.assert_array_equal(target.encode(np.full(N, value)), 0)
    assert target.scale == (abs(value) or 1)


def test_weight_of_zero_counts_for_nothing_in_no_digit():
    y, weights = REAL["a row"], WEIGHTS[1]
    some = weights > 0
    one, other = found(y, weights, Huber()), found(y[some], weights[some], Huber())
    assert (one.mean, one.scale) == (other.mean, other.scale)
    y = np.where(some, y, 1e300)
    assert found(y, weights, Huber()).scale == one.scale


@pytest.mark.parametrize("y", REAL.values(), ids=REAL)
@pytest.mark.parametrize("weights", WEIGHTS, ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", [SquaredError(), Poisson()], ids=str)
def test_r2_of_mini_batches_is_that_of_scikit_learn(y, weights, loss):
    y = abs(y)
    target = found(y, weights, loss)
    targets = target.encode(y)
    outputs = 0.3 * targets + rng.normal(size=targets.shape)
    score = score_of(target, outputs, targets, weights, loss)
    predicted = target.predict(outputs, loss)
    assert score == pytest.approx(r2_score(y, predicted, sample_weight=weights), rel=1e-6)


@pytest.mark.parametrize("error", [0.0, 1.0])
def test_r2_of_what_does_not_vary_is_that_of_scikit_learn(error):
    target = Reals(np.zeros(2), np.ones(2))
    y = np.stack([np.full(N, 3.0), rng.normal(size=N)], axis=1)
    score = score_of(target, y + error, target.encode(y), None, SquaredError())
    assert score == pytest.approx(r2_score(y, y + error))


@pytest.mark.parametrize("weights", WEIGHTS, ids=["plain", "weighted"])
def test_accuracy_of_classes_and_labels_is_that_of_scikit_learn(weights):
    y = np.array(["cat", "dog", "eel"])[rng.integers(3, size=N)]
    target, outputs = found(y, weights, CrossEntropy()), rng.normal(size=(N, 3))
    targets = target.encode(y)
    score = score_of(target, outputs, targets, weights, CrossEntropy())
    predicted = target.predict(outputs, CrossEntropy())
    assert score == pytest.approx(accuracy_score(y, predicted, sample_weight=weights))

    y = rng.integers(2, size=(N, 3))
    loss = BinaryCrossEntropy()
    target, outputs = found(y, weights, loss), 1.5 * (y - 0.5) + rng.normal(size=(N, 3))
    targets = target.encode(y)
    score = score_of(target, outputs, targets, weights, loss)
    predicted = target.predict(outputs, loss)
    assert 0.2 < score < 0.9
    assert score == pytest.approx(accuracy_score(y, predicted, sample_weight=weights))


REAL_LOSSES = [SquaredError(), AbsoluteError(), Huber(0.5), Quantile(0.9), Poisson()]


@pytest.mark.parametrize("weights", WEIGHTS, ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", REAL_LOSSES, ids=str)
def test_no_constant_has_a_lower_loss(loss, weights):
    y = rng.gamma(2, 3, (N, 2))
    target = found(y, weights, loss)
    samples = samples_of(target.encode(y), weights)
    best = target.constant(samples, loss)
    weight = N if weights is None else weights.sum()

    def loss_of(outputs):
        index = samples.index
        given = np.tile(outputs, (len(index), 1))
        return measure(loss, given, samples.targets[index], samples.weights_at(index)).total

    least = loss_of(best)
    for step in (-0.3, -1e-3, 1e-3, 0.3):
        assert loss_of(best + np.array([step, 0])) >= least * (1 - 1e-12)
        assert loss_of(best + np.array([0, step])) >= least * (1 - 1e-12)
    assert target.baseline_loss(samples, loss) == pytest.approx(least / weight)
    assert target.baseline_score(samples) == 0


def test_constant_is_what_the_loss_is_named_after():
    y = rng.gamma(2, 3, 1001)
    samples = Samples(np.zeros((1001, 1)), None, None, np.arange(1001))
    wanted = {
        SquaredError(): y.mean(),
        AbsoluteError(): np.median(y),
        Quantile(0.9): np.quantile(y, 0.9),
        Poisson(): y.mean(),
    }
    for loss, value in wanted.items():
        target = found(y, None, loss)
        known = Samples(samples.X, target.encode(y), None, samples.index)
        predicted = target.predict(target.constant(known, loss)[None], loss)
        np.testing.assert_allclose(predicted, value, rtol=1e-6)


@pytest.mark.parametrize("size", [0.01, 1.0, 20.0])
def test_constant_of_counts_may_be_below_one_and_above(size):
    """Outputs are logarithms: they are not in the range of the targets."""
    target = Reals(np.zeros(()), np.ones(()))
    y = size * rng.uniform(0.5, 1.5, N)
    samples = samples_of(target.encode(y))
    constant = target.constant(samples, Poisson())
    np.testing.assert_allclose(target.predict(constant[None], Poisson()), y.mean())
    each, _ = Poisson().compute(np.full((N, 1), np.log(y.mean())), y[:, None])
    assert target.baseline_loss(samples, Poisson()) == pytest.approx(each.mean())


def test_nothing_but_zeros_has_a_constant_and_a_baseline_of_zero():
    target, y = found(np.zeros(N), None, Poisson()), np.zeros(N)
    samples = samples_of(target.encode(y))
    with np.errstate(all="raise"):
        assert np.isfinite(target.constant(samples, Poisson())).all()
        assert target.baseline_loss(samples, Poisson()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.2), Focal(2.0)], ids=str)
def test_baseline_of_classes_is_that_of_their_loss(loss):
    y = np.repeat([0, 1, 2], [5, 10, 25])
    target = found(y, None, loss)
    outputs = np.tile(np.log([0.125, 0.25, 0.625]), (N, 1))
    samples = samples_of(target.encode(y))
    expected = measure(loss, outputs, y).total / N
    assert target.baseline_loss(samples, loss) == pytest.approx(expected)
    assert target.baseline_score(samples) == 0.625


def test_a_small_variation_of_large_values_is_one():
    y = 1.7e18 + 5e5 * rng.normal(size=N)
    assert found(y, None, SquaredError()).scale == pytest.approx(y.std(), rel=1e-3)


def test_constant_of_labels_and_their_baseline():
    y = (rng.uniform(size=(N, 3)) < [0.1, 0.5, 1.0]).astype(int)
    target = Labels(3)
    samples = samples_of(target.encode(y))
    outputs = target.constant(samples, BinaryCrossEntropy())
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(1 / (1 + np.exp(-outputs)), y.mean(axis=0), atol=0.006)
    loss = target.baseline_loss(samples, BinaryCrossEntropy())
    given = np.tile(outputs, (N, 1))
    assert loss == pytest.approx(measure(BinaryCrossEntropy(), given, y).total / N, abs=0.02)
    most = y.mean(axis=0) > 0.5
    assert target.baseline_score(samples) == (y == most).all(axis=1).mean()


WRONG = {
    "unknown class": (Classes(np.array(["a", "b"])), np.array(["a", "c"]), "y holds \\['c'\\]"),
    "another type": (Classes(np.array(["a", "b"])), np.array([1.0, 2.0]), "not among the classes"),
    "more labels": (Labels(3), np.zeros((2, 4)), r"\(2, 4\); needed: an indicator matrix \(n, 3\)"),
    "no indicators": (Labels(2), np.array([[0, 2]]), "other values than 0 and 1"),
    "two columns": (Reals(np.zeros(()), np.ones(())), np.zeros((2, 2)), r"needed: \(n,\)"),
    "a row": (Reals(np.zeros(2), np.ones(2)), np.zeros(2), r"needed: \(n, 2\)"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_y_of_another_kind_is_refused(kind):
    target, y, message = WRONG[kind]
    with pytest.raises(ValueError, match=message):
        target.encode(y)


def test_kind_of_target_follows_from_the_loss():
    class Own(Loss):
        def compute(self, outputs, targets):
            raise NotImplementedError

    assert type(found(np.zeros(3), None, Own())) is Reals
    assert type(found(np.zeros(3), None, CrossEntropy())) is Classes
    assert type(found(np.zeros((3, 2)), None, BinaryCrossEntropy())) is Labels
