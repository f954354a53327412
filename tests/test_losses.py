"""The losses: as PyTorch has them, and as finite differences of themselves, at any outputs."""

import numpy as np
import pytest
from sklearn.base import clone

from sknpcnn.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    Huber,
    Poisson,
    Quantile,
    SquaredError,
    log_softmax,
    measure,
    sigmoid,
    softmax,
)
from tests import reference

TOLERANCE = {np.float64: 1e-12, np.float32: 4e-6}
N = 20


def focal(torch, z, t, gamma):
    log_p = torch.log_softmax(z, 1)[torch.arange(len(t)), t]
    return -((1 - log_p.exp()) ** gamma) * log_p


def pinball(torch, z, t, level):
    return torch.maximum(level * (t - z), (level - 1) * (t - z)).sum(1)


def deviance(torch, z, t):
    nll = torch.nn.functional.poisson_nll_loss(z, t, reduction="none")
    return (nll - (t - torch.xlogy(t, t))).sum(1)


def each(name, **options):
    """Compute a loss of PyTorch's for each sample."""

    def compute(torch, z, t):
        found = getattr(torch.nn.functional, name)(z, t, reduction="none", **options)
        return found if found.ndim == 1 else found.sum(1)

    return compute


LOSSES = {
    "cross entropy": (CrossEntropy(), each("cross_entropy")),
    "smooth": (CrossEntropy(0.1), each("cross_entropy", label_smoothing=0.1)),
    "very smooth": (CrossEntropy(0.9), each("cross_entropy", label_smoothing=0.9)),
    "focal": (Focal(), lambda torch, z, t: focal(torch, z, t, 2)),
    "focal, a little": (Focal(0.5), lambda torch, z, t: focal(torch, z, t, 0.5)),
    "focal of 1": (Focal(1), lambda torch, z, t: focal(torch, z, t, 1)),
    "not focal": (Focal(0), each("cross_entropy")),
    "binary": (BinaryCrossEntropy(), each("binary_cross_entropy_with_logits")),
    "squared": (SquaredError(), lambda torch, z, t: 0.5 * each("mse_loss")(torch, z, t)),
    "absolute": (AbsoluteError(), each("l1_loss")),
    "Huber": (Huber(), each("huber_loss")),
    "narrow Huber": (Huber(0.3), each("huber_loss", delta=0.3)),
    "median": (Quantile(), lambda torch, z, t: pinball(torch, z, t, 0.5)),
    "quantile": (Quantile(0.9), lambda torch, z, t: pinball(torch, z, t, 0.9)),
    "Poisson": (Poisson(), deviance),
}
every_loss = pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES.values()], ids=LOSSES)
every_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
FOR_CLASSES = CrossEntropy, Focal


def example(loss, n=N, k=5, dtype=np.float64, spread=3.0):
    rng = np.random.default_rng(k)
    outputs = (spread * rng.normal(size=(n, k))).astype(dtype)
    if isinstance(loss, FOR_CLASSES):
        targets = rng.integers(k, size=n)
    elif isinstance(loss, BinaryCrossEntropy):
        targets = rng.integers(2, size=(n, k)).astype(dtype)
    elif isinstance(loss, Poisson):
        targets = rng.poisson(2, size=(n, k)).astype(dtype)
    else:
        targets = rng.normal(size=(n, k)).astype(dtype)
    return outputs, targets, rng.uniform(0.1, 3.0, n)


@every_dtype
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_those_of_pytorch(name, k, weighted, dtype):
    torch = pytest.importorskip("torch")
    loss, theirs = LOSSES[name]
    if k == 1 and getattr(loss, "gamma", 1) not in (0, 1, 2):
        pytest.skip("PyTorch differentiates a root at zero there")
    outputs, targets, weights = example(loss, k=k, dtype=dtype)
    weights = weights if weighted else None
    measured = measure(loss, outputs, targets, weights)
    z = torch.tensor(outputs, requires_grad=True)
    of_samples = theirs(torch, z, torch.tensor(targets))
    w = torch.ones(N, dtype=z.dtype) if weights is None else torch.tensor(weights, dtype=z.dtype)
    total = (of_samples * w).sum()
    (total / w.sum()).backward()
    rtol = TOLERANCE[dtype]
    assert measured.total == pytest.approx(float(total.detach()), rel=rtol, abs=10 * rtol)
    np.testing.assert_allclose(measured.gradient, z.grad.numpy(), rtol=rtol, atol=rtol)


