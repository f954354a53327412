"""Hyperparameters: named, nested, replaced by copies, never modified."""

import pickle
from copy import deepcopy
from dataclasses import FrozenInstanceError, dataclass
from enum import IntEnum
from fractions import Fraction

import numpy as np
import pytest
from sklearn.base import clone

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import RandomCrop, Shift
from sknpcnn.callbacks import TimeLimit
from sknpcnn.layers import Conv2D, Dense, Dropout, Flatten, Layer, ReLU, Residual, Sequential
from sknpcnn.optimizers import SGD
from sknpcnn.schedules import StepDecay
from sknpcnn.spec import (
    as_pair,
    check_flag,
    check_integer,
    check_pair,
    check_real,
    holds_specs,
    is_integer,
    named,
    nested_params,
    resolve,
)


class Owner:
    def __init__(self, **values):
        self.__dict__.update(values)


def test_plain_specs_are_named_by_kind_and_number():
    steps = named([Conv2D(4), ReLU(), Conv2D(8), ReLU(), Flatten(), Dense(3)])
    names = ["conv2d_1", "relu_1", "conv2d_2", "relu_2", "flatten_1", "dense_1"]
    assert [name for name, _ in steps] == names
    assert steps[2] == ("conv2d_2", Conv2D(8))


def test_pairs_keep_their_names_and_count_for_the_others():
    steps = named([("first", Conv2D(4)), Conv2D(8), ["last", Dense(2)]])
    assert [name for name, _ in steps] == ["first", "conv2d_2", "last"]


def test_names_stay_what_they_are_when_given_again():
    steps = named([Conv2D(4), ("middle", ReLU()), Conv2D(8)])
    assert named(steps) == steps


def test_nothing_is_named_in_an_empty_list():
    assert named([]) == ()


@pytest.mark.parametrize("name", ["a__b", "two words", "1st", "", "a.b", "a-b"])
def test_name_that_cannot_be_a_parameter_is_refused(name):
    with pytest.raises(ValueError, match=r"stack names a layer .*identifier without '__'"):
        named([(name, ReLU())], "stack")


def test_two_layers_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"layers names two layers 'a'; .*unique"):
        named([("a", ReLU()), ("a", Flatten())])
    with pytest.raises(ValueError, match="names two layers 'relu_1'"):
        named([("relu_1", Flatten()), ReLU()])


def test_class_in_place_of_an_instance_is_refused():
    with pytest.raises(TypeError, match=r"layers holds the class ReLU; give an instance, ReLU\("):
        named([ReLU])
    with pytest.raises(TypeError, match="the class Flatten"):
        named([("flat", Flatten)])


@pytest.mark.parametrize("item", [3, "relu", None, ("a", 3), (ReLU(), "a"), ("a", ReLU(), 1)])
def test_item_that_is_no_layer_is_refused(item):
    with pytest.raises(TypeError, match=r"layers holds .* each item must be a layer"):
        named([item])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([ReLU()], True),
        ((ReLU(), ("a", Dense(2))), True),
        ([["a", Dense(2)]], True),
        ([], False),
        ([ReLU(), 3], False),
        ((3, 3), False),
        (ReLU(), False),
        ("ab", False),
        (None, False),
    ],
)
def test_list_of_specs_is_told_from_other_values(value, expected):
    assert holds_specs(value) is expected


def test_get_params_reaches_inside_only_when_deep():
    layer = Residual([Conv2D(4)], shortcut=Conv2D(4, kernel_size=1))
    assert set(layer.get_params(deep=False)) == {"layers", "shortcut"}
    deep = layer.get_params()
    assert deep["shortcut__kernel_size"] == 1
    assert deep["conv2d_1"] == Conv2D(4)
    assert deep["conv2d_1__filters"] == 4


def test_get_params_reaches_through_several_floors():
    params = nested_params({"layers": [Sequential([Sequential([Dropout(0.3)])])], "alpha": 1.0})
    assert params["sequential_1__sequential_1__dropout_1__rate"] == 0.3
    assert "alpha" not in params


def test_nested_params_of_a_spec_are_under_its_name():
    assert nested_params({"solver": SGD(momentum=0.5)}) == {
        "solver__momentum": 0.5,
        "solver__nesterov": False,
    }


def test_replace_reaches_inside_and_leaves_the_original():
    inner = Sequential([("conv", Conv2D(4)), ReLU()])
    outer = Sequential([inner, Flatten()])
    changed = outer.replace(sequential_1__conv__filters=8, sequential_1__conv__kernel_size=5)
    assert changed.get_params()["sequential_1__conv"] == Conv2D(8, kernel_size=5)
    assert outer == Sequential([inner, Flatten()])
    assert inner.get_params()["conv__filters"] == 4


def test_replace_of_a_whole_layer_keeps_the_names_of_the_others():
    stack = Sequential([Conv2D(4), Conv2D(8), Conv2D(16)])
    changed = stack.replace(conv2d_1=ReLU())
    assert changed.layers == (
        ("conv2d_1", ReLU()),
        ("conv2d_2", Conv2D(8)),
        ("conv2d_3", Conv2D(16)),
    )


