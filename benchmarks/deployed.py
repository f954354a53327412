"""Four ways to predict with the same network: ``python -m benchmarks.deployed``.

The estimator, the exported model in onnxruntime, ``sknpcnn.lite`` and PyTorch, on one and on two
threads, in turns. Each is given images as it likes them best.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import parallel_config

import sknpcnn
from sknpcnn import lite

from . import isolated, networks, ours, timing
from .against_onnxruntime import session_of
from .against_torch import LAYOUTS, torch_images
from .torch_networks import module_of

NAMES = "ABCDEFGRPS"
TOGETHER = 512


def measure(name: str, threads: int, n: int, rounds: int) -> dict[str, Any]:
    """Time all of them, in images/s; also return by how much probabilities differ at most."""
    torch.set_num_threads(threads)
    network = networks.network(name)
    theta = networks.parameters(network)
    X, _ = networks.data(network.image, n)
    clf = ours.fitted(name, threads, theta)
    session = session_of(clf, threads)
    with tempfile.TemporaryDirectory() as folder:
        sknpcnn.save(clf, Path(folder) / "model.npz")
        predictor = lite.load(Path(folder) / "model.npz", n_threads=threads)

    def in_onnxruntime() -> np.ndarray:
        parts = np.array_split(X, -(-n // TOGETHER))
        return np.concatenate([session.run(["probabilities"], {"X": p})[0] for p in parts])

    ways: dict[str, Callable[[], np.ndarray]] = {
        "estimator": lambda: clf.predict_proba(X),
        "onnxruntime": in_onnxruntime,
        "lite": lambda: predictor.predict_proba(X),
        **{layout: _in_torch(network, theta, X, layout) for layout in LAYOUTS},
    }
    with parallel_config(backend="loky"):  # in processes, which wait for the next call
        found = {way: predict() for way, predict in ways.items()}
        turns = {way: timing.repeated(p, timing.repeats(p)) for way, p in ways.items()}
        taken = timing.medians(timing.alternate(turns, rounds))
    speeds = {way: n / seconds for way, seconds in taken.items()}
    speeds["PyTorch"] = max(speeds.pop(layout) for layout in LAYOUTS)
    differences = {w: float(np.abs(p - found["estimator"]).max()) for w, p in found.items()}
    return {"speeds": speeds, "largest": max(differences.values()), "differences": differences}


def _in_torch(network: Any, theta: np.ndarray, X: np.ndarray, layout: str) -> Callable:
    module = module_of(network, theta).to(memory_format=LAYOUTS[layout]).eval()
    images = torch_images(X, layout)

    @torch.no_grad()
    def predict() -> np.ndarray:
        parts = [torch.softmax(module(part), 1) for part in images.split(TOGETHER)]
        return torch.cat(parts).numpy()

    return predict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=NAMES)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    ways = ["estimator", "lite", "onnxruntime", "PyTorch"]
    print("| network | threads | " + " | ".join(ways) + " | largest difference |")
    print("| --- | ---: |" + " ---: |" * (len(ways) + 1))
    for threads in (1, 2):
        for name in given.networks:
            row = isolated.run(
                "deployed",
                "measure",
                fast_malloc=True,
                name=name,
                threads=threads,
                n=given.images,
                rounds=given.rounds,
            )
            speeds = " | ".join(f"{row['speeds'][way]:,.0f}" for way in ways)
            print(f"| {name} | {threads} | {speeds} | {row['largest']:.1g} |", flush=True)


if __name__ == "__main__":
    main()
