"""Batch normalization that prediction folds into the weights before it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.plan import plan
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import MIN_ROWS_TO_FOLD, Network
from sknpcnn._network.prediction import predict
from sknpcnn.features import NumpyCNNFeatures
from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    Identity,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    rewriting,
)
from sknpcnn.layers.rewriting import fold_batch_norms
from sknpcnn.losses import CrossEntropy
from sknpcnn.spec import named
from tests import reference

IMAGE, N = (7, 6, 2), 40
frozen = dataclass(frozen=True, repr=False)
TAIL = [Flatten(), Dense(9), BatchNorm(epsilon=1e-3), ReLU()]
NETWORKS = {
    "bias": [Conv2D(5), BatchNorm(), ReLU(), MaxPool2D(), *TAIL],
    "no bias": [Conv2D(5, bias=False), BatchNorm(), ReLU(), *TAIL],
    "two of them": [Conv2D(5), BatchNorm(), BatchNorm(epsilon=0.1), *TAIL],
    "not after weights": [BatchNorm(), Conv2D(4), ReLU(), BatchNorm(), *TAIL],
    "dense without bias": [Flatten(), Dense(8, bias=False), BatchNorm(), Identity()],
}


def network_of(layers):
    return Network(named(layers), IMAGE, 3)


def parameters_of(network, seed):
    """Draw parameters with averages far from their initial values."""
    rng = np.random.default_rng(seed)
    theta = network.layout.start(seed, np.float64)
    for name, parameter in network.layout.parameters.items():
        if parameter.fan_in is None:
            theta[network.layout.slices[name]] = rng.uniform(0.2, 2.0, parameter.size)
    return theta


@pytest.fixture(scope="module")
def rows():
    X = np.random.default_rng(0).normal(size=(N, np.prod(IMAGE)))
    return Rows(X, IMAGE)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_logits_are_those_of_pytorch_before_and_after_parameters_change(name, rows):
    torch = pytest.importorskip("torch")
    from benchmarks.torch_networks import module_of

    network = network_of(NETWORKS[name])
    images = torch.from_numpy(rows.X.reshape(N, *IMAGE).transpose(0, 3, 1, 2).copy())
    with Engine(2, np.float64) as engine:
        theta = parameters_of(network, 0)
        for seed in (0, 1, 2, 3):  # run, recorded, replayed, and replayed once more
            theta[...] = parameters_of(network, seed)
            module = module_of(network, theta).eval()
            with torch.no_grad():
                wanted = module(images).numpy()
            np.testing.assert_allclose(network.logits(theta, rows, engine), wanted, rtol=1e-9)
            few = replace(rows, index=slice(0, MIN_ROWS_TO_FOLD - 1))  # too few to fold
            given = network.logits(theta, few, engine)
            np.testing.assert_allclose(given, wanted[: MIN_ROWS_TO_FOLD - 1], rtol=1e-9)


def test_a_bias_for_every_pixel_is_scaled_too(rows):
    network = network_of([Conv2D(3, bias="position"), BatchNorm()])
    theta = parameters_of(network, 0)
    arrays = dict(network.layout.arrays(theta))
    conv = (arrays[f"conv2d_1.{name}"] for name in "Wb")
    y = reference.conv2d(rows.X.reshape(N, *IMAGE), *conv)
    gamma, beta, mean, var = (
        arrays[f"batchnorm_1.{name}"] for name in ("gamma", "beta", "mean", "var")
    )
    y = reference.batch_norm(y, gamma, beta, mean, var, 1e-5)
    with Engine(1, np.float64) as engine:
        given = predict(network.prediction(theta, rows, engine, "batchnorm_1"), None, engine)
    np.testing.assert_allclose(given, y.reshape(N, -1), rtol=1e-9)


def test_only_what_follows_weights_is_folded():
    steps = named([BatchNorm(), Conv2D(4), BatchNorm(), ReLU(), BatchNorm(), Residual([Conv2D(4)])])
    left, foldings = fold_batch_norms(steps)
    assert [(folding.into, folding.norm) for folding in foldings] == [("conv2d_1", "batchnorm_2")]
    assert [name for name, _ in left] == [name for name, _ in steps if name != "batchnorm_2"]


BLOCK = [Conv2D(4, bias=False), BatchNorm(), ReLU(), Conv2D(4), BatchNorm(epsilon=0.1)]


@frozen
class Halved(Sequential):
    """A composite of a user's own."""

    def forward(self, params, x, ctx):
        y, cache = super().forward(params, x, ctx)
        return y / 2, cache


