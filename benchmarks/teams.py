"""What more workers bring: ``python -m benchmarks.teams``.

Measured: a training step on one core, with the time inside of tasks, which workers share, and
outside of them; the same step in two processes; the memory and the start of a worker. Computed from
that: how long the step would take on more cores, if these did not slow each other down and each
task of a run took equally long. This is a model: it knows nothing of shared caches and memory.
"""

import argparse
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from sknpcnn._engine.engine import Engine
from sknpcnn._engine.member import Member
from sknpcnn._engine.processes import ProcessTeam, pool
from sknpcnn._engine.shared import new_prefixes
from sknpcnn._kernels.memory import Memory
from sknpcnn._network.samples import Samples
from sknpcnn._training.loop import Course, Trainer, train
from sknpcnn._training.together import Together

from . import networks, ours, timing

BATCH, STEPS, CORES = 128, 20, (2, 4, 8, 16)


class Stopwatch(Member):
    """A team of one process, which measures its tasks and the memory that others would share."""

    def __init__(self) -> None:
        super().__init__(new_prefixes(), 0, 1)
        self.runs: list[tuple[int, float, float]] = []
        """Number of tasks, seconds in them, and seconds at the barriers."""
        self.shared_bytes = 0

    def run(self, task: Any, n_tasks: int) -> None:
        start = perf_counter()
        super().run(lambda i, rank: None, n_tasks)
        between = perf_counter()
        for i in range(n_tasks):
            task(i, 0)
        self.runs.append((n_tasks, perf_counter() - between, between - start))

    def allocate(self, size: int, owner: Any) -> Memory:
        self.shared_bytes += size
        return super().allocate(size, owner)


def course(name: str) -> tuple[Course, np.ndarray]:
    network = networks.network(name)
    X, y = networks.data(network.image, ours.IMAGES)
    index = np.arange(STEPS * BATCH) % len(X)
    samples = Samples(X.reshape(len(X), -1), y, None, index)
    return Course(network, samples, None, ours.plan(BATCH)), networks.parameters(network)


def measure(name: str, rounds: int) -> dict[str, float]:
    """Measure one network; seconds are those of a step."""
    trained, theta = course(name)
    start = ours.start(trained.network, theta)
    watch = Stopwatch()
    with Engine(1, np.float32, member=watch) as engine:
        trainer = Trainer(trained, start, engine, np.zeros_like(start.theta))
        for _ in range(3):
            watch.runs.clear()
            seconds = trainer.run_epoch().seconds / STEPS
    runs = [(n, taken / STEPS, wait / STEPS) for n, taken, wait in watch.runs]
    waits = sum(wait for *_, wait in runs)
    serial = seconds - sum(taken for _, taken, _ in runs) - waits
    found = {
        "step": seconds,
        "serial": serial,
        "runs": len(runs) / STEPS,
        "shared": watch.shared_bytes / 2**20,
    }
    for cores in CORES:
        tasks = sum(taken * ceil(n / cores) / n for n, taken, _ in runs)
        found[f"model {cores}"] = seconds / (serial + waits + tasks)
    found["gain"] = gain(trained, theta, rounds)
    return found


def gain(trained: Course, theta: np.ndarray, rounds: int) -> float:
    """Measure how many times faster two processes are than one, taking turns."""
    with Engine(1, np.float32) as engine, Together(trained, 2, engine) as team:
        one, two = (ours.start(trained.network, theta) for _ in range(2))
        epochs = {"one": train(trained, one, engine), "two": train(trained, two, engine, team=team)}
        for of in epochs.values():
            next(of)
        turns = {kind: (lambda of=of: next(of).seconds) for kind, of in epochs.items()}
        medians = timing.medians(timing.alternate(turns, rounds))
        assert np.array_equal(one.theta, two.theta), "the bits differ"
    return medians["one"] / medians["two"]


def worker_costs(name: str) -> tuple[float, float]:
    """Measure the seconds until a worker is there, and its own memory in MB after training."""
    pool.end_idle()
    start = perf_counter()
    with ProcessTeam(2) as team:
        team.call(_nothing)
        team.results()
        seconds = perf_counter() - start
        (pid,) = team.pids()
    trained, theta = course(name)
    with Engine(1, np.float32) as engine, Together(trained, 2, engine) as shared:
        next(train(trained, ours.start(trained.network, theta), engine, team=shared))
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
    return seconds, (int(sizes["Private_Clean"]) + int(sizes["Private_Dirty"])) / 2**10


def _nothing(member: Member) -> None:
    pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default="ABCDEFGRP")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    model = " | ".join(f"model of {cores} cores" for cores in CORES)
    print(
        "| network | step on one core, ms | outside of tasks, ms | runs | shared memory, MB | "
        f"two processes, measured | {model} | start of a worker, s | its own memory, MB |"
    )
    print("| --- |" + " ---: |" * (7 + len(CORES)))
    for name in given.networks:
        m = measure(name, given.rounds)
        seconds, own = worker_costs(name)
        models = " | ".join(f"{m[f'model {cores}']:.2f}" for cores in CORES)
        print(
            f"| {name} | {1e3 * m['step']:.1f} | {1e3 * m['serial']:.2f} | {m['runs']:.0f} | "
            f"{m['shared']:.1f} | **{m['gain']:.2f}** | {models} | {seconds:.2f} | {own:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
