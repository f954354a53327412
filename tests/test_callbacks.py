"""Our callbacks, which follow scikit-learn's protocol."""

import pickle
from functools import partial

import numpy as np
import pytest
from sklearn.callback import FitCallback
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknpcnn.callbacks import TimeLimit
from tests import models
from tests.models import assert_same_weights

small = partial(models.small, n_iter_no_change=np.inf)


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
    assert_same_weights(limited, small(max_iter=3).fit(*data))


def test_with_checkpoints_a_fit_goes_on_until_it_has_ended(data, tmp_path):
    params = {"max_iter": 40, "checkpoint_dir": tmp_path}
    calls, clf = 0, None
    while clf is None or clf.n_iter_ < 40:
        clf = small(**params).set_callbacks(TimeLimit(0.05)).fit(*data)
        calls += 1
        assert calls <= 40
    assert calls > 1
    assert_same_weights(clf, small(max_iter=40).fit(*data))


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
