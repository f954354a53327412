"""Values of every kind that somebody may hand in where a parameter is expected."""

import threading
from array import array
from collections import OrderedDict, deque, namedtuple
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pandas as pd

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import Shift
from sknpcnn.callbacks import TimeLimit
from sknpcnn.layers import Conv2D, Dense, Flatten, ReLU, Residual, Sequential
from sknpcnn.optimizers import Adam
from sknpcnn.schedules import Constant
from tests.hostile.numbers import GIANT, TOO_LARGE_FOR_A_FLOAT

UNPRINTABLE = 10**5000
"""Has more digits than Python is willing to print."""

Pair = namedtuple("Pair", "rows columns")


class Count(IntEnum):
    two = 2


class Word(StrEnum):
    same = "same"
    reflect = "reflect"


class Color(Enum):
    red = 2


class Text(str):
    """A string that is not one of Python's own."""


REFUSAL = "I will not do that."


def refuse(*args, **kwargs):
    raise RuntimeError(REFUSAL)


QUESTIONS = (
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__", "__hash__"),
    *("__len__", "__iter__", "__contains__", "__getitem__", "__index__", "__int__", "__float__"),
    *("__repr__", "__str__", "__format__", "__array__", "__call__", "__fspath__", "__add__"),
)


def refusing(*names, base=object):
    """Make a class whose objects raise when they are asked."""
    return type(f"Refusing{base.__name__}", (base,), dict.fromkeys(names, refuse))


def incomparable():
    """Make an object that can be a key, but that cannot be compared."""
    return type("Incomparable", (), {"__eq__": refuse, "__hash__": object.__hash__})()


def endless():
    """Make a generator without an end."""
    while True:
        yield ReLU()


def within_itself():
    items = []
    items.append(items)
    return items


def within_its_own_dict():
    items = {}
    items[2] = items
    return items


def read_only_map():
    with TemporaryFile() as file:
        file.write(bytes(64))
        file.flush()
        return np.memmap(file, np.float32, "r", shape=(4, 4))


def open_file():
    return Path(__file__).open("rb")


def deep(levels):
    layer = Conv2D(2)
    for _ in range(levels):
        layer = Residual([], shortcut=layer)
    return layer


NUMBERS = {
    "zero": lambda: 0,
    "one": lambda: 1,
    "two": lambda: 2,
    "minus one": lambda: -1,
    "2**63": lambda: 2**63,
    "giant": lambda: GIANT,
    "minus giant": lambda: -GIANT,
    "10**300": lambda: 10**300,
    "10**400": lambda: TOO_LARGE_FOR_A_FLOAT,
    "-10**400": lambda: -TOO_LARGE_FOR_A_FLOAT,
    "10**5000": lambda: UNPRINTABLE,
    "-10**5000": lambda: -UNPRINTABLE,
    "uint8": lambda: np.uint8(200),
    "int8": lambda: np.int8(32),
    "least int8": lambda: np.int8(-128),
    "int64": lambda: np.int64(5),
    "largest int64": lambda: np.int64(2**63 - 1),
    "largest uint64": lambda: np.uint64(2**64 - 1),
    "IntEnum": lambda: Count.two,
    "Enum": lambda: Color.red,
    "true": lambda: True,
    "false": lambda: False,
    "numpy's true": lambda: np.True_,
    "numpy's false": lambda: np.False_,
    "half": lambda: 0.5,
    "three as a float": lambda: 3.0,
    "minus half": lambda: -0.5,
    "minus zero": lambda: -0.0,
    "denormal": lambda: 5e-324,
    "almost one": lambda: 1 - 1e-16,
    "one as a float": lambda: 1.0,
    "1e30": lambda: 1e30,
    "1e300": lambda: 1e300,
    "-1e300": lambda: -1e300,
    "nan": lambda: np.nan,
    "inf": lambda: np.inf,
    "-inf": lambda: -np.inf,
    "float16": lambda: np.float16(0.1),
    "float32": lambda: np.float32(0.1),
    "float32 of one": lambda: np.float32(1),
    "float32's nan": lambda: np.float32(np.nan),
    "float32's minus zero": lambda: np.float32(-0.0),
    "longdouble": lambda: np.longdouble(1) / 3,
    "longdouble below one": lambda: np.nextafter(np.longdouble(1), np.longdouble(0)),
    "least longdouble": lambda: np.nextafter(np.longdouble(0), np.longdouble(1)),
    "largest longdouble": lambda: np.finfo(np.longdouble).max,
    "fraction": lambda: Fraction(1, 2),
    "whole fraction": lambda: Fraction(2),
    "enormous fraction": lambda: Fraction(TOO_LARGE_FOR_A_FLOAT),
    "tiny fraction": lambda: Fraction(1, TOO_LARGE_FOR_A_FLOAT),
    "decimal": lambda: Decimal("0.5"),
    "decimal nan": lambda: Decimal("nan"),
    "complex": lambda: 0.5 + 0j,
    "complex 2+1j": lambda: 2 + 1j,
    "complex64": lambda: np.complex64(0.5),
    "timedelta64": lambda: np.timedelta64(2, "s"),
    "timedelta64 in days": lambda: np.timedelta64(2, "D"),
    "datetime64": lambda: np.datetime64("2020-01-01"),
    "Timestamp": lambda: pd.Timestamp("2020-01-01"),
    "int that refuses": lambda: refusing(*QUESTIONS, base=int)(2),
    "int without a repr": lambda: refusing("__repr__", "__str__", base=int)(-2),
    "float that refuses": lambda: refusing(*QUESTIONS, base=float)(0.5),
}