def test_what_get_params_shows_is_what_replace_takes():
    layer = Residual([("conv", Conv2D(4)), ReLU()], shortcut=Conv2D(4, kernel_size=1))
    assert layer.replace(**layer.get_params()) == layer


def test_whole_parameter_is_replaced_before_what_lies_inside_it():
    params = {"solver": SGD(momentum=0.1), "layers": None}
    changes = {"solver__momentum": 0.5, "solver": SGD(momentum=0.9, nesterov=True)}
    assert resolve(params, changes, None) == {"solver": SGD(momentum=0.5, nesterov=True)}


@pytest.mark.parametrize("kind", [list, tuple])
def test_changed_list_is_a_new_one_of_the_same_kind_with_names(kind):
    items = kind([Conv2D(4), ReLU()])
    before = deepcopy(items)
    changed = resolve({"layers": items}, {"conv2d_1__filters": 8, "relu_1": Flatten()}, None)
    assert changed == {"layers": kind([("conv2d_1", Conv2D(8)), ("relu_1", Flatten())])}
    assert items == before


def test_the_users_own_list_is_never_modified():
    items = [Conv2D(4), ("act", ReLU())]
    before = list(items)
    stack = Sequential(items)
    stack.replace(conv2d_1__filters=8)
    nested_params({"layers": items})
    named(items)
    assert items == before
    assert all(a is b for a, b in zip(items, before, strict=True))
    items.append(Flatten())
    assert len(stack.layers) == 2, "a layer must not change with the list that it was made of"


@pytest.mark.parametrize(
    "name",
    ["momentum", "solver__speed", "conv2d_2", "conv2d_1__speed", "solver__", "alpha__x", "__x"],
)
def test_unknown_name_is_refused_with_the_names_that_there_are(name):
    params = {"solver": SGD(), "layers": [Conv2D(4)], "alpha": 0.0}
    instead = r"needed: one of \w+, \w+|Did you mean \w+|alpha=0\.0 has no parameters"
    with pytest.raises(ValueError, match=rf"Invalid parameter .* for \w+(; |: |\. )({instead})"):
        resolve(params, {name: 1}, Conv2D(4))


def test_replace_refuses_an_unknown_name():
    with pytest.raises(ValueError, match="Invalid parameter 'speed' for Conv2D"):
        Conv2D(4).replace(speed=3)


def test_spec_cannot_be_modified():
    with pytest.raises(FrozenInstanceError):
        Conv2D(4).filters = 8
    with pytest.raises(FrozenInstanceError):
        Sequential([ReLU()]).layers = ()


def test_specs_are_compared_by_value_and_hashed():
    assert Sequential([Conv2D(4), ReLU()]) == Sequential((Conv2D(4), ("relu_1", ReLU())))
    assert Conv2D(4) != Conv2D(5)
    assert Flatten() != ReLU()
    assert len({Conv2D(4), Conv2D(4), Conv2D(4, stride=2), Sequential([Conv2D(4)])}) == 3


def test_clone_of_scikit_learn_is_equal():
    layer = Residual([Conv2D(4), Dropout(0.2)], shortcut=Conv2D(4, kernel_size=1))
    for copy in (clone(layer), clone([layer])[0], deepcopy(layer)):
        assert copy == layer
        assert copy.get_params() == layer.get_params()


def test_repr_can_be_read_back():
    for spec in (
        Conv2D(4),
        Conv2D(4, (3, 5), padding="valid"),
        Dropout(0.25),
        Dense(3, bias=False),
    ):
        assert eval(repr(spec)) == spec
    assert repr(Conv2D(4, stride=2)) == "Conv2D(filters=4, stride=2)"
    assert repr(ReLU()) == "ReLU()"


class Size(IntEnum):
    three = 3


