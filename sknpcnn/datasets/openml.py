"""Well-known image data sets, downloaded from OpenML through scikit-learn's cache."""

from typing import Any

import numpy as np

from sknpcnn.datasets.cifar import CLASSES, to_images
from sknpcnn.datasets.idx import DIGITS, FASHION
from sknpcnn.datasets.loading import Array, Name, bunch_or_arrays, parts_of

# How many of OpenML's rows are training samples, and how many of the following test samples.
ROWS = {
    "mnist_784": (60_000, 10_000),
    "Fashion-MNIST": (60_000, 10_000),
    "CIFAR_10": (50_000, 10_000),
}


def fetch_mnist(
    *,
    split: str = "train",
    data_home: Name | None = None,
    return_X_y: bool = False,
    cache: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Any:
    """Fetch MNIST from OpenML, or from scikit-learn's cache if it was fetched before.

    Parameters
    ----------
    split : {"train", "test", "all"}, default="train"
        Which part to return; "all" is the training images followed by the test images. The cache
        stores both.
    data_home : str or path, default=None
        Where scikit-learn stores its downloads, see ``sklearn.datasets.get_data_home``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    cache : bool, default=True
        Whether to store what is downloaded.
    n_retries : int, default=3
        Number of retries when the network fails.
    delay : float, default=1.0
        Seconds between retries.

    Returns
    -------
    Bunch or (data, target)
        As from ``load_mnist``; ``DESCR`` is OpenML's.

    Examples
    --------
    >>> from sknpcnn.datasets import fetch_mnist
    >>> X, y = fetch_mnist(split="test", return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (10000, 28, 28)
    >>> fetch_mnist(split="validation")
    Traceback (most recent call last):
        ...
    ValueError: split='validation'; needed: 'train', 'test' or 'all'.
    """
    found = _fetch("mnist_784", 784, split, data_home, cache, n_retries, delay)
    return _gray(found, DIGITS, return_X_y)


def fetch_fashion_mnist(
    *,
    split: str = "train",
    data_home: Name | None = None,
    return_X_y: bool = False,
    cache: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Any:
    """Fetch Fashion-MNIST from OpenML, or from scikit-learn's cache if it was fetched before.

    Parameters
    ----------
    split : {"train", "test", "all"}, default="train"
        Which part to return; "all" is the training images followed by the test images. The cache
        stores both.
    data_home : str or path, default=None
        Where scikit-learn stores its downloads, see ``sklearn.datasets.get_data_home``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    cache : bool, default=True
        Whether to store what is downloaded.
    n_retries : int, default=3
        Number of retries when the network fails.
    delay : float, default=1.0
        Seconds between retries.

    Returns
    -------
    Bunch or (data, target)
        As from ``load_fashion_mnist``; ``DESCR`` is OpenML's.

    Examples
    --------
    >>> from sknpcnn.datasets import fetch_fashion_mnist
    >>> X, y = fetch_fashion_mnist(split="test", return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (10000, 28, 28)
    >>> fetch_fashion_mnist(split="validation")
    Traceback (most recent call last):
        ...
    ValueError: split='validation'; needed: 'train', 'test' or 'all'.
    """
    found = _fetch("Fashion-MNIST", 784, split, data_home, cache, n_retries, delay)
    return _gray(found, FASHION, return_X_y)


def fetch_cifar10(
    *,
    split: str = "train",
    data_home: Name | None = None,
    return_X_y: bool = False,
    cache: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Any:
    """Fetch CIFAR-10 from OpenML, or from scikit-learn's cache if it was fetched before.

    OpenML stores it as text, which takes minutes and gigabytes of memory to parse, every time;
    ``load_cifar10`` reads the original files in seconds.

    Parameters
    ----------
    split : {"train", "test", "all"}, default="train"
        Which part to return; "all" is the training images followed by the test images. The cache
        stores both.
    data_home : str or path, default=None
        Where scikit-learn stores its downloads, see ``sklearn.datasets.get_data_home``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    cache : bool, default=True
        Whether to store what is downloaded.
    n_retries : int, default=3
        Number of retries when the network fails.
    delay : float, default=1.0
        Seconds between retries.

    Returns
    -------
    Bunch or (data, target)
        As from ``load_cifar10``; ``DESCR`` is OpenML's.

    Examples
    --------
    >>> from sknpcnn.datasets import fetch_cifar10
    >>> X, y = fetch_cifar10(split="test", return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (10000, 32, 32, 3)
    >>> fetch_cifar10(split="validation")
    Traceback (most recent call last):
        ...
    ValueError: split='validation'; needed: 'train', 'test' or 'all'.
    """
    rows, target, descr = _fetch("CIFAR_10", 3072, split, data_home, cache, n_retries, delay)
    return bunch_or_arrays(to_images(rows), target, list(CLASSES), descr, return_X_y)


def _gray(found: tuple[Array, Array, str], names: list[str], return_X_y: bool) -> Any:
    rows, target, descr = found
    return bunch_or_arrays(rows.reshape(-1, 28, 28), target, list(names), descr, return_X_y)


def _fetch(
    name: str,
    n_features: int,
    split: str,
    data_home: Name | None,
    cache: bool,
    n_retries: int,
    delay: float,
) -> tuple[Array, Array, str]:
    parts = parts_of(split)
    from sklearn.datasets import fetch_openml  # late: a slow import

    # Pixels take half the memory this way. Labels, in the last column, are categories in OpenML,
    # which pandas 3.1 parses as integers, and scikit-learn 1.9.1 fails on these (its issue 34892).
    dtypes = {**dict.fromkeys(range(n_features), np.float32), n_features: str}
    try:
        found = fetch_openml(
            name,
            version=1,
            data_home=data_home,
            cache=cache,
            as_frame=False,
            parser="pandas",
            read_csv_kwargs={"dtype": dtypes},
            n_retries=n_retries,
            delay=delay,
        )
    except OSError as error:  # network errors among others
        error.add_note(
            f"{name} could not be fetched from openml.org. Without the internet, load_mnist, "
            "load_fashion_mnist and load_cifar10 read the original files from a folder."
        )
        raise
    n_train, n_test = ROWS[name]
    if found.data.shape != (n_train + n_test, n_features):
        raise ValueError(
            f"{name} from {found.url} has the shape {found.data.shape}; needed: "
            f"{(n_train + n_test, n_features)}."
        )
    start = 0 if "train" in parts else n_train
    stop = n_train + n_test if "test" in parts else n_train
    return (
        _pixels(name, found.data[start:stop]),
        _labels(name, found.target[start:stop]),
        found.DESCR,
    )


def _pixels(name: str, values: Array) -> Array:
    with np.errstate(invalid="ignore"):  # the comparison below finds invalid values
        pixels = values.astype(np.uint8, order="C")
    if not np.array_equal(pixels, values):
        raise ValueError(f"{name}: holds pixels that are not integers from 0 to 255.")
    return pixels


def _labels(name: str, values: Array) -> Array:
    labels = np.char.strip(values.astype(str), "'")
    if not np.isin(labels, DIGITS).all():
        raise ValueError(f"{name}: holds labels that are not integers from 0 to 9.")
    return labels.astype(np.int64)
