"""Small models that several tests train, how they are compared, and callbacks."""

import numpy as np
import pandas as pd

from sknpcnn import NumpyCNNClassifier


def small(**params):
    """A classifier that is trained in a moment, as far as nothing else is said."""
    given = {"learning_rate": "constant", "max_iter": 3, "random_state": 0}
    if "layers" not in params:
        given |= {"conv_filters": (4,), "hidden_layer_sizes": (16,)}
    return NumpyCNNClassifier(**given | params)


PLAIN = {"batch_norm": False, "dropout": 0.0}


def weights_of(model):
    """All weights of a model as one vector."""
    return np.concatenate([array.ravel() for array in model.get_weights().values()])


def assert_same_weights(one, other):
    np.testing.assert_array_equal(weights_of(one), weights_of(other))


def assert_same(one, other, rtol=0):
    """Assert that two models have the same bits and, but for its times, the same history."""
    assert_same_weights(one, other)
    histories = [model.history_.drop(columns="seconds") for model in (one, other)]
    pd.testing.assert_frame_equal(*histories, rtol=rtol, atol=0)
    for name in ("n_iter_", "t_", "loss_", "best_loss_"):
        found, wanted = getattr(one, name), getattr(other, name)
        assert found == wanted or np.isclose(found, wanted, rtol=rtol, atol=0), name


class Callback:
    """Calls functions of the context."""

    def __init__(self, begin=lambda context: None, end=lambda context: None):
        self.begin, self.end = begin, end

    def on_fit_task_begin(self, estimator, context):
        self.begin(context)

    def on_fit_task_end(self, estimator, context):
        return self.end(context)

    def setup(self, estimator, context):
        pass

    teardown = setup


def in_epoch(number, action):
    return lambda context: context.task_name == "epoch" and context.task_id == number and action()


class StopAfter:
    """A callback that stops training after some epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            assert fitted_estimator.n_iter_ == context.task_id + 1
        return context.task_name == "epoch" and context.task_id + 1 == self.epochs
