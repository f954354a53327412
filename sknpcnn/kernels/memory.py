"""Whose memory an array lies in: that of an engine, which stays in its place, or anybody's.

NumPy knows for every view what it is a view of. At the end of that chain lies the array that owns
the memory, and its type tells where the memory comes from.
"""

from typing import Any

import numpy as np

CONSTANT = object()
"""The owner of arrays that never change, and that are the same for everybody."""


class Memory(np.ndarray):
    """A block of bytes that knows whose it is; others see plain views of it."""

    __slots__ = ("owner",)

    owner: Any


def allocate(size: int, owner: Any) -> Memory:
    """Make a block of so many bytes that belongs to an owner."""
    block = Memory((size,), np.uint8)
    block.owner = owner
    return block


base_of = np.ndarray.base.__get__  # whatever a subclass makes of it


def root_of(array: np.ndarray) -> np.ndarray:
    """Return the array that owns the memory which another one is a view of."""
    while isinstance(base := base_of(array), np.ndarray):
        array = base
    return array


def owner_of(array: np.ndarray) -> Any:
    """Return whose the memory of an array is; None for memory that NumPy has made itself."""
    return getattr(root_of(array), "owner", None)


def disown(array: np.ndarray) -> None:
    """Note that the memory of an array belongs to nobody any more."""
    root = root_of(array)
    if isinstance(root, Memory):
        root.owner = None


def constant(values: np.ndarray) -> np.ndarray:
    """Copy values into read-only memory that everybody may rely upon."""
    block = allocate(values.nbytes, CONSTANT)
    array = block.view(np.ndarray).view(values.dtype).reshape(values.shape)
    array[...] = values
    block.flags.writeable = array.flags.writeable = False
    return array
