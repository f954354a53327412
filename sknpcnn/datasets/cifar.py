"""CIFAR-10 from its original files, of the python version (pickles) or the binary version."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from sknpcnn.datasets import cifar_pickle
from sknpcnn.datasets.loading import Array, Name, bunch_or_arrays, find, parts_of, read_file

CLASSES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
DESCR = (
    "CIFAR-10: 50,000 training and 10,000 test images of ten kinds of things, 32 x 32, in color.\n"
    "A. Krizhevsky: Learning multiple layers of features from tiny images, 2009."
)

_BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
_PIXELS = 3 * 32 * 32
_MAX_META_SIZE = 2**16  # of the file with the names of ten classes


def load_cifar10(folder: Name, *, split: str = "train", return_X_y: bool = False) -> Any:
    """Load CIFAR-10 from the files of its python version or of its binary version.

    The python version consists of pickles, which may execute any code when they are loaded. Here an
    interpreter reads them that knows only arrays, lists, numbers, bytes and strings, executes
    nothing, and takes time and memory of a small multiple of the size of the file.

    Parameters
    ----------
    folder : str or path
        Where ``data_batch_1`` to ``data_batch_5`` and ``test_batch`` are, or the same with
        ``.bin``: the folder ``cifar-10-batches-py`` or ``cifar-10-batches-bin`` of the archive.
    split : {"train", "test", "all"}, default="train"
        Which part to load; "all" is the training images followed by the test images.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or (data, target)
        ``data``, uint8 images (n, 32, 32, 3); ``target``, int64 classes 0 to 9 (n,);
        ``target_names``, the names of the classes, from ``batches.meta`` or ``batches.meta.txt`` if
        there is one; ``DESCR``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sknpcnn.datasets import load_cifar10
    >>> with tempfile.TemporaryDirectory() as folder:  # a green image, said to be a frog
    ...     image = bytes(1024) + bytes([255]) * 1024 + bytes(1024)
    ...     _ = Path(folder, "test_batch.bin").write_bytes(bytes([6]) + image)
    ...     frogs = load_cifar10(folder, split="test")
    >>> frogs.data.shape, frogs.data[0, 0, 0].tolist()
    ((1, 32, 32, 3), [0, 255, 0])
    >>> frogs.target_names[frogs.target[0]]
    'frog'
    """
    names = [name for part in parts_of(split) for name in _BATCHES[part]]
    paths = [find(folder, name, f"{name}.bin") for name in names]
    class_names = _class_names(paths[0])
    batches = [_read(path) for path in paths]
    _check_lengths(paths, [len(labels) for _, labels in batches])
    data, target = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return bunch_or_arrays(data, target, class_names, DESCR, return_X_y)


def to_images(rows: Array) -> Array:
    """Convert rows (n, 3072), all red pixels first, then green, then blue, to images."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _read(path: Path) -> tuple[Array, Array]:
    rows, labels = _read_binary(path) if path.suffix else _read_pickle(path)
    return to_images(rows), labels  # a copy: rows are views of the content of the file


def _read_pickle(path: Path) -> tuple[Array, Array]:
    content = cifar_pickle.read_batch(path)
    if not {"data", "labels"} <= set(content):
        raise ValueError(
            f"{path}: holds {', '.join(content)[:200] or 'nothing'}; needed: data and labels, as "
            "in a batch of CIFAR-10."
        )
    rows, labels = content["data"], content["labels"]
    if not isinstance(rows, np.ndarray) or rows.shape[1] != _PIXELS:
        what = f"an array of shape {rows.shape}" if isinstance(rows, np.ndarray) else "not an array"
        raise ValueError(f"{path}: its data are {what}; needed: (n, {_PIXELS}).")
    if type(labels) is not list or not all(type(label) is int for label in labels):
        raise ValueError(f"{path}: its labels are not a list of integers, which is needed.")
    if len(labels) != len(rows) or not labels:
        raise ValueError(
            f"{path}: holds {len(rows)} images and {len(labels)} labels; needed: as many labels as "
            "images, and at least one."
        )
    return rows, _checked(path, np.array(labels))


def _read_binary(path: Path) -> tuple[Array, Array]:
    content = np.frombuffer(read_file(path), np.uint8)
    if len(content) == 0 or len(content) % (1 + _PIXELS):
        raise ValueError(
            f"{path}: has {len(content)} bytes; needed: a multiple of {1 + _PIXELS}, a label and "
            "an image at a time. Get a fresh copy of the file."
        )
    table = content.reshape(-1, 1 + _PIXELS)
    return table[:, 1:], _checked(path, table[:, 0])


def _check_lengths(paths: list[Path], lengths: list[int]) -> None:
    """Raise if a training batch is shorter than the others, truncated between two images."""
    training = [
        (n, path) for n, path in zip(lengths, paths, strict=True) if "test" not in path.name
    ]
    if training and min(training)[0] != max(training)[0]:
        (short, path), (long, other) = min(training), max(training)
        raise ValueError(
            f"{path}: holds {short} images, but {other.name} {long}; needed: the same number in "
            "all batches of training data. Get a fresh copy of the file."
        )


def _checked(path: Path, labels: Array) -> Array:
    wrong = np.flatnonzero((labels < 0) | (labels > 9))
    if len(wrong):
        raise ValueError(f"{path}: label {wrong[0]} is {labels[wrong[0]]}; needed: 0 to 9.")
    return labels.astype(np.int64)


def _class_names(batch: Path) -> list[str]:
    """Return the names of the classes, from the file next to a batch if there is one."""
    path = batch.with_name("batches.meta.txt" if batch.suffix else "batches.meta")
    if not os.path.lexists(path):
        return list(CLASSES)
    names = _lines(path) if batch.suffix else _label_names(path)
    names = [str(name, "utf-8", "replace") if type(name) is bytes else name for name in names]
    valid = len(names) == 10 and all(type(name) is str and name for name in names)
    if not valid or len(set(names)) != 10:
        raise ValueError(f"{path}: needed: the names of 10 classes, all different.")
    return names


def _lines(path: Path) -> list[Any]:
    return [line.strip() for line in read_file(path, _MAX_META_SIZE).splitlines() if line.strip()]


def _label_names(path: Path) -> list[Any]:
    names = cifar_pickle.read_batch(path, _MAX_META_SIZE).get("label_names")
    if type(names) is not list:
        raise ValueError(f"{path}: holds no list called label_names, which is needed.")
    return names