TEXTS = {
    "empty text": lambda: "",
    "digit": lambda: "2",
    "digits": lambda: "33",
    "half as text": lambda: "0.5",
    "same": lambda: "same",
    "numpy's text": lambda: np.str_("same"),
    "numpy's reflect": lambda: np.str_("reflect"),
    "own text": lambda: Text("position"),
    "StrEnum": lambda: Word.same,
    "StrEnum reflect": lambda: Word.reflect,
    "NUL": lambda: "sa\0me",
    "surrogate": lambda: "\ud800",
    "long text": lambda: "x" * 10**6,
    "other alphabet": lambda: "ꙮ𝟚",
    "bytes": lambda: b"\2\2",
    "numpy's bytes": lambda: np.bytes_(b"same"),
    "bytearray": lambda: bytearray(b"\2\2"),
    "memoryview": lambda: memoryview(b"\2\2"),
    "text that refuses": lambda: refusing(*QUESTIONS, base=str)("same"),
}

COLLECTIONS = {
    "empty tuple": lambda: (),
    "empty list": list,
    "tuple of one": lambda: (2,),
    "pair": lambda: (2, 1),
    "list of two": lambda: [2, 1],
    "triple": lambda: (2, 2, 2),
    "namedtuple": lambda: Pair(2, 1),
    "pair of numpy's": lambda: (np.int8(2), np.uint8(1)),
    "pair of bools": lambda: (True, True),
    "pair of floats": lambda: (2.0, 2.0),
    "pair of enormous": lambda: (2, TOO_LARGE_FOR_A_FLOAT),
    "pair of unprintable": lambda: [UNPRINTABLE, UNPRINTABLE],
    "pair of pairs": lambda: ((2, 2), (2, 2)),
    "pair of nones": lambda: [None, None],
    "pair of texts": lambda: ("2", "2"),
    "pair of arrays": lambda: (np.array([2]), np.array([2])),
    "pair of refusing": lambda: [refusing(*QUESTIONS, base=int)(2)] * 2,
    "falling": lambda: (20, 10),
    "rising": lambda: [np.int8(1), 2, 10],
    "range": lambda: range(2, 4),
    "deque": lambda: deque([2, 2]),
    "array.array": lambda: array("b", [2, 2]),
    "set": lambda: {2, 3},
    "frozenset": lambda: frozenset([2, 3]),
    "dict": lambda: {2: 2, 3: 3},
    "OrderedDict": lambda: OrderedDict({2: 2, 3: 3}),
    "dict of odd keys": lambda: {None: 1, (): 2, np.nan: 3, "a": 4},
    "dict of odd values": lambda: {0: None, 1: "heavy"},
    "dict of enormous": lambda: {0: UNPRINTABLE},
    "dict of a key that refuses": lambda: {incomparable(): 2.0},
    "keys": lambda: {2: 2, 3: 3}.keys(),
    "generator": lambda: (n for n in (2, 2)),
    "endless generator": endless,
    "iterator": lambda: iter([2, 2]),
    "huge list": lambda: [0] * 10**5,
    "huge list of texts": lambda: ["x" * 1000] * 1000,
    "list within itself": within_itself,
    "dict within itself": within_its_own_dict,
    "nested lists": lambda: [[[[[[2]]]]]],
    "list that refuses": lambda: refusing(*QUESTIONS, base=list)([2, 2]),
    "tuple that refuses": lambda: refusing(*QUESTIONS, base=tuple)((2, 2)),
}

