"""What the start is worth in accuracy: ``python -m benchmarks.start [--mnist F] [--cifar10 F]``.

A network of two blocks on small sets, over learning rates and seeds, from three starts: that of
``sknpcnn._training.initialization``; weights as He et al. and Glorot and Bengio draw them, as they
were used here before; and weights and biases as PyTorch's layers draw them, uniformly within 1 /
sqrt(inputs).
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from sklearn.datasets import load_digits

from sknpcnn import NumpyCNNClassifier
from sknpcnn._network.network import Network
from sknpcnn._training.initialization import initial_parameters
from sknpcnn.datasets import load_cifar10, load_mnist
from sknpcnn.layers.steps import with_shapes

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

TRAINED, TESTED = 1000, 2000
RATES = (1e-4, 1e-3, 3e-3)


def drawn(network: Network, samples, standard, seed: int, dtype) -> np.ndarray:
    """Start as before: as drawn, by He's rule before a rectifier, by Glorot's before the output."""
    theta = network.layout.start(seed, dtype)
    W = dict(network.layout.arrays(theta))["output.W"]
    W *= np.sqrt(len(W) / sum(W.shape))
    return theta


def as_pytorch(network: Network, samples, standard, seed: int, dtype) -> np.ndarray:
    """Start as PyTorch's layers do."""
    theta, rng = network.layout.start(seed, dtype), np.random.default_rng(seed)
    arrays = dict(network.layout.arrays(theta))
    for name, layer, shape in with_shapes(network.steps, network.image):
        found = layer.parameters(shape)
        if "W" in found:
            bound = 1 / np.sqrt(found["W"].fan_in)
            for key, parameter in found.items():
                arrays[f"{name}.{key}"][...] = rng.uniform(-bound, bound, parameter.shape)
    return theta


STARTS: dict[str, Callable[..., np.ndarray]] = {
    "before": drawn,
    "PyTorch's": as_pytorch,
    "ours": initial_parameters,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, help="folder with the IDX files of MNIST")
    parser.add_argument("--cifar10", type=Path, help="folder with the batches of CIFAR-10")
    parser.add_argument("--sets", nargs="+", help="only these data sets")
    parser.add_argument("--seeds", type=int, default=8, help="how many")
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    print(f"| data | batch norm | learning rate | {' | '.join(STARTS)} |")
    print("| --- | --- | --- |" + " ---: |" * len(STARTS))
    for name, data in data_sets(args.mnist, args.cifar10):
        if args.sets and name not in args.sets:
            continue
        for batch_norm in (False, True):
            for rate in RATES:
                how = data, batch_norm, rate, args.epochs
                found = [
                    [accuracy(start, *how, seed) for seed in range(args.seeds)]
                    for start in STARTS.values()
                ]
                cells = " | ".join(f"{np.mean(a):.1%} ± {np.std(a):.1%}" for a in found)
                norm = "yes" if batch_norm else "no"
                print(f"| {name} | {norm} | {rate:g} | {cells} |", flush=True)


def accuracy(
    start: Callable, data: Data, batch_norm: bool, rate: float, epochs: int, seed: int
) -> float:
    """Train from a start, and count what is right in the test data."""
    X, y, X_test, y_test = data
    clf = NumpyCNNClassifier(
        conv_filters=(8, 16),
        hidden_layer_sizes=(100,),
        dropout=0.0,
        batch_norm=batch_norm,
        learning_rate="constant",
        learning_rate_init=rate,
        batch_size=32,
        max_iter=epochs,
        dtype=np.float32,
        random_state=seed,
    )
    with patch("sknpcnn._estimator.preparation.initial_parameters", start):
        return clf.fit(X, y).score(X_test, y_test)


def data_sets(mnist: Path | None, cifar10: Path | None) -> Iterator[tuple[str, Data]]:
    """Load or draw the data sets, one after the other."""
    yield "digits", split(*load_digits(return_X_y=True))
    yield "shapes", split(*shapes(TRAINED + TESTED))
    yield "textures", split(*textures(TRAINED + TESTED))
    for name, folder, load in (("MNIST", mnist, load_mnist), ("CIFAR-10", cifar10, load_cifar10)):
        if folder is not None:
            X, y = load(folder, return_X_y=True)
            X_test, y_test = load(folder, split="test", return_X_y=True)
            yield name, (X[:TRAINED], y[:TRAINED], X_test[:TESTED], y_test[:TESTED])


def split(X: np.ndarray, y: np.ndarray) -> Data:
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[:TRAINED], order[TRAINED : TRAINED + TESTED]
    return X[train], y[train], X[test], y[test]


def shapes(n: int, size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Draw disks, rings, squares, bars and crosses, turned and moved, in noise."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, n)
    places = np.mgrid[:size, :size].astype(float)[None]
    i, j = (places - rng.uniform(0.35 * size, 0.65 * size, (n, 2, 1, 1))).transpose(1, 0, 2, 3)
    angle = rng.uniform(0, np.pi, (n, 1, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = np.abs(i * cos + j * sin), np.abs(j * cos - i * sin)
    r = rng.uniform(0.2 * size, 0.3 * size, (n, 1, 1))
    distance = np.hypot(u, v)
    drawn = [
        distance < r,
        (distance < r) & (distance > 0.6 * r),
        np.maximum(u, v) < 0.85 * r,
        (u < 1.2 * r) & (v < 0.35 * r),
        (np.minimum(u, v) < 0.25 * r) & (np.maximum(u, v) < 1.2 * r),
    ]
    images = np.choose(y[:, None, None], drawn) * rng.uniform(0.5, 1, (n, 1, 1))
    return (images + rng.normal(0, 0.25, images.shape)).astype(np.float32), y


def textures(n: int, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Draw waves of one of eight directions and wavelengths, of any phase and color, in noise."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 8, n)
    angle = (y % 4) * np.pi / 4 + rng.normal(0, 0.2, n)
    number = np.where(y < 4, 1.2, 1.8) * rng.uniform(0.85, 1.15, n)
    i, j = np.mgrid[:size, :size]
    along = i * np.cos(angle)[:, None, None] + j * np.sin(angle)[:, None, None]
    waves = np.sin(along * number[:, None, None] + rng.uniform(0, 2 * np.pi, (n, 1, 1)))
    images = waves[..., None] * rng.uniform(0, 1, (n, 1, 1, 3))
    return (images + rng.normal(0, 0.7, images.shape)).astype(np.float32), y


if __name__ == "__main__":
    main()
