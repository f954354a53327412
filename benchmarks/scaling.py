"""Where the time of a training step goes: ``python -m benchmarks.scaling [NETWORKS]``.

The NumPy calls of a step's chunks are on its tapes. Played alone they show the floor of one thread:
the step without any Python around the calls. Two processes that play side by side show what the
machine has to give to two cores; two threads of one process show what the interpreter's lock leaves
of it, for every call hands the lock over when it begins and takes it back when it ends.
"""

import sys
from collections.abc import Callable
from multiprocessing import get_context
from statistics import median
from threading import Barrier, Thread
from typing import Any

import numpy as np

from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Rows
from sknpcnn.losses import CrossEntropy

from . import isolated, networks, timing

BATCH, WARM, ROUNDS = 128, 8, 9


def measure(name: str) -> dict[str, float]:
    """Time the step on one and on two threads, and the calls on its tapes alone, in ms."""
    engines = [Engine(1, np.float32), Engine(1, np.float32), Engine(2, np.float32)]
    steps = [_step(name, engine) for engine in engines]
    for engine in engines:
        engine.__enter__()
    for step in steps:
        for _ in range(WARM):
            step()
    plays = [_player(engine) for engine in engines[:2]]
    found = timing.alternate(
        {
            "step on one thread": timing.repeated(steps[0], timing.repeats(steps[0])),
            "step on two threads": timing.repeated(steps[2], timing.repeats(steps[2])),
            "calls alone": timing.repeated(plays[0], timing.repeats(plays[0])),
            "calls on both of two threads": lambda: _together(plays),
        },
        ROUNDS,
    )
    for engine in engines:
        engine.__exit__(None, None, None)
    found["calls in both of two processes"] = _in_processes(name)
    calls = sum(len(tape.calls) for tape in engines[0].tapes)
    return {"calls": calls} | {what: 1e3 * median(taken) for what, taken in found.items()}


def _step(name: str, engine: Engine) -> Callable[[], None]:
    network = networks.network(name)
    theta = networks.parameters(network)
    X, y = networks.data(network.image, BATCH)
    rows, grad = Rows(X.reshape(BATCH, -1), network.image), np.zeros_like(theta)
    return lambda: network.learn(theta, grad, rows, y, None, engine, CrossEntropy()) and None


def _player(engine: Engine) -> Callable[[], None]:
    tapes = list(engine.tapes)

    def play() -> None:
        for tape in tapes:
            tape.replay()

    return play


def _together(plays: list[Callable[[], None]]) -> float:
    """Time what two threads play at the same time: the mean of both."""
    times, start = timing.repeats(plays[0]), Barrier(len(plays))
    taken = []

    def run(play: Callable[[], None]) -> None:
        start.wait()
        taken.append(timing.repeated(play, times)())

    threads = [Thread(target=run, args=(play,)) for play in plays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(taken) / len(taken)


def _in_processes(name: str) -> list[float]:
    """Time what two processes play at the same time: the mean of both, in each round."""
    context = get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_worker, args=(name, start, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    both = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return [sum(pair) / 2 for pair in zip(*both, strict=True)]


def _worker(name: str, start: Any, results: Any) -> None:
    with Engine(1, np.float32) as engine:
        step = _step(name, engine)
        for _ in range(WARM):
            step()
        play = _player(engine)
        times, taken = timing.repeats(play), []
        for _ in range(ROUNDS):
            start.wait()
            taken.append(timing.repeated(play, times)())
        results.put(taken)


def table(names: str) -> str:
    """Measure networks, each in a process of its own, and lay the results out in Markdown."""
    rows = {name: isolated.run("scaling", "measure", name=name) for name in names}
    titles = list(next(iter(rows.values())))
    lines = [
        f"| network | {' | '.join(titles)} |",
        f"| --- |{' ---: |' * len(titles)}",
    ]
    for name, found in rows.items():
        numbers = [f"{found[t]:.0f}" if t == "calls" else f"{found[t]:.1f}" for t in titles]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(sys.argv[1] if len(sys.argv) > 1 else "ABCDEF"))