ARRAYS = {
    "array": lambda: np.array([2, 2]),
    "array of flags": lambda: np.array([True, False]),
    "array of floats": lambda: np.array([0.5, 0.5]),
    "array of one": lambda: np.array([2]),
    "number as an array": lambda: np.array(2),
    "half as an array": lambda: np.array(0.5),
    "flag as an array": lambda: np.array(True),
    "word as an array": lambda: np.array("same"),
    "empty array": lambda: np.array([]),
    "array of nan": lambda: np.full(2, np.nan),
    "array of objects": lambda: np.array([2, 2], object),
    "array of odd objects": lambda: np.array([None, UNPRINTABLE], object),
    "structured array": lambda: np.zeros(2, "i4,f8"),
    "record": lambda: np.zeros((), "i4,f8")[()],
    "array of dates": lambda: np.array(["2020-01-01"] * 2, "M8[D]"),
    "array of words": lambda: np.array(["same", "valid"]),
    "matrix": lambda: np.ones((2, 2), int),
    "huge array": lambda: np.zeros((1000, 1000)),
    "array of wide numbers": lambda: np.array([2**62, 2**62]),
    "masked array": lambda: np.ma.masked_array([2, 2], [True, False]),
    "masked": lambda: np.ma.masked,
    "read-only map": read_only_map,
    "Series": lambda: pd.Series([2, 2]),
    "DataFrame": lambda: pd.DataFrame({"a": [2, 2]}),
    "huge DataFrame": lambda: pd.DataFrame(np.zeros((10**5, 3))),
    "Index": lambda: pd.Index([2, 2]),
    "Categorical": lambda: pd.Categorical([2, 2]),
}

SPECS = {
    "layer": ReLU,
    "layers": lambda: [Flatten(), Dense(3), ReLU()],
    "named layers": lambda: [("a", ReLU()), ["b", ReLU()]],
    "layers of one name": lambda: [("a", ReLU()), ("a", ReLU())],
    "layer with an odd name": lambda: [("\ud800", ReLU())],
    "layer with a long name": lambda: [("x" * 10**6, ReLU()), ("x" * 10**6, ReLU())],
    "layer with numpy's name": lambda: [(np.str_("a"), ReLU())],
    "layer with the name of a parameter": lambda: [("layers", ReLU()), ("alpha", ReLU())],
    "layers in a list": lambda: [[ReLU(), ReLU()]],
    "layers in a dict": lambda: {"a": ReLU()},
    "layers in a set": lambda: {ReLU()},
    "layers in a generator": lambda: (ReLU() for _ in range(2)),
    "layers as an array": lambda: np.array([ReLU(), ReLU()], object),
    "layer class": lambda: ReLU,
    "layer classes": lambda: [ReLU, ("a", ReLU)],
    "sequence of an odd one": lambda: Sequential([Conv2D(3, lr_scale=1e300)]),
    "layers as deep as may be": lambda: [deep(31)],
    "deep layers": lambda: deep(31),
    "optimizer": Adam,
    "optimizers": lambda: [Adam()],
    "named optimizer": lambda: [("a", Adam())],
    "optimizer class": lambda: Adam,
    "schedule": Constant,
    "schedules": lambda: [Constant(), ReLU()],
    "schedule class": lambda: Constant,
    "augmentation": Shift,
    "augmentations": lambda: [Shift(1)],
    "named augmentations": lambda: [("a", Shift()), ("b", Shift(1))],
    "estimator": lambda: NumpyCNNClassifier(max_iter=1),
    "estimators": lambda: [NumpyCNNClassifier()],
    "callback": lambda: TimeLimit(1),
    "more layers than may be": lambda: [ReLU(), refusing(*QUESTIONS)()],
}

OTHERS = {
    "None": lambda: None,
    "Ellipsis": lambda: Ellipsis,
    "NotImplemented": lambda: NotImplemented,
    "NA": lambda: pd.NA,
    "NaT": lambda: pd.NaT,
    "NaT of numpy": lambda: np.datetime64("NaT", "s"),
    "object": object,
    "function": lambda: refuse,
    "lambda": lambda: lambda *args: 0,
    "builtin": lambda: len,
    "class": lambda: dict,
    "type": lambda: type,
    "module": lambda: np,
    "dtype": lambda: np.dtype("i4"),
    "slice": lambda: slice(2),
    "exception": lambda: ValueError("2"),
    "lock": threading.Lock,
    "open file": open_file,
    "generator of random numbers": lambda: np.random.default_rng(0),
    "RandomState": lambda: np.random.RandomState(0),
    "path": lambda: Path("of/a/folder"),
    "object that refuses": lambda: refusing(*QUESTIONS)(),
    "object without a repr": lambda: refusing("__repr__", "__str__")(),
    "object without a comparison": incomparable,
    "object without a truth value": lambda: refusing("__bool__", "__len__")(),
    "class that refuses": lambda: refusing(*QUESTIONS),
}

VALUES = NUMBERS | TEXTS | COLLECTIONS | ARRAYS | SPECS | OTHERS
"""How to make each, by name: some can be used but once, or change, or cannot be copied."""
