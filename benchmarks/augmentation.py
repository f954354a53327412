"""What augmentation costs, as a part of a training step of ``architectures.network_4``.

``python -m benchmarks.augmentation [--threads N]``
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sknpcnn import architectures
from sknpcnn._engine.engine import Engine
from sknpcnn._network.network import Network
from sknpcnn._network.samples import Samples
from sknpcnn._network.standard import Standard
from sknpcnn._training.loop import Course, Epoch, train
from sknpcnn.augmentation import (
    Affine,
    Augmentation,
    Brightness,
    Contrast,
    Cutout,
    HorizontalFlip,
    RandomCrop,
    Shift,
)
from sknpcnn.spec import named

from . import ours, timing

BATCH, STEPS, ROUNDS = 128, 4, 9
CASES: dict[str, list[Augmentation]] = {
    **{
        repr(step): [step]
        for step in (
            *(Shift(2), RandomCrop(4), HorizontalFlip(), Affine(10), Cutout(8)),
            *(Brightness(), Contrast()),
        )
    },
    "crop, flip and cutout": [RandomCrop(4), HorizontalFlip(), Cutout(8)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    with Engine(threads, np.float32) as engine:
        plain = epochs([], engine)
        print("| augmentation | part of a training step |\n| --- | ---: |")
        for name, augment in CASES.items():
            changed = epochs(augment, engine)
            found = timing.alternate(
                {
                    "plain": lambda: next(plain).seconds,
                    "augmented": lambda changed=changed: next(changed).seconds,
                },
                ROUNDS,
            )
            medians = timing.medians(found)
            print(f"| {name} | {medians['augmented'] / medians['plain'] - 1:.1%} |", flush=True)


def epochs(augment: list[Augmentation], engine: Engine) -> Iterator[Epoch]:
    """Train on random bytes in the shape of CIFAR-10, a few mini-batches per epoch."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (BATCH * STEPS, 32 * 32 * 3), dtype=np.uint8)
    samples = Samples(X, rng.integers(0, 10, len(X)), None, np.arange(len(X)))
    network = Network(named(architectures.network_4()), (32, 32, 3), 10)
    state = ours.start(network, network.layout.start(0, np.float32))
    standard = Standard(np.full(3, 128, np.float32), np.full(3, 1 / 64, np.float32))
    plan = replace(ours.plan(BATCH), augment=named(augment, "augment"))
    return train(Course(network, samples, standard, plan), state, engine)


if __name__ == "__main__":
    main()
