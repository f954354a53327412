"""Signal handlers, finalizers and Ctrl-C, which come in between any two steps of a program.

What they do here is done in forked processes, because what goes wrong is that it never ends.
"""

import dis
import gc
import itertools
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from sknpcnn import NumpyCNNClassifier
from sknpcnn._engine import blas, engine, threads
from sknpcnn._engine.engine import Engine
from sknpcnn.layers import Dense, Flatten
from sknpcnn.optimizers import SGD, Optimizer
from tests.engine.threads import blas_is_held, blas_threads, finishing, our_threads
from tests.models import assert_same_weights
from tests.processes import PATIENCE, in_child, python

pytestmark = [
    pytest.mark.thread_unsafe(reason="looks at all threads of the process and at its BLAS"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
OURS = {module.__file__ for module in (blas, engine, threads)}


def with_interruptions(task, interruption, files=OURS, everywhere=True):
    """Run a task once for each step of the code in some files, with an interruption before it.

    In reality Ctrl-C and handlers come only after a call, at the beginning of a function
    and of each round of a loop; ``everywhere`` is before every single instruction.
    """
    for n in itertools.count():
        steps, last = itertools.count(), {}

        def look(frame, event, arg, n=n, steps=steps, last=last):
            if frame.f_code.co_filename not in files:
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            if event != "opcode":
                last.pop(id(frame), None)
                return look
            before = last.get(id(frame), "")
            last[id(frame)] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            looked_for = before.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))
            if (everywhere or looked_for) and next(steps) == n:
                interruption()
            return look

        sys._getframe().f_trace_opcodes = True  # Python 3.12 asks once, in settrace, for all frames
        sys.settrace(look)
        try:
            task()
        finally:
            sys.settrace(None)
        if next(steps) <= n:
            break
    return n


def enter_and_leave():
    with Engine(1, np.float32):
        assert set(blas_threads()) == {1}


def limit_and_compute():
    with Limited.controller.limit(limits=2, user_api="blas"):
        enter_and_leave()


class Limited:
    controller = ThreadpoolController()


def lose_an_engine():
    Engine(1, np.float32).__enter__()


def share(n_threads=2):
    done = []
    with Engine(n_threads, np.float32) as helped:
        helped.run(lambda i, thread: done.append(i), 3)
        helped.run(lambda i, thread: done.append(i), 3)
    assert sorted(done) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("interruption", [enter_and_leave, limit_and_compute, lose_an_engine])
def test_a_handler_may_enter_wherever_the_guard_is_interrupted(interruption, three):
    def task():
        enter_and_leave()
        gc.disable()

        def once():
            enter_and_leave()
            assert blas_threads() == three
            assert not blas_is_held()

        assert with_interruptions(once, interruption) > 100

    in_child(task)


@pytest.mark.slow
@pytest.mark.parametrize("interruption", [enter_and_leave, share])
def test_a_handler_may_share_out_work_wherever_an_engine_is_interrupted(interruption, three):
    def task():
        share()

        def once():
            share()
            assert blas_threads() == three
            assert not our_threads()

        assert with_interruptions(once, interruption, OURS | {threading.__file__}) > 100

    in_child(task)


def test_ctrl_c_anywhere_leaves_no_limit_and_nobody_at_work(three):
    def press():
        raise KeyboardInterrupt

    def compute():
        working = set()

        def work(i, thread):
            working.add(i)
            time.sleep(1e-4)
            working.remove(i)

        with Engine(3, np.float32) as helped:
            try:
                helped.run(work, 4)
            finally:
                assert not working

    def once():
        with suppress(KeyboardInterrupt):
            compute()
        gc.collect()
        assert blas_threads() == three
        for thread in our_threads():
            thread.join(PATIENCE)
        assert not our_threads()

    def task():
        gc.freeze()  # what pytest has made: only what is made here is to be looked through
        with_interruptions(once, press, everywhere=False)

    in_child(task)


def test_an_error_of_a_handler_is_not_taken_for_a_thread_that_cannot_be_started(monkeypatch):
    def start(thread):
        raise RuntimeError("time is up")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="time is up"):
        share()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["predict", "fit"])
