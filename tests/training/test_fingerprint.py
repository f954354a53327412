"""A fit is identified by everything that its result depends on, and by nothing else."""

import copy
import os
import pickle
import re
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from threading import Lock
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from sklearn import clone
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import GridSearchCV

from sknpcnn import version
from sknpcnn._training.description import IndescribableError, _Description, described
from sknpcnn.layers import Conv2D, ReLU, Residual
from sknpcnn.schedules import OneCycle
from tests.models import assert_same, assert_same_weights, weights_of
from tests.training.checkpointed import Stop, checkpointed


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


def test_a_callback_that_holds_a_figure_does_not_keep_a_fit_from_starting(data, tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure, axes = plt.subplots()
    callback = Stop(2, error=None)
    callback.axes = axes
    clf = checkpointed(tmp_path).set_callbacks(callback).fit(*data)
    plt.close(figure)
    assert clf.n_iter_ == 2


def test_it_is_the_same_in_every_process():
    code = (
        "from sknpcnn._training.description import described\n"
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
    checkpointed(tmp_path).fit(*data)
    params, X, y, fit = change(*data)
    changed = checkpointed(tmp_path, **params).fit(X, y, **fit)
    assert len(list(tmp_path.iterdir())) == 2
    assert_same(changed, checkpointed(**params).fit(X, y, **fit))


def test_what_does_not_change_the_result_does_not_change_the_name(data, tmp_path):
    X, y = data
    checkpointed(tmp_path, class_weight={0: 2.0, 3: 1.5}).fit(X, y)
    same = {"class_weight": {3: 1.5, 0: 2.0}, "n_jobs": 2, "verbose": 0}
    checkpointed(str(tmp_path), **same).fit(np.asfortranarray(X), list(y))
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
        assert_same(checkpointed(tmp_path, **params).fit(*data), checkpointed(**params).fit(*data))
    assert len(list(tmp_path.iterdir())) == 2


WIDELY_READING = """
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial, partialmethod
import numpy as np
from sknpcnn.layers import Layer

GLOBAL = 2.0  # global
TABLE = {"deep": [{"deeper": 2.0}]}  # in a container
scale = partial(np.multiply, 2.0)

def of_closure():
    factor = 2.0 * 1
    return lambda x: factor * x

close = of_closure()

@lru_cache
def cached(x):
    return 2.0 * x

def read_by_another(x):
    return 2.0 / x

def outer(x):
    def inner(y=2.0):
        return read_by_another(y)
    return inner()

class Mixin:
    _inherited = 2.0

@dataclass(frozen=True, repr=False)
class Own(Mixin, Layer):
    _k = 2.0
    _table = {"factor": 2.0}
    _partial = partial(max, 2.0)
    _method = partialmethod(max, 2.0 + 0)

    class _Inner:
        value = 2.0  # inner class

    @staticmethod
    def _static(x):
        return 2.0 - x

    @property
    def _computed(self):
        return 2.0 ** 2

    @cached_property
    def _once(self):
        return 2.0 ** 3

    @lru_cache(4)
    def _remembered(self):
        return 2.0 ** 4

    def forward(self, params, x, ctx):
        y = x * GLOBAL + TABLE["deep"] + scale(x) + close(x) + cached(x) + outer(x)
        return y + self._computed, None

    def backward(self, params, cache, dy, grads, ctx):
        return [2.0 * part for part in dy]
"""
EDITS = [line.strip() for line in WIDELY_READING.splitlines() if "2.0" in line]


def test_a_layer_that_was_edited_makes_another_fit(data, tmp_path):
    def layer(code):
        made = {"__name__": "own_layers"}
        exec(EDITED.replace("{}", code), made)
        return made["Own"]()

    for code in ("x * 2", "x * 2", "x * 3", "np.minimum(x, 1)"):
        params = {"layers": [Conv2D(3), layer(code)], "conv_filters": "auto"}
        assert_same(checkpointed(tmp_path, **params).fit(*data), checkpointed(**params).fit(*data))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("edit", EDITS)
def test_an_own_layer_is_known_by_everything_that_it_reads(edit):
    def spelled(replacement):
        made = {"__name__": "own_layers"}
        exec(WIDELY_READING.replace(edit, replacement), made)
        return described(made["Own"]())

    assert edit in WIDELY_READING
    assert spelled(edit) == spelled(edit)
    assert spelled(edit) != spelled(edit.replace("2.0", "3.0"))


MORE = """
import sys
from dataclasses import dataclass, field
from functools import update_wrapper, wraps
from sklearn.metrics import accuracy_score
from sknpcnn.layers import Layer

@dataclass(frozen=True, repr=False, slots=True)
class Slots(Layer):
    factor: float = 2.0  # slots
    note: int = field(default=0, metadata={"factor": 2.0})  # metadata
    def forward(self, params, x, ctx): return x, None
    def backward(self, params, cache, dy, grads, ctx): return dy

class Decorator:
    def __init__(self, function, factor):
        self.factor = factor
        update_wrapper(self, function)
    def __call__(self, x):
        return self.factor * x

decorated = Decorator(lambda x: x, 2.0)  # decorator with a state

@wraps(accuracy_score)
def faked(y, found):
    return 2.0 * (y == found).mean()  # in the name of a library

def importing(x):
    from mine_to_import import factor
    return factor * x
"""
MORE_EDITS = [line.strip() for line in MORE.splitlines() if "2.0" in line]


@pytest.mark.parametrize("edit", MORE_EDITS)
def test_what_hides_behind_slots_decorators_and_names_counts_too(edit):
    def spelled(replacement):
        made = {"__name__": "own_layers"}
        exec(MORE.replace(edit, replacement), made)
        return described([made["Slots"](), made["decorated"], made["faked"]])

    assert spelled(edit) == spelled(edit)
    assert spelled(edit) != spelled(edit.replace("2.0", "3.0"))


def test_what_is_imported_when_a_function_runs_counts_or_is_refused(monkeypatch):
    made = {"__name__": "own_layers"}
    exec(MORE, made)
    with pytest.raises(IndescribableError, match="imports mine_to_import"):
        described(made["importing"])
    spelled = []
    for factor in (2, 2, 3):
        mine = ModuleType("mine_to_import")
        mine.factor = factor
        monkeypatch.setitem(sys.modules, "mine_to_import", mine)
        spelled.append(described(made["importing"]))
    assert spelled[0] == spelled[1] != spelled[2]
    dynamic = ["globals()['x']", "eval('x')", "__import__('x')", "sys.modules['x']"]
    for code in dynamic:
        exec(f"def reads(x): return {code}", made)
        with pytest.raises(IndescribableError, match="may read any global"):
            described(made["reads"])


def test_sets_and_nesting_have_a_limit():
    shared = frozenset({1})
    for i in range(40):
        shared = frozenset({shared, frozenset({shared, i})})
    described(shared)
    deep = frozenset()
    for _ in range(3000):
        deep = frozenset({deep})
    with pytest.raises(IndescribableError, match="nested too deep"):
        described(deep)

    class Endless:
        def __reduce_ex__(self, protocol):
            return list, (), None, iter(int, 1)

    with pytest.raises(IndescribableError, match="more than 100,000"):
        described(Endless())


def test_copying_and_using_an_object_does_not_change_its_name():
    exec(MORE, made := {"__name__": "own_layers"})
    layer, plain = made["Slots"](), Holder(a=1)
    before = described([layer, plain])
    pickle.dumps(plain)
    copy.deepcopy([layer, plain])
    assert described([layer, plain]) == before
    assert described(re.compile("a")) != described(re.compile("b"))
    assert described(int | None) != described(int | str)


def test_modules_of_the_users_count_by_what_is_read_of_them():
    def spelled(factor, unused):
        mine = ModuleType("mine")
        exec(f"factor = {factor}\ndef double(x): return factor * x\nunused = {unused}", vars(mine))
        made = {"__name__": "own_layers", "mine": mine}
        exec("def f(x):\n    return mine.double(x)", made)
        return described(made["f"])

    assert spelled(2, 1) == spelled(2, 5) != spelled(3, 1)
    with pytest.raises(IndescribableError, match="the whole module mine"):
        described(ModuleType("mine"))


def test_pool_sizes_for_all_blocks_and_for_each_block_are_two_fits(data, tmp_path):
    X, y = data
    for pool_size in ((2, 1), [2, 1]):
        params = {"conv_filters": (4, 8), "pool_size": pool_size}
        assert_same(checkpointed(tmp_path, **params).fit(X, y), checkpointed(**params).fit(X, y))
    assert len(list(tmp_path.iterdir())) == 2
    search = {"pool_size": [(2, 1), [2, 1]]}
    found = GridSearchCV(checkpointed(tmp_path, conv_filters=(4, 8)), search, cv=2).fit(X, y)
    wanted = GridSearchCV(checkpointed(conv_filters=(4, 8)), search, cv=2).fit(X, y)
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], wanted.cv_results_["mean_test_score"]
    )


