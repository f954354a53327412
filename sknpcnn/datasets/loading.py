"""What all loaders share: the part that is asked for, the file it is in, the form of the answer."""

import os
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from sklearn.utils import Bunch

from sknpcnn.brief import brief
from sknpcnn.checks import plain_word
from sknpcnn.files import check_regular, open_regular

Array = np.ndarray
Name = str | PathLike[str]

PARTS = {"train": ("train",), "test": ("test",), "all": ("train", "test")}


def parts_of(split: str) -> tuple[str, ...]:
    """Decide which parts of a set of data are wanted."""
    return PARTS[check_word("split", split, tuple(PARTS))]


def check_word(name: str, word: Any, words: tuple[str, ...]) -> str:
    """Return a parameter that is one of these words, or raise."""
    found = plain_word(word, words)
    if found is None:
        *others, last = map(repr, words)
        raise ValueError(f"{name}={brief(word)}; needed: {', '.join(others)} or {last}.")
    return found


def find(folder: Name, *names: str) -> Path:
    """Find a file that goes by several names."""
    home = Path(folder).expanduser()
    for name in names:
        if (home / name).is_file():
            return home / name
    for name in names:
        if (home / name).exists():
            check_regular(home / name, (home / name).stat())
    there = "holds no" if home.is_dir() else "is not a folder; needed: one that holds"
    raise FileNotFoundError(
        f"{home} {there} {' or '.join(names)}. Give the folder with the files in it."
    )


def size_of(file: BinaryIO) -> int:
    """Return the length of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def read_file(path: Path, max_size: int | None = None) -> bytes:
    """Read a whole file, or raise if it is longer than what it should hold can be."""
    with open_regular(path) as file:
        size = size_of(file)
        if max_size is not None and size > max_size:
            raise ValueError(f"{path}: has {size} bytes; needed: at most {max_size}.")
        return file.read(size)


def answer(
    data: Array, target: Array, names: list[str], descr: str, return_X_y: bool, **more: Any
) -> Any:
    """Return what every loader returns: a Bunch, or two arrays."""
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, target_names=names, DESCR=descr, **more)
