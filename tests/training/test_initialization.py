"""Initialization: the loss of predicting class frequencies, and signals of equal size."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.datasets import make_blobs

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, architectures
from sknpcnn._engine.chunks import sample_shape
from sknpcnn._engine.context import MiniBatch, forward
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.parallel import whole_batch
from sknpcnn._engine.plan import plan
from sknpcnn._estimator.blocks import ACTIVATIONS
from sknpcnn._network.network import Network
from sknpcnn._network.samples import Samples
from sknpcnn._network.standard import measure_standard
from sknpcnn._training.classes import Classes
from sknpcnn._training.initialization import initial_parameters
from sknpcnn.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
)
from sknpcnn.layers.parameter import Parameter
from sknpcnn.losses import CrossEntropy
from sknpcnn.spec import named
from tests.models import weights_of

rng = np.random.default_rng(0)


def smooth(n, image):
    """Random images whose neighboring pixels are similar."""
    h, w, c = image
    images = np.cumsum(np.cumsum(rng.normal(size=(n, h, w, c)), axis=1), axis=2)
    return images.reshape(n, -1)


def samples_of(X, y=None, weights=None):
    y = np.zeros(len(X), int) if y is None else y
    return Samples(X, y, weights, np.arange(len(X)) if weights is None else np.flatnonzero(weights))


def network_of(layers, image, n_classes=3):
    return Network(named(layers), image, n_classes)


def started(network, X, seed=0, dtype=np.float64, weights=None):
    samples = samples_of(X, weights=weights)
    standard = measure_standard(samples, network.image[2], dtype)
    theta = initial_parameters(network, samples, standard, seed, dtype, np.zeros(3))
    return theta, standard


def sizes(network, X, seed=0):
    """The mean square of the output of each layer with weights or a sum, over all of X."""
    theta, standard = started(network, X, seed)
    params, found = network.layout.views(theta), []
    images = (X.reshape(len(X), *network.image) - standard.mean) * standard.scale
    x = images.transpose(1, 2, 0, 3)
    with Engine(1, np.float64) as engine:
        for name, layer in network.steps[:-1]:
            place = whole_batch(engine, MiniBatch(len(X), training=True))
            single = plan([(name, layer)], sample_shape(x.shape), training=True)
            x = forward(single, params, x, place)[0].copy()
            if isinstance(layer, (Conv2D, Dense, Residual)):
                found.append(x.var())
    return np.array(found)


# The first loss


def first_loss(X, y, **params):
    clf = NumpyCNNClassifier(
        max_iter=1, learning_rate_init=1e-12, alpha=0, random_state=0, batch_size=len(X), **params
    )
    sample_weight = params.pop("sample_weight", None)
    return clf.fit(X, y, sample_weight).loss_


SKEWED = np.repeat(np.arange(5), [160, 80, 40, 20, 4])
SMALL = {"conv_filters": (4, 4), "hidden_layer_sizes": (8,)}


@pytest.mark.parametrize("name", architectures.__all__)
def test_every_architecture_starts_at_the_entropy_of_the_classes(name):
    size = 32 if "network_3" <= name <= "network_4_improved" else 28
    X = rng.normal(size=(80, size, size, 3 if size == 32 else 1)).astype(np.float32)
    y = np.arange(80) % 4
    loss = first_loss(X, y, layers=getattr(architectures, name)())
    assert loss == pytest.approx(np.log(4), rel=0.02)


@pytest.mark.parametrize("more", [{}, {"batch_norm": True}, {"dropout": 0.5}])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_starts_at_the_entropy_of_the_classes(activation, more):
    X = rng.normal(size=(len(SKEWED), 6, 6))
    loss = first_loss(X, SKEWED, activation=activation, **SMALL, **more)
    assert loss == pytest.approx(entropy(np.bincount(SKEWED)), rel=0.02)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 100])
@pytest.mark.parametrize("skew", [0.0, 0.5, 1.0])
def test_any_number_of_classes_starts_at_their_entropy(n_classes, skew):
    shares = 1 / np.arange(1, n_classes + 1) ** skew
    counts = np.maximum((1000 * shares / shares.sum()).astype(int), 1)
    X = rng.normal(size=(counts.sum(), 3, 3))
    loss = first_loss(X, np.repeat(np.arange(n_classes), counts), **SMALL)
    assert loss == pytest.approx(entropy(counts), rel=0.02)


def test_weights_of_samples_and_classes_count_in_the_first_loss():
    X = rng.normal(size=(len(SKEWED), 6, 6))
    weights = rng.uniform(0, 2, len(SKEWED))
    clf = NumpyCNNClassifier(
        max_iter=1, learning_rate_init=1e-12, alpha=0, class_weight={0: 0.1, 4: 3.0}, **SMALL
    )
    expected = np.bincount(SKEWED, weights) * [0.1, 1, 1, 1, 3.0]
    assert clf.fit(X, SKEWED, weights).loss_ == pytest.approx(entropy(expected), rel=0.02)
    clf.class_weight = "balanced"
    assert clf.fit(X, SKEWED).loss_ == pytest.approx(np.log(5), rel=0.02)


def test_a_class_without_samples_is_thought_possible():
    counts = {3: 40, 1: 60}
    y = np.repeat(list(counts), list(counts.values()))
    target = Classes(np.arange(5))
    found = target.constant(samples_of(np.zeros((100, 1)), y), CrossEntropy())
    np.testing.assert_allclose(np.exp(found).sum(), 1)
    assert found[1] > found[3] > found[0] == found[2] == found[4] == np.log(0.002)


def test_a_stream_that_begins_with_one_class_learns_the_others():
    X, y = make_blobs(300, 16, centers=3, random_state=0)
    X, y = X[np.argsort(y, kind="stable")], np.sort(y)
    clf = NumpyCNNClassifier(
        conv_filters=(), hidden_layer_sizes=(16,), learning_rate_init=0.01, random_state=0
    )
    for lo in (0, 100, 200):
        clf.partial_fit(X[lo : lo + 100], y[lo : lo + 100], classes=[0, 1, 2])
    for _ in range(20):
        clf.partial_fit(X, y)
    assert clf.score(X, y) == 1


# Variance, layer by layer


def conv(act):
    return [layer for _ in range(20) for layer in (Conv2D(12), act)]


def dense(act):
    return [Flatten()] + [layer for _ in range(20) for layer in (Dense(48), act)]


def pooled(act):
    layers = conv(act)
    for place, pool in ((36, AvgPool2D), (24, MaxPool2D), (12, MaxPool2D)):
        layers.insert(place, pool(2, padding="same"))
    return layers


def residual(act):
    return [Conv2D(8)] + [Residual([act, Conv2D(8), act, Conv2D(8)]) for _ in range(10)]


def normalized(act):
    return [layer for _ in range(20) for layer in (Conv2D(12), BatchNorm(), act)]


@pytest.mark.slow
@pytest.mark.parametrize("stack", [conv, dense, pooled, residual, normalized])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_variance_stays_within_a_factor_of_two_through_twenty_layers(activation, stack, digits):
    network = network_of(stack(ACTIVATIONS[activation]), (8, 8, 1))
    for X in (digits[0][:256], smooth(256, (8, 8, 1))):
        found = sizes(network, X)
        assert len(found) == (11 if stack is residual else 20)
        assert found.max() < 2 * found.min(), found
        assert 0.125 < found.min() < found.max() < 0.5, found


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_variance_stays_in_training_with_dropout(activation, digits):
    layers = [layer for _ in range(6) for layer in (Dense(48), ACTIVATIONS[activation], Dropout())]
    found = sizes(network_of([Flatten(), *layers], (8, 8, 1)), digits[0][:256])
    assert found.max() < 2 * found.min(), found


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"])
def test_images_stay_different_through_twenty_layers(activation, digits):
    """A mean that is passed on from layer to layer would make them all alike."""
    network, X = network_of(conv(ACTIVATIONS[activation]), (8, 8, 1)), digits[0][:128]
    theta, standard = started(network, X)
    params = network.layout.views(theta)
    x = ((X.reshape(-1, 8, 8, 1) - standard.mean) * standard.scale).transpose(1, 2, 0, 3)
    with Engine(1, np.float64) as engine:
        place = whole_batch(engine, MiniBatch(len(X), training=False))
        steps = network.steps[:-3]  # up to the last convolution
        y, _ = forward(plan(steps, network.image, training=False), params, x, place)
        assert y.var(axis=2).mean() > 0.5 * y.var()


def test_the_branches_of_residual_blocks_start_small_but_not_at_zero():
    block = [Conv2D(8), BatchNorm(), ReLU(), Sequential([Conv2D(8), BatchNorm()])]
    network = network_of([Conv2D(8), Residual(block), Residual([Conv2D(8), ReLU()])], (8, 8, 1))
    weights = dict(network.layout.arrays(started(network, smooth(64, (8, 8, 1)))[0]))
    gamma = weights["residual_1.sequential_1.batchnorm_1.gamma"]
    assert (gamma > 0).all()
    assert (gamma < 0.2).all()
    assert (weights["residual_1.batchnorm_1.gamma"] == 1).all()
    assert weights["residual_2.conv2d_1.W"].any()


# What it depends on


LAYERS = [Conv2D(6), BatchNorm(), ReLU(), MaxPool2D(), Conv2D(8), ReLU(), Flatten(), Dense(9)]


def test_it_depends_on_what_the_images_are_and_not_on_order_copies_or_weights():
    network, X = network_of(LAYERS, (6, 6, 1)), smooth(300, (6, 6, 1))
    theta, _ = started(network, X)
    order = rng.permutation(300)
    twice = initial_parameters(
        network,
        samples_of(np.concatenate([X, X])[::-1]),
        started(network, X)[1],
        0,
        np.float64,
        np.zeros(3),
    )
    hidden = slice(0, network.layout.slices["output.b"].start)  # the bias knows how many there are
    np.testing.assert_array_equal(theta[hidden], twice[hidden])
    np.testing.assert_allclose(started(network, X[order])[0], theta, rtol=1e-9)
    weights = np.where(np.arange(400) < 300, 1.0, 0.0)
    spoilt = np.concatenate([X, np.full((100, 36), 1e9)])
    np.testing.assert_array_equal(started(network, spoilt, weights=weights)[0], theta)
    assert (started(network, X, seed=1)[0] != theta).any()


def test_it_does_not_depend_on_scale_and_offset_of_standardized_pixels(digits):
    network, X = network_of(LAYERS, (8, 8, 1)), digits[0]
    theta, _ = started(network, X)
    for other in (X / 255, X * 1000 - 3000):
        np.testing.assert_allclose(started(network, other)[0], theta, rtol=1e-9)


def test_bytes_floats_and_files_start_alike(tmp_path):
    network = network_of(LAYERS, (6, 6, 1))
    X = rng.integers(0, 256, (200, 36), dtype=np.uint8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    first, *others = (
        started(network, some, dtype=np.float32)[0] for some in (X, mapped, X.astype(np.float32))
    )
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_large_images_are_told_apart_by_some_of_their_pixels():
    X = rng.normal(size=(30, 60 * 60 * 3))
    network = network_of([Conv2D(4, stride=8), ReLU(), Conv2D(4)], (60, 60, 3))
    theta, standard = started(network, X)
    again = initial_parameters(network, samples_of(X[::-1]), standard, 0, np.float64, np.zeros(3))
    np.testing.assert_array_equal(theta, again)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((20, 36)),
        np.ones((1, 36)),
        rng.normal(size=(1, 36)),
        rng.normal(size=(20, 36)) * 1e300,
        rng.normal(size=(20, 36)) * 1e-300,
    ],
    ids=["constant", "one constant", "one", "huge", "tiny"],
)
def test_data_of_any_kind_give_a_finite_start(X):
    network = network_of(LAYERS, (6, 6, 1))
    theta = initial_parameters(network, samples_of(X), None, 0, np.float64, np.zeros(3))
    assert np.isfinite(theta).all()
    assert np.abs(network.layout.views(theta)["conv2d_2"]["W"]).max() > 0


def test_images_that_say_nothing_leave_the_weights_as_drawn():
    network = network_of(LAYERS, (6, 6, 1))
    theta = initial_parameters(
        network, samples_of(np.zeros((9, 36))), None, 3, np.float64, np.zeros(3)
    )
    drawn = network.layout.start(3, np.float64)
    for name, array in network.layout.arrays(drawn):
        if not name.startswith("output"):
            np.testing.assert_array_equal(dict(network.layout.arrays(theta))[name], array)


def test_images_that_are_not_standardized_are_brought_to_size_by_the_first_layer():
    network, X = network_of([Conv2D(8), ReLU()], (6, 6, 1)), 200 + smooth(64, (6, 6, 1))
    theta = initial_parameters(network, samples_of(X), None, 0, np.float64, np.zeros(3))
    plain = started(network, X)[0]
    first, other = (np.abs(network.layout.views(t)["conv2d_1"]["W"]).mean() for t in (theta, plain))
    assert first < other / 20


# Layers of users' own, frozen layers, and resumed fits


@dataclass(frozen=True, repr=False)
class Gated(Layer):
    """Two random matrices, multiplied: it grows with the square of its weights."""

    def parameters(self, shape):
        (n,) = shape
        return {key: Parameter((n, n), fan_in=n, decay=True) for key in ("U", "V")}

    def forward(self, params, x, ctx):
        return (x @ params["U"]) * (x @ params["V"]), x

    def backward(self, params, x, dy, grads, ctx):
        u, v = x @ params["U"], x @ params["V"]
        grads["U"][...], grads["V"][...] = x.T @ (dy * v), x.T @ (dy * u)
        return (dy * v) @ params["U"].T + (dy * u) @ params["V"].T


@dataclass(frozen=True, repr=False)
class Whatever(Gated):
    """Its output does not depend on the size of the weights."""

    def forward(self, params, x, ctx):
        return 100 * np.sign(x @ params["U"]), x


@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_layers_of_ones_own_and_frozen_ones_take_part(scale):
    network = network_of(
        [Flatten(), Dense(30, lr_scale=scale), ReLU(), Gated(), Gated()], (6, 6, 1)
    )
    X = rng.normal(size=(128, 36))
    theta, standard = started(network, X)
    params = network.layout.views(theta)
    x = (X - standard.mean) * standard.scale
    y = x @ params["dense_1"]["W"]
    assert 0.2 < y.var() < 0.3
    for name in ("gated_1", "gated_2"):
        y = np.maximum(y, 0) if name == "gated_1" else y
        y = (y @ params[name]["U"]) * (y @ params[name]["V"])
        assert 0.2 < (y**2).mean() < 0.3


def test_a_layer_that_cannot_be_brought_to_size_keeps_its_weights_as_drawn():
    network = network_of([Flatten(), Whatever()], (6, 6, 1))
    theta, _ = started(network, rng.normal(size=(50, 36)), seed=5)
    drawn = network.layout.views(network.layout.start(5, np.float64))
    for key, array in network.layout.views(theta)["whatever_1"].items():
        np.testing.assert_array_equal(array, drawn["whatever_1"][key])


def test_training_that_resumes_does_not_start_again(data):
    X, y = data
    small = SMALL | {"batch_norm": False, "dropout": 0.0, "max_iter": 1, "random_state": 0}
    clf = NumpyCNNClassifier(**small, warm_start=True).fit(X, y)
    clf.set_params(learning_rate_init=1e-12).fit(X[:50], y[:50])
    again = NumpyCNNClassifier(**small, learning_rate="constant").fit(X, y)
    np.testing.assert_allclose(weights_of(clf), weights_of(again), atol=1e-9)


def test_features_of_an_untrained_network_are_of_one_size(data):
    X, _ = data
    model = NumpyCNNClassifier(conv_filters=(16, 16, 16), pool_size=1, batch_norm=False)
    for name in ("conv2d_1", "conv2d_2", "conv2d_3"):
        found = NumpyCNNFeatures(model, layer=name, random_state=0).fit_transform(X)
        assert 0.17 < found.var() < 0.35


@pytest.mark.parametrize("seed", [0, 1])
def test_a_default_network_stands_a_large_learning_rate(seed, mnist):
    """From weights drawn by He's rule, and from PyTorch's initialization, it ends at ln 10."""
    X, _, y, _ = mnist
    clf = NumpyCNNClassifier(
        learning_rate_init=0.01, batch_size=32, max_iter=2, random_state=seed, dtype=np.float32
    )
    assert clf.fit(X[:1000], y[:1000]).loss_ < np.log(10) / 2


def test_a_residual_block_through_which_nothing_comes_starts_all_the_same():
    X = np.zeros((4, 9))
    network = network_of([Residual([Conv2D(1, bias=False)])], (3, 3, 1))
    theta, _ = started(network, X)
    assert np.isfinite(theta).all()
