"""Any value as a hash: different values differ, and what cannot be described is refused."""

import pickle
import sys
from collections import OrderedDict
from functools import partial
from operator import attrgetter
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
import pytest
from sklearn import clone
from sklearn.metrics import get_scorer, make_scorer

from sknpcnn._training.description import IndescribableError, _Description, described
from sknpcnn.layers import Conv2D, ReLU, Residual
from tests.training.checkpointed import checkpointed


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


class Marked(np.ndarray):
    """An array with an attribute besides its values, which its pickle omits."""


def marked(mark):
    found = np.zeros(2).view(Marked)
    found.mark = mark
    return found


def holding_itself():
    found = Holder(a=1)
    found.me = found
    return found


DIFFERENT = {
    "numbers": (1, 1.0, True, 1j, "1", b"1", None, np.float32(0.1), 0.1),
    "arrays": (
        *(np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2), np.arange(1, 5)),
        *(np.array(["a", None], object), np.array(["b", None], object), np.zeros((0, 3))),
        *(marked(1), marked(2), np.zeros(2)),
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
    assert described(Holder(a=1, b=2)) == described(Holder(b=2, a=1))
    assert described([(3, 3), (3, 3)]) == described([(3, 3), (3, *[3])])
    conv = Conv2D(2)
    assert described([conv, conv]) == described([Conv2D(2), Conv2D(2)])
    assert described({1, 2, "a"}) == described({"a", 2, 1})
    assert described(np.arange(6).reshape(2, 3)) == described(
        np.arange(6).reshape(3, 2).T * 0 + [[0, 1, 2], [3, 4, 5]]
    )
    assert described(object()) == described(object())
    assert described(holding_itself()) == described(holding_itself())
    clf = checkpointed(layers=[conv, Residual([conv, ReLU()])], scoring=make_scorer(max))
    assert described(clf.get_params()) == described(pickle.loads(pickle.dumps(clf)).get_params())
    assert described(clf.get_params()) == described(clone(clf).get_params())


def test_types_count():
    values = [1, 1.0, True, np.int64(1), np.float32(1), np.float64(1), np.array(1), np.array([1])]
    values += [
        [2, 1],
        (2, 1),
        {2, 1},
        frozenset({2, 1}),
        np.array([2, 1]),
        OrderedDict({2: 1}),
        {2: 1},
    ]
    values += ["a", b"a", bytearray(b"a"), np.str_("a"), ["a"], {"a"}, Path("a")]
    spelled = [described(value) for value in values]
    assert len(set(spelled)) == len(spelled)


@pytest.mark.parametrize(
    "thing",
    [sys.stdout, (i for i in ()), Lock(), Holder(lock=Lock()), np.frompyfunc(abs, 1, 1)],
    ids=["file", "generator", "lock", "object with a lock", "ufunc"],
)
def test_what_cannot_be_described_is_refused(thing):
    with pytest.raises(IndescribableError):
        described([1, thing])


@pytest.mark.parametrize("kind", [list, tuple])
def test_shared_objects_take_no_longer_than_others(kind, monkeypatch):
    calls, parts_of = [], _Description._parts_of

    def counted(*args):
        calls.append(1)
        return parts_of(*args)

    monkeypatch.setattr(_Description, "_parts_of", counted)
    nest = kind([1])
    for _ in range(1000):
        nest = kind([nest, nest])
    described(nest)
    assert len(calls) < 3000
    layer = Conv2D(2)
    for _ in range(12):
        layer = Residual([layer, layer])
    calls.clear()
    described(layer)
    assert len(calls) < 1000


def test_more_than_a_fit_could_consist_of_is_refused():
    with pytest.raises(IndescribableError, match="more than 100,000 objects"):
        described([[] for _ in range(100_001)])
