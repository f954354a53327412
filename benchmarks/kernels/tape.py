"""A training step played from tapes next to the same step through the layers' own code.

Both run on one engine, and so on the same memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks import networks
from sknpcnn._engine import parallel
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.tape import UNRECORDABLE
from sknpcnn._network.batches import Rows
from sknpcnn.losses import CrossEntropy

from . import Measured, in_turns

NAMES, THREADS, BATCH = "CD", (1, 2), 128
WARM, MAX_WARM = 6, 100  # steps until no memory moves any more and tapes are recorded


def check() -> None:
    """Check that both write the same gradient, bit for bit."""
    for name in NAMES:
        for threads in THREADS:
            with Engine(threads, np.float32) as engine:
                step = training_step(name, engine)
                # which thread computes what is up to the system: with busy cores it takes longer
                for n_steps in range(1, MAX_WARM + 1):
                    played = step().copy()
                    recorded = any(tape.calls for tape in engine.tapes)
                    if n_steps >= WARM and recorded:
                        break
                assert UNRECORDABLE not in engine.tapes, f"{name}: spoiled tapes"
                assert recorded, f"{name}: no tapes"
                with directly():
                    run = step()
                np.testing.assert_array_equal(played, run, err_msg=f"{name}, {threads} threads")


def measure(rounds: int) -> Measured:
    measured = []
    for name in NAMES:
        for threads in THREADS:
            with Engine(threads, np.float32) as engine:
                now = training_step(name, engine)
                before = directly()(now)
                for _ in range(WARM):
                    now()
                label = f"network {name}, {BATCH} images, {threads} thread(s)"
                measured.append((label, *in_turns(before, now, rounds)))
    return measured


def training_step(name: str, engine: Engine) -> Callable[[], np.ndarray]:
    """Make a step without the optimizer: it returns the gradient, the same memory every time."""
    network = networks.network(name)
    theta = networks.parameters(network)
    X, y = networks.data(network.image, BATCH)
    rows, grad = Rows(X.reshape(BATCH, -1), network.image), np.zeros_like(theta)

    def step() -> np.ndarray:
        network.learn(theta, grad, rows, y, None, engine, CrossEntropy())
        return grad

    return step


@contextmanager
def directly() -> Iterator[None]:
    """Switch all tapes off."""
    usual = parallel._tape_set
    parallel._tape_set = lambda *args: None
    try:
        yield
    finally:
        parallel._tape_set = usual
