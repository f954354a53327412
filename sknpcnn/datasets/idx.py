"""MNIST and other data sets in IDX files, which are byte arrays with a header."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from sknpcnn._storage.files import open_regular
from sknpcnn.datasets.loading import Array, Name, bunch_or_arrays, find, parts_of, size_of

DIGITS = [str(digit) for digit in range(10)]
FASHION = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]

MNIST_DESCR = (
    "MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28, gray.\n"
    "Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits, 1998."
)
FASHION_DESCR = (
    "Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28 x 28, gray.\n"
    "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a novel image dataset for benchmarking "
    "machine learning algorithms, 2017."
)

_STEMS = {"train": "train", "test": "t10k"}
_DIMENSIONS = {"images": (3, 4), "labels": (1,)}
_BYTES_EACH = {"images": 1, "labels": 8}  # in memory
_CHUNK = 2**20

# A compressed file may unpack to this size in any case, or else to a multiple of its own size.
# MNIST is five times as large as its files; black images would be a thousand times as large.
MAX_RATIO, ALLOWED_SIZE = 100, 2**26


def load_mnist(folder: Name, *, split: str = "train", return_X_y: bool = False) -> Any:
    """Load MNIST from its four original files, compressed or not.

    Parameters
    ----------
    folder : str or path
        Where ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte``
        and ``t10k-labels-idx1-ubyte`` are, with or without ``.gz``. Names such as
        ``train-images.idx3-ubyte`` are also accepted.
    split : {"train", "test", "all"}, default="train"
        Which part to load; "all" is the training images followed by the test images.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or (data, target)
        ``data``, uint8 images (n, 28, 28); ``target``, int64 digits (n,); ``target_names``, the
        ten digits as strings; ``DESCR``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sknpcnn.datasets import load_mnist
    >>> with tempfile.TemporaryDirectory() as folder:  # two black images, a "7" and a "2"
    ...     images, labels = bytes([0, 0, 8, 3, 0, 0, 0, 2]), bytes([0, 0, 8, 1, 0, 0, 0, 2])
    ...     images += bytes([0, 0, 0, 28, 0, 0, 0, 28]) + bytes(2 * 28 * 28)
    ...     _ = Path(folder, "train-images-idx3-ubyte").write_bytes(images)
    ...     _ = Path(folder, "train-labels-idx1-ubyte").write_bytes(labels + bytes([7, 2]))
    ...     X, y = load_mnist(folder, return_X_y=True)
    >>> X.shape, X.dtype, y
    ((2, 28, 28), dtype('uint8'), array([7, 2]))
    """
    return _load(folder, split, DIGITS, MNIST_DESCR, return_X_y)


def load_fashion_mnist(folder: Name, *, split: str = "train", return_X_y: bool = False) -> Any:
    """Load Fashion-MNIST, whose four files are named like those of MNIST.

    Parameters
    ----------
    folder : str or path
        Where the files are; see ``load_mnist``.
    split : {"train", "test", "all"}, default="train"
        Which part to load; "all" is the training images followed by the test images.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or (data, target)
        ``data``, uint8 images (n, 28, 28); ``target``, int64 classes 0 to 9 (n,);
        ``target_names``, the names of the classes, "T-shirt/top" to "Ankle boot"; ``DESCR``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sknpcnn.datasets import load_fashion_mnist
    >>> with tempfile.TemporaryDirectory() as folder:  # a black image, said to be a bag
    ...     images, labels = bytes([0, 0, 8, 3, 0, 0, 0, 1]), bytes([0, 0, 8, 1, 0, 0, 0, 1])
    ...     images += bytes([0, 0, 0, 28, 0, 0, 0, 28]) + bytes(28 * 28)
    ...     _ = Path(folder, "t10k-images-idx3-ubyte").write_bytes(images)
    ...     _ = Path(folder, "t10k-labels-idx1-ubyte").write_bytes(labels + bytes([8]))
    ...     clothes = load_fashion_mnist(folder, split="test")
    >>> clothes.target_names[clothes.target[0]]
    'Bag'
    """
    return _load(folder, split, FASHION, FASHION_DESCR, return_X_y)


def load_idx(images: Name, labels: Name, *, return_X_y: bool = False) -> Any:
    """Load any pair of IDX files, such as those of KMNIST, EMNIST or QMNIST.

    Parameters
    ----------
    images : str or path
        An IDX file of bytes with 3 or 4 dimensions, possibly compressed with gzip.
    labels : str or path
        An IDX file of bytes with 1 dimension: any integers from 0 to 255. A compressed file may
        unpack to 64 MiB, or to a hundred times its own size if that is more.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or (data, target)
        ``data``, uint8 images (n, h, w) or (n, h, w, channels); ``target``, int64 labels (n,) as in
        the file; ``target_names``, the distinct labels as strings, sorted like the ``classes_`` of
        a classifier; ``DESCR``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sknpcnn.datasets import load_idx
    >>> with tempfile.TemporaryDirectory() as folder:  # one image of 1 x 2 pixels
    ...     images, labels = Path(folder, "images"), Path(folder, "labels")
    ...     shape = bytes([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2])
    ...     _ = images.write_bytes(bytes([0, 0, 8, 3]) + shape + bytes([10, 20]))
    ...     _ = labels.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1]) + bytes([26]))
    ...     letters = load_idx(images, labels)
    >>> letters.data
    array([[[10, 20]]], dtype=uint8)
    >>> letters.target, letters.target_names
    (array([26]), ['26'])
    """
    paths = Path(images).expanduser(), Path(labels).expanduser()
    data, target = _read_pair(*paths)
    names = [str(label) for label in np.unique(target)]
    return bunch_or_arrays(
        data, target, names, f"Images from {paths[0]}, labels from {paths[1]}.", return_X_y
    )


def _load(folder: Name, split: str, names: list[str], descr: str, return_X_y: bool) -> Any:
    parts = [_part(folder, _STEMS[part]) for part in parts_of(split)]
    data, target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return bunch_or_arrays(data, target, list(names), descr, return_X_y)


def _part(folder: Name, stem: str) -> tuple[Array, Array]:
    images, labels = _find(folder, f"{stem}-images", 3), _find(folder, f"{stem}-labels", 1)
    data, target = _read_pair(images, labels)
    if data.shape[1:] != (28, 28):
        raise ValueError(
            f"{images}: holds images of shape {data.shape[1:]}; needed: (28, 28). For other images "
            "use load_idx."
        )
    if target.max() > 9:
        first = int(np.argmax(target > 9))
        raise ValueError(
            f"{labels}: label {first} is {target[first]}; needed: 0 to 9. For other labels use "
            "load_idx."
        )
    return data, target


def _find(folder: Name, stem: str, dimensions: int) -> Path:
    plain = [f"{stem}{sign}idx{dimensions}-ubyte" for sign in "-."]
    return find(folder, *plain, *(f"{name}.gz" for name in plain))


def _read_pair(images: Path, labels: Path) -> tuple[Array, Array]:
    """Read two files: both headers, then the labels, then an image for each label."""
    with open_regular(images) as image_file, open_regular(labels) as label_file:
        image_content, label_content = _unpacked(image_file), _unpacked(label_file)
        with _named_errors(images):
            shape = _read_header(images, image_content, "images")
        with _named_errors(labels):
            (n_labels,) = _read_header(labels, label_content, "labels")
        if shape[0] != n_labels:
            raise ValueError(
                f"{images} holds {shape[0]} images, but {labels} holds {n_labels} labels; needed: "
                "two files of the same set."
            )
        _check_size(images, image_file, image_content, shape, "images")
        _check_size(labels, label_file, label_content, (n_labels,), "labels")
        with _named_errors(labels):
            target = _read_array(labels, label_content, (n_labels,), "labels")
        with _named_errors(images):
            data = _read_array(images, image_content, shape, "images")
    return data, target.astype(np.int64)


def _unpacked(file: BinaryIO) -> BinaryIO:
    """Unpack a file if its content is compressed: some .gz files are not."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Raise an error with the name of the file if it turns out truncated or corrupt."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path}: is truncated or corrupt ({error}); needed: a fresh copy of the file."
        ) from error


