"""Reads the pickles of CIFAR-10 without trusting them: nothing that a file says is ever executed.

Three gates, each of which would do for most files. The instructions are looked through before any
is followed, since a few bytes of them can ask for gigabytes, or bring the interpreter down. Names
are not looked up: the few that NumPy's arrays need become records of what was done with them.
From such a record an array is made here, once its type, shape and bytes are found to agree.
"""

import io
import pickle
import pickletools
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),  # protocol 5
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # bytes, as Python 3 writes them in protocol 2
}

_PUTS = {"BINPUT", "LONG_BINPUT"}
_COUNTED = {
    *("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "REDUCE")
}
_INSTRUCTIONS = {
    *_PUTS,
    *_COUNTED,
    *["PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINGET", "LONG_BINGET"],
    *["NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2"],
    *["BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE"],
    *["BINBYTES", "SHORT_BINBYTES", "BYTEARRAY8"],
    *["EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_TUPLE"],
    *["GLOBAL", "STACK_GLOBAL", "BUILD"],
}
_CODES = {op.code.encode("latin1"): op for op in pickletools.opcodes if op.name in _INSTRUCTIONS}
# Containers and calls. An array is written with ten or so; many tuples, one in the other, crash
# Python when they are hashed, and what a single byte makes or calls may take hundreds.
_MOST = 50
# Beginnings of a container's content: a thousand labels or names come at a time.
_MARKS = 10_000


class _Record:
    """Stands for something that a file names: remembers how it was called, and does nothing.

    A file is given objects of this class, never the class or a function: it could write on those.
    """

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: Any = None) -> None:
        self.name, self.args, self.state = name, args, None

    def __call__(self, *args: Any) -> Any:
        if self.name != "encode":
            return _Record(self.name, args)
        text, encoding = args
        if type(text) is not str or encoding != "latin1":
            raise pickle.UnpicklingError("it holds text that is not encoded as bytes are")
        return text.encode("latin1")

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(
                f"it holds {f'{module}.{name}'[:80]!r}, which no CIFAR-10 batch does"
            )
        return _Record(name)


def load(path: Path) -> dict[str, Any]:
    """Load a dictionary of tables of bytes, lists, bytes, strings and integers."""
    raw = path.read_bytes()
    try:
        _check_instructions(raw)
        found = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
        if type(found) is not dict:
            raise pickle.UnpicklingError("it holds no dictionary")
        return {_text_of(key): _array_of(value) for key, value in found.items()}
    except Exception as error:  # there is hardly one that a broken pickle cannot raise
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"{path}: is not an intact pickle of CIFAR-10 ({reason}); needed: a fresh copy of the "
            "file, from a place that you trust."
        ) from error


def _check_instructions(raw: bytes) -> None:
    stream = io.BytesIO(raw)
    stored = counted = marks = 0
    name = ""
    while name != "STOP":
        place, code = stream.tell(), stream.read(1)
        if not code:
            raise pickle.UnpicklingError("it is cut short")
        if code not in _CODES:
            raise pickle.UnpicklingError(f"byte {place} is {code!r}, no instruction that it needs")
        instruction = _CODES[code]
        name = instruction.name
        argument: Any = instruction.arg.reader(stream) if instruction.arg else None
        counted += name in _COUNTED
        if counted > _MOST:
            raise pickle.UnpicklingError(f"it holds more than {_MOST} containers and calls")
        marks += name == "MARK"
        if marks > _MARKS:
            raise pickle.UnpicklingError(f"it begins more than {_MARKS} times with some content")
        if name in _PUTS and argument > stored + 1:  # all the places up to there would be made
            raise pickle.UnpicklingError(f"byte {place} stores something far from all else")
        stored += name in _PUTS or name == "MEMOIZE"
    if stream.read(1):
        raise pickle.UnpicklingError("it goes on after its end")


def _text_of(key: Any) -> str:
    if type(key) not in (bytes, str):
        raise pickle.UnpicklingError("it holds a dictionary whose keys are not strings")
    return key.decode() if type(key) is bytes else key


def _array_of(value: Any) -> Any:
    """Make an array from the record of one; anything else stays what it is."""
    if type(value) is not _Record:
        return value
    raw: Any = None
    shape: Any = None
    dtype: Any = None
    fortran: Any = False
    if value.name == "_reconstruct" and value.state is not None:
        _, shape, dtype, fortran, raw = value.state
    elif value.name == "_frombuffer" and value.args is not None:
        raw, dtype, shape, order = value.args
        fortran = order == "F"
    if type(dtype) is not _Record or not dtype.args or dtype.args[0] not in ("u1", b"u1"):
        raise pickle.UnpicklingError("it holds something of NumPy that is no array of bytes")
    if type(shape) is not tuple or len(shape) != 2:  # a product of millions would never end
        raise pickle.UnpicklingError("it holds an array that is no table")
    if type(raw) not in (bytes, bytearray) or len(raw) != prod(shape):
        raise pickle.UnpicklingError("it holds an array whose shape and content disagree")
    return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")
