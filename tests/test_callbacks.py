"""Our callbacks, which follow scikit-learn's protocol."""

import pickle

import numpy as np
import pytest
from sklearn.callback import FitCallback
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknpcnn import NumpyCNNClassifier
from sknpcnn.callbacks import TimeLimit


@pytest.fixture
def data(digits):
    X, _, y, _ = digits
    return X[:300], y[:300]


def small(**params):
    given = {"conv_filters": (4,), "random_state": 0, "n_iter_no_change": np.inf}
    return NumpyCNNClassifier(**given | {"learning_rate": "constant"} | params)


def test_it_follows_the_protocol():
    assert isinstance(TimeLimit(1), FitCallback)
    assert pickle.loads(pickle.dumps(TimeLimit(3))).seconds == 3


def test_training_stops_before_the_limit(data):
    clf = small(max_iter=100_000).set_callbacks(TimeLimit(0.5)).fit(*data)
    seconds = clf.history_["seconds"]
    assert 1 < clf.n_iter_ < 100_000
    assert seconds.sum() < 0.5
    assert clf.score(*data) > 0.5


def test_a_limit_that_is_far_away_changes_nothing(data):
    limited = small(max_iter=3).set_callbacks(TimeLimit(3600)).fit(*data)
    np.testing.assert_array_equal(limited._theta, small(max_iter=3).fit(*data)._theta)


def test_with_checkpoints_a_fit_goes_on_until_it_has_ended(data, tmp_path):
    params = {"max_iter": 40, "checkpoint_dir": tmp_path}
    calls, clf = 0, None
    while clf is None or clf.n_iter_ < 40:
        clf = small(**params).set_callbacks(TimeLimit(0.05)).fit(*data)
        calls += 1
        assert calls <= 40
    assert calls > 1
    np.testing.assert_array_equal(clf._theta, small(max_iter=40).fit(*data)._theta)


def test_in_a_grid_search_it_holds_for_every_fit(data):
    clf = small(max_iter=100_000).set_callbacks(TimeLimit(0.2))
    pipeline = make_pipeline(StandardScaler(), clf)
    grid = {"numpycnnclassifier__alpha": [0.0, 0.1]}
    search = GridSearchCV(pipeline, grid, cv=2, refit=False).fit(*data)
    assert 0 < search.cv_results_["mean_fit_time"].max() < 5


@pytest.mark.parametrize("seconds", [0, -1, "1", True, None, np.nan])
def test_a_senseless_limit_is_refused(seconds):
    with pytest.raises(ValueError, match=r"seconds=.*; needed: a number above 0"):
        TimeLimit(seconds)
