"""Rows that are not images: each column is a separate quantity, and standardized on its own."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine

import sknpcnn
from sknpcnn import NumpyCNNClassifier

rng = np.random.default_rng(0)


def fitted(X, **params):
    return NumpyCNNClassifier(**{"max_iter": 1, "random_state": 0} | params).fit(
        X, np.arange(len(X)) % 2
    )


def frame(*names):
    return pd.DataFrame(rng.normal(size=(10, len(names))), columns=names)


TABLES = {
    "no square": rng.normal(size=(10, 65)),
    "too few numbers for an image": rng.normal(size=(10, 49)),
    "four columns": rng.normal(size=(10, 4)),
    "names of their own": frame("age", "income", *(f"pixel{i}" for i in range(62))),
    "sparse names": frame(*(f"{chr(97 + i % 26)}{i}" for i in range(64))),
}
IMAGES = {
    "square": (rng.normal(size=(10, 64)), {}, (8, 8, 1)),
    "numbered names": (frame(*(f"pixel_{i // 8}_{i % 8}" for i in range(64))), {}, (8, 8, 1)),
    "only numbers": (frame(*map(str, range(64))), {}, (8, 8, 1)),
    "names in between": (frame(*(f"{i // 8}x{i % 8}" for i in range(64))), {}, (8, 8, 1)),
    "small, but said so": (rng.normal(size=(10, 9)), {"image_shape": (3, 3)}, (3, 3, 1)),
    "a signal, said so": (rng.normal(size=(10, 30)), {"image_shape": (1, 30)}, (1, 30, 1)),
    "small, by its shape": (rng.normal(size=(10, 3, 3)), {}, (3, 3, 1)),
}


@pytest.mark.parametrize("kind", TABLES)
def test_columns_of_a_table_are_standardized_on_their_own(kind):
    X = TABLES[kind] * np.logspace(-3, 3, TABLES[kind].shape[1])
    clf = fitted(X)
    assert clf.image_shape_ == (1, X.shape[1], 1)
    mean, scale = clf._standard
    np.testing.assert_allclose(mean, np.mean(X, axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale, 1 / np.std(X, axis=0), rtol=1e-12)


@pytest.mark.parametrize("kind", IMAGES)
def test_images_are_standardized_as_a_whole(kind):
    X, params, image = IMAGES[kind]
    clf = fitted(X, **params)
    assert clf.image_shape_ == image
    assert [len(array) for array in clf._standard] == [1, 1]


def test_scale_and_shift_of_a_column_make_no_difference():
    X, y = load_wine(return_X_y=True)
    first = NumpyCNNClassifier(dropout=0.0, max_iter=5, random_state=0).fit(X, y)
    other = X * np.logspace(-5, 5, X.shape[1]) + np.arange(X.shape[1])
    second = NumpyCNNClassifier(dropout=0.0, max_iter=5, random_state=0).fit(other, y)
    np.testing.assert_allclose(second.predict_proba(other), first.predict_proba(X), atol=1e-6)


def test_model_of_a_table_resumes_and_is_saved(tmp_path):
    X = TABLES["names of their own"]
    y = np.arange(10) % 2
    whole = fitted(X, max_iter=4, learning_rate="constant")
    parts = fitted(X, max_iter=2, warm_start=True)
    sknpcnn.save(parts, tmp_path / "m.npz")
    loaded = sknpcnn.load(tmp_path / "m.npz").fit(X, y)
    np.testing.assert_array_equal(loaded.predict_proba(X), whole.predict_proba(X))
    streamed = NumpyCNNClassifier(random_state=0)
    for _ in range(4):
        streamed.partial_fit(X, y, classes=[0, 1])
    np.testing.assert_array_equal(streamed.predict_proba(X), whole.predict_proba(X))


def test_pixels_with_names_train_the_same_network_as_without():
    X, y = load_digits(as_frame=True, return_X_y=True)
    named, plain = (
        NumpyCNNClassifier(max_iter=1, random_state=0).fit(some, y) for some in (X, X.to_numpy())
    )
    np.testing.assert_array_equal(named._theta, plain._theta)
