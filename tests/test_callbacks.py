"""Our callbacks, which follow scikit-learn's protocol."""

import pickle
from datetime import datetime, timedelta
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


class Clock:
    """The time of a machine on which every epoch takes a second longer."""

    epochs = 0

    def now(self, zone):
        self.epochs += 1
        return datetime.now(zone) + timedelta(seconds=self.epochs)


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr("sknpcnn.callbacks.datetime", clock := Clock())
    return clock


def test_it_follows_the_protocol():
    assert isinstance(TimeLimit(1), FitCallback)
    assert pickle.loads(pickle.dumps(TimeLimit(3))).seconds == 3


def test_training_stops_where_one_more_epoch_would_exceed_the_limit(data, clock):
    clf = small(max_iter=100_000).set_callbacks(TimeLimit(60)).fit(*data)
    assert clf.n_iter_ == clock.epochs
    assert 25 < clf.n_iter_ <= 31  # by then 30 seconds, and those of the epoch
    assert clf.score(*data) > 0.5


def test_a_limit_that_is_far_away_changes_nothing(data):
    limited = small(max_iter=3).set_callbacks(TimeLimit(3600)).fit(*data)
    assert_same_weights(limited, small(max_iter=3).fit(*data))


def test_with_checkpoints_a_fit_resumes_until_it_has_ended(data, tmp_path, clock):
    params = {"max_iter": 40, "checkpoint_dir": tmp_path}
    calls, clf = 0, None
    while clf is None or clf.n_iter_ < 40:
        clock.epochs = 0
        clf = small(**params).set_callbacks(TimeLimit(20)).fit(*data)
        calls += 1
        assert calls <= 40
    assert calls > 1
    assert_same_weights(clf, small(max_iter=40).fit(*data))


def test_in_a_grid_search_it_holds_for_every_fit(data, clock):
    clf = small(max_iter=100_000).set_callbacks(TimeLimit(60))
    pipeline = make_pipeline(StandardScaler(), clf)
    grid = {"numpycnnclassifier__alpha": [0.0, 0.1]}
    GridSearchCV(pipeline, grid, cv=2, refit=False).fit(*data)
    assert 4 < clock.epochs <= 40  # of four fits


@pytest.mark.parametrize("seconds", [0, -1, "1", True, None, np.nan])
def test_a_senseless_limit_is_refused(seconds):
    with pytest.raises(ValueError, match=r"seconds=.*; needed: a number above 0"):
        TimeLimit(seconds)
