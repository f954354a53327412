"""What all loaders share: the part that is asked for, the file it is in, the form of the answer."""

import os
import stat
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from sklearn.utils import Bunch

Array = np.ndarray
Name = str | PathLike[str]

PARTS = {"train": ("train",), "test": ("test",), "all": ("train", "test")}


def parts_of(split: str) -> tuple[str, ...]:
    """Decide which parts of a set of data are wanted."""
    if not (isinstance(split, str) and split in PARTS):
        raise ValueError(f"split={split!r}; needed: 'train', 'test' or 'all'.")
    return PARTS[split]


def find(folder: Name, *names: str) -> Path:
    """Find a file that goes by several names."""
    home = Path(folder).expanduser()
    for name in names:
        if (home / name).is_file():
            return home / name
    for name in names:
        if (home / name).exists():
            _check_regular(home / name, (home / name).stat().st_mode)
    there = "holds no" if home.is_dir() else "is not a folder; needed: one that holds"
    raise FileNotFoundError(
        f"{home} {there} {' or '.join(names)}. Give the folder with the files in it."
    )


def open_file(path: Path) -> BinaryIO:
    """Open a regular file; raise if it is a pipe, a device or the like, which may have no end."""
    _check_regular(path, path.stat().st_mode)  # first: opening a device may already do something
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    try:
        _check_regular(path, os.fstat(file.fileno()).st_mode)  # it may have been exchanged
    except ValueError:
        file.close()
        raise
    return file


def size_of(file: BinaryIO) -> int:
    """Return the length of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def read_file(path: Path, max_size: int | None = None) -> bytes:
    """Read a whole file, or raise if it is longer than what it should hold can be."""
    with open_file(path) as file:
        size = size_of(file)
        if max_size is not None and size > max_size:
            raise ValueError(f"{path}: has {size} bytes; needed: at most {max_size}.")
        return file.read(size)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting, as a pipe would, for somebody who writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {
        "a folder": stat.S_ISDIR,
        "a named pipe": stat.S_ISFIFO,
        "a socket": stat.S_ISSOCK,
        "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
    }
    kind = next((kind for kind, is_such in kinds.items() if is_such(mode)), "something else")
    raise ValueError(f"{path}: is {kind}; needed: a regular file.")


def answer(
    data: Array, target: Array, names: list[str], descr: str, return_X_y: bool, **more: Any
) -> Any:
    """Return what every loader returns: a Bunch, or two arrays."""
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, target_names=names, DESCR=descr, **more)