@every_loss
def test_gradient_is_that_of_the_weighted_mean(loss):
    """Against differences of the loss itself, whatever another library says."""
    outputs, targets, weights = example(loss, n=4, k=3)
    numeric = np.empty_like(outputs)
    for place in np.ndindex(outputs.shape):
        ends = []
        for h in (-1e-5, 1e-5):
            moved = outputs.copy()
            moved[place] += h
            ends.append(measure(loss, moved, targets, weights).total)
        numeric[place] = (ends[1] - ends[0]) / 2e-5 / weights.sum()
    gradient = measure(loss, outputs, targets, weights).gradient
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-8)


@every_loss
def test_sample_of_weight_two_counts_as_two_samples(loss):
    outputs, targets, _ = example(loss, n=3)
    weighted = measure(loss, outputs, targets, np.array([1.0, 2.0, 1.0]))
    twice = [0, 1, 1, 2]
    repeated = measure(loss, outputs[twice], targets[twice])
    assert weighted.total == pytest.approx(repeated.total, rel=1e-14)
    np.testing.assert_allclose(weighted.gradient[0], repeated.gradient[0], rtol=1e-14)
    np.testing.assert_allclose(weighted.gradient[1], 2 * repeated.gradient[1], rtol=1e-14)


@every_loss
def test_weights_may_be_of_any_size(loss):
    outputs, targets, weights = example(loss)
    small = measure(loss, outputs, targets, weights * 1e-30)
    large = measure(loss, outputs, targets, weights * 1e30)
    np.testing.assert_allclose(small.gradient, large.gradient, rtol=1e-12)
    assert small.total * 1e60 == pytest.approx(large.total, rel=1e-12)


@every_dtype
@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize(
    "loss", [loss for loss, _ in LOSSES.values() if not isinstance(loss, Poisson)], ids=str
)
def test_no_output_overflows(loss, size, dtype):
    outputs, targets, _ = example(loss, n=4, k=3)
    outputs = (size * np.array([[1, -1, 0], [-1, 1, 1], [-1] * 3, [1] * 3])).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        measured = measure(loss, outputs, targets)
        predictions = loss.link(outputs)
    assert np.isfinite(measured.total)
    assert np.isfinite(measured.gradient).all()
    assert np.isfinite(predictions).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_and_its_gradient_are_those_of_the_loops(label_smoothing, weighted):
    rng = np.random.default_rng(0)
    logits, classes = 3 * rng.normal(size=(N, 4)), rng.integers(4, size=N)
    weights = rng.uniform(0.5, 2, N) if weighted else None
    found = measure(CrossEntropy(label_smoothing), logits, classes, weights)
    total, gradient = reference.softmax_cross_entropy(logits, classes, weights, label_smoothing)
    assert found.total == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_is_exact_where_probabilities_underflow(label_smoothing):
    outputs = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [-1e4] * 3, [1e4] * 3])
    below = np.array([2e4, 2e4, 0, 0])  # how far the true class lies below the largest output
    mean_below = np.array([3e4, 2e4, 0, 0]) / 3  # and all classes on average
    shared = np.log([1, 2, 3, 3])  # by so many equal outputs
    wanted = (1 - label_smoothing) * below + label_smoothing * mean_below + shared
    losses, _ = CrossEntropy(label_smoothing).compute(outputs, np.array([1, 0, 2, 0]))
    np.testing.assert_allclose(losses, wanted, rtol=1e-12)
    assert softmax(np.array([[0.0, -2000.0]]))[0, 1] == 0
    assert log_softmax(np.array([[0.0, -2000.0]]))[0, 1] == -2000


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_is_exact_where_a_class_is_certain(gamma):
    """1 - p would be zero there; the sum of the other probabilities is not."""
    losses, gradient = Focal(gamma).compute(np.array([[40.0, 0.0]]), np.array([0]))
    missing = np.exp(-40.0)
    np.testing.assert_allclose(losses, missing ** (gamma + 1), rtol=1e-6)
    wanted = (gamma + 1) * missing ** (gamma + 1)  # of the loss by the other class's output
    np.testing.assert_allclose(gradient, [[-wanted, wanted]], rtol=1e-6)


