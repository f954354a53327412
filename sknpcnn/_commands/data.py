"""Reads the data that a command names: a folder of images, arrays in a file, or a table."""

from argparse import Namespace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sknpcnn.datasets import load_image_folder

Array = np.ndarray

IMAGES, LABELS = ("X", "images", "data"), ("y", "labels", "target")
"""What arrays and columns are called that hold images and their labels."""


class CommandError(Exception):
    """What a command ends with, for the user to read."""


class Data(NamedTuple):
    """Images or rows, and their labels."""

    X: Any
    y: Array


def read_data(given: str, options: Namespace) -> Data:
    """Read a folder with a folder of images for each class, an .npz, or a .csv."""
    path = Path(given)
    if path.is_dir():
        size = options.size
        X, y = load_image_folder(
            path, size=size, color=options.color, labels="names", return_X_y=True, errors="warn"
        )
        return Data(X, np.asarray(y))
    if path.suffix == ".npz":
        return _read_arrays(path)
    if path.suffix == ".csv":
        return _read_table(path, options.label)
    raise CommandError(
        f"{given} is no data; needed: a folder with a folder of images for each class, an .npz "
        "with the arrays X and y, or a .csv."
    )


def _read_arrays(path: Path) -> Data:
    with np.load(path, allow_pickle=False) as file:
        found = [next((n for n in names if n in file), None) for names in (IMAGES, LABELS)]
        if None in found:
            raise CommandError(
                f"{path} holds the arrays {', '.join(file)}; needed: X and y, images and labels."
            )
        X, y = (file[name] for name in found)
    return Data(X, y)


def _read_table(path: Path, label: str | None) -> Data:
    import pandas as pd

    table = pd.read_csv(path)
    if label is None:
        known = [name for name in table.columns if name.lower() in ("label", "class", *LABELS)]
        label = known[0] if known else table.columns[-1]
    if label not in table:
        raise CommandError(f"{path} has no column {label!r}; it has {', '.join(table.columns)}.")
    return Data(table.drop(columns=label), table[label].to_numpy())