def test_a_handler_predicts_while_its_model_predicts_or_another_is_fitted(method):
    """With real signals, every millisecond or so."""
    python(f"""
        import signal
        import numpy as np
        from sknpcnn import NumpyCNNClassifier
        from tests.engine.threads import blas_threads
        from tests.models import assert_same_weights

        rng = np.random.default_rng(0)
        X, y = rng.random((400, 8, 8)), rng.integers(3, size=400)

        def new():
            return NumpyCNNClassifier(
                (64,), max_iter=2, n_jobs=2, batch_size=400, random_state=0, n_iter_no_change=np.inf
            )

        clf = new().fit(X, y)
        before = blas_threads()
        wanted = [clf.predict_proba(part) for part in (X, X[:1], X[1:3])]
        calls = 0

        def handle(number, frame):
            global calls
            k = calls % 3
            calls += 1
            found = clf.predict_proba((X, X[:1], X[1:3])[k])
            assert (found == wanted[k]).all()
            signal.setitimer(signal.ITIMER_REAL, 1e-3 * rng.random() + 1e-6)

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 1e-3)
        while calls < 150:
            if "{method}" == "fit":
                assert_same_weights(new().fit(X, y), clf)
            for part, proba in zip((X, X[:1], X[1:3]), wanted):
                assert (clf.predict_proba(part) == proba).all()
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert blas_threads() == before
    """)


@pytest.mark.slow
def test_a_finalizer_may_predict():
    python("""
        import gc
        from contextvars import copy_context
        import numpy as np
        from sknpcnn import NumpyCNNClassifier
        from tests.engine.threads import blas_threads

        X, y = np.random.default_rng(0).random((400, 8, 8)), np.arange(400) % 3
        clf = NumpyCNNClassifier((64,), max_iter=2, n_jobs=2, batch_size=400, random_state=0)
        clf.fit(X, y)
        other = NumpyCNNClassifier((4,), max_iter=1, n_jobs=2).fit(X, y)
        before, wanted, found = blas_threads(), clf.predict_proba(X), []

        class Last:
            def __init__(self):
                self.itself = self

            def __del__(self):
                # Python 3.11 may collect garbage within ContextVar.set, which np.errstate
                # calls; another set in the same context then spoils the first one
                found.append((copy_context().run(clf.predict_proba, X) == wanted).all())

        gc.set_threshold(50)
        while len(found) < 100:
            Last()
            assert (clf.predict_proba(X[:300]) == wanted[:300]).all()
            other.partial_fit(X[:9], y[:9])
        gc.disable()
        assert all(found)
        assert blas_threads() == before
    """)


IN_HELPER, PRESSED = threading.Event(), threading.Event()


@dataclass(frozen=True, repr=False)
class LateInHelpers(Optimizer):
    """In the third epoch, helpers are in the middle of a step until Ctrl-C has been pressed."""

    learning_rate = SGD.learning_rate
    main_waits: ClassVar = threading.Event()

    def state_names(self):
        return ()

    def step(self, theta, grad, memory, lr, t):
        theta -= lr * grad
        if t < 3:
            return
        if threading.current_thread() is threading.main_thread():
            assert IN_HELPER.wait(PATIENCE)
        else:
            self.main_waits.clear()
            IN_HELPER.set()
            assert PRESSED.wait(PATIENCE)
            theta -= lr * grad


def test_ctrl_c_waits_for_the_other_threads(digits, monkeypatch):
    X, _, y, _ = digits
    X, y = X[:300], y[:300]
    big = {"layers": [Flatten(), Dense(5000)], "batch_size": 300, "n_jobs": 2}  # shared work
    big |= {"learning_rate": "constant", "random_state": 0}
    wanted = NumpyCNNClassifier(solver=SGD(), max_iter=2, **big).fit(X, y)
    IN_HELPER.clear()
    PRESSED.clear()
    monkeypatch.setattr(LateInHelpers, "main_waits", waits := finishing(monkeypatch))

    def press():
        assert IN_HELPER.wait(PATIENCE)
        assert waits.wait(PATIENCE)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        PRESSED.set()

    thread = threading.Thread(target=press)
    thread.start()
    clf = NumpyCNNClassifier(solver=LateInHelpers(), max_iter=5, **big)
    try:
        with pytest.warns(UserWarning, match="the model of epoch 2 is kept"):
            clf.fit(X, y)
    finally:
        thread.join()
    assert_same_weights(clf, wanted)
