"""Fits that continue from earlier ones, and changes between and during them."""

from functools import partial
from inspect import signature

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier
from sknpcnn._estimator.blocks import ARCHITECTURE
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D, ReLU
from sknpcnn.optimizers import SGD
from tests import models
from tests.models import assert_same_weights, weights_of

small = partial(models.small, **models.PLAIN)


@pytest.fixture
def few(digits):
    X, _, y, _ = digits
    return X[:300], y[:300]


def test_a_warm_fit_stops_by_its_own_epochs(few):
    for was_warm in (False, True):
        clf = small(max_iter=6, n_iter_no_change=np.inf, warm_start=was_warm).fit(*few)
        clf.set_params(warm_start=True, max_iter=60, n_iter_no_change=1, tol=100.0).fit(*few)
        assert clf.n_iter_ == 6 + 3


def test_layers_can_be_frozen_and_thawed_between_fits(few):
    layers = [Conv2D(4), ReLU(), Flatten(), Dense(8), ReLU()]
    clf = NumpyCNNClassifier(layers=layers, warm_start=True, max_iter=2, random_state=0).fit(*few)
    before = clf.get_weights()
    clf.set_params(conv2d_1__lr_scale=0.0).fit(*few)
    frozen = clf.get_weights()
    np.testing.assert_array_equal(frozen["conv2d_1.W"], before["conv2d_1.W"])
    assert not np.array_equal(frozen["dense_1.W"], before["dense_1.W"])
    clf.set_params(conv2d_1__lr_scale=1.0).fit(*few)
    assert not np.array_equal(clf.get_weights()["conv2d_1.W"], frozen["conv2d_1.W"])
    assert clf.n_iter_ == 6


def test_early_stopping_in_a_warm_fit_keeps_a_better_model(digits):
    X, X_test, y, y_test = digits
    clf = small(early_stopping=True, warm_start=True, max_iter=10)
    clf.fit(X, y, X_val=X_test, y_val=y_test)
    best = weights_of(clf).copy()
    clf.set_params(learning_rate_init=10.0, solver="sgd", max_iter=1, clip_norm=1.0)
    clf.fit(X, y, X_val=X_test, y_val=y_test)
    np.testing.assert_array_equal(weights_of(clf), best)


def test_another_solver_begins_with_a_memory_of_its_own(few):
    clf = small(solver="rmsprop", warm_start=True).fit(*few)
    theta = clf._theta.copy()
    clf.set_params(solver="adagrad", max_iter=1).fit(*few)
    fresh = small(max_iter=1, solver="adagrad", warm_start=True).fit(*few)
    fresh._theta, fresh._progress = theta, {**clf._progress, "rule": "", "epoch": 3}
    fresh.fit(*few)
    assert_same_weights(clf, fresh)


def test_what_the_user_changes_after_fit_does_not_reach_the_fitted_model(few):
    layers, kernel = [Conv2D(4), ReLU()], [3, 5]
    explicit = NumpyCNNClassifier(layers=layers, max_iter=1).fit(*few)
    blocks = NumpyCNNClassifier((2, 2), kernel_size=kernel, max_iter=1).fit(*few)
    wanted = explicit.predict_proba(few[0]), blocks.predict_proba(few[0])
    layers[0] = Conv2D(7)
    kernel[0] = 1
    np.testing.assert_array_equal(explicit.predict_proba(few[0]), wanted[0])
    np.testing.assert_array_equal(blocks.predict_proba(few[0]), wanted[1])


def test_parameters_that_belong_together_can_be_set_together():
    clf = NumpyCNNClassifier(layers=[MaxPool2D(2)], solver=SGD(momentum=0.9, nesterov=True))
    clf.set_params(solver__momentum=0.0, solver__nesterov=False)
    assert clf.solver == SGD()
    clf.set_params(maxpool2d_1__padding=2, maxpool2d_1__size=3)
    assert clf.get_params()["maxpool2d_1"] == MaxPool2D(3, padding=2)


class Narrow(NumpyCNNClassifier):
    """Somebody's subclass with fewer parameters."""

    def __init__(self, max_iter=2, random_state=0):
        super().__init__(max_iter=max_iter, random_state=random_state)


def test_a_subclass_with_fewer_parameters_works(few):
    clf = Narrow().fit(*few)
    wanted = NumpyCNNClassifier(max_iter=2, random_state=0).fit(*few)
    assert_same_weights(clf, wanted)


def test_defaults_of_the_architecture_are_those_of_the_classifier():
    parameters = signature(NumpyCNNClassifier).parameters
    assert {name: parameters[name].default for name in ARCHITECTURE} == ARCHITECTURE


def test_a_misspelt_class_weight_is_mentioned(few):
    with pytest.warns(UserWarning, match=r"class_weight names \['one'\]"):
        small(class_weight={"one": 2.0}).fit(*few)


@pytest.mark.parametrize("size", [1e-300, 1e-50, 1e39, 1e300])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_only_the_ratios_of_sample_weights_matter(size, batch_norm, few):
    X, y = few[0].astype("float32"), few[1]
    weights = 1.0 + np.arange(len(y)) % 3
    wanted = small(batch_norm=batch_norm).fit(X, y, weights)
    scaled = small(batch_norm=batch_norm).fit(X, y, weights * size)
    np.testing.assert_allclose(scaled.predict_proba(X), wanted.predict_proba(X), atol=1e-4)


@pytest.mark.thread_unsafe(reason="measures the memory of the whole process")
def test_batch_norm_predicts_in_chunks():
    import tracemalloc

    X, y = np.zeros((512, 32, 32), np.float32), np.arange(512) % 2
    layers = [Conv2D(16), BatchNorm(), ReLU(), MaxPool2D(4)]
    clf = NumpyCNNClassifier(layers=layers, max_iter=1, n_jobs=1).fit(X[:64], y[:64])
    clf.predict(X[:64])
    tracemalloc.start()
    clf.predict(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 512 * 32 * 32 * 16 * 4 / 2  # half of what one whole layer would take
