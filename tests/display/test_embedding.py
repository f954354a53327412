"""EmbeddingDisplay draws the features of a layer in two dimensions."""

import numpy as np
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.frozen import FrozenEstimator
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sknpcnn import NumpyCNNFeatures, NumpyCNNRegressor
from sknpcnn.display import EmbeddingDisplay
from tests.models import small

pytestmark = pytest.mark.thread_unsafe(reason="pyplot has one current figure")


def features(clf, X, layer=None):
    return NumpyCNNFeatures(FrozenEstimator(clf), layer=layer).fit(X).transform(X)


def texts(display):
    return [text.get_text() for text in display.legend_.get_texts()]


@pytest.mark.parametrize("layer", [None, "conv2d_1", "output"])
def test_places_are_the_principal_components_of_a_layer(digit_reader, few_digits, layer):
    X = few_digits[1]
    display = EmbeddingDisplay.from_estimator(digit_reader, X, layer=layer)
    expected = PCA(2, random_state=0).fit_transform(features(digit_reader, X, layer))
    assert_allclose(display.points, expected, rtol=1e-4, atol=1e-4)
    [scatter] = display.scatters_
    assert_array_equal(scatter.get_offsets(), display.points)
    assert display.ax_.get_xlabel() == f"{layer or 'maxpool2d_1'}, principal component 1"
    assert display.figure_ is display.ax_.figure


def test_each_class_has_a_color_a_marker_and_an_entry_of_the_legend(digit_reader, few_digits):
    _, X, _, y = few_digits
    display = EmbeddingDisplay.from_estimator(digit_reader, X, y)
    assert texts(display) == [*"0123456789"]
    for digit, scatter in enumerate(display.scatters_):
        assert_array_equal(scatter.get_offsets(), display.points[y == digit])
    assert len({colors.to_hex(one.get_facecolor()[0]) for one in display.scatters_}) == 10


def test_names_of_strings_are_those_of_the_labels_or_given(color_teller, colored):
    X, y = colored
    display = EmbeddingDisplay.from_estimator(color_teller, X, y)
    assert texts(display) == ["a blue one", "a green one", "a red one"]
    display = EmbeddingDisplay.from_estimator(color_teller, X, y, label_names=["b", "g", "r"])
    assert texts(display) == ["b", "g", "r"]
    assert_array_equal(display.scatters_[0].get_offsets(), display.points[y == "a blue one"])
    with pytest.raises(ValueError, match="label_names has 1 names; needed: 3"):
        EmbeddingDisplay.from_estimator(color_teller, X, y, label_names=["b"])


def test_combinations_of_labels_are_classes(color_teller, colored):
    X, y = colored
    Y = np.stack([y == "a red one", y != "a blue one"], axis=1).astype(int)
    display = EmbeddingDisplay.from_estimator(color_teller, X, Y, label_names=["red", "warm"])
    assert texts(display) == ["no label", "red, warm", "warm"]
    assert_array_equal(display.scatters_[1].get_offsets(), display.points[y == "a red one"])


@pytest.mark.parametrize(("n_classes", "bar"), [(2, False), (40, False), (41, True), (1000, True)])
def test_of_many_classes_there_is_a_color_bar(n_classes, bar):
    points = np.random.default_rng(0).normal(size=(2000, 2))
    y = np.arange(2000) % n_classes
    display = EmbeddingDisplay(points, y=y).plot()
    assert (display.colorbar_ is not None) == bar
    assert (display.legend_ is None) == bar
    if bar:
        assert_array_equal(display.scatters_[0].get_array(), y)
        ticks = [label.get_text() for label in display.colorbar_.ax.get_yticklabels()]
        assert (ticks[0], ticks[-1], len(ticks)) == ("0", str(n_classes - 1), 9)
    else:
        assert len(display.scatters_) == n_classes
        display.figure_.draw_without_rendering()
        legend = display.legend_.get_window_extent()
        assert legend.x0 > display.ax_.get_window_extent().x1
        assert legend.y0 > 0
        assert legend.x1 <= display.figure_.bbox.x1


def test_real_values_have_a_color_bar(few_digits):
    X, X_test, y, y_test = few_digits
    reg = NumpyCNNRegressor(conv_filters=2, max_iter=1, random_state=0).fit(X, y)
    display = EmbeddingDisplay.from_estimator(reg, X_test, y_test[:, None])
    assert_array_equal(display.scatters_[0].get_array(), y_test)
    assert display.colorbar_ is not None
    with pytest.raises(ValueError, match=r"y has the shape \(50, 2\); needed: \(50,\)"):
        EmbeddingDisplay.from_estimator(reg, X_test, np.zeros((50, 2)))


