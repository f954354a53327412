"""SaliencyDisplay draws the maps that the four methods compute, over the images."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sknpcnn import NumpyCNNClassifier, NumpyCNNRegressor
from sknpcnn.display import SaliencyDisplay, attribution
from sknpcnn.layers import Conv2D, Flatten, ReLU

pytestmark = pytest.mark.thread_unsafe(reason="pyplot has one current figure")

METHODS = "grad_cam", "gradient", "integrated_gradients", "occlusion"
SIGNED = "integrated_gradients", "occlusion"


def images(n, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def fitted(X, y, kind=NumpyCNNClassifier, **params):
    return kind(conv_filters=(6, 5), max_iter=2, random_state=0, **params).fit(X, y)


@pytest.fixture(scope="module")
def animals():
    """A classifier of images of 9 x 7 pixels in color, by names, and images that it knows not."""
    clf = fitted(
        images(40, 9, 7, 3), np.array(["cat", "dog", "a very long name"])[np.arange(40) % 3]
    )
    return clf, images(5, 9, 7, 3, seed=1)


def titles(display):
    return [text.get_text() for text in display.texts_]


def assert_drawn(display, maps):
    """Each map is drawn in fractions of its largest value, the smaller the more transparent."""
    assert_array_equal(display.maps, maps)
    assert len(display.maps_) == len(display.images_) == len(maps)
    for artist, values in zip(display.maps_, maps, strict=True):
        shares = values / np.abs(values).max()
        assert_array_equal(artist.get_array(), shares)
        assert_array_equal(
            np.argsort(artist.get_alpha().ravel()), np.argsort(np.abs(shares).ravel() ** 0.5)
        )
        assert artist.get_alpha().max() <= 1
        assert artist.axes is display.axes_.flat[display.maps_.index(artist)]
    display.figure_.canvas.draw()


@pytest.mark.parametrize("method", METHODS)
def test_maps_of_a_method_are_drawn_over_the_images(animals, method):
    clf, X = animals
    options = {"patch": (1, 1), "stride": (1, 1)} if method == "occlusion" else {}
    expected = getattr(attribution, method)(clf, X, clf.predict(X), **options)
    display = SaliencyDisplay.from_estimator(clf, X, method=method)
    assert_drawn(display, expected)
    assert display.axes_.size >= 5
    assert display.figure_ is display.axes_.flat[0].figure
    low = -1 if method in SIGNED else 0
    assert {artist.get_clim() for artist in display.maps_} == {(low, 1)}
    for artist, image in zip(display.images_, X, strict=True):
        assert_allclose(artist.get_array(), image.mean(axis=2) / 255)
    assert display.colorbar_.ax.get_ylabel().endswith("fraction of the largest value")
    assert display.colorbar_.vmin == low


def test_the_class_that_is_asked_for_is_the_title(animals):
    clf, X = animals
    short = {"cat": "cat", "dog": "dog", "a very long name": "a very long…"}
    predicted = SaliencyDisplay.from_estimator(clf, X)
    assert titles(predicted) == [short[label] for label in clf.predict(X)]
    cats = SaliencyDisplay.from_estimator(clf, X, target="cat", method="gradient")
    assert titles(cats) == ["cat"] * 5
    assert_array_equal(cats.maps, attribution.gradient(clf, X, np.array(["cat"] * 5)))
    each = ["cat", "dog", "dog", "cat", "cat"]
    assert titles(SaliencyDisplay.from_estimator(clf, X, target=each)) == each
    named = SaliencyDisplay.from_estimator(clf, X, target=each, label_names=["A", "B", "C"])
    assert titles(named) == ["B", "C", "C", "B", "B"]


def test_outputs_are_numbered_where_there_are_no_classes():
    X, rng = images(30, 8, 8), np.random.default_rng(0)
    several = fitted(X, rng.integers(2, size=(30, 3)))
    assert titles(SaliencyDisplay.from_estimator(several, X[:2])) == ["output 0"] * 2
    chosen = SaliencyDisplay.from_estimator(several, X[:2], target=2, label_names=["a", "b", "c"])
    assert titles(chosen) == ["c", "c"]
    assert_array_equal(
        chosen.maps, attribution.grad_cam(several, X[:2, ..., None], np.array([2, 2]))
    )
    columns = fitted(X, rng.normal(size=(30, 2)), NumpyCNNRegressor)
    assert titles(SaliencyDisplay.from_estimator(columns, X[:2], target=[1, 0])) == [
        "output 1",
        "output 0",
    ]
    single = fitted(X, rng.normal(size=30), NumpyCNNRegressor)
    wanted = [f"predicted {value:.3g}" for value in single.predict(X[:2])]
    assert titles(SaliencyDisplay.from_estimator(single, X[:2])) == wanted


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_of_any_number_of_channels_are_drawn_from_rows_too(channels):
    X = images(24, 8, 6, channels).astype(np.float32)
    clf = fitted(X, np.arange(24) % 2)
    display = SaliencyDisplay.from_estimator(clf, X[:3], method="gradient")
    rows = SaliencyDisplay.from_estimator(clf, X[:3].reshape(3, -1), method="gradient")
    assert_array_equal(rows.maps, display.maps)
    for one, other in zip(rows.images_, display.images_, strict=True):
        assert_array_equal(one.get_array(), other.get_array())
        assert one.get_array().shape == (8, 6)


def test_a_table_is_an_image_of_one_row():
    X = np.random.default_rng(0).normal(size=(30, 5))
    clf = NumpyCNNClassifier(max_iter=2, random_state=0).fit(X, np.arange(30) % 2)
    for method in METHODS[1:]:
        display = SaliencyDisplay.from_estimator(clf, X[:2], method=method)
        assert display.maps.shape == (2, 1, 5)
        display.figure_.canvas.draw()


def test_in_a_pipeline_the_network_sees_what_the_steps_before_it_make():
    X, y = images(30, 64).astype(np.float64), np.arange(30) % 2
    pipeline = make_pipeline(
        MinMaxScaler(), NumpyCNNClassifier(conv_filters=4, max_iter=2, random_state=0)
    )
    search = GridSearchCV(pipeline, {"numpycnnclassifier__alpha": [0.0]}, cv=2).fit(X, y)
    seen = search.best_estimator_[0].transform(X[:3]).reshape(3, 8, 8, 1)
    network = search.best_estimator_[-1]
    display = SaliencyDisplay.from_estimator(search, X[:3], target=1, method="gradient")
    assert_array_equal(display.maps, attribution.gradient(network, seen, np.ones(3, int)))
    assert_allclose(display.images_[2].get_array(), seen[2, ..., 0])


def test_other_images_than_those_that_the_network_sees_can_be_drawn(animals):
    clf, X = animals
    larger = images(5, 36, 28, seed=2)
    display = SaliencyDisplay.from_estimator(clf, X, images=larger)
    assert display.maps.shape == (5, 9, 7)
    for image, values, given in zip(display.images_, display.maps_, larger, strict=True):
        assert_allclose(image.get_array(), given / 255)
        assert values.get_extent() == image.get_extent() == [-0.5, 27.5, 35.5, -0.5]
    with pytest.raises(ValueError, match=r"images has the shape .*; needed: \(5, h, w\)"):
        SaliencyDisplay.from_estimator(clf, X, images=larger[:2])


def test_options_are_those_of_the_method(animals):
    clf, X = animals
    targets = np.array(["cat"] * 5)
    layer = SaliencyDisplay.from_estimator(clf, X, target="cat", layer="conv2d_1")
    assert_array_equal(layer.maps, attribution.grad_cam(clf, X, targets, "conv2d_1"))
    path = {"method": "integrated_gradients", "baseline": "mean", "steps": 3}
    found = SaliencyDisplay.from_estimator(clf, X, target="cat", **path)
    assert_array_equal(found.maps, attribution.integrated_gradients(clf, X, targets, "mean", 3))
    hidden = {"method": "occlusion", "baseline": 50, "patch": (4, 100), "stride": 3}
    found = SaliencyDisplay.from_estimator(clf, X, target="cat", **hidden)
    assert_array_equal(found.maps, attribution.occlusion(clf, X, targets, 50, (4, 7), (3, 3)))
    half = SaliencyDisplay.from_estimator(clf, X, target="cat", method="occlusion", patch=4)
    assert_array_equal(half.maps, attribution.occlusion(clf, X, targets, 0, (4, 4), (2, 2)))


def test_the_first_images_are_drawn_if_there_are_many(animals):
    clf, _ = animals
    X = images(30, 9, 7, 3, seed=3)
    assert len(SaliencyDisplay.from_estimator(clf, X).maps) == 24
    few = SaliencyDisplay.from_estimator(clf, X, target=["cat"] * 30, n_images=1)
    assert few.maps.shape == (1, 9, 7)
    assert few.axes_.shape == (1, 1)


def test_axes_and_styles_are_passed_on(animals):
    clf, X = animals
    _, (left, _) = plt.subplots(1, 2)
    style = {"im_kw": {"cmap": "bone"}, "map_kw": {"cmap": "cividis", "alpha": 0.3}}
    display = SaliencyDisplay.from_estimator(
        clf, X, ax=left, colorbar=False, text_kw={"fontsize": 5}, **style
    )
    assert display.bounding_ax_ is left
    assert display.colorbar_ is None
    assert {artist.get_cmap().name for artist in display.images_} == {"bone"}
    assert {artist.get_cmap().name for artist in display.maps_} == {"cividis"}
    assert {artist.get_alpha() for artist in display.maps_} == {0.3}
    assert {text.get_fontsize() for text in display.texts_} == {5}
    _, four = plt.subplots(2, 2)
    display = SaliencyDisplay.from_estimator(clf, X, ax=four, method="gradient")
    assert display.maps.shape == (4, 9, 7)
    assert_array_equal(display.axes_, four)
    again = display.plot()
    assert again is display
    assert display.bounding_ax_ is None


def test_maps_of_your_own_are_drawn():
    shown = images(2, 8, 8, 1)
    maps = np.stack([np.zeros((4, 4)), -np.eye(4)])
    display = SaliencyDisplay(shown, maps, method="what I think").plot()
    assert display.colorbar_.ax.get_ylabel() == "what I think\nfraction of the largest value"
    assert display.texts_ == []
    assert not display.maps_[0].get_alpha().any()  # nothing is hidden where nothing is said
    assert display.maps_[1].get_array().min() == -1
    display.figure_.canvas.draw()
    assert SaliencyDisplay(shown, maps).plot().colorbar_.ax.get_ylabel().startswith("fraction")


def test_errors_name_what_is_needed(animals):
    clf, X = animals

    def error(X=X, clf=clf, **options):
        with pytest.raises(ValueError, match="needed") as raised:
            SaliencyDisplay.from_estimator(clf, X, **options)
        return str(raised.value)

    assert error(method="lime") == (
        "method='lime'; needed: one of grad_cam, gradient, integrated_gradients, occlusion."
    )
    assert error(method=["gradient"]).startswith("method=['gradient']; needed: one of")
    assert error(steps=5) == (
        "steps=5, but method='grad_cam' has no use for it; needed: None, or "
        "method='integrated_gradients'."
    )
    assert "method='integrated_gradients' or 'occlusion'" in error(baseline=0)
    assert "method='gradient' has no use" in error(method="gradient", layer="conv2d_1")
    for steps in (0, 2.5, "many"):
        found = error(method="integrated_gradients", steps=steps)
        assert found == f"steps={steps!r}; needed: an integer of at least 1."
    for option in ({"patch": 0}, {"stride": (1, 2, 3)}, {"patch": "a"}):
        assert "an integer of at least 1, or (rows, columns)" in error(method="occlusion", **option)
    assert "leaves out pixels between patches of 2x2" in error(
        method="occlusion", patch=2, stride=3
    )
    assert "target has the shape (2,); needed: one label, or one for each of the 5" in error(
        target=["cat", "dog"]
    )
    assert "label_names has 2 names; needed: 3" in error(label_names=["a", "b"])
    assert "layer='output' has no map" in error(layer="output")
    for n_images in (0, -1, 1.5):
        assert "n_images=" in error(n_images=n_images)
    with pytest.raises(ValueError, match="There are no images to draw"):
        SaliencyDisplay(X[:0], np.zeros((0, 9, 7))).plot()
    flat = NumpyCNNClassifier(layers=[Flatten()], max_iter=1).fit(
        images(20, 9, 7, 3), np.arange(20) % 3
    )
    assert "The network has no layer whose output is a map" in error(clf=flat)


def test_dark_backgrounds_and_networks_of_your_own(animals):
    clf = NumpyCNNClassifier(layers=[Conv2D(4), ReLU()], max_iter=1, random_state=0)
    X = images(20, 9, 7, 3)
    clf.fit(X, np.arange(20) % 2)
    with plt.style.context("dark_background"):
        display = SaliencyDisplay.from_estimator(clf, X[:1], target=0)
        display.figure_.canvas.draw()
        assert display.texts_[0].get_color() == "white"
        assert titles(display) == ["0"]
