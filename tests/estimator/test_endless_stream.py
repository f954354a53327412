"""A stream never ends: what ``partial_fit`` keeps is bounded, and remains useful."""

import pickle

import numpy as np
import pytest

import sknpcnn
from sknpcnn import NumpyCNNClassifier
from sknpcnn._estimator import estimator
from sknpcnn.schedules import Constant, Progress, ReduceOnPlateau
from tests.models import assert_same_weights

pytestmark = pytest.mark.filterwarnings("ignore:Training has ended while")

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 4, 4)).astype("f4")
y = np.arange(12) % 3
KEPT = 7
SMALL = {"conv_filters": (2,), "hidden_layer_sizes": (), "random_state": 0}


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(estimator, "MAX_HISTORY", KEPT)


def stream(calls, **params):
    params = SMALL | params
    clf = NumpyCNNClassifier(**params)
    for _ in range(calls):
        clf.partial_fit(X, y, classes=[0, 1, 2])
    return clf


def whole(epochs, **params):
    params = SMALL | {"learning_rate": "constant"} | params
    return NumpyCNNClassifier(max_iter=epochs, tol=0, n_iter_no_change=10**6, **params).fit(X, y)


def test_the_last_calls_are_kept(short):
    clf, fit = stream(20), whole(20)
    assert clf.n_iter_ == 20
    assert clf.t_ == 20 * len(X)
    assert list(clf.history_.index) == list(range(14, 21))
    wanted = fit.history_.drop(columns="seconds").iloc[-KEPT:]
    assert clf.history_.drop(columns="seconds").equals(wanted)
    assert clf.loss_curve_ == fit.loss_curve_[-KEPT:]
    assert clf.loss_ == fit.loss_
    assert clf.best_loss_ == fit.best_loss_
    assert_same_weights(clf, fit)


def test_the_lowest_loss_may_be_one_that_is_forgotten(short):
    clf = stream(10)
    lowest = clf.best_loss_
    for _ in range(10):
        clf.partial_fit(X, (y + 1) % 3)  # which it has learned otherwise
    assert min(clf.loss_curve_) > lowest
    assert clf.best_loss_ == lowest


PLATEAU = ReduceOnPlateau(factor=0.5, patience=2, tol=0.05)


@pytest.mark.parametrize("schedule", [PLATEAU, PLATEAU.replace(warmup=3.5), Constant(warmup=9)])
def test_a_schedule_does_not_notice_what_is_forgotten(short, schedule):
    params = {"learning_rate": schedule, "learning_rate_init": 0.01}
    clf, fit = stream(30, max_iter=30, **params), whole(30, **params)
    assert len(set(fit.history_.learning_rate)) > 2
    assert_same_weights(clf, fit)


def test_the_summary_of_a_plateau_is_exact_wherever_the_curve_is_cut():
    curve = list(np.round(rng.uniform(size=60), 1))
    for schedule in (PLATEAU, PLATEAU.replace(warmup=5)):
        wanted = schedule.multiplier(Progress(60, 100, curve))
        assert wanted < 0.1
        for cut in range(60):
            summary = schedule.summary_of(Progress(cut, 100, curve[:cut]))
            progress = Progress(60, 100, curve[cut:], cut, summary)
            assert schedule.multiplier(progress) == wanted


def test_another_schedule_starts_without_the_summary_of_the_first(short):
    clf = stream(20, learning_rate=PLATEAU)
    assert clf._progress["summary"][0] == "ReduceOnPlateau"
    clf.set_params(learning_rate="constant").partial_fit(X, y)
    assert clf.history_.learning_rate.iloc[-1] == 0.001


@pytest.mark.slow
def test_state_is_bounded_and_copies_continue_in_the_same_way(short, tmp_path):
    clf = stream(25, learning_rate=PLATEAU)
    size = len(pickle.dumps(clf))
    sknpcnn.save(clf, tmp_path / "model.npz")
    copies = [pickle.loads(pickle.dumps(clf)), sknpcnn.load(tmp_path / "model.npz")]
    for model in (clf, *copies):
        for _ in range(100):
            model.partial_fit(X, y)
        assert model.n_iter_ == 125
        assert len(model.history_) == KEPT
        assert len(pickle.dumps(model)) < size + 200
        assert_same_weights(model, clf)


def test_a_fit_resumes_after_a_stream(short, tmp_path):
    clf = stream(20, learning_rate=PLATEAU, warm_start=True, max_iter=3)
    again = pickle.loads(pickle.dumps(clf)).set_params(checkpoint_dir=tmp_path)
    other = pickle.loads(pickle.dumps(clf)).set_params(checkpoint_dir=tmp_path)
    clf.fit(X, y)
    assert clf.n_iter_ == 23
    assert list(clf.history_.index) == list(range(14, 24))
    for model in (again, other):  # the second one finds that it has ended
        model.fit(X, y)
        assert_same_weights(model, clf)
        assert list(model.history_.index) == list(clf.history_.index)


@pytest.mark.slow
def test_what_is_done_in_a_call_does_not_grow_with_their_number(short):
    """All lists that a call works with are as long after 200 calls as after 20."""
    sizes = []
    for calls in (20, 200):
        clf = stream(calls, early_stopping=False)
        lists = [*vars(clf).values(), *clf._progress.values()]
        sizes.append([len(value) for value in lists if isinstance(value, (list, dict, tuple))])
    assert sizes[0] == sizes[1]


def test_verbose_counts_all_epochs(short, capsys):
    clf = stream(12, max_iter=50)
    capsys.readouterr()
    clf.set_params(verbose=1).partial_fit(X, y)
    assert "Epoch 13/13" in capsys.readouterr().out
