"""A fit that ends badly says so once; one that ends well, or is short, says nothing."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

from sknpcnn import NumpyCNNClassifier, NumpyCNNRegressor
from sknpcnn._training.classes import Classes
from sknpcnn._training.outcome import MIN_EPOCHS
from sknpcnn._training.reals import Reals
from sknpcnn.losses import CrossEntropy
from sknpcnn.optimizers import SGD
from sknpcnn.schedules import CosineDecay
from tests.training.networks import samples_of

X, y = load_digits(return_X_y=True)
X, y = X[:300], y[:300]


def fit(X=X, y=y, **params):
    return NumpyCNNClassifier(**{"random_state": 0} | params).fit(X, y)


def said(**given):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(**given)
    assert {w.category for w in caught} <= {ConvergenceWarning}
    assert len(caught) <= 1
    assert all(w.filename == __file__ for w in caught)
    return str(caught[0].message) if caught else ""


PLAIN = {"batch_norm": False, "dropout": 0.0, "learning_rate": "constant", "max_iter": 10}

BAD = {
    "dead": (
        PLAIN | {"solver": SGD(), "learning_rate_init": 1e4, "clip_norm": 1.0},
        "has learned nothing in 10 epochs: its training accuracy is 0.1.*Lower learning_rate_init",
    ),
    "too slow": (
        PLAIN | {"solver": SGD(), "learning_rate_init": 1e-9, "random_state": 2},
        "has learned nothing in 10 epochs",
    ),
    "labels of something else": (
        {"X": np.zeros((60, 64)), "y": np.arange(60) % 3, "max_iter": 12},
        "training accuracy is 0.333 and its loss 1.1; 0.333 and 1.1 are those of always",
    ),
    "too short": (
        PLAIN | {"learning_rate_init": 2e-4},
        "still falling: it is .* after 10 epochs, which were 50 steps, and 2.3 is",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_ended_badly_is_told(kind):
    given, message = BAD[kind]
    with pytest.warns(ConvergenceWarning, match=message):
        fit(**given)
    assert said(**given)


GOOD = {
    "defaults": {},
    "early stopping": {"early_stopping": True, "max_iter": 30},
    "short, but good": {"max_iter": 10},
    "slow, but long": {"learning_rate_init": 1e-5, "max_iter": 60, "learning_rate": "constant"},
    "a look": {"max_iter": 3},
    "a schedule that ends": {"learning_rate": CosineDecay(), "max_iter": 12},
    "few of one class": {"y": y == 3, "max_iter": 12},
    "one class": {"y": np.zeros(300), "max_iter": 12},
    "weights and smoothing": {
        "class_weight": "balanced",
        "loss": CrossEntropy(0.2),
        "max_iter": 12,
    },
    "penalty": {"alpha": 0.01, "max_iter": 12},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", GOOD)
def test_what_did_not_end_badly_is_not_told(kind):
    assert said(**GOOD[kind]) == ""


def test_streams_are_never_judged():
    clf = NumpyCNNClassifier(learning_rate_init=1e-9, solver="sgd", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(12):
            clf.partial_fit(X, y, classes=range(10))


def test_baseline_is_the_entropy_of_the_classes():
    plain = samples_of()
    counts = np.bincount(plain.targets)
    p = counts[counts > 0] / counts.sum()
    target = Classes(np.arange(3))
    assert target.baseline_loss(plain, CrossEntropy()) == pytest.approx(-(p * np.log(p)).sum())
    assert target.baseline_score(plain) == p.max()


def test_best_constant_of_real_values_is_searched_for_once_by_a_fit_that_learns(monkeypatch):
    """By the initialization; afterwards only if it may have to be compared with."""
    calls, constant = [], Reals.constant
    monkeypatch.setattr(Reals, "constant", lambda *given: calls.append(1) or constant(*given))
    params = {"conv_filters": (2,), "batch_size": 16, "random_state": 0, "max_iter": MIN_EPOCHS}
    assert NumpyCNNRegressor(**params).fit(X, y).history_["train_score"].iloc[-1] > 0.1
    assert len(calls) == 1
    with pytest.warns(ConvergenceWarning, match="learned nothing"):
        NumpyCNNRegressor(**params, learning_rate_init=1e-9, solver="sgd").fit(X, y)
    assert len(calls) == 3


# Other scales


def warned(clf, X):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf.predict(X)
    assert all(w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


def bytes_like():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    images[::2] //= 4
    return images, np.arange(40) % 2


def test_fractions_given_to_a_network_of_bytes_are_told_and_the_other_way_round():
    images, y = bytes_like()
    clf = fit(images, y, max_iter=1)
    (message,) = warned(clf, images / 255)
    assert "values of up to 1, but this network was trained on values of about 1" in message
    assert "divided by 255" in message
    clf = fit(images / 255, y, max_iter=1)
    assert len(warned(clf, images)) == 1
    assert len(warned(clf, images[:1])) == 1
    assert len(warned(clf, 255.0 * images[:1])) == 1


def test_images_of_the_same_scale_are_never_told_of_however_dark_or_bright():
    images, y = bytes_like()
    for scale in (1, 255, 1 / 255):
        clf = fit(images / scale, y, max_iter=1)
        for some in (
            images,
            images[:1],
            images // 100,
            np.zeros((1, 8, 8)),
            np.full((1, 8, 8), 255),
        ):
            assert warned(clf, some / scale) == []
    clf = fit(images, y, max_iter=1)
    assert warned(clf, (images // 250).astype("uint8")) == []
    assert warned(clf, (images // 250).astype("float32")) == []


def test_nothing_is_told_where_nothing_is_known_of_the_scale():
    images, y = bytes_like()
    assert warned(fit(images / 255, y, max_iter=1, standardize=False), images) == []


def test_tables_are_compared_column_by_column():
    X, y = load_iris(return_X_y=True)
    scales = np.array([1.0, 1e3, 1e-3, 1e6])
    clf = fit(X * scales, y, max_iter=1)
    assert warned(clf, X * scales) == []
    assert len(warned(clf, X * scales * 1000)) == 1
