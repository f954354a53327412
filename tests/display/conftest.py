"""Networks that several tests draw; figures are closed after each test."""

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def no_figures_are_left():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield
    pyplot.close("all")


@pytest.fixture(scope="session")
def few_digits(digits):
    """X_train, X_test, y_train, y_test: rows of 8 x 8 pixels."""
    X, X_test, y, y_test = digits
    return X[:300].astype("float32"), X_test[:50].astype("float32"), y[:300], y_test[:50]


@pytest.fixture(scope="session")
def digit_reader(few_digits):
    """A classifier that makes some mistakes."""
    X, X_test, y, y_test = few_digits
    clf = NumpyCNNClassifier(conv_filters=8, max_iter=5, random_state=0)
    return clf.fit(X, y, X_val=X_test, y_val=y_test)


@pytest.fixture(scope="session")
def colored():
    """Images of three colors, as bytes, and their names."""
    y = np.array(["a red one", "a green one", "a blue one"])[RNG.integers(0, 3, 90)]
    X = RNG.integers(0, 100, (90, 9, 7, 3), dtype=np.uint8)
    for channel, name in enumerate(("a red one", "a green one", "a blue one")):
        X[y == name, ..., channel] += 100
    return X, y


@pytest.fixture(scope="session")
def color_teller(colored):
    return NumpyCNNClassifier(conv_filters=(6, 5), max_iter=3, random_state=0).fit(*colored)
