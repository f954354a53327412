"""Training and prediction next to PyTorch, in one process and taking turns."""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import torch
from joblib import parallel_config
from torch.nn import functional

from sknpcnn._engine.engine import Engine
from sknpcnn._network.network import Network

from . import agreement, networks, ours, timing
from .torch_networks import module_of

LAYOUTS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}
PREDICTED_TOGETHER = (128, 512)


def measure(name: str, threads: int, batch: int, rounds: int, n_predicted: int) -> dict[str, Any]:
    """Check that both compute the same, then time both; training alone if nothing is predicted."""
    torch.set_num_threads(threads)
    errors = agreement.check(name)
    result: dict[str, Any] = {"largest_error": max(errors.values())}
    result["training"] = training(name, threads, batch, rounds)
    if n_predicted:
        result["prediction"] = prediction(name, threads, rounds, n_predicted)
    return result


def training(name: str, threads: int, batch: int, rounds: int) -> dict[str, Any]:
    """Time training steps: forward, backward and Adam.

    Ours come out of the real training loop, on as many workers as PyTorch has threads; that also
    shuffles and lays the images out, while PyTorch
    is given mini-batches that lie ready in its layout. As in a long fit, workers are processes, or
    threads if a step is too short to be shared. While an engine is open, OpenBLAS is held to
    one thread; PyTorch's packages for x86 bring a library of their own, which is not.
    """
    network = networks.network(name)
    X, y = networks.data(network.image, max(ours.IMAGES, batch))
    theta = networks.parameters(network)
    steps_of = {layout: torch_steps(name, theta, X, y, batch, layout) for layout in LAYOUTS}
    times = timing.repeats(lambda: next(steps_of["default"]))
    turns = {
        layout: timing.repeated(lambda steps=steps: next(steps), times)
        for layout, steps in steps_of.items()
    }
    with Engine(threads, np.float32) as engine:
        state = ours.start(network, theta)
        epochs = ours.epochs(network, state, engine, X, y, batch, times, processes=None)
        found = timing.alternate({"ours": lambda: next(epochs).seconds / times, **turns}, rounds)
    return timing.summary(found, batch)


def prediction(name: str, threads: int, rounds: int, n: int) -> dict[str, Any]:
    """Time ``predict_proba`` against PyTorch's fastest way, which a first round finds out."""
    network = networks.network(name)
    theta = networks.parameters(network)
    X, _ = networks.data(network.image, n)
    clf = ours.fitted(name, threads, theta)
    ways = {
        f"{layout}, {size} together": torch_prediction(name, theta, X, layout, size)
        for layout in LAYOUTS
        for size in PREDICTED_TOGETHER
    }
    few = slice(0, min(n, 2 * max(PREDICTED_TOGETHER)))
    trial = {way: (lambda p=p: timing.seconds(lambda: p(few))) for way, p in ways.items()}
    taken = timing.medians(timing.alternate(trial, 3))
    fastest = min(taken, key=lambda way: taken[way])
    times = timing.repeats(lambda: ways[fastest](slice(0, n)))
    turns = {
        "ours": timing.repeated(lambda: clf.predict_proba(X), times),
        fastest: timing.repeated(lambda: ways[fastest](slice(0, n)), times),
    }
    with parallel_config(backend="loky"):  # in processes, which wait for the next call
        return timing.summary(timing.alternate(turns, rounds), n)


def torch_steps(
    name: str, theta: np.ndarray, X: np.ndarray, y: np.ndarray, batch: int, layout: str
) -> Iterator[None]:
    """Train one of the networks in PyTorch, one step each time it is asked."""
    return module_steps(networks.network(name), theta, X, y, batch, layout)


def module_steps(
    network: Network, theta: np.ndarray, X: np.ndarray, y: np.ndarray, batch: int, layout: str
) -> Iterator[None]:
    """Train a network in PyTorch, one step each time it is asked."""
    module = module_of(network, theta).to(memory_format=LAYOUTS[layout])
    optimizer = torch.optim.Adam(module.parameters(), ours.LEARNING_RATE, fused=True)
    images = torch_images(X, layout)
    labels = torch.from_numpy(y)
    parts = [slice(lo, lo + batch) for lo in range(0, len(X) - batch + 1, batch)]
    for part in cycle(parts):
        optimizer.zero_grad()
        functional.cross_entropy(module(images[part]), labels[part]).backward()
        optimizer.step()
        yield


def torch_prediction(
    name: str, theta: np.ndarray, X: np.ndarray, layout: str, size: int
) -> Callable[[slice], np.ndarray]:
    """Make a function that predicts some of the images in PyTorch."""
    module = module_of(networks.network(name), theta).to(memory_format=LAYOUTS[layout]).eval()
    images = torch_images(X, layout)

    @torch.no_grad()
    def predict(part: slice) -> np.ndarray:
        parts = images[part].split(size)
        return torch.cat([functional.softmax(module(some), 1) for some in parts]).numpy()

    return predict


def torch_images(X: np.ndarray, layout: str) -> torch.Tensor:
    """Images (n, c, h, w) in one of the layouts; ours lie as ``channels_last`` does."""
    return torch.from_numpy(X).permute(0, 3, 1, 2).contiguous(memory_format=LAYOUTS[layout])
