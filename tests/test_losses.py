"""The loss: softmax and cross-entropy, as PyTorch has them, at any logits."""

import numpy as np
import pytest

from sknpcnn.losses import log_softmax, softmax, softmax_cross_entropy

TOLERANCE = {np.float64: 1e-12, np.float32: 2e-6}


def example(n=20, n_classes=5, dtype=np.float64, spread=3.0):
    rng = np.random.default_rng(n_classes)
    logits = (spread * rng.normal(size=(n, n_classes))).astype(dtype)
    return logits, rng.integers(n_classes, size=n), rng.uniform(0.1, 3.0, n)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("n_classes", [1, 2, 5])
def test_loss_and_gradient_are_those_of_pytorch(n_classes, label_smoothing, weighted, dtype):
    torch = pytest.importorskip("torch")
    logits, classes, weights = example(n_classes=n_classes, dtype=dtype)
    weights = weights if weighted else None
    loss = softmax_cross_entropy(logits, classes, weights, label_smoothing)

    theirs = torch.tensor(logits, requires_grad=True)
    each = torch.nn.functional.cross_entropy(
        theirs, torch.tensor(classes), reduction="none", label_smoothing=label_smoothing
    )
    w = torch.ones_like(each) if weights is None else torch.tensor(weights, dtype=each.dtype)
    total = (each * w).sum()
    (total / w.sum()).backward()
    rtol = TOLERANCE[dtype]
    assert loss.total == pytest.approx(float(total.detach()), rel=rtol, abs=1e-12)
    np.testing.assert_allclose(loss.gradient, theirs.grad.numpy(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_that_of_the_weighted_mean(weighted, label_smoothing):
    """Against differences of the loss itself, whatever another library says."""
    logits, classes, weights = example(n=4, n_classes=3)
    weights = weights if weighted else None
    total = len(logits) if weights is None else weights.sum()
    numeric = np.empty_like(logits)
    for place in np.ndindex(logits.shape):
        ends = []
        for h in (-1e-5, 1e-5):
            moved = logits.copy()
            moved[place] += h
            ends.append(softmax_cross_entropy(moved, classes, weights, label_smoothing).total)
        numeric[place] = (ends[1] - ends[0]) / 2e-5 / total
    gradient = softmax_cross_entropy(logits, classes, weights, label_smoothing).gradient
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-9)


def test_sample_of_weight_two_counts_as_two_samples():
    logits, classes, _ = example(n=3)
    weighted = softmax_cross_entropy(logits, classes, np.array([1.0, 2.0, 1.0]), 0.1)
    twice = [0, 1, 1, 2]
    repeated = softmax_cross_entropy(logits[twice], classes[twice], None, 0.1)
    assert weighted.total == pytest.approx(repeated.total, rel=1e-14)
    assert weighted.hits == repeated.hits
    np.testing.assert_allclose(weighted.gradient[0], repeated.gradient[0], rtol=1e-14)
    np.testing.assert_allclose(weighted.gradient[1], 2 * repeated.gradient[1], rtol=1e-14)


def test_weights_may_be_of_any_size():
    logits, classes, weights = example()
    small = softmax_cross_entropy(logits, classes, weights * 1e-30)
    large = softmax_cross_entropy(logits, classes, weights * 1e30)
    np.testing.assert_allclose(small.gradient, large.gradient, rtol=1e-12)
    assert small.total * 1e60 == pytest.approx(large.total, rel=1e-12)


def test_hits_are_the_weight_of_what_is_classified_right():
    logits = np.array([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    classes = np.array([0, 1, 1])
    assert softmax_cross_entropy(logits, classes).hits == 2
    assert softmax_cross_entropy(logits, classes, np.array([1.0, 10.0, 0.5])).hits == 1.5


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weights", [None, np.array([1.0, 2.0, 0.5, 1.0])])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_no_logit_overflows(label_smoothing, weights, dtype):
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [-1e4] * 3, [1e4] * 3], dtype)
    classes = np.array([1, 0, 2, 0])
    with np.errstate(all="raise", under="ignore"):
        loss = softmax_cross_entropy(logits, classes, weights, label_smoothing)
        p, log_p = softmax(logits), log_softmax(logits)
    w = np.ones(4) if weights is None else weights
    below = np.array([2e4, 2e4, 0, 0])  # how far the true class lies below the largest logit
    mean_below = np.array([3e4, 2e4, 0, 0]) / 3  # and all classes on average
    shared = np.log([1, 2, 3, 3])  # by so many equal logits
    expected = (1 - label_smoothing) * below + label_smoothing * mean_below + shared
    assert loss.total == pytest.approx(float(expected @ w), rel=1e-6)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(p[1], [0, 0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(log_p[0], [0, -2e4, -1e4], rtol=1e-6)
    assert np.isfinite(loss.gradient).all()


def test_logarithm_is_exact_where_the_probability_underflows():
    logits = np.array([[0.0, -2000.0]])
    assert softmax(logits)[0, 1] == 0
    assert log_softmax(logits)[0, 1] == -2000


def test_probabilities_do_not_depend_on_what_all_logits_share():
    logits, _, _ = example()
    np.testing.assert_allclose(softmax(logits + 100), softmax(logits), rtol=1e-12)
    np.testing.assert_allclose(np.exp(log_softmax(logits)), softmax(logits), rtol=1e-12)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.5])
def test_one_class_is_certain(label_smoothing):
    logits = np.array([[3.0], [-2.0]], np.float32)
    loss = softmax_cross_entropy(logits, np.zeros(2, int), None, label_smoothing)
    assert loss.total == 0
    assert loss.hits == 2
    np.testing.assert_allclose(loss.gradient, 0, atol=1e-7)
    np.testing.assert_array_equal(softmax(logits), np.ones((2, 1)))


@pytest.mark.parametrize("weights", [None, np.ones(20)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_of_the_logits_goes_through(dtype, weights):
    logits, classes, _ = example(dtype=dtype)
    assert softmax(logits).dtype == dtype
    assert log_softmax(logits).dtype == dtype
    loss = softmax_cross_entropy(logits, classes, weights, 0.1)
    assert loss.gradient.dtype == dtype
    assert type(loss.total) is float
    assert type(loss.hits) is float


def test_arguments_are_not_modified():
    logits, classes, weights = example()
    before = logits.copy(), classes.copy(), weights.copy()
    for array in (logits, classes, weights):
        array.flags.writeable = False
    softmax_cross_entropy(logits, classes, weights, 0.1)
    softmax(logits)
    for array, copy in zip((logits, classes, weights), before, strict=True):
        np.testing.assert_array_equal(array, copy)
