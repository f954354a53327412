"""The sets of data that the defaults are chosen on: small and large, images and tables.

Each is a pair (X, y) of all that there is, and how many samples of it a network is trained on.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from sknpcnn.datasets import load_cifar10, load_image_folder, load_mnist


@dataclass(frozen=True)
class DataSet:
    """Where the samples come from, and how they are split."""

    load: Callable[[Path], tuple[np.ndarray, np.ndarray]]
    train: int
    test: int
    splits: int = 3
    table: bool = False


def _mnist(folder):
    return load_mnist(folder / "mnist", split="all", return_X_y=True)


@cache
def _cifar10(folder):
    return load_cifar10(folder / "cifar-10-batches-py", split="all", return_X_y=True)


def _photos(size, n_classes, n):
    """Make a folder of JPEG files, a class in each folder, and load it again."""

    def load(folder):
        from PIL import Image

        X, y = _cifar10(folder)
        rng = np.random.default_rng(0)
        with tempfile.TemporaryDirectory() as home:
            for k in range(n_classes):
                place = Path(home) / str(k)
                place.mkdir()
                for i in rng.choice(np.flatnonzero(y == k), n // n_classes, replace=False):
                    side = int(rng.integers(size, 2 * size))
                    large = Image.fromarray(X[i]).resize((side, side), Image.Resampling.BICUBIC)
                    large.save(place / f"{i}.jpg", quality=85)
            found = load_image_folder(home, size=size)
        return found.data, found.target

    return load


def _shapes(size, n):
    """Draw disks, rings, squares, crosses, triangles and stripes of any size, place and color."""

    def load(folder):
        rng = np.random.default_rng(1)
        y = np.arange(n) % 6
        rows, columns = np.mgrid[:size, :size]
        images = np.empty((n, size, size, 3), np.uint8)
        for image, k in zip(images, y, strict=True):
            radius = rng.uniform(0.12, 0.3) * size
            center = rng.uniform(radius, size - radius, 2)
            turn = rng.uniform(0, 2 * np.pi)
            a, b = rows - center[0], columns - center[1]
            u, v = a * np.cos(turn) + b * np.sin(turn), b * np.cos(turn) - a * np.sin(turn)
            distance, inside = np.hypot(u, v), np.maximum(abs(u), abs(v)) < 0.85 * radius
            masks = (
                distance < radius,
                (distance < radius) & (distance > 0.6 * radius),
                inside,
                inside & (np.minimum(abs(u), abs(v)) < 0.3 * radius),
                (v > -0.5 * radius) & (v + 1.7 * abs(u) < radius),
                inside & (np.floor(u / (0.25 * radius)) % 2 == 0),
            )
            ground, color = rng.uniform(0, 255, (2, 3))
            image[...] = ground
            image[masks[k]] = color
            noise = rng.normal(0, 25, image.shape)
            image[...] = np.clip(image + noise, 0, 255)
        return images, y

    return load


def _table(load):
    return lambda folder: load(return_X_y=True)


SETS = {
    "digits": DataSet(_table(load_digits), 1198, 599),
    "MNIST 100": DataSet(_mnist, 100, 2000),
    "MNIST 1,000": DataSet(_mnist, 1000, 2000),
    "MNIST 10,000": DataSet(_mnist, 10_000, 5000, splits=2),
    "CIFAR 100": DataSet(_cifar10, 100, 2000),
    "CIFAR 1,000": DataSet(_cifar10, 1000, 2000),
    "CIFAR 10,000": DataSet(_cifar10, 10_000, 5000, splits=2),
    "shapes 64x64": DataSet(_shapes(64, 900), 400, 500),
    "shapes 128x128": DataSet(_shapes(128, 500), 200, 300, splits=2),
    "photos 64x64": DataSet(_photos(64, 3, 600), 200, 400),
    "photos 128x128": DataSet(_photos(128, 3, 360), 50, 300, splits=2),
    "iris": DataSet(_table(load_iris), 100, 50, splits=5, table=True),
    "wine": DataSet(_table(load_wine), 118, 60, splits=5, table=True),
    "breast cancer": DataSet(_table(load_breast_cancer), 379, 190, splits=5, table=True),
}
