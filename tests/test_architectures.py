"""The named networks: their sizes are what their docstrings say, and they learn."""

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier, architectures

NAMES = architectures.__all__
COLOUR = ("network_3", "network_4", "network_4_improved")


def image_of(name):
    return (32, 32, 3) if name in COLOUR else (28, 28, 1)


def fitted(name, **params):
    """Fit a network to twenty images: one of each class in two noisy versions."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, *image_of(name)))
    X = np.concatenate([X, X + 0.1 * rng.normal(size=X.shape)]).astype(np.float32)
    y = np.tile(np.arange(10), 2)
    clf = NumpyCNNClassifier(layers=getattr(architectures, name)(), random_state=0, **params)
    return clf.fit(X, y), X, y


@pytest.mark.parametrize("name", NAMES)
def test_docstring_counts_the_parameters(name):
    clf, *_ = fitted(name, max_iter=1)
    text = " ".join(getattr(architectures, name).__doc__.split())
    assert f"{clf.summary()['parameters'].sum():,} parameters" in text
    assert f"{image_of(name)[0]}x{image_of(name)[1]}" in text


@pytest.mark.parametrize("name", NAMES)
def test_network_learns_a_few_images_by_heart(name):
    clf, X, y = fitted(name, max_iter=25)
    assert clf.score(X, y) == 1


def test_every_call_makes_a_list_of_its_own():
    layers = architectures.lenet()
    layers.pop()
    assert len(architectures.lenet()) == len(layers) + 1


def test_no_name_is_missing():
    public = {name for name, thing in vars(architectures).items() if callable(thing)}
    functions = {n for n in public if not isinstance(getattr(architectures, n), type)}
    assert functions == set(NAMES)


def test_three_stage_has_a_bias_for_every_pixel_of_its_first_two_convolutions():
    clf, *_ = fitted("three_stage", max_iter=1)
    shapes = {name: array.shape for name, array in clf.get_weights().items()}
    assert shapes["conv2d_1.b"] == (28, 28, 16)
    assert shapes["conv2d_2.b"] == (14, 14, 32)
    assert shapes["conv2d_3.b"] == (64,)


def test_pooling_of_network_2_pads_what_is_no_multiple_of_the_window():
    X, y = np.random.default_rng(0).random((20, 27, 27)), np.arange(20) % 10
    clf = NumpyCNNClassifier(layers=architectures.network_2(), max_iter=1).fit(X, y)
    pooled = clf.summary().set_index("name").loc[["maxpool2d_1", "maxpool2d_2"], "output_shape"]
    assert pooled.tolist() == [(14, 14, 16), (7, 7, 16)]
