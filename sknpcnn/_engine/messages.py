"""What the leader of a team tells its workers: calls, whose large arrays are in shared memory."""

import pickle
from collections.abc import Callable
from io import BytesIO
from struct import Struct
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np

from sknpcnn._engine.shared import Blocks
from sknpcnn._kernels.memory import root_of

Array = np.ndarray

MIN_SHARED_BYTES = 2**14
"""Smaller arrays are part of the message."""
N_CHECKED = 2**12
"""How many elements of a file are compared, about."""
_LENGTH = Struct("<Q")


def write(pipe: BinaryIO, message: bytes) -> None:
    """Write a message to a pipe."""
    pipe.write(_LENGTH.pack(len(message)) + message)
    pipe.flush()


def read(pipe: BinaryIO) -> bytes:
    """Read a message; raise EOFError if the other process is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        message = pipe.read(length)
        if len(message) == length:
            return message
    raise EOFError


def pack(value: Any) -> bytes:
    """Pickle a value, with classes and functions of the user's script."""
    file = BytesIO()
    _pickler()(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


def dump(value: Any, blocks: Blocks) -> bytes:
    """Pickle a value likewise, but copy large arrays to blocks.

    An array that is mapped from a file is not copied: the others map that file as well.
    """

    class SharingPickler(_pickler()):  # type: ignore[misc]  # cloudpickle has no types
        def persistent_id(self, item: Any) -> Any:
            if not isinstance(item, np.ndarray) or item.dtype.hasobject:
                return None
            if item.nbytes < MIN_SHARED_BYTES:
                return None
            return _file_of(item) or _block_of(item, blocks)

    file = BytesIO()
    SharingPickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


def _pickler() -> Any:
    try:
        from cloudpickle import Pickler
    except ModuleNotFoundError:  # before joblib 1.6, which needs it, it was part of joblib
        from joblib.externals.cloudpickle import Pickler
    return Pickler


def load(message: bytes, blocks: Blocks) -> Any:
    """Unpickle what ``dump`` has made, in another process of the team."""

    class SharingUnpickler(pickle.Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            kind, shape, dtype, *rest = pid
            if kind == "file":
                path, offset, checksum = rest
                mapped = np.memmap(path, dtype, mode="r", offset=offset, shape=shape)
                if _checksum(mapped) != checksum:
                    raise ValueError(f"{path} was replaced after it had been mapped.")
                return mapped.view(np.ndarray)
            return blocks.empty(shape, dtype)

    return SharingUnpickler(BytesIO(message)).load()


def _block_of(array: Array, blocks: Blocks) -> tuple[Any, ...]:
    blocks.empty(array.shape, array.dtype)[...] = array
    return "block", array.shape, array.dtype


def _file_of(array: Array) -> tuple[Any, ...] | None:
    """Return where an array lies in a file, if it is mapped from one in one piece."""
    root = root_of(array)
    if not (isinstance(root, np.memmap) and root.filename and array.flags.c_contiguous):
        return None
    if root.mode not in ("r", "r+"):  # what is changed in "c" is not in the file
        return None
    offset = root.offset + array.ctypes.data - root.ctypes.data
    return "file", array.shape, array.dtype, str(root.filename), offset, _checksum(array)


def _checksum(array: Array) -> int:
    """Hash some of the elements: another file may have the same name by now."""
    flat = array.reshape(-1)
    return crc32(flat[:: max(flat.size // N_CHECKED, 1)].tobytes())


Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function, which is given the ``Member`` first, and its other arguments."""