def test_a_table_and_images_of_one_row_are_two_fits(tmp_path):
    """The same values, and images of the same shape; but columns are scaled on their own."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 30)) * np.arange(1, 31), np.arange(40) % 2
    for some in (X, X.reshape(40, 1, 30, 1)):
        assert_same(checkpointed(tmp_path).fit(some, y), checkpointed().fit(some, y))
    assert len(list(tmp_path.iterdir())) == 2


def test_another_version_of_the_package_makes_another_fit(data, tmp_path, monkeypatch):
    checkpointed(tmp_path).fit(*data)
    monkeypatch.setattr(version, "__version__", "0.0.9")
    checkpointed(tmp_path).fit(*data)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_warm_start_is_also_known_by_what_scales_the_input(data, tmp_path):
    X, y = data
    params = {"warm_start": True, "max_iter": 1}
    models = [checkpointed(**params).fit(X * scale, y) for scale in (1, 2)]
    models[1].set_weights(models[0].get_weights())
    models[1]._progress = models[0]._progress
    models[1]._history = models[0]._history
    alone = [pickle.loads(pickle.dumps(model)).fit(X, y) for model in models]
    kept = [model.set_params(checkpoint_dir=tmp_path).fit(X, y) for model in models]
    assert not np.array_equal(weights_of(alone[0]), weights_of(alone[1]))
    for a, b in zip(kept, alone, strict=True):
        assert_same_weights(a, b)


@pytest.mark.parametrize("name", ["scoring", "layers"])
def test_a_fit_that_cannot_be_known_again_is_refused_before_it_starts(data, tmp_path, name):
    lock = Lock()

    @dataclass(frozen=True, repr=False)
    class Locked(ReLU):
        def forward(self, params, x, ctx):
            with lock:
                return super().forward(params, x, ctx)

    value = {"scoring": lambda clf, X, y: lock and clf.score(X, y), "layers": [Locked()]}[name]
    params = {name: value} | ({"conv_filters": "auto"} if name == "layers" else {})
    with pytest.raises(ValueError, match=rf"checkpoint_dir needs .* {name} holds .*lock"):
        checkpointed(tmp_path, early_stopping=True, **params).fit(*data)
    assert not list(tmp_path.iterdir())
    checkpointed(early_stopping=True, **params).fit(*data)


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