INSIDE = {
    "sequence": Sequential(BLOCK),
    "residual": Residual(BLOCK[:3], shortcut=Sequential([Conv2D(4), BatchNorm(), MaxPool2D(1)])),
    "deep": Sequential([Residual([Sequential(BLOCK)], shortcut=Conv2D(4, 1)), BatchNorm()]),
    "a user's own": Halved(BLOCK),
    "pooled": Sequential([Conv2D(4), ReLU(), MaxPool2D(), Residual([Conv2D(4), MaxPool2D(1)])]),
}


@pytest.mark.parametrize("layer", INSIDE.values(), ids=INSIDE)
def test_rewriting_inside_of_layers_changes_no_result(layer, rows, monkeypatch):
    network = network_of([Conv2D(4), layer, *TAIL])
    theta = parameters_of(network, 0)
    classes = np.arange(N) % 3

    def results(network):
        grad = np.zeros_like(theta)
        with Engine(2, np.float64) as engine:
            logits = network.logits(theta, rows, engine)
            loss, _ = network.learn(theta, grad, rows, classes, None, engine, CrossEntropy())
        return logits, loss, grad

    found = results(network)
    monkeypatch.setattr(rewriting, "rewrite", lambda steps, *_: (tuple(steps), []))
    for one, two in zip(found, results(network_of([Conv2D(4), layer, *TAIL])), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["sequence", "residual", "deep", "a user's own"])
def test_batch_norms_inside_of_layers_are_folded(name):
    steps = named([Conv2D(4), INSIDE[name]])

    def norms(planned):
        inside = [norms(branch) for node in planned.nodes() for branch in node.branches]
        here = [node for node in planned.nodes() if type(node.layer) is BatchNorm]
        return len(here) + sum(inside)

    unfolded = plan(steps, IMAGE, training=False)
    assert norms(unfolded) > norms(plan(steps, IMAGE, training=False, fold=True))


def test_what_inherits_from_a_layer_is_run_as_it_is(rows):
    class Squared(Conv2D):
        def forward(self, params, x, ctx):
            y, cache = super().forward(params, x, ctx)
            return y * y, cache

    network = network_of([Squared(4), BatchNorm()])
    theta = parameters_of(network, 0)
    arrays = dict(network.layout.arrays(theta))
    y = reference.conv2d(rows.X.reshape(N, *IMAGE), arrays["squared_1.W"], arrays["squared_1.b"])
    norm = (arrays[f"batchnorm_1.{name}"] for name in ("gamma", "beta", "mean", "var"))
    wanted = reference.batch_norm(y * y, *norm, 1e-5)
    with Engine(1, np.float64) as engine:
        given = predict(network.prediction(theta, rows, engine, "batchnorm_1"), None, engine)
    np.testing.assert_allclose(given, wanted.reshape(N, -1), rtol=1e-9)


def test_features_of_the_convolution_itself_are_not_normalised(digits):
    X, _, y, _ = digits
    layers = [("conv", Conv2D(4)), ("norm", BatchNorm()), ("relu", ReLU())]
    clf = NumpyCNNClassifier(layers=layers, max_iter=2, random_state=0, dtype="float64")
    conv, norm = (
        NumpyCNNFeatures(clf, layer=layer, train=True).fit(X[:200], y[:200])
        for layer in ("conv", "norm")
    )
    weights = norm.estimator_.get_weights()
    gamma, beta, mean, var = (weights[f"norm.{name}"] for name in ("gamma", "beta", "mean", "var"))
    before, after = (step.transform(X[:20]).reshape(20, 8, 8, 4) for step in (conv, norm))
    wanted = reference.batch_norm(before, gamma, beta, mean, var, 1e-5)
    np.testing.assert_allclose(after, wanted, rtol=1e-9, atol=1e-12)
