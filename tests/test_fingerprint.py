"""A fit is known by everything that its result depends on, and by nothing else."""

import os
import subprocess
import sys
from collections import OrderedDict
from functools import partial
from operator import attrgetter

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import get_scorer, make_scorer

from sknpcnn.fingerprint import described
from sknpcnn.layers import Conv2D
from sknpcnn.schedules import OneCycle
from tests.checkpointed import assert_same, small


class Holder:
    factor = 1

    def __init__(self, **values):
        vars(self).update(values)

    def method(self):
        return self


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def holding_itself():
    found = Holder(a=1)
    found.me = found
    return found


DIFFERENT = {
    "numbers": (1, 1.0, True, 1j, "1", b"1", None, np.float32(0.1), 0.1),
    "arrays": (
        *(np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2), np.arange(1, 5)),
        *(np.array(["a", None], object), np.array(["b", None], object), np.zeros((0, 3))),
    ),
    "containers": ([1, 2], [2, 1], {1, 2}, {1: 2}, [[1], 2], {1: [2]}),
    "functions": (
        *(lambda x: x, lambda x: -x, lambda x, y=1: x, lambda x, y=2: x, np.mean, np.sum, len),
        *(partial(max, 1), partial(max, 2), partial(min, 1), attrgetter("a"), attrgetter("b")),
        *(Holder(a=1).method, Holder(a=2).method),
    ),
    "objects": (
        *(Holder(), Holder(a=1), Holder(a=2), Holder(b=1), Slotted(1), Slotted(2)),
        *(holding_itself(), object(), Holder, Slotted, Conv2D, Conv2D(2), Conv2D(3)),
        *(pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})),
    ),
    "scorers": (
        *(get_scorer("accuracy"), get_scorer("f1_macro"), make_scorer(max), make_scorer(min)),
        *(make_scorer(max, greater_is_better=False), make_scorer(max, k=1)),
    ),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_different_things_are_spelt_differently(kind):
    spelt = [described(thing) for thing in DIFFERENT[kind]]
    assert len(set(spelt)) == len(spelt)


def test_equal_things_are_spelt_alike():
    assert described({"a": 1, "b": 2}) == described(OrderedDict([("b", 2), ("a", 1)]))
    assert described([1, 2]) == described((1, 2))
    assert described(Holder(a=1)) == described(Holder(a=1))
    assert described(np.arange(6).reshape(2, 3)) == described(
        np.arange(6).reshape(3, 2).T * 0 + [[0, 1, 2], [3, 4, 5]]
    )
    for thing in (object(), sys.stdout, (i for i in ()), holding_itself()):
        assert " at 0x" not in described(thing)


def test_it_is_the_same_in_every_process():
    code = (
        "from sknpcnn.fingerprint import described\n"
        "class Own:\n"
        "    names = {'a', 'b', 'c'}\n"
        "    def __call__(self, x):\n"
        "        return x in {'a', 'b', 'c', 'd'} or self\n"
        "print(described([Own(), Own, lambda x: x in {'a', 'b', 'c'}, {'x': {'p', 'q', 'r'}}]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert len(said) == 1


def other_data(X, y):
    X = X.copy()
    X[7, 30] += 1
    return X, y


CHANGES = {
    "a parameter": lambda X, y: ({"alpha": 0.1}, X, y, {}),
    "a layer": lambda X, y: ({"kernel_size": 5}, X, y, {}),
    "a schedule": lambda X, y: ({"learning_rate": OneCycle()}, X, y, {}),
    "more epochs": lambda X, y: ({"max_iter": 7}, X, y, {}),
    "the shape of an image": lambda X, y: ({"image_shape": (4, 16)}, X, y, {}),
    "the shape of the data": lambda X, y: ({}, X.reshape(-1, 4, 16), y, {}),
    "the seed": lambda X, y: ({"random_state": 1}, X, y, {}),
    "one pixel": lambda X, y: ({}, *other_data(X, y), {}),
    "the type": lambda X, y: ({}, X.astype(np.float32), y, {}),
    "one label": lambda X, y: ({}, X, np.where(np.arange(len(y)) == 5, 9 - y, y), {}),
    "names of labels": lambda X, y: ({}, X, y.astype(str), {}),
    "weights": lambda X, y: ({}, X, y, {"sample_weight": np.arange(1.0, len(y) + 1)}),
    "validation data": lambda X, y: ({}, X, y, {"X_val": X[:9], "y_val": y[:9]}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_the_result_changes_the_name_of_the_file(data, tmp_path, change):
    small(tmp_path).fit(*data)
    params, X, y, fit = change(*data)
    changed = small(tmp_path, **params).fit(X, y, **fit)
    assert len(list(tmp_path.iterdir())) == 2
    assert_same(changed, small(**params).fit(X, y, **fit))


def test_what_does_not_change_the_result_does_not_change_the_name(data, tmp_path):
    X, y = data
    small(tmp_path, class_weight={0: 2.0, 3: 1.5}).fit(X, y)
    same = {"class_weight": {3: 1.5, 0: 2.0}, "n_jobs": 2, "verbose": 0}
    small(str(tmp_path), **same).fit(np.asfortranarray(X), list(y))
    assert len(list(tmp_path.iterdir())) == 1


class Scorer:
    """A scorer that is an object."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, estimator, X, y):
        return self.factor * (estimator.predict(X) == y).mean()


def scorer_with(factor):
    return lambda estimator, X, y: factor * (estimator.predict(X) == y).mean()


SCORERS = {
    "objects": (Scorer(1), Scorer(-1)),
    "closures": (scorer_with(1), scorer_with(-1)),
    "lambdas": (lambda clf, X, y: clf.score(X, y), lambda clf, X, y: -clf.score(X, y)),
    "made of functions": (
        make_scorer(lambda y, found: (y == found).mean()),
        make_scorer(lambda y, found: (y != found).mean()),
    ),
    "partly applied": (
        partial(lambda factor, clf, X, y: factor * clf.score(X, y), 1),
        partial(lambda factor, clf, X, y: factor * clf.score(X, y), -1),
    ),
    "by name": ("accuracy", "balanced_accuracy"),
}


@pytest.mark.parametrize("kind", SCORERS)
def test_another_scorer_is_another_fit(data, tmp_path, kind):
    for scorer in (*SCORERS[kind], *SCORERS[kind]):
        params = {"early_stopping": True, "scoring": scorer, "learning_rate_init": 0.03}
        assert_same(small(tmp_path, **params).fit(*data), small(**params).fit(*data))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_layer_that_was_edited_makes_another_fit(data, tmp_path):
    def layer(code):
        made = {"__name__": "own_layers"}
        exec(EDITED.replace("{}", code), made)
        return made["Own"]()

    for code in ("x * 2", "x * 2", "x * 3", "np.minimum(x, 1)"):
        params = {"layers": [Conv2D(3), layer(code)], "conv_filters": (16, 32)}
        assert_same(small(tmp_path, **params).fit(*data), small(**params).fit(*data))
    assert len(list(tmp_path.iterdir())) == 3


EDITED = """
from dataclasses import dataclass
import numpy as np
from sknpcnn.layers import Layer

@dataclass(frozen=True, repr=False)
class Own(Layer):
    def forward(self, params, x, ctx):
        return {}, None
    def backward(self, params, cache, dy, grads, ctx):
        return dy
"""