def test_other_transformers_make_the_places(digit_reader, few_digits):
    X = few_digits[1]
    found = features(digit_reader, X)
    display = EmbeddingDisplay.from_estimator(digit_reader, X, transformer=TruncatedSVD(2))
    expected = TruncatedSVD(2).fit_transform(found)
    assert_allclose(np.abs(display.points), np.abs(expected), rtol=1e-2, atol=1e-2)
    assert display.ax_.get_ylabel() == "maxpool2d_1, TruncatedSVD 2"
    display = EmbeddingDisplay.from_estimator(digit_reader, X[:20], transformer="tsne")
    expected = TSNE(perplexity=19 / 3, random_state=0).fit_transform(features(digit_reader, X[:20]))
    assert_allclose(display.points, expected)
    for transformer in ("umap", PCA, None):
        with pytest.raises(ValueError, match=r'transformer=.+; needed: "pca", "tsne" or'):
            EmbeddingDisplay.from_estimator(digit_reader, X, transformer=transformer)
    with pytest.raises(ValueError, match=r"returns the shape \(50, 3\); needed: \(50, 2\)"):
        EmbeddingDisplay.from_estimator(digit_reader, X, transformer=PCA(3))
    with pytest.raises(ValueError, match='transformer="tsne" is given 3 images; needed: 4'):
        EmbeddingDisplay.from_estimator(digit_reader, X[:3], transformer="tsne")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_or_equal_images_have_a_place(digit_reader, few_digits, n):
    display = EmbeddingDisplay.from_estimator(digit_reader, few_digits[1][:n], thumbnails=True)
    assert np.isfinite(display.points).all()
    assert display.points.shape == (n, 2)
    same = np.repeat(few_digits[1][:1], 5, axis=0)
    display = EmbeddingDisplay.from_estimator(digit_reader, same, thumbnails=True)
    assert_array_equal(display.points, np.zeros((5, 2)))
    assert len(display.thumbnails_) == 1


def test_thumbnails_are_images_at_their_places_and_do_not_overlap(digit_reader, few_digits):
    _, X, _, y = few_digits
    display = EmbeddingDisplay.from_estimator(digit_reader, X, y, thumbnails=True)
    chosen = display.thumbnail_indices_
    assert 10 < len(chosen) <= 80
    for i, box in zip(chosen, display.thumbnails_, strict=True):
        assert_array_equal(box.xy, display.points[i])
        shown = box.offsetbox.get_data()
        assert_allclose(shown, X[i].reshape(8, 8) / X[chosen].max())
        color = display.scatters_[y[i]].get_facecolor()[0][:3]
        assert_allclose(box.patch.get_edgecolor()[:3], color)
    display.figure_.draw_without_rendering()
    boxes = [box.get_window_extent() for box in display.thumbnails_]
    pairs = [(a, b) for a in boxes for b in boxes if a is not b]
    assert not any(a.overlaps(b) for a, b in pairs)
    few = EmbeddingDisplay.from_estimator(digit_reader, X, y, thumbnails=5)
    assert len(few.thumbnails_) == 5


def test_thumbnails_have_the_colors_of_a_color_bar_or_of_all_points(color_teller, colored):
    X = colored[0]
    values = X.mean(axis=(1, 2, 3))
    display = EmbeddingDisplay.from_estimator(color_teller, X, values, thumbnails=3)
    [scatter] = display.scatters_
    for i, box in zip(display.thumbnail_indices_, display.thumbnails_, strict=True):
        assert_allclose(box.patch.get_edgecolor()[:3], scatter.to_rgba(values[i])[:3])
    plain = EmbeddingDisplay.from_estimator(color_teller, X, thumbnails=3)
    assert_allclose(plain.thumbnails_[0].patch.get_edgecolor()[:3], colors.to_rgb("#0072b2"))
    with pytest.raises(ValueError, match="thumbnails need images"):
        EmbeddingDisplay(display.points).plot(thumbnails=True)


def test_a_pipeline_and_given_images(few_digits):
    X, _, y, _ = few_digits
    pipeline = make_pipeline(MinMaxScaler((0, 0.5)), small()).fit(X, y)
    seen = pipeline[0].transform(X)
    display = EmbeddingDisplay.from_estimator(pipeline, X, y)
    expected = PCA(2, random_state=0).fit_transform(features(pipeline[-1], seen))
    assert_allclose(display.points, expected, rtol=1e-3, atol=1e-3)
    assert_array_equal(display.images, seen.reshape(-1, 8, 8, 1))
    given = np.full((300, 5, 5, 3), 0.25)
    display = EmbeddingDisplay.from_estimator(pipeline, X, y, images=given, thumbnails=2)
    assert_allclose(display.thumbnails_[0].offsetbox.get_data(), given[0])


def test_axes_and_styles_are_passed_on(digit_reader, few_digits):
    _, ax = plt.subplots()
    style = {"scatter_kw": {"s": 77, "alpha": 0.5}}
    display = EmbeddingDisplay.from_estimator(digit_reader, few_digits[1], ax=ax, **style)
    assert display.ax_ is ax
    assert_array_equal(display.scatters_[0].get_sizes(), [77])
    part = plt.figure().subfigures(2)[0]
    display.plot(part.subplots(), thumbnails=4)
    assert display.figure_ is part
    assert len(display.thumbnails_) == 4


def test_on_black_nothing_is_written_in_black(digit_reader, few_digits):
    with plt.style.context("dark_background"):
        display = EmbeddingDisplay.from_estimator(digit_reader, few_digits[1], few_digits[3])
        found = [text.get_color() for text in display.legend_.get_texts()]
        found += [display.ax_.xaxis.label.get_color()]
    assert all(min(colors.to_rgb(color)) > 0.9 for color in found)
