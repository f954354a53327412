"""HistoryDisplay draws what is in history_, of one estimator or of several."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sknpcnn import NumpyCNNClassifier, NumpyCNNRegressor
from sknpcnn.display import HistoryDisplay
from tests.models import small

pytestmark = pytest.mark.thread_unsafe(reason="pyplot has one current figure")
NAME = "NumpyCNNClassifier"
CURVES = ("train_loss", "validation_loss", "train_score", "validation_score")


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def assert_drawn(display, name, history, columns):
    for column in columns:
        line = display.lines_[name, column]
        assert_array_equal(line.get_xdata(), history.index)
        assert_array_equal(line.get_ydata(), history[column])


def test_loss_and_score_of_both_parts_are_lines(digit_reader):
    display = HistoryDisplay.from_estimator(digit_reader)
    assert set(display.lines_) == {(NAME, column) for column in CURVES}
    assert_drawn(display, NAME, digit_reader.history_, CURVES)
    loss, score = display.axes_[0]
    assert display.lines_[NAME, "train_loss"].axes is loss
    assert display.lines_[NAME, "validation_score"].axes is score
    assert (loss.get_ylabel(), score.get_ylabel()) == ("loss", "accuracy")
    assert display.lines_[NAME, "train_loss"].get_linestyle() == "--"
    assert display.lines_[NAME, "validation_loss"].get_linestyle() == "-"
    assert display.figure_ is loss.figure


def test_best_epoch_on_the_validation_data_is_marked(digit_reader):
    history = digit_reader.history_
    display = HistoryDisplay.from_estimator(digit_reader)
    best = history["validation_loss"].idxmin()
    marks = [(*mark.get_xdata(), *mark.get_ydata()) for mark in display.best_]
    assert marks == [
        (best, history["validation_loss"][best]),
        (best, history["validation_score"][best]),
    ]
    assert texts(display.legend_) == ["training", "validation", f"best epoch: {best}"]


def test_best_epoch_is_that_of_the_scorer_and_is_the_model_that_early_stopping_keeps(few_digits):
    X, X_test, y, y_test = few_digits
    clf = small(early_stopping=True, scoring="neg_log_loss", max_iter=6)
    clf.fit(X, y, X_val=X_test, y_val=y_test)
    display = HistoryDisplay.from_estimator(clf)
    [best] = display.best_epochs.values()
    kept = np.log(clf.predict_proba(X_test)[np.arange(50), y_test]).mean()
    assert clf.history_["validation_score"][best] == pytest.approx(kept, rel=1e-5)
    label = display.axes_[0, 1].get_ylabel()
    assert label == "accuracy (training), neg_log_loss (validation)"
    own = clf.set_params(scoring=lambda model, X, y: model.score(X, y)).fit(X, y)
    label = HistoryDisplay.from_estimator(own).axes_[0, 1].get_ylabel()
    assert label == "accuracy (training), <lambda> (validation)"


def test_without_validation_data_there_is_one_line_and_no_mark(few_digits):
    clf = small().fit(few_digits[0], few_digits[2])
    display = HistoryDisplay.from_estimator(clf)
    assert set(display.lines_) == {(NAME, "train_loss"), (NAME, "train_score")}
    assert display.lines_[NAME, "train_loss"].get_linestyle() == "-"
    assert display.best_ == []


def test_learning_rate_is_drawn_on_demand(digit_reader):
    display = HistoryDisplay.from_estimator(digit_reader, learning_rate=True)
    assert display.axes_.shape == (1, 3)
    assert_drawn(display, NAME, digit_reader.history_, ["learning_rate"])
    assert display.axes_[0, 2].get_ylabel() == "learning rate"


def test_several_estimators_differ_in_color_and_have_their_names(digit_reader, few_digits):
    other = small().fit(few_digits[0], few_digits[2])
    display = HistoryDisplay.from_estimator({"wide": digit_reader, "narrow": other})
    assert_drawn(display, "wide", digit_reader.history_, CURVES)
    assert_drawn(display, "narrow", other.history_, CURVES[::2])
    assert texts(display.legend_) == ["wide", "narrow", "training", "validation", "best epoch"]
    wide, narrow = (display.lines_[name, "train_loss"] for name in ("wide", "narrow"))
    assert wide.get_color() != narrow.get_color()
    assert wide.get_linestyle() == narrow.get_linestyle() == "--"
    listed = HistoryDisplay.from_estimator([digit_reader, other])
    assert [*listed.histories] == [f"{NAME} 1", f"{NAME} 2"]


def test_many_estimators_have_colors_of_their_own_and_a_legend_outside(few_digits):
    clf = small(max_iter=1).fit(few_digits[0], few_digits[2])
    display = HistoryDisplay.from_estimator({f"number {i}": clf for i in range(25)})
    found = {colors.to_hex(line.get_color()) for line in display.lines_.values()}
    assert len(found) == 25
    display.figure_.draw_without_rendering()
    right = display.axes_[0, 1].get_window_extent().x1
    assert display.legend_.get_window_extent().x0 > right


def test_pipelines_searches_and_regressors_have_a_history_too(few_digits):
    X, _, y, _ = few_digits
    pipeline = make_pipeline(MinMaxScaler(), small(max_iter=1)).fit(X, y)
    search = GridSearchCV(small(max_iter=1), {"dropout": [0.0, 0.5]}, cv=2).fit(X, y)
    reg = NumpyCNNRegressor(conv_filters=2, max_iter=2, random_state=0).fit(X, y)
    given = {"p": FrozenEstimator(pipeline), "s": search, "r": reg}
    display = HistoryDisplay.from_estimator(given)
    assert_drawn(display, "p", pipeline[-1].history_, ["train_loss", "train_score"])
    assert_drawn(display, "s", search.best_estimator_.history_, ["train_loss", "train_score"])
    assert_drawn(display, "r", reg.history_, ["train_loss", "train_score"])
    assert display.axes_[0, 1].get_ylabel() == "score"
    assert HistoryDisplay.from_estimator(reg).axes_[0, 1].get_ylabel() == "R2"


@pytest.mark.parametrize(("epochs", "marker"), [(1, "o"), (5000, "None")])
def test_histories_of_one_epoch_and_of_thousands(epochs, marker):
    values = np.linspace(3.0, 0.01, epochs)
    columns = ("train_loss", "train_score", "validation_loss", "validation_score", "learning_rate")
    history = pd.DataFrame(dict.fromkeys(columns, values), index=range(1, epochs + 1))
    display = HistoryDisplay({"a": history}, best_epochs={"a": epochs}).plot()
    assert_drawn(display, "a", history, CURVES)
    assert display.lines_["a", "train_loss"].get_marker() == marker
    assert display.axes_[0, 0].get_yscale() == ("linear" if epochs == 1 else "log")
    display.figure_.draw_without_rendering()
    ticks = display.axes_[0, 0].get_xticks()
    assert_array_equal(ticks, np.round(ticks))
    assert f"best epoch: {epochs:,}" in texts(display.legend_)


def test_history_of_partial_fit_begins_where_it_was_trimmed(few_digits):
    clf = NumpyCNNClassifier(conv_filters=2, random_state=0)
    for _ in range(2):
        clf.partial_fit(few_digits[0], few_digits[2], classes=range(10))
    assert_drawn(HistoryDisplay.from_estimator(clf), NAME, clf.history_, ["train_loss"])


def test_axes_are_divided_or_taken_as_they_are(digit_reader):
    _, (left, right) = plt.subplots(1, 2)
    display = HistoryDisplay.from_estimator(digit_reader, ax=left)
    assert display.bounding_ax_ is left
    assert display.figure_ is left.figure
    assert all(ax.get_position().x1 < right.get_position().x0 for ax in display.axes_.flat)
    _, both = plt.subplots(2)
    display = HistoryDisplay.from_estimator(digit_reader, ax=both, line_kw={"lw": 5})
    assert_array_equal(display.axes_[0], both)
    assert {line.get_linewidth() for line in display.lines_.values()} == {5}
    with pytest.raises(ValueError, match="ax has 2 axes; needed: 1 x 3"):
        display.plot(both, learning_rate=True)
    with pytest.raises(ValueError, match="ax has no place in a grid"):
        display.plot(plt.figure().add_axes((0, 0, 1, 1)))


def test_on_black_nothing_is_drawn_in_black(digit_reader):
    with plt.style.context("dark_background"):
        display = HistoryDisplay.from_estimator({"a": digit_reader, "b": digit_reader})
        drawn = [line.get_color() for ax in display.axes_.flat for line in ax.lines]
        drawn += [text.get_color() for text in display.legend_.get_texts()]
        drawn += [line.get_color() for line in display.legend_.get_lines()[:-1]]
        drawn += [ax.yaxis.label.get_color() for ax in display.axes_.flat]
        drawn += [mark.get_markeredgecolor() for mark in display.best_]
    assert all(max(colors.to_rgb(color)) > 0.4 for color in drawn)


def test_nothing_to_draw_is_an_error(few_digits):
    for nothing in ([], {}):
        with pytest.raises(ValueError, match=r"estimator is an empty \w+; needed: one estimator"):
            HistoryDisplay.from_estimator(nothing)
    untrained = small(max_iter=0).fit(few_digits[0], few_digits[2])
    with pytest.raises(ValueError, match="'NumpyCNNClassifier' has been trained for no epoch"):
        HistoryDisplay.from_estimator(untrained)
