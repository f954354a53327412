"""What holds for every display: matplotlib is imported late, and any form of images is drawn."""

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import Shift
from sknpcnn.display import (
    ActivationDisplay,
    AugmentationDisplay,
    EmbeddingDisplay,
    FilterDisplay,
    HistoryDisplay,
    PredictionDisplay,
    SaliencyDisplay,
)
from tests.processes import python

pytestmark = pytest.mark.thread_unsafe(reason="pyplot has one current figure")

DRAWN = {
    "history": lambda clf, X, y: HistoryDisplay.from_estimator(clf),
    "predictions": lambda clf, X, y: PredictionDisplay.from_estimator(clf, X, y, n_images=4),
    "filters": lambda clf, X, y: FilterDisplay.from_estimator(clf),
    "activations": lambda clf, X, y: ActivationDisplay.from_estimator(clf, X, n_maps=3),
    "embedding": lambda clf, X, y: EmbeddingDisplay.from_estimator(clf, X, y, thumbnails=True),
    "augmentations": lambda clf, X, y: AugmentationDisplay.from_estimator(clf, X, n_draws=3),
    "saliency": lambda clf, X, y: SaliencyDisplay.from_estimator(clf, X, n_images=3),
    "occlusion": lambda clf, X, y: SaliencyDisplay.from_estimator(
        clf, X, n_images=3, method="occlusion"
    ),
}
every_display = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
AUGMENT = {"augment": [Shift((0, 1))], "max_iter": 1, "random_state": 0}


def test_matplotlib_is_imported_when_something_is_drawn():
    python("import sys, sknpcnn.display; assert 'matplotlib' not in sys.modules")


@every_display
def test_without_matplotlib_an_error_says_so(draw, monkeypatch, few_digits):
    clf = NumpyCNNClassifier(conv_filters=2, **AUGMENT).fit(few_digits[0], few_digits[2])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Display\.plot requires matplotlib"):
        draw(clf, few_digits[0], few_digits[2])


@every_display
@pytest.mark.parametrize("channels", [3, 5])
def test_any_number_of_channels_is_drawn(draw, channels):
    X = np.random.default_rng(0).normal(size=(12, 6, 5, channels))
    clf = NumpyCNNClassifier(conv_filters=3, **AUGMENT).fit(X, np.arange(12) % 3)
    display = draw(clf, X, np.arange(12) % 3)
    assert display.plot() is display
    display.figure_.draw_without_rendering()


@every_display
def test_frames_with_names_of_their_columns_are_drawn_without_warning(draw, few_digits):
    X = pd.DataFrame(few_digits[0]).add_prefix("pixel_")
    X.index = np.linspace(0, 1, len(X))
    y = pd.Series(few_digits[2], index=X.index).map(str).astype("category")
    clf = NumpyCNNClassifier(conv_filters=2, image_shape=(8, 8), **AUGMENT).fit(X, y)
    draw(clf, X, y).figure_.draw_without_rendering()


@every_display
def test_a_table_is_an_image_of_one_row(draw):
    X = np.random.default_rng(0).normal(size=(12, 30))
    clf = NumpyCNNClassifier(image_shape=(1, 30), conv_filters=2, **AUGMENT)
    draw(clf.fit(X, X[:, 0] > 0), X, X[:, 0] > 0).figure_.draw_without_rendering()


@every_display
def test_images_are_not_changed_and_may_be_read_only(draw, colored):
    X, y = colored[0].copy(), colored[1]
    X.flags.writeable = False
    before = X.copy()
    draw(NumpyCNNClassifier(conv_filters=2, **AUGMENT).fit(X, y), X, y)
    assert_array_equal(X, before)


@pytest.mark.parametrize("n_classes", [2, 1000])
def test_few_and_many_classes_are_drawn(n_classes):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (2 * n_classes, 4, 4), dtype=np.uint8)
    y = np.array([f"class {k}" for k in range(n_classes)] * 2)
    clf = NumpyCNNClassifier(conv_filters=2, **AUGMENT).fit(X, y)
    for draw in DRAWN.values():
        draw(clf, X, y).figure_.draw_without_rendering()
        draw(clf, X[:30], y[:30])
        plt.close("all")


def test_sparse_indicator_matrices_are_drawn():
    X = np.random.default_rng(0).integers(0, 256, (12, 6, 6), dtype=np.uint8)
    Y = np.stack([np.arange(12) % 2, np.arange(12) > 3], axis=1).astype(int)
    clf = NumpyCNNClassifier(conv_filters=2, **AUGMENT).fit(X, csr_array(Y))
    for draw in DRAWN.values():
        draw(clf, X, csr_array(Y)).figure_.draw_without_rendering()


@pytest.mark.parametrize("number", [-1, 2.5, True, "two"])
def test_how_many_are_drawn_is_an_integer(number, digit_reader, few_digits):
    X, y = few_digits[0][:5], few_digits[2][:5]
    pictures = X.reshape(-1, 8, 8)
    for name, draw in {
        "n_images": lambda n: PredictionDisplay.from_estimator(digit_reader, X, y, n_images=n),
        "n_kernels": lambda n: FilterDisplay.from_estimator(digit_reader, n_kernels=n),
        "n_maps": lambda n: ActivationDisplay.from_estimator(digit_reader, X, n_maps=n),
        "n_draws": lambda n: AugmentationDisplay.from_augmentations(
            [Shift(1)], pictures, n_draws=n
        ),
    }.items():
        with pytest.raises(ValueError, match=f"{name}={number!r}; needed: an integer of at least"):
            draw(number)
    if number is not True:  # which stands for as many as fit
        with pytest.raises(ValueError, match=f"thumbnails={number!r}; needed: an integer of at"):
            EmbeddingDisplay.from_estimator(digit_reader, X, y, thumbnails=number)


@pytest.mark.parametrize("index", [1.5, True, "one"])
def test_an_index_is_the_number_of_an_image(index, digit_reader, few_digits):
    with pytest.raises(ValueError, match=f"index={index!r}; needed: one of the 300 images"):
        ActivationDisplay.from_estimator(digit_reader, few_digits[0], index=index)


def test_names_of_layers_are_not_lists(digit_reader, few_digits):
    with pytest.raises(ValueError, match=r"layer=\['a'\]; needed: one of conv2d_1, or None"):
        FilterDisplay.from_estimator(digit_reader, ["a"])
    with pytest.raises(ValueError, match=r"layers holds \['a'\]; needed: names of layers: conv"):
        ActivationDisplay.from_estimator(digit_reader, few_digits[0], layers=[["a"]])


def test_names_of_classes_are_an_error_where_there_are_none(digit_reader, few_digits):
    X, y = few_digits[0][:5], few_digits[2][:5] / 10
    for given in (None, y):
        with pytest.raises(ValueError, match="label_names is given, but y holds no classes"):
            EmbeddingDisplay.from_estimator(digit_reader, X, given, label_names=["a", "b"])
    with pytest.raises(ValueError, match="label_names is given, but real values are predicted"):
        PredictionDisplay.from_predictions(y, y, X.reshape(-1, 8, 8), label_names=["a", "b"])
