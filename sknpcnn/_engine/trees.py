"""Arrays in trees, by the names of layers and parameters, and in stacks; see ``layers.forks``."""

from typing import Any

import numpy as np

from sknpcnn.layers.base import Array, Arrays


def unflatten(tree: Arrays, row: Array) -> tuple[dict[str, Any], Array]:
    """View a row of elements as a tree of arrays; also return the rest of the row."""
    views: dict[str, Any] = {}
    for name, branch in tree.items():
        if isinstance(branch, np.ndarray):
            views[name] = row[: branch.size].reshape(branch.shape)
            row = row[branch.size :]
        else:
            views[name], row = unflatten(branch, row)
    return views, row


def find(tree: Arrays, path: tuple[str, ...]) -> Any:
    """Follow a path into a tree of arrays; nothing is an empty tree."""
    for name in path:
        tree = tree.get(name, {})
    return tree


def place(tree: dict[str, Any], path: tuple[str, ...], arrays: Arrays) -> None:
    """Put arrays into a tree, besides what is there already."""
    for name in path:
        tree = tree.setdefault(name, {})
    tree.update(arrays)


def divide(arrays: Any, n: int) -> tuple[Any, tuple[Array, ...]]:
    """Take n arrays from the top of a stack: an array alone, several as a tuple."""
    if not isinstance(arrays, tuple):
        return arrays, ()
    return arrays[0] if n == 1 else arrays[:n], arrays[n:]


def stack(top: Any, below: tuple[Array, ...]) -> Any:
    """Put an array, or several as a tuple, on top of a stack; an array alone needs none."""
    if not below:
        return top
    return (*top, *below) if isinstance(top, tuple) else (top, *below)
