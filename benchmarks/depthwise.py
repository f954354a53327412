"""Networks of depthwise convolutions next to PyTorch: ``python -m benchmarks.depthwise``.

Training steps of networks of one and of five such layers of 3x3, each with a rectifier, and a mean
of all positions at the end; on one thread, taking turns with PyTorch in both layouts. What every
further layer costs is a quarter of the difference.
"""

import argparse
from typing import Any

import numpy as np
import torch

from sknpcnn._engine.engine import Engine
from sknpcnn._network.network import Network
from sknpcnn.layers import Conv2D, GlobalAvgPool2D, Layer, ReLU
from sknpcnn.spec import named

from . import isolated, networks, ours, timing
from .against_torch import LAYOUTS, module_steps

BATCH = 128
FEW, MANY = 1, 5  # layers


def network(channels: int, side: int, n_layers: int) -> Network:
    """Make a network of depthwise convolutions for images of so many channels."""
    layers: list[Layer] = []
    for _ in range(n_layers):
        layers += [Conv2D(channels, groups=channels, bias=False), ReLU()]
    shape = (side, side, channels)
    return Network(named([*layers, GlobalAvgPool2D()]), shape, networks.CLASSES)


def measure(channels: int, side: int, n_layers: int, rounds: int) -> dict[str, Any]:
    """Time training steps of both, in images/s."""
    torch.set_num_threads(1)
    made = network(channels, side, n_layers)
    X, y = networks.data(made.image, 2 * BATCH)
    theta = made.layout.start(0, np.float32)
    steps_of = {name: module_steps(made, theta, X, y, BATCH, name) for name in LAYOUTS}
    turns = {
        name: timing.repeated(lambda steps=steps: next(steps), 2)
        for name, steps in steps_of.items()
    }
    with Engine(1, np.float32) as engine:
        epochs = ours.epochs(made, ours.start(made, theta), engine, X, y, BATCH, 2)
        turns["ours"] = lambda: next(epochs).seconds / 2
        return timing.summary(timing.alternate(turns, rounds), BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print("| channels | image | layers | ours, ms | PyTorch, ms | ratio of times |")
    print("| ---: | --- | --- | ---: | ---: | ---: |")
    for channels, side in ((64, 32), (128, 16), (32, 96), (512, 8)):
        times = {}
        for n_layers in (FEW, MANY):
            row = isolated.run(
                "depthwise",
                "measure",
                fast_malloc=True,
                channels=channels,
                side=side,
                n_layers=n_layers,
                rounds=rounds,
            )
            times[str(n_layers)] = [1e3 * BATCH / row[who] for who in ("ours", "theirs")]
        pairs = zip(times[str(MANY)], times[str(FEW)], strict=True)
        times["each further one"] = [(many - few) / (MANY - FEW) for many, few in pairs]
        for layers, (mine, theirs) in times.items():
            print(
                f"| {channels} | {side}x{side} | {layers} | {mine:.1f} | {theirs:.1f} | "
                f"{mine / theirs:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
