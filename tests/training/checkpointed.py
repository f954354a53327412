"""Fits with checkpoints, and what interrupts them."""

import os
import warnings
from dataclasses import dataclass, field

import pytest

from tests.models import small


def checkpointed(folder=None, **params):
    """A classifier of six epochs, with a checkpoint after each if a folder is given."""
    return small(**{"max_iter": 6, "batch_size": 64} | params, checkpoint_dir=folder)


class Killed(BaseException):
    """Ends a fit as abruptly as an exception can."""


@dataclass
class Stop:
    """A callback that raises after some epoch, or stops there."""

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
class StopAfter(Stop):
    """A callback without memory, which may stop any number of fits."""

    def on_fit_task_end(self, estimator, context, **data):
        return context.task_name == "epoch" and context.task_id == self.epoch - 1


def interrupted(clf, X, y, epoch, **fit):
    """Fit, and be killed after some epoch, before it is saved."""
    with pytest.raises(Killed):
        clf.set_callbacks(Stop(epoch)).fit(X, y, **fit)


def in_a_process(task):
    """Run a task in a process of its own; return its id."""
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
