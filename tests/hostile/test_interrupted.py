"""Ctrl-C at any moment of a fit leaves a model as it was, or as some epoch left it."""

import inspect
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from warnings import catch_warnings, filterwarnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sknpcnn
from sknpcnn import NumpyCNNClassifier
from tests.engine.threads import blas_is_held
from tests.hostile import cases
from tests.hostile.checks import (
    SMALL,
    X,
    already_fitted,
    attributes,
    no_hang,
    no_warning_from_numpy,
    y,
)
from tests.models import assert_same_weights

pytestmark = pytest.mark.thread_unsafe(reason="alarms, and a spy on the network")


class Presses:
    """A callback that presses Ctrl-C when it is called for the n-th time."""

    def __init__(self, n):
        self.n = n

    def __getstate__(self):
        return None  # how often it was called does not belong to the estimator

    def press(self, *args, **data):
        self.n -= 1
        if self.n == 0:
            raise KeyboardInterrupt

    setup = teardown = on_fit_task_begin = on_fit_task_end = press


DRIVERS = {
    str(path)
    for name in (
        *("classifier.py", "preparation.py", "running.py", "fit.py", "fitted.py", "loop.py"),
        *(
            "checkpoints.py",
            "fingerprint.py",
            "storage.py",
            "report.py",
            "estimator.py",
            "state.py",
        ),
    )
    for path in Path(sknpcnn.__file__).parent.rglob(name)
}


def with_ctrl_c_after(n, task):
    """Run a task, and press Ctrl-C after the n-th call in the modules that drive training.

    There, and at the beginning of a function, is where Python looks whether it was pressed. What
    the callback of a weak reference raises, Python reports and forgets, whoever's it is.
    """

    def look(frame, event, arg):
        nonlocal n
        code = frame.f_code
        begins = event == "call" and not code.co_flags & inspect.CO_GENERATOR
        swallowed = code.co_qualname.startswith("_WeakIdentityDict.__setitem__.")
        if code.co_filename in DRIVERS and (begins or event == "c_return") and not swallowed:
            n -= 1
            if n == 0:
                raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        task()
    finally:
        sys.setprofile(None)


MOMENTS = 850
"""About as many as there are in a fit of three epochs with checkpoints."""

TRAINED = {
    "plain": {},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.1, "batch_size": 2},
    "early stopping": {"early_stopping": True, "learning_rate_init": 0.1},
    "warm start": {"warm_start": True},
    "kept": {"batch_norm": True, "dropout": 0.5},
}


def trained(kind, n_epochs, was_fitted):
    clf = already_fitted(**TRAINED[kind]) if was_fitted else NumpyCNNClassifier(**SMALL)
    return clf.set_params(**TRAINED[kind], max_iter=n_epochs, n_iter_no_change=np.inf)


def assert_as_it_was_or_at_an_epoch(clf, was, kind, was_fitted, method):
    """Compare with the estimator before, or with one that was trained for so many epochs."""
    assert not blas_is_held()
    if attributes(clf) == was:
        return
    assert len(clf.history_) == clf.n_iter_
    resumes = was_fitted and (method == "partial_fit" or clf.warm_start)
    wanted = trained(kind, clf.n_iter_ - resumes * SMALL["max_iter"], was_fitted)
    with no_warning_from_numpy():
        getattr(wanted, method)(X, y, *[[0, 1]] * (method == "partial_fit"))
        for _ in range(2):  # as it is, and when training resumes
            assert_same_weights(clf, wanted)
            assert (clf.loss_curve_, clf.t_) == (wanted.loss_curve_, wanted.t_)
            clf.partial_fit(X, y)
            wanted.partial_fit(X, y)


@cases(20)
@given(st.integers(1, 10), st.sampled_from(list(TRAINED)), st.booleans())
def test_fit_interrupted_by_a_callback_keeps_the_last_epoch_or_what_was(n, kind, was_fitted):
    clf = trained(kind, 3, was_fitted).set_callbacks(Presses(n))
    was = attributes(clf)
    with no_hang(), no_warning_from_numpy():
        try:
            clf.fit(X, y)
        except KeyboardInterrupt:
            pass
        else:
            assert attributes(clf) != was
    assert_as_it_was_or_at_an_epoch(clf, was, kind, was_fitted, "fit")


@pytest.mark.slow
@cases(60)
@given(
    st.integers(1, 400),
    st.sampled_from(list(TRAINED)),
    st.booleans(),
    st.sampled_from(["fit", "fit", "partial_fit"]),
)
def test_training_interrupted_anywhere_keeps_the_last_epoch_or_what_was(
    n, kind, was_fitted, method
):
    clf = trained(kind, 3, was_fitted)
    was = attributes(clf)
    classes = [[0, 1]] * (method == "partial_fit")
    with no_hang(), no_warning_from_numpy(), suppress(KeyboardInterrupt):
        with_ctrl_c_after(n, lambda: getattr(clf, method)(X, y, *classes))
    assert_as_it_was_or_at_an_epoch(clf, was, kind, was_fitted, method)


@pytest.mark.slow
@cases(60)
@given(st.integers(1, MOMENTS), st.sampled_from(list(TRAINED)), st.booleans())
def test_a_fit_with_checkpoints_resumes_wherever_it_was_interrupted(n, kind, was_fitted):
    def fit():
        return trained(kind, 3, was_fitted).set_params(checkpoint_dir=folder).fit(X, y)

    with TemporaryDirectory() as folder, no_hang(), catch_warnings():
        filterwarnings("error", "The checkpoint cannot be used")
        filterwarnings("ignore", "Training was interrupted")
        for moment in (n, n // 2 + 1):
            with suppress(KeyboardInterrupt):
                with_ctrl_c_after(moment, fit)
        found = fit()
        (file,) = Path(folder).iterdir()
        assert file.suffix == ".npz"
    wanted = trained(kind, 3, was_fitted).fit(X, y)
    assert_same_weights(found, wanted)
    assert found.loss_curve_ == wanted.loss_curve_
