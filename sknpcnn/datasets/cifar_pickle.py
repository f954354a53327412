"""Converts the untrusted pickle of a CIFAR-10 batch to a dictionary of checked values."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from sknpcnn.datasets.loading import Array, read_file
from sknpcnn.datasets.safe_pickle import PickleError, Record, interpret


def read_batch(path: Path, max_size: int | None = None) -> dict[str, Any]:
    """Load a dictionary of 2-D byte arrays, lists, bytes, text and integers."""
    raw = read_file(path, max_size)
    try:
        found = interpret(raw)
        if type(found) is not dict:
            raise PickleError("it does not hold a dictionary")
        named = {_text_of(key): _array_of(value) for key, value in found.items()}
        if len(named) != len(found):
            raise PickleError("it holds a key twice, as text and as bytes")
    except ValueError as error:  # undecodable text too
        raise ValueError(
            f"{path}: is not an intact pickle of CIFAR-10 ({error}); needed: a fresh copy of the "
            "file, from a source that you trust."
        ) from error
    return named


def _text_of(key: str | bytes) -> str:
    return key.decode() if type(key) is bytes else str(key)


def _array_of(value: Any) -> Any:
    """Convert the record of an array to an array; return anything else unchanged."""
    if type(value) is not Record:
        return value
    raw, dtype, shape, fortran = _parts_of(value)
    if not _is_bytes(dtype):
        raise PickleError("it holds a NumPy object that is not a byte array")
    if type(shape) is not tuple or [type(n) for n in shape] != [int, int]:
        raise PickleError("it holds an array that is not 2-D")
    if type(raw) not in (bytes, memoryview) or min(shape) < 0 or len(raw) != prod(shape):
        raise PickleError("it holds an array whose shape and content disagree")
    table: Array = np.frombuffer(raw, np.uint8)
    return table.reshape(shape, order="F" if fortran else "C")


def _parts_of(array: Record) -> tuple[Any, ...]:
    """Return content, dtype and shape of an array record, and whether it is in Fortran order."""
    match array.name, array.args, array.state:
        case "_reconstruct", tuple(), (_, shape, dtype, bool(fortran), raw):
            return raw, dtype, shape, fortran
        case "_frombuffer", (raw, dtype, shape, "C" | "F" as order), None:
            return raw, dtype, shape, order == "F"
    raise PickleError("it holds a NumPy object that is not a byte array")


def _is_bytes(dtype: Any) -> bool:
    """Return whether a record is that of uint8, without fields or a subarray shape."""
    match dtype:
        case Record(name="dtype", args=("u1" | b"u1", *_)):
            return type(dtype.state) is tuple and dtype.state[2:5] == (None, None, None)
    return False
