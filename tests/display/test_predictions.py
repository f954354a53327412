"""PredictionDisplay draws the most telling images first, with what was predicted and is true."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sknpcnn import NumpyCNNClassifier, NumpyCNNRegressor
from sknpcnn.display import PredictionDisplay
from sknpcnn.display.pictures import drawable
from tests.models import small

pytestmark = pytest.mark.thread_unsafe(reason="pyplot has one current figure")


def texts(display):
    return [text.get_text() for text in display.texts_]


def test_confident_mistakes_come_first_and_then_what_is_least_sure(digit_reader, few_digits):
    _, X, _, y = few_digits
    display = PredictionDisplay.from_estimator(digit_reader, X, y, n_images=50)
    order = display.indices_
    assert_array_equal(np.sort(order), np.arange(50))
    p, guesses = digit_reader.predict_proba(X).max(axis=1), digit_reader.predict(X)
    wrong = guesses[order] != y[order]
    n_wrong = wrong.sum()
    assert 0 < n_wrong < 25
    assert wrong[:n_wrong].all()
    assert (np.diff(p[order][:n_wrong]) <= 0).all()
    assert (np.diff(p[order][n_wrong:]) >= 0).all()
    expected = [
        f"{guesses[i]} ({p[i]:.0%})" + (f"\ntrue: {y[i]}" if guesses[i] != y[i] else "")
        for i in order
    ]
    assert texts(display) == expected
    for image, i in zip(display.images_, order, strict=True):
        assert_allclose(image.get_array(), X[i].reshape(8, 8) / 16)


def test_mistakes_are_marked_by_more_than_their_color(digit_reader, few_digits):
    _, X, _, y = few_digits
    display = PredictionDisplay.from_estimator(digit_reader, X, y, n_images=50)
    wrong = (digit_reader.predict(X) != y)[display.indices_]
    for ax, text, is_wrong in zip(display.axes_.flat, texts(display), wrong, strict=True):
        assert (ax.spines["left"].get_linewidth() == 3) == is_wrong
        assert ("true: " in text) == is_wrong


def test_without_truth_the_least_sure_come_first(digit_reader, few_digits):
    X = few_digits[1]
    display = PredictionDisplay.from_estimator(digit_reader, X)
    p = digit_reader.predict_proba(X).max(axis=1)
    assert_array_equal(display.indices_, np.argsort(p, kind="stable")[:24])
    assert not any("true" in text for text in texts(display))


def test_given_indices_are_drawn_in_their_order(digit_reader, few_digits):
    _, X, _, y = few_digits
    display = PredictionDisplay.from_estimator(digit_reader, X, y, indices=[7, 3, 40])
    assert_array_equal(display.indices_, [7, 3, 40])
    assert_allclose(display.images_[1].get_array(), X[3].reshape(8, 8) / 16)
    with pytest.raises(ValueError, match="There are no images to draw"):
        display.plot(indices=[])


def test_colored_images_with_names(color_teller, colored):
    X, y = colored
    display = PredictionDisplay.from_estimator(color_teller, X.reshape(90, -1), y, n_images=30)
    assert_allclose(display.images_[5].get_array(), X[display.indices_[5]] / 255)
    assert_array_equal(
        [text.split(" (")[0] for text in texts(display)],
        color_teller.predict(X)[display.indices_],
    )
    names = ["blau", "grün", "ein ausgesprochen langes Wort"]
    shown = PredictionDisplay.from_estimator(color_teller, X, y, label_names=names, n_images=30)
    assert {text.split(" (")[0] for text in texts(shown)} <= {"blau", "grün", "ein au… Wort"}
    with pytest.raises(ValueError, match="label_names has 2 names; needed: 3"):
        PredictionDisplay.from_estimator(color_teller, X, y, label_names=names[:2])


def test_images_are_those_that_the_network_sees_or_those_that_are_given(few_digits):
    X, X_test, y, y_test = few_digits
    pipeline = make_pipeline(MinMaxScaler((0, 0.5)), small()).fit(X, y)
    display = PredictionDisplay.from_estimator(pipeline, X_test, y_test)
    seen = pipeline[0].transform(X_test).reshape(-1, 8, 8)[display.indices_]
    assert_allclose(np.stack([image.get_array() for image in display.images_]), seen)
    p = pipeline.predict_proba(X_test).max(axis=1)
    assert_allclose(display.confidence, p, rtol=1e-5)
    given = np.arange(50 * 4 * 4 * 5).reshape(50, 4, 4, 5)
    display = PredictionDisplay.from_estimator(pipeline, X_test, y_test, images=given)
    expected = drawable(given[display.indices_])
    assert_allclose(np.stack([image.get_array() for image in display.images_]), expected)
    with pytest.raises(ValueError, match=r"images has the shape \(3, 4, 4, 5\); needed: \(50, h"):
        PredictionDisplay.from_estimator(pipeline, X_test, y_test, images=given[:3])


def test_several_labels_are_named_and_one_wrong_label_is_a_mistake(few_digits):
    X, X_test, y, y_test = few_digits
    Y, Y_test = (np.stack([y > 4, y % 2 == 0, y > 10], 1).astype(int) for y in (y, y_test))
    clf = NumpyCNNClassifier(conv_filters=4, max_iter=5, random_state=0).fit(X, Y)
    names = ["large", "even", "never"]
    display = PredictionDisplay.from_estimator(clf, X_test, Y_test, label_names=names, n_images=50)
    p, guesses = clf.predict_proba(X_test), clf.predict(X_test)
    sure = np.maximum(p, 1 - p)
    mistaken = guesses != Y_test
    wrong = mistaken.any(axis=1)
    expected = np.where(wrong, np.where(mistaken, sure, 0).max(axis=1), sure.min(axis=1))
    assert_allclose(display.confidence, expected, rtol=1e-6)
    assert_array_equal(np.flatnonzero(~wrong[display.indices_]), np.arange(wrong.sum(), 50))

    def words(row):
        return ", ".join(np.array(names)[row == 1]) or "no label"

    for i, text in zip(display.indices_, texts(display), strict=True):
        assert text.startswith(f"{words(guesses[i])} (")
        assert text.endswith(f"\ntrue: {words(Y_test[i])}") == wrong[i]
    unknown = PredictionDisplay.from_estimator(clf, X_test)
    assert_allclose(unknown.confidence, sure.min(axis=1), rtol=1e-6)


def test_of_many_labels_only_some_are_written():
    y = np.ones((2, 1000), int)
    display = PredictionDisplay.from_predictions(None, y, np.zeros((2, 3, 3)))
    assert texts(display) == ["0, 1, 2, …"] * 2


def test_largest_errors_of_real_values_come_first(few_digits):
    X, X_test, y, y_test = few_digits
    reg = NumpyCNNRegressor(conv_filters=4, max_iter=3, random_state=0).fit(X, y)
    display = PredictionDisplay.from_estimator(reg, X_test, pd.DataFrame({"y": y_test}))
    error = np.abs(reg.predict(X_test) - y_test)
    assert_array_equal(display.indices_, np.argsort(-error, kind="stable")[:24])
    first = display.indices_[0]
    guess = reg.predict(X_test)[first]
    assert texts(display)[0] == f"{guess:.4g}\ntrue: {y_test[first]:.4g}"
    in_order = PredictionDisplay.from_estimator(reg, X_test)
    assert_array_equal(in_order.indices_, np.arange(24))


def test_errors_of_several_values_are_relative_to_their_deviation():
    y_true = np.array([[0.0, 0, 5], [1, 1000, 5], [2, 2000, 5]])
    y_pred = np.array([[0.0, 900, 5], [1, 1000, 5], [4, 2000, 5]])
    display = PredictionDisplay.from_predictions(y_true, y_pred, np.zeros((3, 2, 2)))
    assert_array_equal(display.indices_, [2, 0, 1])
    assert texts(display)[0] == "4, 2000, 5\ntrue: 2, 2000, 5"


def test_predictions_of_any_estimator_can_be_drawn(few_digits):
    X, X_test, y, y_test = few_digits
    forest = RandomForestClassifier(10, random_state=0).fit(X, y)
    p, guesses = forest.predict_proba(X_test), forest.predict(X_test)
    images = X_test.reshape(-1, 8, 8)
    known = {"y_proba": p, "classes": forest.classes_}
    display = PredictionDisplay.from_predictions(y_test, guesses, images, **known)
    wrong = guesses != y_test
    first = display.indices_[0]
    assert wrong[first]
    assert p.max(axis=1)[first] == p.max(axis=1)[wrong].max()
    bare = PredictionDisplay.from_predictions(y_test, guesses, images, n_images=3)
    assert_array_equal(bare.indices_, np.flatnonzero(wrong)[:3])
    assert texts(bare)[0] == f"{guesses[bare.indices_[0]]}\ntrue: {y_test[bare.indices_[0]]}"


def test_a_thousand_classes_and_ten_thousand_images():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 1000, (2, 10_000))
    images = rng.integers(0, 256, (10_000, 4, 4, 1), dtype=np.uint8)
    display = PredictionDisplay.from_predictions(y_true, y_pred, images)
    assert display.axes_.shape == (4, 6)
    assert display.images is images


def test_a_single_image_is_drawn(digit_reader, few_digits):
    display = PredictionDisplay.from_estimator(digit_reader, few_digits[1][:1])
    assert display.axes_.shape == (1, 1)
    assert_array_equal(display.indices_, [0])


def test_places_that_are_left_over_are_empty(digit_reader, few_digits):
    display = PredictionDisplay.from_estimator(digit_reader, few_digits[1], n_images=7)
    assert [bool(ax.images) for ax in display.axes_.flat] == [True] * 7 + [False]
    assert not display.axes_.flat[-1].axison


def test_axes_and_styles_are_passed_on(digit_reader, few_digits):
    _, (left, _) = plt.subplots(1, 2)
    style = {"im_kw": {"cmap": "gray_r"}, "text_kw": {"fontsize": 5, "color": "#123456"}}
    display = PredictionDisplay.from_estimator(digit_reader, few_digits[1], ax=left, **style)
    assert display.bounding_ax_ is left
    assert {image.get_cmap().name for image in display.images_} == {"gray_r"}
    assert {text.get_color() for text in display.texts_} == {"#123456"}
    _, axes = plt.subplots(2, 5)
    display.plot(axes)
    assert_array_equal(display.axes_, axes)
    assert len(display.indices_) == 10
    display.plot(axes, n_images=8)
    assert [ax.axison for ax in axes.flat] == [True] * 8 + [False] * 2
    with pytest.raises(ValueError, match="ax has 10 axes; needed: 11, or one that is divided"):
        display.plot(axes, n_images=11)


def test_on_black_nothing_is_written_in_black(digit_reader, few_digits):
    with plt.style.context("dark_background"):
        display = PredictionDisplay.from_estimator(digit_reader, few_digits[1], few_digits[3])
        found = [colors.to_rgb(text.get_color()) for text in display.texts_]
    assert min(map(max, found)) > 0.5


def test_labels_that_are_missing_are_mistakes():
    y_true = np.array(["a", None, "b"], dtype=object)
    display = PredictionDisplay.from_predictions(y_true, ["a", "b", "b"], np.zeros((3, 2, 2)))
    assert texts(display) == ["b\ntrue: None", "a", "b"]


def test_what_does_not_belong_together_is_an_error():
    images = np.zeros((3, 4, 4))
    with pytest.raises(ValueError, match=r"y has the shape \(2,\); needed: that of the predic"):
        PredictionDisplay.from_predictions([1, 2], [1, 2, 3], images)
    with pytest.raises(ValueError, match=r"y holds .*1.*, but .*'1'.* is predicted; needed"):
        PredictionDisplay.from_predictions([1, 2, 3], ["1", "2", "3"], images)
    with pytest.raises(ValueError, match=r"y_proba has the shape \(3, 2\); needed: \(3, 3\)"):
        PredictionDisplay.from_predictions(None, [1, 2, 3], images, y_proba=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="kind='numbers'; needed: one of classes, labels, values"):
        PredictionDisplay.from_predictions(None, [1, 2, 3], images, kind="numbers")
    with pytest.raises(ValueError, match="images has the dtype object; needed: numbers"):
        PredictionDisplay.from_predictions(None, [1, 2, 3], images.astype(object))


def test_classes_are_in_the_order_of_the_probabilities():
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    known = {"y_proba": p, "classes": ["b", "a"], "label_names": ["bee", "ant"], "indices": [0, 1]}
    display = PredictionDisplay.from_predictions(None, ["b", "a"], np.zeros((2, 4, 4)), **known)
    assert texts(display) == ["bee (90%)", "ant (80%)"]
    with pytest.raises(ValueError, match=r"'c' is predicted, but y_proba has no column for it"):
        PredictionDisplay.from_predictions(None, ["b", "c"], np.zeros((2, 4, 4)), **known)


@pytest.mark.parametrize("indices", [[3], [-4], [1.7], ["a"], [[0, 1]], 2, [True, False, True]])
def test_indices_are_numbers_of_images(indices):
    with pytest.raises(ValueError, match="needed: a list of the numbers of images, of which"):
        PredictionDisplay.from_predictions(None, [1, 2, 3], np.zeros((3, 4, 4)), indices=indices)


def test_kinds_of_predictions_are_told_apart():
    images = np.zeros((30, 2, 2))
    half = np.arange(30) / 2
    indicator = np.eye(30, dtype=int)
    for kind, y_pred in {"classes": range(30), "values": half, "labels": indicator}.items():
        assert PredictionDisplay.from_predictions(None, y_pred, images).kind == kind
