"""Common code of the loaders: the parts of a split, finding files, and the form of results."""

import os
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from sklearn.utils import Bunch

from sknpcnn._storage.files import check_regular, open_regular
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import plain_word

Array = np.ndarray
Name = str | PathLike[str]

PARTS = {"train": ("train",), "test": ("test",), "all": ("train", "test")}


def parts_of(split: str) -> tuple[str, ...]:
    """Return the parts of a data set that a split consists of."""
    return PARTS[check_word("split", split, tuple(PARTS))]


def check_word(name: str, word: Any, words: tuple[str, ...]) -> str:
    """Return a parameter if it is one of ``words``, else raise."""
    found = plain_word(word, words)
    if found is None:
        *others, last = map(repr, words)
        raise ValueError(f"{name}={brief(word)}; needed: {', '.join(others)} or {last}.")
    return found


def find(folder: Name, *names: str) -> Path:
    """Return the path of the first of several names that exists in a folder."""
    home = Path(folder).expanduser()
    for name in names:
        if (home / name).is_file():
            return home / name
    for name in names:
        if (home / name).exists():
            check_regular(home / name, (home / name).stat())
    problem = "holds no" if home.is_dir() else "is not a folder; needed: one that holds"
    raise FileNotFoundError(
        f"{home} {problem} {' or '.join(names)}. Give the folder with the files in it."
    )


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def read_file(path: Path, max_size: int | None = None) -> bytes:
    """Read a whole file; raise if it is larger than ``max_size``."""
    with open_regular(path) as file:
        size = size_of(file)
        if max_size is not None and size > max_size:
            raise ValueError(f"{path}: has {size} bytes; needed: at most {max_size}.")
        return file.read(size)


def bunch_or_arrays(
    data: Array, target: Array, names: list[str], descr: str, return_X_y: bool, **more: Any
) -> Any:
    """Return the result of a loader: a Bunch, or two arrays."""
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, target_names=names, DESCR=descr, **more)
