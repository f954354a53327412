"""ActivationDisplay draws the outputs of the layers, as NumpyCNNFeatures returns them."""

import numpy as np
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, NumpyCNNRegressor
from sknpcnn.display import ActivationDisplay
from sknpcnn.layers import Conv2D, Dense, GlobalAvgPool2D, ReLU, Residual
from tests.models import small

pytestmark = pytest.mark.thread_unsafe(reason="pyplot has one current figure")


def outputs(clf, X, layer):
    shapes = clf.summary().set_index("name")["output_shape"]
    features = NumpyCNNFeatures(FrozenEstimator(clf), layer=layer).fit(X)
    return features.transform(X).reshape(shapes[layer])


@pytest.fixture(scope="module")
def deep(colored):
    X, y = colored
    layers = [Conv2D(12), Residual([Conv2D(12), ReLU()]), GlobalAvgPool2D(), Dense(30), ReLU()]
    return NumpyCNNClassifier(layers=layers, max_iter=1, random_state=0).fit(X, y)


def test_maps_and_vectors_are_the_outputs_of_the_layers(deep, colored):
    X = colored[0]
    display = ActivationDisplay.from_estimator(deep, X, index=4)
    assert_allclose(display.artists_["image"][0].get_array(), X[4] / 255)
    names = [name for name in deep.summary()["name"] if not name.startswith("flatten")]
    assert list(display.activations) == names
    for name in names:
        expected = outputs(deep, X[4:5], name)
        assert_array_equal(display.activations[name], expected)
        artists = display.artists_[name]
        if expected.ndim == 3:
            for artist, channel in zip(artists, display.maps_[name], strict=True):
                assert_array_equal(artist.get_array(), expected[:, :, channel])
                assert artist.get_clim() == (expected.min(), expected.max())
        elif len(expected) > 20:
            assert_array_equal(artists[0].get_array(), expected[None])
        else:
            assert_allclose([bar.get_height() for bar in artists[0]], expected)
    assert "relu_1" in names
    assert "residual_1" in names


def test_most_active_maps_come_first(deep, colored):
    display = ActivationDisplay.from_estimator(deep, colored[0], n_maps=5)
    for name in ("conv2d_1", "residual_1"):
        activity = np.abs(display.activations[name]).mean(axis=(0, 1))
        assert_allclose(activity[display.maps_[name]], np.sort(activity)[::-1][:5])
    assert display.axes_.shape == (1 + len(display.activations), 5)


def test_rows_are_named_and_outputs_are_labeled(deep, colored):
    display = ActivationDisplay.from_estimator(deep, colored[0])
    labels = [row[0].get_ylabel() for row in display.axes_]
    assert labels[0] == "image\n9 x 7 x 3"
    assert labels[1] == "conv2d_1\n9 x 7 x 12"
    assert labels[-1] == "output\n3"
    output = display.axes_[-1, 0]
    assert [label.get_text() for label in output.get_xticklabels()] == [*deep.classes_]
    assert all(ax is output for ax in display.axes_[-1])


def test_named_layers_are_drawn_in_their_order(deep, colored):
    display = ActivationDisplay.from_estimator(deep, colored[0], layers=["output", "conv2d_1"])
    assert list(display.artists_) == ["image", "output", "conv2d_1"]
    assert list(ActivationDisplay.from_estimator(deep, colored[0], layers="relu_1").maps_) == [
        "relu_1"
    ]
    with pytest.raises(
        ValueError, match="layers holds 'conv'; needed: names of layers: conv2d_1, "
    ):
        ActivationDisplay.from_estimator(deep, colored[0], layers=["conv"])


def test_of_a_deep_network_some_layers_are_drawn():
    X = np.random.default_rng(0).normal(size=(10, 8, 8))
    clf = NumpyCNNClassifier(layers=[Conv2D(2), ReLU()] * 30, max_iter=1).fit(X, np.arange(10) % 2)
    display = ActivationDisplay.from_estimator(clf, X)
    assert len(display.maps_) == 12
    first, *_, last = display.maps_
    assert (first, last) == ("conv2d_1", "output")


def test_a_pipeline_is_drawn_from_what_its_network_sees(few_digits):
    X, _, y, _ = few_digits
    pipeline = make_pipeline(MinMaxScaler((0, 0.5)), small()).fit(X, y)
    display = ActivationDisplay.from_estimator(pipeline, X, index=-1)
    seen = pipeline[0].transform(X[-1:])
    assert_allclose(display.artists_["image"][0].get_array(), seen.reshape(8, 8))
    assert_array_equal(display.activations["output"], outputs(pipeline[-1], seen, "output"))
    given = np.full((300, 5, 5, 3), 0.25)
    display = ActivationDisplay.from_estimator(pipeline, X, images=given)
    assert_allclose(display.artists_["image"][0].get_array(), given[0])


def test_a_regressor_has_a_bar_for_each_value(few_digits):
    X, _, y, _ = few_digits
    reg = NumpyCNNRegressor(conv_filters=2, max_iter=1, random_state=0).fit(X, y)
    display = ActivationDisplay.from_estimator(reg, X[:1])
    [bars] = display.artists_["output"]
    assert_allclose(bars[0].get_height(), outputs(reg, X[:1], "output")[0])


def test_axes_and_styles_are_passed_on(deep, colored):
    _, (left, right) = plt.subplots(1, 2)
    style = {"im_kw": {"cmap": "magma"}, "bar_kw": {"color": "#ff0000"}}
    display = ActivationDisplay.from_estimator(deep, colored[0], ax=left, **style)
    assert display.bounding_ax_ is left
    assert display.artists_["conv2d_1"][0].get_cmap().name == "magma"
    assert display.artists_["output"][0][0].get_facecolor() == (1, 0, 0, 1)
    edges = [ax.get_position().x1 for ax in display.axes_.flat]
    assert max(edges) < right.get_position().x0


def test_on_black_nothing_is_written_in_black(deep, colored):
    with plt.style.context("dark_background"):
        display = ActivationDisplay.from_estimator(deep, colored[0])
        found = [row[0].yaxis.label.get_color() for row in display.axes_]
        found += [ax.title.get_color() for ax in display.axes_[1]]
    assert all(min(colors.to_rgb(color)) > 0.9 for color in found)


def test_an_image_that_is_not_there_is_an_error(deep, colored):
    with pytest.raises(ValueError, match="index=90; needed: one of the 90 images of X"):
        ActivationDisplay.from_estimator(deep, colored[0], index=90)
