"""Data that several tests share."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # for HalvingGridSearchCV
from sklearn.model_selection import train_test_split
from threadpoolctl import ThreadpoolController

from sknpcnn.datasets import load_mnist
from tests.datasets.files import write
from tests.engine.threads import blas_threads

# What a shell runs in the background ignores Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def few_processes(monkeypatch):
    """Long fits start worker processes only in tests that ask for them."""
    for name in ("SECONDS_TO_START", "SECONDS_TO_SHARE"):
        monkeypatch.setattr(f"sknpcnn._engine.workers.{name}", np.inf)


@pytest.fixture(scope="session")
def digits():
    """Scikit-learn's digits as flat float64 rows: X_train, X_test, y_train, y_test."""
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    for part in parts:
        part.flags.writeable = False
    return parts


@pytest.fixture(scope="session")
def data(digits):
    """A few of them, for tests that fit many times."""
    X, _, y, _ = digits
    return X[:300], y[:300]


@pytest.fixture(scope="session")
def float_digits(digits):
    """More of them, in float32, which are not copied."""
    X, _, y, _ = digits
    return X[:600].astype("float32"), y[:600]


@pytest.fixture
def pets(tmp_path):
    """Three images of 4 x 6 pixels in two classes, written in another order than that of names."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(3, 4, 6, 3)).astype(np.uint8)
    write(tmp_path / "dog" / "a.png", images[2])
    write(tmp_path / "cat" / "b.png", images[1])
    write(tmp_path / "cat" / "a.bmp", images[0])
    return tmp_path, images


@pytest.fixture
def three():
    """What a BLAS of three threads shows, on any machine."""
    with ThreadpoolController().limit(limits=3, user_api="blas"):
        threads = blas_threads()
        if not threads or set(threads) != {3}:
            pytest.skip("this BLAS cannot be told how many threads to use")
        yield threads


@pytest.fixture(scope="session")
def mnist_folder():
    """The folder with the four files of MNIST, or None if there is none."""
    data = os.environ.get("SKNPCNN_DATA", Path(__file__).parents[2] / "shared" / "data")
    folder = Path(data) / "mnist"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def mnist(mnist_folder):
    """Real MNIST as uint8 images, if a folder with the IDX files is available."""
    if mnist_folder is None:
        pytest.skip("MNIST is not here; SKNPCNN_DATA may name the folder that holds mnist/")

    images, labels = zip(
        *(load_mnist(mnist_folder, split=split, return_X_y=True) for split in ("train", "test")),
        strict=True,
    )
    return *images, *labels
