"""Arrays and plain values in one file, written whole or not at all, read without trusting it.

The file is an ``.npz``: a zip archive of arrays, one of which holds the values as JSON. Reading it
executes nothing, and everything in it is checked: sizes against each other, content by the
archive's checksums.
"""

import io
import json
import os
import secrets
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray

VALUES = "values.json"


def write(path: Path, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a file beside, have it on the disk, then put it in the place of the old one.

    So at every instant, whatever happens, there is the old file or the new one.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            _write_archive(file, values, arrays)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_new(path: Path, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a file where there is none, whole; FileExistsError where somebody was faster."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    write(beside, values, arrays)
    try:
        os.link(beside, path)
    finally:
        beside.unlink()
    _sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder where there is none, and have it on the disk, with all that it lies in."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        _sync_folder(place.parent)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read values and arrays; a ValueError says what is wrong with a file that is not intact."""
    whole = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            content = {}
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(whole):
                    raise ValueError(
                        f"{member.filename!r} is packed in a way that is not used here"
                    )
                content[member.filename] = archive.read(member)
        values = json.loads(content.pop(VALUES))
        if not isinstance(values, dict):
            raise ValueError("its values are no dictionary")
        arrays = {name.removesuffix(".npy"): _array(raw) for name, raw in content.items()}
    except Exception as error:  # there is hardly one that a broken archive cannot raise
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path}: is not an intact file ({reason}).") from error
    return values, arrays


def _write_archive(file: Any, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(VALUES, json.dumps(values))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _array(raw: bytes) -> Array:
    """Make an array of the bytes of an ``.npy`` file."""
    stream = io.BytesIO(raw)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array is of another version of the format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    start = stream.tell()
    if dtype.hasobject or fortran or prod(shape) * dtype.itemsize != len(raw) - start:
        raise ValueError("an array and what its header says of it do not agree")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).copy()


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk too; not every system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
