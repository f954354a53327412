"""AugmentationDisplay draws an image and what augment_images makes of it."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import Affine, Brightness, HorizontalFlip, Shift, augment_images
from sknpcnn.display import AugmentationDisplay
from tests.models import small

pytestmark = pytest.mark.thread_unsafe(reason="pyplot has one current figure")


def shown(display):
    return np.stack([image.get_array() for image in display.images_])


def test_original_comes_first_and_then_draws_of_it(few_digits):
    clf = NumpyCNNClassifier(augment=[Shift(1), Affine(20)])
    X = few_digits[0]
    display = AugmentationDisplay.from_estimator(clf, X, index=3, random_state=0)
    copies = np.repeat(X[3].reshape(1, 8, 8, 1), 11, axis=0)
    assert_array_equal(display.original, copies[0])
    assert_array_equal(display.draws, augment_images(copies, clf.augment, random_state=0))
    assert_allclose(shown(display)[0], X[3].reshape(8, 8) / 16)
    assert [ax.get_title() for ax in display.axes_.flat] == ["original"] + [""] * 11
    again = AugmentationDisplay.from_estimator(clf, X, index=3, random_state=0)
    assert_array_equal(display.draws, again.draws)
    other = AugmentationDisplay.from_estimator(clf, X, index=3, random_state=1)
    assert (display.draws != other.draws).any()
    assert len({draw.tobytes() for draw in display.draws}) > 5


def test_bytes_stay_on_their_scale(colored):
    X = colored[0]
    steps = [("brighter", Brightness(1.0)), ("mirror", HorizontalFlip(1.0))]
    display = AugmentationDisplay.from_augmentations(steps, X, index=-1, n_draws=4, random_state=0)
    assert_allclose(shown(display)[0], X[-1] / 255)
    changed = np.repeat(X[-1:], 4, axis=0)
    expected = augment_images(changed, steps, random_state=0) / 255
    assert_allclose(shown(display)[1:], expected.clip(0, 1), rtol=1e-6)
    assert display.axes_.shape == (2, 3)
    assert not display.axes_[1, 2].axison


def test_means_of_many_channels_are_drawn_on_one_scale():
    X = np.random.default_rng(0).normal(size=(1, 4, 4, 13))
    display = AugmentationDisplay.from_augmentations([HorizontalFlip(1.0)], X, n_draws=1)
    mean = X[0].mean(axis=2)
    expected = (mean - mean.min()) / np.ptp(mean)
    assert_allclose(shown(display), [expected, expected[:, ::-1]], atol=1e-6)


def test_rows_frames_and_images_are_taken_before_the_fit_as_in_it(colored):
    X, y = colored
    clf = NumpyCNNClassifier(image_shape=(9, 7, 3), augment=[HorizontalFlip(1.0)], max_iter=1)
    rows = X.reshape(90, -1)
    frame = pd.DataFrame(rows, columns=[f"pixel_{i}" for i in range(189)])
    for given in (X, rows, frame, rows.tolist()):
        display = AugmentationDisplay.from_estimator(clf, given, index=2, n_draws=1)
        assert_array_equal(display.original, X[2])
        assert_array_equal(display.draws[0], X[2, :, ::-1])
    fitted = AugmentationDisplay.from_estimator(clf.fit(frame, y), frame, index=2, n_draws=1)
    assert_array_equal(fitted.original, X[2])


def test_image_of_a_pipeline_is_what_its_network_sees(few_digits):
    X, _, y, _ = few_digits
    pipeline = make_pipeline(MinMaxScaler((0, 0.5)), small(augment=[Shift(1)])).fit(X, y)
    display = AugmentationDisplay.from_estimator(pipeline, X, index=1)
    seen = pipeline[0].transform(X[1:2]).reshape(8, 8)
    assert_allclose(shown(display)[0], seen)


def test_axes_and_styles_are_passed_on(colored):
    _, axes = plt.subplots(2, 2)
    steps = [Shift(1)]
    style = {"im_kw": {"cmap": "gray_r"}}
    display = AugmentationDisplay.from_augmentations(steps, colored[0], n_draws=3, ax=axes, **style)
    assert_array_equal(display.axes_, axes)
    assert len(display.draws) == 3
    assert {image.get_cmap().name for image in display.images_} == {"gray_r"}
    _, ax = plt.subplots()
    assert display.plot(ax).bounding_ax_ is ax


def test_nothing_to_draw_is_an_error(colored):
    X = colored[0]
    with pytest.raises(ValueError, match="estimator has augment=None; needed: augmentations"):
        AugmentationDisplay.from_estimator(NumpyCNNClassifier(), X)
    with pytest.raises(ValueError, match="index=90; needed: one of the 90 images of X"):
        AugmentationDisplay.from_estimator(NumpyCNNClassifier(augment=[Shift(1)]), X, index=90)
    with pytest.raises(ValueError, match="index=-91; needed: one of the 90"):
        AugmentationDisplay.from_augmentations([Shift(1)], X, index=-91)
