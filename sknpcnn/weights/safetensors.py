"""Reads files in the safetensors format, which are not trusted: arrays, and nothing else."""

import json
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from sknpcnn._storage import files
from sknpcnn._values.brief import brief

Array = np.ndarray

MAX_HEADER = 2**24
DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}


def read_safetensors(path: str | PathLike[str]) -> dict[str, Array]:
    """Return the arrays of a file by name; raise a ValueError if it is damaged."""
    file = Path(fspath(path))
    with files.open_regular(file) as opened:
        size = int.from_bytes(opened.read(8), "little")
        if size > MAX_HEADER:
            raise ValueError(f"{file}: its header has {size} bytes; needed: {MAX_HEADER} at most.")
        header, content = opened.read(size), opened.read()
    try:
        entries = json.loads(header)
        found = {
            name: _array(entry, content)
            for name, entry in entries.items()
            if name != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file}: is not an intact safetensors file ({brief(error)}).") from error
    return found


def _array(entry: Any, content: bytes) -> Array:
    dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
    start, stop = entry["data_offsets"]
    if not all(type(n) is int and n >= 0 for n in (*shape, start, stop)):
        raise ValueError("a size is no number")
    n_bytes = dtype.itemsize
    for n in shape:
        n_bytes *= n
    if stop - start != n_bytes or stop > len(content):
        raise ValueError(f"an array of shape {shape} lies at {start} to {stop}")
    array: Array = np.frombuffer(content, dtype, n_bytes // dtype.itemsize, start).reshape(shape)
    if entry["dtype"] == "BF16":  # the upper half of a single
        single: Array = (array.astype(np.uint32) << 16).view(np.float32)
        return single
    return array
