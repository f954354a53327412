"""Threads that tests look at, and a network that gives them work."""

import threading
from dataclasses import dataclass

from sknpcnn import NumpyCNNClassifier
from sknpcnn._engine import threads
from sknpcnn._engine.blas import one_thread_blas
from sknpcnn.layers import Conv2D, Flatten, Identity, ReLU


def blas_threads():
    """How many threads each BLAS has; while it is limited, threadpoolctl reports what it had."""
    return [lib.get() for lib in one_thread_blas._libraries()]


def blas_is_held(guard=one_thread_blas):
    return bool(guard._inside)


def has_helpers(engine):
    return bool(engine._threads._helpers)


def our_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("sknpcnn")]


@dataclass(frozen=True, repr=False)
class Hook(Identity):
    """Calls a function whenever a chunk comes by, in whatever thread that is."""

    action: object = None

    def forward(self, params, x, ctx):
        if self.action is not None:
            self.action()
        return x, None


def finishing(monkeypatch):
    """Return an event that is set as soon as a thread waits for those that help it."""
    entered, finish = threading.Event(), threads._Job.finish

    def spy(job):
        entered.set()
        finish(job)

    monkeypatch.setattr(threads._Job, "finish", spy)
    return entered


def wide(action=None, **params):
    """A network whose batches are cut into four chunks, so that three threads have work."""
    layers = [Conv2D(64), ReLU(), Hook(action), Flatten()]
    given = {"layers": layers, "batch_size": 300, "max_iter": 3, "random_state": 0, "n_jobs": 3}
    return NumpyCNNClassifier(**given | params)
