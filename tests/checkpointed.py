"""Fits with checkpoints, and what interrupts them."""

import os
import warnings
from dataclasses import dataclass, field
from time import sleep

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier


def small(folder=None, **params):
    given = {"conv_filters": (4,), "max_iter": 6, "random_state": 0, "batch_size": 64}
    given |= {"learning_rate": "constant", "hidden_layer_sizes": (20,)}
    if "layers" in params:
        del given["conv_filters"], given["hidden_layer_sizes"]
    return NumpyCNNClassifier(**given | params, checkpoint_dir=folder)


class Killed(BaseException):
    """Ends a fit as abruptly as an exception can."""


@dataclass
class Stop:
    """A callback that raises behind some epoch, or stops there."""

    epoch: int
    error: type | None = Killed
    seen: list = field(default_factory=list)

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **data):
        pass

    def on_fit_task_end(self, estimator, context, **data):
        if context.task_name == "epoch":
            self.seen.append(context)
            if len(self.seen) == self.epoch:
                if self.error is not None:
                    raise self.error
                return True
        return False

    def teardown(self, estimator, context):
        pass


@dataclass
class StopBehind(Stop):
    """A callback that keeps nothing in mind: one that may stop any number of fits."""

    def on_fit_task_end(self, estimator, context, **data):
        return context.task_name == "epoch" and context.task_id == self.epoch - 1


class Slow(Stop):
    """A callback that makes each epoch take a second longer."""

    def __init__(self):
        super().__init__(epoch=0)

    def on_fit_task_begin(self, estimator, context, **data):
        if context.task_name == "epoch":
            sleep(1)


def interrupted(clf, X, y, epoch, **fit):
    """Fit, and be killed behind some epoch; that epoch itself is not written down."""
    with pytest.raises(Killed):
        clf.set_callbacks(Stop(epoch)).fit(X, y, **fit)


def assert_same(one, other):
    np.testing.assert_array_equal(one._theta, other._theta)
    columns = [name for name in one.history_ if name != "seconds"]
    assert one.history_[columns].equals(other.history_[columns])
    for name in ("n_iter_", "t_", "best_loss_", "loss_"):
        assert getattr(one, name) == getattr(other, name)


def in_a_process(task):
    """Run a task in a process of its own; return its number."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            warnings.simplefilter("error")  # no checkpoint may be refused
            task()
            status = 0
        finally:
            os._exit(status)
    return process
