"""Layers within layers: as deep as may be everything works, deeper is refused at once."""

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.base import clone

from sknpcnn import NumpyCNNClassifier, load, save
from sknpcnn.layers import BatchNorm, Conv2D, Identity, Layer, ReLU, Residual, Sequential
from sknpcnn.optimizers import Adam, Optimizer
from sknpcnn.spec import MAX_DEPTH, MAX_SPECS
from tests.models import assert_same_weights

FRAMES = 300
"""So many frames of Python lie above a fit in a pipeline in a grid search in a test, at most."""

X = np.random.default_rng(0).normal(size=(8, 6, 6)).astype(np.float32)
y = np.arange(8) % 2

WRAP = {
    "residual": lambda layer: Residual([layer]),
    "sequential": lambda layer: Sequential([layer]),
    "shortcut": lambda layer: Residual([], shortcut=layer),
    "residual with layers": lambda layer: Residual([Conv2D(1), BatchNorm(), layer, ReLU()]),
    "sequential with layers": lambda layer: Sequential([ReLU(), layer, Conv2D(1)]),
}


def nested(wrap, levels):
    layer = Conv2D(1, 1)
    for _ in range(levels):
        layer = wrap(layer)
    return layer


def far_down(call, frames=FRAMES):
    """Call it from a deep stack."""
    return call() if frames == 0 else far_down(call, frames - 1)


def paths(layer):
    """Name the innermost convolution, as get_params does."""
    return max((name for name in layer.get_params() if name.endswith("__filters")), key=len)


def fitted(layer):
    return NumpyCNNClassifier(layers=[layer], max_iter=1, random_state=0).fit(X, y)


def saved_and_loaded(layer, folder):
    save(fitted(layer), folder / "model.npz")
    return load(folder / "model.npz")


USES = {
    "hash": hash,
    "compare": lambda layer: layer == pickle.loads(pickle.dumps(layer)),
    "repr": repr,
    "copy": copy.deepcopy,
    "clone": clone,
    "get_params": lambda layer: layer.get_params(),
    "replace": lambda layer: layer.replace(**{paths(layer): 2}),
    "output_shape": lambda layer: layer.output_shape((6, 6, 1)),
    "parameters": lambda layer: layer.parameters((6, 6, 1)),
    "working_set": lambda layer: layer.working_set((6, 6, 1)),
    "multiply_adds": lambda layer: layer.multiply_adds((6, 6, 1)),
    "whole_batch": lambda layer: layer.whole_batch(training=True),
    "estimator": lambda layer: repr(clone(NumpyCNNClassifier(layers=[layer]))),
    "estimator's params": lambda layer: NumpyCNNClassifier(layers=[layer]).get_params(),
    "set_params": lambda layer: NumpyCNNClassifier(layers=[("a", layer)]).set_params(
        **{f"a__{paths(layer)}": 2}
    ),
    "fit and predict": lambda layer: fitted(layer).predict(X),
    "summary": lambda layer: fitted(layer).summary(),
    "pickled fit": lambda layer: pickle.loads(pickle.dumps(fitted(layer))).predict(X),
}


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("wrap", WRAP)
def test_layers_as_deep_as_may_be_serve_every_use_from_a_deep_stack(wrap, use):
    layer = nested(WRAP[wrap], MAX_DEPTH - 1)
    far_down(lambda: USES[use](layer))


@pytest.mark.slow
def test_layers_as_deep_as_may_be_are_saved_and_resumed(tmp_path):
    layer = nested(WRAP["residual with layers"], MAX_DEPTH - 1)
    loaded = far_down(lambda: saved_and_loaded(layer, tmp_path))
    assert loaded.layers == [layer]
    clf = NumpyCNNClassifier(layers=[layer], max_iter=1, random_state=0, checkpoint_dir=tmp_path)
    far_down(lambda: clf.fit(X, y))
    assert_same_weights(clf, loaded)


@pytest.mark.parametrize("wrap", WRAP)
def test_deeper_layers_are_refused_where_they_are_made(wrap):
    layer = nested(WRAP[wrap], MAX_DEPTH - 1)
    with pytest.raises(ValueError, match=r"more than 32 levels, .* into one list"):
        WRAP[wrap](layer)


def test_a_hundred_residuals_are_refused():
    with pytest.raises(ValueError, match="Residual: layers or shortcut: more than 32 levels"):
        nested(WRAP["residual"], 100)


def test_layers_used_again_and_again_are_refused_before_they_are_too_many():
    def doubled(levels):
        layer = ReLU()
        for _ in range(levels):
            layer = Sequential([("a", layer), ("b", layer)])
        return layer

    assert doubled(10).output_shape((6, 6, 1)) == (6, 6, 1)
    with pytest.raises(ValueError, match=f"more than {MAX_SPECS} parts; needed: fewer"):
        doubled(24)


@dataclass(frozen=True, repr=False)
class Around(Layer):
    """A layer of the user's own around another one, which nothing checks when it is made."""

    inner: Layer

    def forward(self, params, x, ctx):
        return self.inner.forward(params, x, ctx)

    def backward(self, params, cache, dy, grads, ctx):
        return self.inner.backward(params, cache, dy, grads, ctx)


@dataclass(frozen=True, repr=False)
class Slower(Optimizer):
    rule: Optimizer

    def state_names(self):
        return self.rule.state_names()

    def step(self, theta, grad, memory, lr, t):
        self.rule.step(theta, grad, memory, lr / 2, t)


def test_what_the_user_has_nested_is_refused_before_training():
    layer, rule = Identity(), Adam()
    for _ in range(100):
        layer, rule = Around(layer), Slower(rule)
    with pytest.raises(ValueError, match="layers: more than 32 levels"):
        NumpyCNNClassifier(layers=[layer]).fit(X, y)
    with pytest.raises(ValueError, match="Sequential: layers: more than 32 levels"):
        Sequential([layer])
    with pytest.raises(ValueError, match="solver: more than 32 levels"):
        NumpyCNNClassifier(solver=rule).fit(X, y)
    assert Sequential([Around(Around(ReLU()))]).output_shape((6, 6, 1)) == (6, 6, 1)


@dataclass(frozen=True, repr=False)
class Counting(Identity):
    """Counts how often it is asked."""

    def output_shape(self, shape):
        ASKED.append("output_shape")
        return shape

    def parameters(self, shape):
        ASKED.append("parameters")
        return {}

    def working_set(self, shape):
        ASKED.append("working_set")
        return 1

    def multiply_adds(self, shape):
        ASKED.append("multiply_adds")
        return 0

    def get_params(self, deep=True):
        ASKED.append("get_params")
        return {}

    def __hash__(self):
        ASKED.append("hash")
        return 0

    def __repr__(self):
        ASKED.append("repr")
        return "Counting()"


ASKED = []


@pytest.mark.thread_unsafe(reason="counts in one list")
@pytest.mark.parametrize(
    "use",
    ["hash", "repr", "get_params", "output_shape", "parameters", "working_set", "multiply_adds"],
)
@pytest.mark.parametrize("wrap", ["residual", "sequential", "shortcut"])
def test_what_is_asked_of_a_layer_grows_no_faster_than_its_depth(wrap, use):
    """Whoever walks down asks each level's shapes once: no walk doubles with every level."""

    def asked(levels):
        layer = Counting()
        for _ in range(levels):
            layer = WRAP[wrap](layer)
        ASKED.clear()
        USES[use](layer)
        return len(ASKED)

    assert asked(30) <= 2 * asked(15) + 2
