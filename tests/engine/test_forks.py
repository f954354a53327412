"""Forks at any point: both processes continue, the new one with the thread that forked."""

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sknpcnn._engine.blas import one_thread_blas
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.workers import workers_for
from tests.engine.threads import blas_is_held, blas_threads, wide
from tests.models import Callback, assert_same_weights, in_epoch, weights_of
from tests.processes import PATIENCE, ended, in_child

pytestmark = [
    pytest.mark.thread_unsafe(reason="looks at all threads of the process and at its BLAS"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


def test_fork_after_a_fit(float_digits, three):
    clf = wide().fit(*float_digits)
    wanted = clf.predict_proba(float_digits[0])

    def task():
        np.testing.assert_array_equal(clf.predict_proba(float_digits[0]), wanted)
        assert_same_weights(wide().fit(*float_digits), clf)
        assert blas_threads() == three

    in_child(task)


def test_fork_while_another_thread_fits(float_digits, three):
    inside, go_on = threading.Event(), threading.Event()

    def wait():
        inside.set()
        go_on.wait(PATIENCE)

    def task():
        assert blas_threads() == three  # who has held it is not in this process
        wide().fit(*float_digits)
        assert blas_threads() == three

    with ThreadPoolExecutor(1) as pool:
        clf = wide().set_callbacks(Callback(begin=in_epoch(1, wait)))
        future = pool.submit(clf.fit, *float_digits)
        try:
            assert inside.wait(PATIENCE)
            in_child(task)
        finally:
            go_on.set()
        assert_same_weights(future.result(PATIENCE), wide().fit(*float_digits))
    assert blas_threads() == three


def test_fork_at_any_moment_of_another_thread(three):
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            with one_thread_blas:
                pass

    def task():
        with one_thread_blas:
            assert set(blas_threads()) == {1}
        assert blas_threads() == three

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(come_and_go)
        try:
            for _ in range(10):
                in_child(task)
        finally:
            stop.set()
        future.result(PATIENCE)
    assert blas_threads() == three


def test_fork_within_a_fit(float_digits, three):
    def task():
        assert wide().fit(*float_digits).n_iter_ == 3

    callback = Callback(begin=in_epoch(1, lambda: in_child(task)))
    clf = wide().set_callbacks(callback).fit(*float_digits)
    assert_same_weights(clf, wide().fit(*float_digits))
    assert blas_threads() == three


def go_on_in_both(fit):
    """Run a fit that forks: in the child that must end well, too."""
    mine = os.getpid()
    status = 1
    try:
        fit()
        status = 0
    finally:
        if os.getpid() != mine:
            os._exit(status)


class Forks:
    """Forks when it is called for the n-th time, and knows the children."""

    def __init__(self, n=1, condition=lambda: True):
        self.n, self.condition, self.children = n, condition, []

    def __call__(self, *args):
        if self.condition():
            self.n -= 1
            if self.n == 0:
                self.children.append(os.fork())

    def statuses(self):
        return [ended(child) for child in self.children]


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_child_that_was_forked_by_a_callback_ends_the_fit_with_the_same_bits(
    n_jobs, float_digits, three
):
    forks = Forks()
    clf = wide(n_jobs=n_jobs).set_callbacks(Callback(begin=in_epoch(1, forks)))
    wanted = wide().fit(*float_digits)

    def fit():
        clf.fit(*float_digits)
        assert_same_weights(clf, wanted)
        assert not blas_is_held()
        assert blas_threads() == three
        assert workers_for(None) == 3
        assert_same_weights(wide().fit(*float_digits), wanted)
        assert blas_threads() == three

    go_on_in_both(fit)
    assert forks.statuses() == [0]


def test_a_child_that_was_forked_while_helpers_worked_says_what_it_has_not(three):
    """A layer, or a signal handler, forks in the main thread while another has a task."""
    together = threading.Barrier(2)
    forks, meant = Forks(), threading.Event()

    def task(i, thread):
        together.wait(PATIENCE)
        if thread == 0:
            forks()
            meant.set()
        elif not meant.wait(PATIENCE):
            os._exit(2)

    def fit():
        mine = os.getpid()
        with Engine(2, np.float32) as engine:
            message = ""
            try:
                engine.run(task, 2)
            except RuntimeError as error:
                message = str(error)
            assert ("forked while several threads" in message) == (os.getpid() != mine)
            done = []
            engine.run(lambda i, thread: done.append(i), 5)
            assert sorted(done) == [0, 1, 2, 3, 4]
        assert blas_threads() == three

    go_on_in_both(fit)
    assert forks.statuses() == [0]


def test_a_child_that_was_forked_by_a_helper_ends(float_digits, three):
    forks = Forks(condition=lambda: threading.current_thread().name.startswith("sknpcnn"))
    for _ in range(50):
        clf = wide(lambda: forks()).fit(*float_digits)  # a lambda, because layers are copied
        if forks.children:
            break
    assert forks.statuses() == [1]
    assert_same_weights(clf, wide().fit(*float_digits))
    assert blas_threads() == three


def test_a_layer_may_fork_in_the_thread_of_the_fit(float_digits, three):
    main = threading.main_thread()
    forks = Forks(3, condition=lambda: threading.current_thread() is main)

    def fit():
        mine, message = os.getpid(), ""
        try:
            clf = wide(lambda: forks()).fit(*float_digits)
            assert_same_weights(clf, wide().fit(*float_digits))
        except RuntimeError as error:
            message = str(error)
        assert not message or (os.getpid() != mine and "forked while several" in message)
        assert blas_threads() == three
        assert wide().fit(*float_digits).n_iter_ == 3

    go_on_in_both(fit)
    assert forks.statuses() == [0]


def found_in_child(queue, X, y):
    queue.put((blas_threads(), workers_for(None), weights_of(wide().fit(X, y))))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_process_of_multiprocessing_that_a_callback_starts(method, float_digits, three):
    """It never returns to the fit: BLAS is not limited there."""
    context = multiprocessing.get_context(method)
    queue, found = context.SimpleQueue(), []

    def start():
        process = context.Process(target=found_in_child, args=(queue, *float_digits))
        process.start()
        found.append(queue.get())
        process.join()

    clf = wide().set_callbacks(Callback(begin=in_epoch(1, start))).fit(*float_digits)
    ((threads, allowed, theta),) = found
    if method == "fork":
        assert (threads, allowed) == (three, 3)
    np.testing.assert_array_equal(theta, weights_of(clf))
    assert blas_threads() == three