def _check_size(
    path: Path, file: BinaryIO, content: BinaryIO, shape: tuple[int, ...], kind: str
) -> None:
    """Raise if a header claims more than its file can hold, before memory is allocated."""
    n, length = prod(shape), size_of(file)
    if content is file:
        _check_length(path, shape, kind, length - content.tell())
    elif n * _BYTES_EACH[kind] > ALLOWED_SIZE + MAX_RATIO * length:
        raise ValueError(
            f"{path}: its header declares {kind} of shape {shape}, {n} bytes, from {length} "
            f"compressed ones; needed: at most {MAX_RATIO} times as many, or {ALLOWED_SIZE} in "
            "memory. If you trust the file, unpack it with gunzip first."
        )


def _check_length(path: Path, shape: tuple[int, ...], kind: str, held: int) -> None:
    if held != prod(shape):
        follow = "more" if held > prod(shape) else f"only {held}"
        raise ValueError(
            f"{path}: its header declares {kind} of shape {shape}, {prod(shape)} bytes, but "
            f"{follow} follow; needed: a fresh copy of the file."
        )


def _read_array(path: Path, content: BinaryIO, shape: tuple[int, ...], kind: str) -> Array:
    held = _read_up_to(prod(shape) + 1, content)
    _check_length(path, shape, kind, len(held))
    return np.frombuffer(held, np.uint8).reshape(shape)


def _read_header(path: Path, file: BinaryIO, kind: str) -> tuple[int, ...]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08":
        raise ValueError(
            f"{path}: begins with the bytes {magic.hex(' ') or '(none)'}; needed: an IDX file of "
            "bytes, which begins with 00 00 08 and the number of dimensions."
        )
    wanted = _DIMENSIONS[kind]
    if magic[3] not in wanted:
        raise ValueError(
            f"{path}: holds an array of {magic[3]} dimensions; needed: {kind}, which have "
            f"{' or '.join(map(str, wanted))}. Images and labels may have been swapped."
        )
    sizes = file.read(4 * magic[3])
    shape = tuple(np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4").tolist())
    if len(shape) < magic[3] or 0 in shape:
        raise ValueError(
            f"{path}: its header says that the {kind} have the shape {shape}; needed: "
            f"{magic[3]} sizes above 0."
        )
    return shape


def _read_up_to(size: int, file: BinaryIO) -> bytearray:
    """Read up to ``size`` bytes, without allocating more than the file has."""
    content = bytearray()
    while len(content) < size and (chunk := file.read(min(_CHUNK, size - len(content)))):
        content += chunk
    return content
