"""Data that several tests share."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


@pytest.fixture(scope="session")
def digits():
    """Scikit-learn's digits as flat float64 rows: X_train, X_test, y_train, y_test."""
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    for part in parts:
        part.flags.writeable = False
    return parts


@pytest.fixture(scope="session")
def mnist():
    """Real MNIST as uint8 images, where a folder with the IDX files is at hand."""
    folder = Path(os.environ.get("SKNPCNN_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "mnist").is_dir():
        pytest.skip("MNIST is not here; SKNPCNN_DATA may name the folder that holds mnist/")

    import gzip

    def read(name, header):
        with gzip.open(folder / "mnist" / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    return (
        read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28),
        read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28),
        read("train-labels-idx1-ubyte.gz", 8),
        read("t10k-labels-idx1-ubyte.gz", 8),
    )
