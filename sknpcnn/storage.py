"""Arrays and plain values in one file, written whole or not at all, read without trusting it.

The file is an ``.npz``: a zip archive of arrays, one of which holds the values as JSON. Reading it
executes nothing, and everything in it is checked: sizes against each other, content by the
archive's checksums. It takes time and memory in proportion to the size of the file.
"""

import json
import os
import re
import zipfile
from collections.abc import Mapping
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np

from sknpcnn import archive, files
from sknpcnn.brief import brief

Array = np.ndarray

VALUES = "values.json"
# How deep values may be nested: a file of a few kB must not make Python run out of stack.
MAX_DEPTH = 400
# How many digits an integer may have: more do not fit any floating-point number.
MAX_DIGITS = 309
# What the values of a file may take in memory: so many bytes, and so many for each byte of text.
MAX_MEMORY = 2**23, 8

# The header of an array as NumPy writes it; of the types only those without parts.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '([<>|][biufcSUmM]\d+(?:\[\w+\])?)', "
    rb"'fortran_order': False, 'shape': \(((?:\d+,|\d+(?:, \d+)+)?)\), \} *\n",
    re.DOTALL,
)
MAX_HEADER = 1024
# What is no bracket: strings, which may hold some, even where the end of one is missing; the rest.
_NO_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^"\[\]{}]+', re.DOTALL)
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def write(path: Path, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a file; if that fails, the old one is still there."""
    with files.replacing(path) as file, zipfile.ZipFile(file, "w") as whole:
        with whole.open(_named(VALUES), "w") as member:
            member.write(json.dumps(values).encode("ascii"))
        for name, array in arrays.items():
            given = np.asarray(array, order="C")
            _check_dtype(name, given.dtype)
            with whole.open(_named(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, given, version=(1, 0), allow_pickle=False)


def write_new(path: Path, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a file where there is none, whole; FileExistsError where somebody was faster."""
    with files.temporary_name(path) as beside:
        write(beside, values, arrays)
        try:
            os.link(beside, path)
        except FileExistsError:
            raise
        except OSError:  # there are file systems without links
            if path.exists():
                raise FileExistsError(path) from None
            beside.replace(path)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read values and arrays; a ValueError says what is wrong with a file that is not intact."""
    with files.open_regular(path) as file:
        try:
            return _read(file)
        except (OSError, MemoryError):
            raise
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(f"{path}: is not an intact file ({reason}).") from error


def read_back(values: Mapping[str, Any]) -> Any:
    """Return what will be read where these values have been written, or raise a ValueError."""
    return _plain_values(json.dumps(values))


def _named(name: str) -> zipfile.ZipInfo:
    """Describe a member without the time of day, which a small computer may not know."""
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o600 << 16
    return member


def _read(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Array]]:
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
        raise ValueError("its values are no dictionary")
    arrays = {}
    for name, member in members.items():
        if not name.endswith(".npy"):
            raise ValueError(f"it holds {brief(name)}, which is no array")
        name = name.removesuffix(".npy")
        arrays[name] = _array(name, file, member)
    return values, arrays


def _array(name: str, file: BinaryIO, member: archive.Member) -> Array:
    """Read an array; its memory is asked for when all that is said of its size agrees."""
    header = _HEADER.match(start := archive.head(file, member, MAX_HEADER))
    if header is None or int.from_bytes(header[1], "little") != header.end() - 10:
        raise ValueError(f"{name} is no array of a form that is used here")
    dtype = np.dtype(header[2].decode())
    _check_dtype(name, dtype)
    shape = tuple(map(int, re.findall(rb"\d+", header[3])))
    size = member.size - header.end()
    if prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} and what its header says of it do not agree")
    raw = np.empty(size, np.uint8)
    archive.read_into(file, member, raw, header.end(), crc32(start[: header.end()]))
    return raw.view(dtype).reshape(shape)


def _check_dtype(name: str, dtype: np.dtype) -> None:
    """Raise a TypeError for an array of objects, of records, or of items without any bytes."""
    if dtype.kind not in "biufcSUmM" or dtype.itemsize == 0:
        raise TypeError(f"{name} is of the type {dtype}; needed: numbers, strings or times")


def _plain_values(text: str) -> Any:
    """Read JSON, but none that takes much more memory than text, or time, or a deep stack."""
    base, per_byte = MAX_MEMORY
    # what Python takes, about, for a dict, the name of something in it, a list, an item of one
    prices = {"{": 200, ":": 128, "[": 64, ",": 64}
    taken = sum(price * text.count(mark) for mark, price in prices.items())
    if taken > base + per_byte * len(text):
        raise ValueError("its values take too much memory")
    if _depth(text) > MAX_DEPTH:
        raise ValueError(f"its values are nested too deeply; needed: {MAX_DEPTH} levels at most")
    return json.loads(text, object_pairs_hook=_without_doubles, parse_int=_integer)


def _depth(text: str) -> int:
    """Count how many brackets are open at once, at most; those within strings do not count."""
    brackets = _NO_BRACKETS.sub("", text)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("it names a value twice")
    return content


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS + 1:  # and a sign
        raise ValueError(f"an integer has {len(digits)} digits; needed: {MAX_DIGITS} at most")
    return int(digits)
