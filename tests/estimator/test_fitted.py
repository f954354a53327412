"""What is kept between two predictions makes them faster, and never changes them."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier
from sknpcnn._estimator import fitted
from sknpcnn._network.network import MIN_ROWS_TO_FOLD
from sknpcnn.layers import BatchNorm, Conv2D, MaxPool2D, ReLU
from tests.engine.threads import has_helpers

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 12, 12, 2)).astype("f4")
y = np.arange(40) % 3
PLAIN = [Conv2D(8), ReLU(), Conv2D(8), MaxPool2D(), ReLU()]
NORMED = [Conv2D(8), BatchNorm(), ReLU(), Conv2D(8), MaxPool2D(), ReLU()]


def fit(layers=NORMED, **params):
    params = {"max_iter": 1, "random_state": 0} | params
    return NumpyCNNClassifier(layers=layers, **params).fit(X, y)


def afresh(clf, X):
    """What a copy predicts, which has nothing to keep yet."""
    return pickle.loads(pickle.dumps(clf)).predict_proba(X)


def kept(clf):
    """The engine that is kept for the next prediction, or None."""
    engines = fitted._derived_objects[clf].engines
    return engines[0][1] if engines else None


@pytest.mark.parametrize("n", [1, 3, MIN_ROWS_TO_FOLD - 1])
@pytest.mark.parametrize("layers", [PLAIN, NORMED], ids=["plain", "normed"])
def test_memory_that_is_kept_changes_no_bit(layers, n):
    clf = fit(layers)
    wanted = [afresh(clf, X[i : i + n]) for i in range(5)]
    for _ in range(3):  # found, recorded, replayed
        for i in range(5):
            np.testing.assert_array_equal(clf.predict_proba(X[i : i + n]), wanted[i])
    assert len(list(kept(clf).tapes)) == 1
    np.testing.assert_allclose(clf.predict_proba(X)[:n], wanted[0], rtol=1e-4)


def test_the_same_memory_is_used_again():
    clf = fit(PLAIN)
    clf.predict(X[:1])
    engine, size = kept(clf), kept(clf).size()
    for i in range(100):
        clf.predict(np.array(X[i % 40 : i % 40 + 1]))
    assert kept(clf) is engine
    assert engine.size() == size
    assert len(list(engine.tapes)) == 1
    assert not has_helpers(engine)


@pytest.mark.parametrize("layers", [PLAIN, NORMED], ids=["plain", "normed"])
def test_numbers_of_images_may_change(layers):
    clf = fit(layers)
    for n in (1, 5, 2, MIN_ROWS_TO_FOLD - 1, MIN_ROWS_TO_FOLD, 1, 40, 3, 5):
        np.testing.assert_array_equal(clf.predict_proba(X[:n]), afresh(clf, X[:n]))


def test_what_changes_the_parameters_changes_the_predictions():
    clf = fit()
    other = fit(random_state=1)
    for change in (
        lambda: clf.set_weights(other.get_weights()),
        lambda: clf.partial_fit(X, y),
        lambda: clf.set_params(max_iter=2).fit(X[:, ::-1], y),
        lambda: clf.set_params(dtype="float64").fit(X, y),
        lambda: clf.set_params(n_jobs=2, dtype=None),
        lambda: clf.set_params(layers=None).fit(X, y),
    ):
        for _ in range(3):
            before = clf.predict_proba(X[:1])
        np.testing.assert_array_equal(before, afresh(clf, X[:1]))
        change()
        for _ in range(3):
            np.testing.assert_array_equal(clf.predict_proba(X[:1]), afresh(clf, X[:1]))


def test_copies_have_memory_of_their_own():
    clf = fit()
    clf.predict(X[:1])
    twin = copy.deepcopy(clf)
    twin.predict(X[:1])
    assert kept(twin) is not kept(clf)


def test_many_images_or_large_ones_leave_nothing_behind(monkeypatch):
    clf = fit()
    clf.predict(X)
    assert kept(clf) is None
    monkeypatch.setattr(fitted, "MAX_KEPT_MEMORY", 1000)
    clf.predict(X[:1])
    assert kept(clf) is None


def test_an_interrupted_prediction_leaves_nothing_behind(monkeypatch):
    clf = fit()
    wanted = clf.predict_proba(X[:1])

    def press(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ReLU, "forward", press)
        patched.setattr(fitted.Engine, "run", press)
        with pytest.raises(KeyboardInterrupt):
            clf.predict(X[:1])
    assert kept(clf) is None
    np.testing.assert_array_equal(clf.predict_proba(X[:1]), wanted)


def test_threads_do_not_share_what_is_kept():
    clf = fit()
    wanted = [afresh(clf, X[i : i + 1]) for i in range(40)]
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda i: clf.predict_proba(X[i % 40 : i % 40 + 1]), range(800))
        for i, p in enumerate(found):
            np.testing.assert_array_equal(p, wanted[i % 40])
