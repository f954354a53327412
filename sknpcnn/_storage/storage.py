"""Files of arrays and plain values, written atomically and safe to read from untrusted sources.

A file is an ``.npz``: a zip archive of arrays, with the values as JSON in one more member. Reading
executes nothing and checks everything: sizes against each other, content by the archive's
checksums. It takes time and memory in proportion to the size of the file.
"""

import json
import os
import re
import zipfile
from collections.abc import Mapping
from io import BufferedIOBase
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from sknpcnn._storage import archive, files
from sknpcnn._values.brief import brief

Array = np.ndarray

VALUES = "values.json"
# Maximum nesting of values: a file of a few kB must not exhaust the stack of Python.
MAX_DEPTH = 400
# Maximum number of digits of an integer: larger ones exceed the range of floats.
MAX_DIGITS = 309
# Maximum memory for the values of a file: a constant, plus a multiple of the size of the text.
MAX_MEMORY = 2**23, 8

# The header of an array as NumPy writes it; no structured types.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '([<>|][biufcSUmM]\d+(?:\[\w+\])?)', "
    rb"'fortran_order': False, 'shape': \(((?:\d+,|\d+(?:, \d+)+)?)\), \} *\n",
    re.DOTALL,
)
MAX_HEADER = 1024
# All but brackets: strings, which may contain brackets or be unterminated, and other characters.
_NO_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^"\[\]{}]+', re.DOTALL)
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def write(path: Path, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a file; if that fails, the old one is kept."""
    with files.atomic_write(path) as file, zipfile.ZipFile(file, "w") as zipped:
        with zipped.open(_member_info(VALUES), "w") as member:
            member.write(json.dumps(values).encode("ascii"))
        for name, array in arrays.items():
            contiguous = np.asarray(array, order="C")
            _check_dtype(name, contiguous.dtype)
            with zipped.open(_member_info(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, contiguous, version=(1, 0), allow_pickle=False)


def write_new(path: Path, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a new file atomically; raise FileExistsError if there is one."""
    with files.temporary_name(path) as temporary:
        write(temporary, values, arrays)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # some file systems have no links
            if path.exists():
                raise FileExistsError(path) from None
            temporary.replace(path)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read values and arrays; raise ValueError if the file is not intact."""
    with files.open_regular(path) as file:
        return read_from(file, str(path))


def read_from(file: BufferedIOBase, name: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read values and arrays from an open file; raise ValueError if it is not intact."""
    try:
        return _read(file)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{name}: is not an intact file ({reason}).") from error


def round_trip(values: Mapping[str, Any]) -> Any:
    """Return values as they will be read once written, or raise ValueError."""
    return _plain_values(json.dumps(values))


def _member_info(name: str) -> zipfile.ZipInfo:
    """Describe a member without a date, as the clock of a small computer may be wrong."""
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o600 << 16
    return member


def _read(file: BufferedIOBase) -> tuple[dict[str, Any], dict[str, Array]]:
    members = archive.members(file)
    if VALUES not in members:
        raise ValueError(f"it holds no {VALUES}")
    raw = bytearray(members[VALUES].size)
    archive.read_into(file, members.pop(VALUES), raw, 0, 0)
    text = raw.decode("ascii")
    del raw
    values = _plain_values(text)
    del text
    if not isinstance(values, dict):
        raise ValueError("its values are not a dictionary")
    arrays = {}
    for name, member in members.items():
        if not name.endswith(".npy"):
            raise ValueError(f"it holds {brief(name)}, which is not an array")
        name = name.removesuffix(".npy")
        arrays[name] = _array(name, file, member)
    return values, arrays


def _array(name: str, file: BufferedIOBase, member: archive.Member) -> Array:
    """Read an array; its memory is allocated only after all checks of its size."""
    header = _HEADER.match(start := archive.head(file, member, MAX_HEADER))
    if header is None or int.from_bytes(header[1], "little") != header.end() - 10:
        raise ValueError(f"{name} is not an array of a supported form")
    dtype = np.dtype(header[2].decode())
    _check_dtype(name, dtype)
    shape = tuple(map(int, re.findall(rb"\d+", header[3])))
    size = member.size - header.end()
    if prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} and its header disagree")
    raw = np.empty(size, np.uint8)
    archive.read_into(file, member, raw, header.end(), crc32(start[: header.end()]))
    return raw.view(dtype).reshape(shape)


def _check_dtype(name: str, dtype: np.dtype) -> None:
    """Raise TypeError for arrays of objects, of records, or of items without any bytes."""
    if dtype.kind not in "biufcSUmM" or dtype.itemsize == 0:
        raise TypeError(f"{name} is of the type {dtype}; needed: numbers, strings or times")


def _plain_values(text: str) -> Any:
    """Parse JSON, unless it would need much more memory than the text, or a deep stack."""
    base, per_byte = MAX_MEMORY
    # bytes that Python needs, roughly, for a dict, a key in it, a list and an item in it
    costs = {"{": 200, ":": 128, "[": 64, ",": 64}
    memory = sum(cost * text.count(mark) for mark, cost in costs.items())
    if memory > base + per_byte * len(text):
        raise ValueError("its values take too much memory")
    if _depth(text) > MAX_DEPTH:
        raise ValueError(f"its values are nested too deeply; needed: {MAX_DEPTH} levels at most")
    return json.loads(text, object_pairs_hook=_unique_keys, parse_int=_integer)


def _depth(text: str) -> int:
    """Return how many brackets are open at once, at most; those in strings do not count."""
    brackets = _NO_BRACKETS.sub("", text)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("it names a value twice")
    return content


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS + 1:  # and a sign
        raise ValueError(f"an integer has {len(digits)} digits; needed: {MAX_DIGITS} at most")
    return int(digits)
