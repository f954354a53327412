"""Functions and classes as a hash: by all that their code reads."""

import copy
import pickle
import re
import sys
from types import ModuleType

import pytest

from sknpcnn._training.description import IndescribableError, described
from sknpcnn.layers import Conv2D
from tests.models import assert_same
from tests.training.checkpointed import checkpointed

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
def test_what_is_hidden_in_slots_decorators_and_names_counts_too(edit):
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


class Plain:
    def __init__(self, **values):
        vars(self).update(values)


def test_copying_and_using_an_object_does_not_change_its_name():
    exec(MORE, made := {"__name__": "own_layers"})
    layer, plain = made["Slots"](), Plain(a=1)
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
