"""A fit that is interrupted or fails leaves a whole model."""

import signal
import threading
from functools import partial

import numpy as np
import pytest

from tests import models
from tests.models import Callback, assert_same_weights, in_epoch

small = partial(models.small, **models.PLAIN)


def interrupt_at(number):
    """A callback that presses Ctrl-C when an epoch begins."""

    def press():
        raise KeyboardInterrupt

    return Callback(begin=in_epoch(number, press))


def test_ctrl_c_keeps_the_last_finished_epoch_and_warns(digits):
    X, _, y, _ = digits
    clf = small(max_iter=10).set_callbacks(interrupt_at(2))
    with pytest.warns(UserWarning, match="interrupted: the model of epoch 2"):
        clf.fit(X, y)
    assert_same_weights(clf, small(max_iter=2).fit(X, y))


def test_ctrl_c_within_an_epoch_leaves_nothing_half_done(digits):
    X, _, y, _ = digits
    clf = small(max_iter=10_000, n_iter_no_change=np.inf)
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(X, y)
    timer.join()
    assert 0 < clf.n_iter_ < 10_000
    again = small(max_iter=clf.n_iter_, n_iter_no_change=np.inf).fit(X, y)
    assert_same_weights(clf, again)


def test_ctrl_c_before_the_first_epoch_leaves_the_estimator_as_it_was(digits):
    X, _, y, _ = digits
    clf = small().set_callbacks(interrupt_at(0))
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    assert not [name for name in vars(clf) if name.endswith("_") or name == "_theta"]


def test_a_failed_fit_leaves_the_estimator_as_it_was(digits):
    X, X_test, y, _ = digits
    clf = small().fit(X, y)
    before = clf.predict_proba(X_test)
    clf.set_params(learning_rate_init=1e30, solver="sgd")
    with pytest.raises(ValueError, match="diverged"):
        clf.fit(X[:, :49], y)
    np.testing.assert_array_equal(clf.predict_proba(X_test), before)
