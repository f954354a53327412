"""Memory with a known owner, so that a tape knows which arrays keep their address.

Every view in NumPy refers to its base. At the end of that chain is the array that owns the memory,
and its type says who allocated it.
"""

from typing import Any

import numpy as np

CONSTANT = object()
"""The owner of arrays that never change and that all engines share."""


class Memory(np.ndarray):
    """A block of bytes that knows its owner; callers get plain views of it."""

    __slots__ = ("owner",)

    owner: Any


def allocate(size: int, owner: Any) -> Memory:
    """Allocate a block of ``size`` bytes that belongs to an owner."""
    block = Memory((size,), np.uint8)
    block.owner = owner
    return block


base_of = np.ndarray.base.__get__  # also where a subclass overrides it


def root_of(array: np.ndarray) -> np.ndarray:
    """Return the array that owns the memory of a view."""
    while isinstance(base := base_of(array), np.ndarray):
        array = base
    return array


def owner_of(array: np.ndarray) -> Any:
    """Return the owner of an array's memory; None for memory that NumPy allocated itself."""
    return getattr(root_of(array), "owner", None)


def disown(array: np.ndarray) -> None:
    """Remove the owner of an array's memory."""
    root = root_of(array)
    if isinstance(root, Memory):
        root.owner = None


def constant(values: np.ndarray) -> np.ndarray:
    """Copy values into read-only memory that all engines share."""
    block = allocate(values.nbytes, CONSTANT)
    array = block.view(np.ndarray).view(values.dtype).reshape(values.shape)
    array[...] = values
    block.flags.writeable = array.flags.writeable = False
    return array
