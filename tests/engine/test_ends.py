"""If no thread can be started, as at Python's shutdown, fits and predictions continue alone."""

import threading
from textwrap import dedent

import numpy as np
import pytest

from sknpcnn._engine.engine import Engine
from tests.engine.threads import our_threads
from tests.processes import PATIENCE, python

BEFORE = """
import atexit
import threading
import numpy as np
from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn._engine.engine import Engine
from sknpcnn.layers import Conv2D, Flatten, ReLU
from tests.models import assert_same_weights

X, y = np.random.default_rng(0).random((400, 8, 8)).astype(np.float32), np.arange(400) % 3

def new():
    layers = [Conv2D(64), ReLU(), Flatten()]
    return NumpyCNNClassifier(
        layers=layers, learning_rate="constant", max_iter=2, batch_size=400, n_jobs=3,
        random_state=0,
    )

clf = new().fit(X, y)
wanted = clf.predict_proba(X)

def compute():
    assert_same_weights(new().fit(X, y), clf)
    assert (clf.predict_proba(X) == wanted).all()
    partial = new().partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    assert_same_weights(partial, clf)
    assert len(NumpyCNNFeatures(new()).fit_transform(X)) == 400
    print("done", flush=True)
"""
"""A model that three threads compute, and a function that computes it again in several ways."""

ENDS = {
    "a thread that outlives the main one": """
        def wait_and_compute():
            threading.main_thread().join()
            compute()

        threading.Thread(target=wait_and_compute).start()
    """,
    "a fit that has begun before": """
        def compute_long():
            with Engine(3, np.float32) as engine:
                def task(i, thread):
                    done.append(i)
                engine.run(task, 10)
                threading.main_thread().join()
                engine.run(task, 10)
            assert sorted(done) == sorted([*range(10)] * 2)
            compute()

        done = []
        threading.Thread(target=compute_long).start()
    """,
    "atexit": "atexit.register(compute)",
    "a worker of a pool": """
        import concurrent.futures.thread as pools
        import time

        def wait_and_compute():
            while not pools._shutdown:
                time.sleep(0.01)
            compute()

        future = pools.ThreadPoolExecutor(1).submit(wait_and_compute)
    """,
    "asyncio.to_thread, cancelled": """
        import asyncio
        import concurrent.futures.thread as pools
        import time

        def wait_and_compute():
            started.set()
            while not pools._shutdown:
                time.sleep(0.01)
            compute()

        async def main():
            task = asyncio.ensure_future(asyncio.to_thread(wait_and_compute))
            while not started.is_set():
                await asyncio.sleep(0.01)
            task.cancel()

        started, loop = threading.Event(), asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    """,
    "the last collection of garbage": """
        import gc

        class Last:
            def __init__(self):
                self.itself = self

            def __del__(self):
                compute()

        gc.set_threshold(10**9)
        Last()
    """,
}


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_models_are_computed_at_the_end_of_python(end):
    assert python(BEFORE + dedent(end)) == "done\n"


@pytest.mark.slow
def test_a_daemon_may_be_cut_off_at_any_moment():
    """Python ends while it computes, and neither waits for it nor complains."""
    python(
        BEFORE
        + dedent("""
        begun = threading.Barrier(3)

        def compute_on():
            begun.wait()
            while True:
                new().fit(X, y).predict(X)

        for _ in range(2):
            threading.Thread(target=compute_on, daemon=True).start()
        begun.wait()
        new().fit(X, y)
        """)
    )


def test_where_no_more_threads_can_be_started_those_that_are_there_do_the_work(monkeypatch):
    start, together, started = threading.Thread.start, threading.Barrier(2), []

    def start_one(thread):
        if started:
            raise RuntimeError("can't create new thread at interpreter shutdown")
        started.append(thread)
        start(thread)

    def task(i, thread):
        numbers.append((i, thread))
        together.wait(PATIENCE)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with Engine(4, np.float32) as engine:
        for _ in range(3):
            numbers = []
            engine.run(task, 4)
            assert sorted(i for i, _ in numbers) == [0, 1, 2, 3]
            assert {thread for _, thread in numbers} == {0, 1}
    assert not our_threads()


@pytest.mark.slow
def test_under_a_limit_of_the_system_models_are_computed_alone():
    """A process that may have no more memory than it has gets no stack for a thread."""
    resource = pytest.importorskip("resource")
    assert hasattr(resource, "RLIMIT_AS")
    found = python(
        BEFORE
        + dedent("""
        threading.stack_size(2**30)
        import resource
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))
        try:
            threading.Thread(target=print, args=("a thread",)).start()
        except RuntimeError:
            compute()
        """)
    )
    assert found == "done\n"
