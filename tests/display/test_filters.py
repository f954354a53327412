"""FilterDisplay draws the kernels that get_weights returns."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal

from sknpcnn import NumpyCNNClassifier
from sknpcnn.display import FilterDisplay
from sknpcnn.layers import Conv2D, GlobalAvgPool2D, Residual

pytestmark = pytest.mark.thread_unsafe(reason="pyplot has one current figure")


def fitted(channels, *layers):
    X = np.random.default_rng(0).normal(size=(20, 6, 6, channels))
    layers = [*layers, GlobalAvgPool2D()]
    return NumpyCNNClassifier(layers=layers, max_iter=1, random_state=0).fit(X, np.arange(20) % 2)


def assert_drawn(display, W):
    """Each picture is the kernel of the filter and channel in ``indices_``."""
    for image, (k, channel) in zip(display.images_, display.indices_, strict=True):
        assert_array_equal(image.get_array(), W[:, :, channel, k])


def titles(display):
    return [ax.get_title() for ax in display.axes_.flat if ax.images]


def test_kernels_of_the_first_convolution_are_drawn(digit_reader):
    W = digit_reader.get_weights()["conv2d_1.W"]
    display = FilterDisplay.from_estimator(digit_reader)
    assert_drawn(display, W)
    assert_array_equal(display.indices_, [(k, 0) for k in range(8)])
    assert titles(display) == list("01234567")
    assert {image.get_clim() for image in display.images_} == {(-abs(W).max(), abs(W).max())}
    assert display.colorbar_.ax.get_ylabel() == "weights of conv2d_1\nabove: filter"


def test_kernels_for_three_colors_are_in_color(color_teller):
    W = color_teller.get_weights()["conv2d_1.W"]
    display = FilterDisplay.from_estimator(color_teller)
    for k, image in enumerate(display.images_):
        assert_allclose(image.get_array(), 0.5 + W[..., k] / (2 * abs(W).max()))
    assert_array_equal(display.indices_, [(k, -1) for k in range(6)])
    assert display.colorbar_ is None


def test_of_deeper_kernels_the_largest_come_first(color_teller):
    W = color_teller.get_weights()["conv2d_2.W"]
    display = FilterDisplay.from_estimator(color_teller, "conv2d_2", n_kernels=20)
    assert_drawn(display, W)
    energy = (W.astype(float) ** 2).sum(axis=(0, 1))
    drawn = [energy[channel, k] for k, channel in display.indices_]
    assert_allclose(drawn, np.sort(energy.ravel())[::-1][:20])
    assert titles(display)[0] == "{}, {}".format(*display.indices_[0])
    everything = FilterDisplay.from_estimator(color_teller, "conv2d_2")
    assert len(everything.indices_) == 30


def test_depthwise_and_grouped_kernels_are_drawn():
    clf = fitted(4, Conv2D(4, groups=4), Residual([Conv2D(4, groups=2)]))
    depthwise = FilterDisplay.from_estimator(clf)
    assert_array_equal(depthwise.indices_, [(k, 0) for k in range(4)])
    assert_drawn(depthwise, clf.get_weights()["conv2d_1.W"])
    grouped = FilterDisplay.from_estimator(clf, "residual_1.conv2d_1")
    assert {tuple(place) for place in grouped.indices_} == {
        (k, c) for k in range(4) for c in (0, 1)
    }
    assert_drawn(grouped, clf.get_weights()["residual_1.conv2d_1.W"])


def test_three_channels_that_are_not_colors_are_drawn_one_by_one():
    clf = fitted(1, Conv2D(3), Conv2D(2))
    display = FilterDisplay.from_estimator(clf, "conv2d_2")
    assert len(display.indices_) == 6
    assert display.colorbar_ is not None


def test_of_many_filters_those_with_the_largest_weights_are_drawn():
    clf = fitted(3, Conv2D(100))
    W = clf.get_weights()["conv2d_1.W"]
    display = FilterDisplay.from_estimator(clf)
    energy = (W.astype(float) ** 2).sum(axis=(0, 1, 2))
    assert_array_equal(display.indices_[:, 0], np.argsort(-energy, kind="stable")[:64])


def test_kernels_of_zeros_are_drawn():
    display = FilterDisplay(np.zeros((3, 3, 1, 2)), "conv2d_1").plot()
    assert display.images_[0].get_clim() == (-1, 1)
    assert FilterDisplay(np.zeros((1, 1, 3, 1)), "a", color=True).plot().axes_.shape == (1, 1)


def test_axes_and_styles_are_passed_on(digit_reader):
    _, (left, _) = plt.subplots(1, 2)
    style = {"im_kw": {"cmap": "PuOr"}, "colorbar": False}
    display = FilterDisplay.from_estimator(digit_reader, ax=left, **style)
    assert display.bounding_ax_ is left
    assert display.colorbar_ is None
    assert {image.get_cmap().name for image in display.images_} == {"PuOr"}


def test_layers_without_kernels_are_an_error(color_teller):
    with pytest.raises(ValueError, match="layer='output'; needed: one of conv2d_1, conv2d_2, or"):
        FilterDisplay.from_estimator(color_teller, "output")
    with pytest.raises(ValueError, match="The network has no convolution"):
        FilterDisplay.from_estimator(fitted(1))
