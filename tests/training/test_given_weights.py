"""Training from given weights: a network is initialized, given other weights, and trained."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.base import clone

import sknpcnn
from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import BatchNorm, Conv2D, Flatten, Layer, Parameter, ReLU
from sknpcnn.schedules import CosineDecay, OneCycle
from tests.models import weights_of

SETTINGS = [
    {},
    {"early_stopping": True, "batch_norm": True},
    {"learning_rate": CosineDecay(warmup=1), "dropout": 0.2},
    {"layers": [Conv2D(2), BatchNorm(), ReLU(), Flatten()], "solver": "sgd"},
]


@pytest.fixture(scope="module")
def data(digits):
    X, _, y, _ = digits
    return X[:120], y[:120]


def small(**params):
    given = {"max_iter": 2, "random_state": 0, "learning_rate": "constant"}
    if "layers" not in params:
        given |= {"conv_filters": (2,), "hidden_layer_sizes": (5,)}
        given |= {"batch_norm": False, "dropout": 0.0}
    return NumpyCNNClassifier(**given | params)


@pytest.mark.parametrize("params", SETTINGS)
def test_a_fit_of_no_epochs_and_one_from_there_are_one_fit(params, data):
    whole = small(**params).fit(*data)
    clf = small(**params, warm_start=True).set_params(max_iter=0).fit(*data)
    assert (clf.n_iter_, clf.t_, clf.loss_curve_, len(clf.history_)) == (0, 0, [], 0)
    assert np.isnan(clf.loss_)
    clf.set_weights(clf.get_weights()).set_params(max_iter=2).fit(*data)
    assert weights_of(clf).tobytes() == weights_of(whole).tobytes()


def test_training_starts_from_the_weights_that_were_given(data):
    elsewhere = small(max_iter=3, random_state=7).fit(*data)
    clf = small(max_iter=0).fit(*data).set_weights(elsewhere.get_weights())
    np.testing.assert_array_equal(clf.predict_proba(data[0]), elsewhere.predict_proba(data[0]))
    clf.set_params(max_iter=1, warm_start=True, learning_rate_init=1e-9).fit(*data)
    np.testing.assert_allclose(weights_of(clf), weights_of(elsewhere), atol=1e-6)
    assert clf.n_iter_ == 1


def test_a_fit_of_no_epochs_does_all_that_a_fit_does(data, tmp_path, capsys):
    clf = small(max_iter=0, verbose=2, checkpoint_dir=tmp_path, learning_rate=OneCycle())
    clf.fit(*data, X_val=data[0], y_val=data[1])
    clf.fit(*data, X_val=data[0], y_val=data[1])  # resumes from its checkpoint
    assert clf.validation_scores_ == []
    assert clf.score(*data) >= 0
    sknpcnn.save(clf, tmp_path / "model.npz")
    loaded = sknpcnn.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict_proba(data[0]), clf.predict_proba(data[0]))
    clone(clf).set_params(max_iter=0).partial_fit(*data, classes=np.arange(10))


def test_the_optimizer_continues_after_a_fit_with_warm_start_and_begins_anew_without(data):
    steps = {}
    for warm in (True, False):
        clf = small(warm_start=warm, max_iter=10, batch_size=10).fit(*data)
        before = weights_of(clf).copy()
        clf.set_params(batch_size=120).partial_fit(*data)  # one step
        steps[warm] = np.abs(weights_of(clf) - before).mean()
    assert steps[False] > 2 * steps[True]


@dataclass(frozen=True, repr=False)
class Bounded(Layer):
    """Has a parameter that may not be below one, and a ``var`` that may be anything."""

    def parameters(self, shape):
        return {"a": Parameter((1,), start=2.0, minimum=1.0), "var": Parameter((1,))}

    def forward(self, params, x, ctx):
        return x * params["a"] + params["var"], x

    def backward(self, params, x, dy, grads, ctx):
        grads["a"][...] = (x * dy).sum()
        grads["var"][...] = dy.sum()
        return dy * params["a"]


def test_a_parameter_says_itself_what_its_values_may_be():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 8, 8)), np.arange(20) % 2
    clf = NumpyCNNClassifier(layers=[Bounded()], max_iter=0, random_state=0).fit(X, y)
    clf.set_weights({"bounded_1.a": [1.0], "bounded_1.var": [-3.0]})
    with pytest.raises(ValueError, match=r"_1.a'\] holds values below 1; needed: 1 or more"):
        clf.set_weights({"bounded_1.a": [0.5]})
