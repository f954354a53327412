"""Nothing remains of a fit but the model: no thread, no memory, no BLAS limit, in any process."""

import gc
import multiprocessing
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import count

import joblib
import numpy as np
import pytest
import threadpoolctl
from sklearn.model_selection import GridSearchCV
from threadpoolctl import ThreadpoolController

from sknpcnn._engine.blas import BlasGuard, one_thread_blas
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.workers import workers_for
from tests.engine.threads import blas_threads, finishing, our_threads, wide
from tests.models import Callback, assert_same_weights, in_epoch
from tests.processes import PATIENCE

pytestmark = [
    pytest.mark.thread_unsafe(reason="looks at all threads of the process and at its BLAS"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def fail():
    raise OSError("on purpose")


def press():
    signal.raise_signal(signal.SIGINT)


def fit_and_predict(place, action, X, y):
    """Something happens on the way: in the second epoch, or in prediction."""
    calls, fitted = count(1), []

    def at(number, here):
        if place == here and next(calls) == number:
            action()

    def layer():
        if threading.current_thread() is not threading.main_thread():
            at(20, "helper")
        at(12, "layer")
        if fitted:
            at(1, "prediction")

    def score(model, X, y):
        at(3, "scorer")
        return 0.0

    clf = wide(layer, max_iter=200 if place == "helper" else 3, n_iter_no_change=np.inf)
    clf.set_params(early_stopping=place == "scorer", scoring=score)
    clf.set_callbacks(Callback(in_epoch(1, lambda: at(1, "callback")))).fit(X, y)
    fitted.append(True)
    clf.partial_fit(X, y).predict(X)


def engines():
    return [thing for thing in gc.get_objects() if type(thing) is Engine]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["callback", "layer", "helper", "scorer", "prediction"])
@pytest.mark.parametrize("action", [lambda: None, fail, press], ids=["nothing", "error", "Ctrl-C"])
def test_no_thread_no_engine_and_no_limit_is_left(action, place, float_digits, three):
    before, kept = set(threading.enumerate()), engines()  # such as a classifier's of another module
    if action is press and place != "prediction":
        with pytest.warns(UserWarning, match="interrupted: the model of epoch"):
            fit_and_predict(place, action, *float_digits)
    elif action in (press, fail):
        with pytest.raises(KeyboardInterrupt if action is press else OSError) as caught:
            fit_and_predict(place, action, *float_digits)
        del caught  # and the traceback, with all that it holds
    else:
        fit_and_predict(place, action, *float_digits)
    if action is press:  # it may come when a helper has just been started, which ends by itself
        for thread in our_threads():
            thread.join(PATIENCE)
    assert set(threading.enumerate()) <= before
    assert blas_threads() == three
    assert workers_for(None) == 3
    gc.collect()
    assert [engine for engine in engines() if not any(engine is one for one in kept)] == []
    again, alone = (wide(max_iter=1, n_jobs=n).fit(*float_digits) for n in (3, 1))
    assert_same_weights(again, alone)


def test_while_it_runs_there_are_as_many_threads_as_asked_for_and_blas_has_one(float_digits, three):
    seen = []
    note = in_epoch(1, lambda: seen.append((1 + len(our_threads()), set(blas_threads()))))
    for n_jobs in (1, 2, 3, None):
        wide(n_jobs=n_jobs).set_callbacks(Callback(end=note)).fit(*float_digits)
    assert seen == [(n, {1}) for n in (1, 2, 3, 3)]


def test_workers_that_are_threads_have_one_each(float_digits, three):
    seen = []
    note = in_epoch(1, lambda: seen.append(len(our_threads())))
    search = GridSearchCV(
        wide(n_jobs=None).set_callbacks(Callback(end=note)), {"alpha": [0.0, 0.1]}, cv=2
    )
    with joblib.parallel_config(backend="threading"):
        search.set_params(n_jobs=2, refit=False).fit(*float_digits)
    assert seen == [0] * 4


def test_an_engine_that_was_never_left_holds_no_limit(three):
    engine = Engine(1, np.float32).__enter__()
    assert set(blas_threads()) == {1}
    del engine
    gc.collect()
    assert blas_threads() == three


def test_an_engine_may_be_collected_at_any_moment(three):
    """Even if another thread is changing the limits: then the next one takes care of it."""
    engine = Engine(1, np.float32).__enter__()
    at_work, done = threading.Event(), threading.Event()

    def work():
        with one_thread_blas._lock:
            at_work.set()
            assert done.wait(PATIENCE)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        assert at_work.wait(PATIENCE)
        del engine
        gc.collect()
        done.set()
        future.result(PATIENCE)
    assert set(blas_threads()) == {1}
    with one_thread_blas:
        assert set(blas_threads()) == {1}
    assert blas_threads() == three


def test_fits_of_several_threads_of_the_user_do_not_disturb_each_other(float_digits, three):
    together, seen = threading.Barrier(4), []

    def meet():
        together.wait(PATIENCE)
        seen.append(set(blas_threads()))
        together.wait(PATIENCE)

    def fit(i):
        clf = wide(random_state=i, n_jobs=1 + i % 2, max_iter=2 + i)  # each ends at another time
        end = in_epoch(1, fail if i == 0 else lambda: False)
        return clf.set_callbacks(Callback(in_epoch(1, meet), end)).fit(*float_digits)

    with ThreadPoolExecutor(4) as pool:
        first, *others = [pool.submit(fit, i) for i in range(4)]
        assert isinstance(first.exception(PATIENCE), OSError)
        for i, future in enumerate(others, start=1):
            alone = wide(random_state=i, max_iter=2 + i).fit(*float_digits)
            assert_same_weights(future.result(PATIENCE), alone)
    assert seen == [{1}] * 4
    assert not our_threads()
    assert blas_threads() == three


def test_ctrl_c_while_helpers_are_started_waits_for_those_that_are_there(monkeypatch):
    start, calls, working = threading.Thread.start, [], threading.Event()
    finished, waits = [], finishing(monkeypatch)

    def start_or_press(thread):
        calls.append(thread)
        if len(calls) == 3:
            assert working.wait(PATIENCE)
            raise KeyboardInterrupt
        start(thread)

    def task(i, thread):
        if thread:
            working.set()
            assert waits.wait(PATIENCE)  # so Ctrl-C has come
            finished.append(i)
        else:
            assert working.wait(PATIENCE)
            engine.run(task, 4)

    monkeypatch.setattr(threading.Thread, "start", start_or_press)
    with Engine(2, np.float32) as engine:
        engine.n_threads = 4
        with pytest.raises(KeyboardInterrupt):
            engine.run(task, 2)
        assert len(finished) == 1


def test_ctrl_c_while_blas_is_held_or_given_back_leaves_it_as_it_was(three):
    """Ctrl-C is pressed when the guard calls threadpoolctl for the first time, for the second..."""
    guard, tracing = one_thread_blas, sys.gettrace()
    with guard:
        pass
    for number in count():
        calls, pressed = count(), False

        def trace(frame, event, arg, calls=calls, number=number):
            # a function begins: there Python looks for Ctrl-C
            if frame.f_code.co_filename == threadpoolctl.__file__ and next(calls) == number:
                raise KeyboardInterrupt

        sys.settrace(trace)
        try:
            with guard:
                pass
        except KeyboardInterrupt:
            pressed = True
        finally:
            sys.settrace(tracing)
        assert blas_threads() == three, f"Ctrl-C at call {number}"
        if not pressed:
            break
    assert number > 4


class CountsThreads(Callback):
    """Stores how many threads compute, where the scorer below can see it."""

    def on_fit_task_end(self, estimator, context):
        estimator.threads_ = max(1 + len(our_threads()), getattr(estimator, "threads_", 0))


def threads_of(estimator, X, y):
    return estimator.threads_


@pytest.mark.slow
def test_processes_of_a_grid_search_share_the_cores(float_digits):
    clf = wide(n_jobs=None).set_callbacks(CountsThreads())
    assert clf.fit(*float_digits).threads_ == min(workers_for(None), 4)
    grid = {"alpha": [0.0, 0.1]}
    search = GridSearchCV(clf, grid, cv=2, n_jobs=2, scoring=threads_of, refit=False).fit(
        *float_digits
    )
    assert 1 <= search.cv_results_["mean_test_score"].max() <= max(joblib.cpu_count() // 2, 1)


def threads_here(i=None):
    return workers_for(None)


@pytest.mark.slow
def test_workers_of_a_pool_have_one_thread_each(three):
    """Nobody limits BLAS there, as joblib's own processes do."""
    pool = joblib.Parallel(2, backend="multiprocessing")
    assert pool(joblib.delayed(threads_here)(i) for i in range(2)) == [1, 1]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(threads_here) == 1
        assert pool.apply(workers_for, (2,)) == 2
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        assert pool.submit(threads_here).result(PATIENCE) == 3


def test_where_blas_does_not_tell_its_limit_that_of_openmp_counts():
    """As with Accelerate on a Mac: joblib limits OpenMP too, and so may the user."""
    guard, threads = BlasGuard(), joblib.cpu_count() + 1
    guard._controller = ThreadpoolController().select(user_api="openmp")
    if not guard._controller.lib_controllers:
        pytest.skip("scikit-learn comes without OpenMP here")
    with ThreadpoolController().limit(limits=threads, user_api="openmp"):
        assert guard.threads_allowed() == threads