ALIKE = {
    "uint8": lambda: (Dense(np.uint8(200)), Dense(200)),
    "int8": lambda: (Conv2D(np.int8(32)), Conv2D(32)),
    "int64": lambda: (Dense(np.int64(5)), Dense(5)),
    "IntEnum": lambda: (Conv2D(Size.three), Conv2D(3)),
    "list": lambda: (Conv2D(3, [2, 1]), Conv2D(3, (2, 1))),
    "pair of numpy's": lambda: (Conv2D(3, (np.int8(2), np.int64(1))), Conv2D(3, (2, 1))),
    "text": lambda: (Conv2D(3, padding=np.str_("valid")), Conv2D(3, padding="valid")),
    "word": lambda: (Conv2D(3, bias=np.str_("position")), Conv2D(3, bias="position")),
    "flag": lambda: (Dense(3, bias=np.False_), Dense(3, bias=False)),
    "integer as a number": lambda: (Dense(3, lr_scale=np.int8(2)), Dense(3, lr_scale=2)),
    "float64": lambda: (Dropout(np.float64(0.25)), Dropout(0.25)),
    "float32": lambda: (Dropout(np.float32(0.1)), Dropout(0.10000000149011612)),
    "fraction": lambda: (Dropout(Fraction(1, 4)), Dropout(0.25)),
    "zero": lambda: (Dropout(-0.0), Dropout(0.0)),
    "epochs": lambda: (StepDecay([np.int8(1), 100]), StepDecay((1, 100))),
    "every so many epochs": lambda: (StepDecay(np.uint8(200)), StepDecay(200)),
    "pixels": lambda: (Shift([1, np.int8(2)], fill=np.float32(1)), Shift((1, 2), fill=1.0)),
    "border": lambda: (RandomCrop(1, np.uint8(0)), RandomCrop(1, 0)),
    "seconds": lambda: (TimeLimit(np.int8(100)), TimeLimit(100.0)),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_equal_values_are_held_shown_and_pickled_alike(kind):
    given, plain = ALIKE[kind]()
    assert given == plain
    assert hash(given) == hash(plain)
    assert repr(given) == repr(plain)
    assert pickle.dumps(given) == pickle.dumps(plain)


def test_sizes_do_not_overflow_where_numpys_integers_do():
    stack = Sequential([Conv2D(np.int8(127)), Flatten(), Dense(np.uint8(200))])
    assert stack.output_shape((6, 6, 1)) == (200,)
    assert stack.multiply_adds((6, 6, 1)) == 36 * 127 * 9 + 36 * 127 * 200
    X, y = np.random.default_rng(0).normal(size=(6, 6, 6)), [0, 1] * 3
    sizes = {"conv_filters": np.uint8(130), "hidden_layer_sizes": (np.uint8(255),)}
    clf = NumpyCNNClassifier(
        **sizes, max_iter=np.uint8(200), tol=np.float16(1e4), n_jobs=np.int8(1)
    )
    assert clf.fit(X, y).summary()["parameters"].sum() > 255 * 130
    assert clf.max_iter.dtype == np.uint8, "an estimator keeps what it was given"


def test_a_number_beyond_the_range_by_less_than_a_float_can_tell_is_refused():
    below = np.nextafter(np.longdouble(1), np.longdouble(0))
    if below == 1.0:
        pytest.skip("longdouble is no longer than double here")
    with pytest.raises(ValueError, match="rate="):
        Dropout(below)
    with pytest.raises(ValueError, match="'dropout' parameter"):
        NumpyCNNClassifier(dropout=below).fit(np.eye(4), [0, 1, 0, 1])


@dataclass(frozen=True, repr=False)
class Table(Layer):
    """A layer of the user's own that holds an array, which has no truth value."""

    values: object = 0.0

    def forward(self, params, x, ctx):
        return x, None

    def backward(self, params, cache, dy, grads, ctx):
        return dy


def test_what_cannot_be_compared_is_shown():
    assert repr(Table(np.array([1, 2]))) == "Table(values=array([1, 2]))"
    assert repr(Table()) == "Table()"
    assert "values=array" in repr(Sequential([Table(np.array([1, 2]))]))


@pytest.mark.parametrize(("value", "pair"), [(3, (3, 3)), ((2, 5), (2, 5)), ([1, 4], (1, 4))])
def test_integer_serves_rows_and_columns(value, pair):
    assert as_pair(value) == pair


def test_booleans_are_not_integers():
    assert is_integer(3)
    assert not is_integer(True)
    assert not is_integer(3.0)


@pytest.mark.parametrize(
    ("check", "value", "needed"),
    [
        (check_integer, 0, "an integer of at least 1"),
        (check_integer, True, "an integer of at least 1"),
        (check_integer, 2.0, "an integer of at least 1"),
        (check_pair, (1, 2, 3), r"an integer of at least 1, or a pair \(rows, columns\)"),
        (check_pair, (1, 0), "an integer of at least 1, or a pair"),
        (check_pair, "ab", "an integer of at least 1, or a pair"),
        (check_real, -1.0, "a number of at least 0.0"),
        (check_real, float("nan"), "a number of at least 0.0"),
        (check_real, float("inf"), "a number of at least 0.0"),
        (check_real, True, "a number of at least 0.0"),
        (check_real, "1", "a number of at least 0.0"),
        (check_flag, 1, "True or False"),
    ],
)
def test_error_tells_owner_name_value_and_need(check, value, needed):
    with pytest.raises(ValueError, match=rf"^Owner: size=.*; needed: {needed}") as error:
        check(Owner(size=value), "size")
    assert f"size={value!r}" in str(error.value)


def test_ends_of_a_range_may_be_left_out():
    for value in (0.0, 1.0, 0.5):
        check_real(Owner(p=value), "p", 0.0, 1.0)
    check_real(Owner(p=0.5), "p", 0.0, 1.0, open_="low high")
    with pytest.raises(ValueError, match=r"a number above 0\.0 and below 1\.0"):
        check_real(Owner(p=0.0), "p", 0.0, 1.0, open_="low high")
    with pytest.raises(ValueError, match=r"a number of at least 0\.0 and below 1\.0"):
        check_real(Owner(p=1.0), "p", 0.0, 1.0, open_="high")