def test_probabilities_do_not_depend_on_what_all_outputs_share():
    outputs, *_ = example(CrossEntropy())
    np.testing.assert_allclose(softmax(outputs + 100), softmax(outputs), rtol=1e-12)
    np.testing.assert_allclose(np.exp(log_softmax(outputs)), softmax(outputs), rtol=1e-12)


def test_sigmoid_is_the_logistic_function_and_never_overflows():
    z = np.linspace(-800, 800, 33)
    with np.errstate(all="raise", under="ignore"):
        p = sigmoid(z)
    np.testing.assert_allclose(p + p[::-1], 1, rtol=1e-15)
    assert (np.diff(p) >= 0).all()


LINKS = {
    CrossEntropy(): lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
    Focal(): lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
    BinaryCrossEntropy(): lambda z: 1 / (1 + np.exp(-z)),
    Poisson(): np.exp,
    SquaredError(): lambda z: z,
    Quantile(0.1): lambda z: z,
}


@pytest.mark.parametrize("loss", LINKS, ids=str)
def test_link_makes_predictions_of_outputs(loss):
    outputs, *_ = example(loss)
    np.testing.assert_allclose(loss.link(outputs), LINKS[loss](outputs), rtol=1e-12)


@pytest.mark.parametrize("loss", [CrossEntropy(), Focal(), BinaryCrossEntropy()], ids=str)
def test_logarithm_of_the_link_never_underflows(loss):
    outputs, *_ = example(loss)
    np.testing.assert_allclose(loss.log_link(outputs), np.log(loss.link(outputs)), rtol=1e-9)
    far = np.array([[-2000.0, 2000.0]])
    with np.errstate(all="raise", under="ignore"):
        found = loss.log_link(far)
    wanted = [[-4000, 0]] if loss.targets == "classes" else [[-2000, 0]]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.5])
def test_one_class_is_certain(label_smoothing):
    outputs = np.array([[3.0], [-2.0]], np.float32)
    measured = measure(CrossEntropy(label_smoothing), outputs, np.zeros(2, int))
    assert measured.total == 0
    np.testing.assert_allclose(measured.gradient, 0, atol=1e-7)
    np.testing.assert_array_equal(softmax(outputs), np.ones((2, 1)))


@every_loss
@every_dtype
@pytest.mark.parametrize("weights", [None, np.ones(N)])
def test_dtype_of_the_outputs_goes_through(loss, dtype, weights):
    outputs, targets, _ = example(loss, dtype=dtype)
    assert loss.link(outputs).dtype == dtype
    measured = measure(loss, outputs, targets, weights)
    assert measured.gradient.dtype == dtype
    assert type(measured.total) is float


@every_loss
def test_arguments_are_not_modified(loss):
    outputs, targets, weights = example(loss)
    before = outputs.copy(), targets.copy(), weights.copy()
    for array in (outputs, targets, weights):
        array.flags.writeable = False
    measure(loss, outputs, targets, weights)
    loss.link(outputs)
    for array, copy in zip((outputs, targets, weights), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("minimizer", "loss"),
    [(np.mean, SquaredError()), (np.median, AbsoluteError())]
    + [(lambda t, q=q: np.quantile(t, q, method="inverted_cdf"), Quantile(q)) for q in (0.1, 0.8)]
    + [(lambda t: np.log(np.mean(t)), Poisson())],
    ids=["mean", "median", "a tenth", "four fifths", "logarithm of the mean"],
)
def test_the_best_constant_is_what_each_loss_is_for(minimizer, loss):
    targets = np.random.default_rng(0).poisson(3, size=(201, 1)) + 0.5

    def total(constant):
        return measure(loss, np.full((201, 1), constant), targets).total

    best = minimizer(targets[:, 0])
    assert all(total(best) <= total(best + step) + 1e-9 for step in np.linspace(-2, 2, 81))


@every_loss
def test_a_loss_is_a_value(loss):
    assert clone(loss) == loss
    assert loss.replace(**loss.get_params()) == loss
    assert eval(repr(loss)) == loss
    assert hash(loss) == hash(clone(loss))


@pytest.mark.parametrize(
    "make",
    [
        lambda: CrossEntropy(1.0),
        lambda: Focal(-1),
        lambda: Huber(0),
        lambda: Quantile(0),
        lambda: Quantile(1),
        lambda: Quantile("half"),
    ],
)
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises((ValueError, TypeError), match="needed: "):
        make()
