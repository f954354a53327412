"""Where the time of a training step goes on one core: ``python -m benchmarks.calls``.

The NumPy calls on the tapes of a step are repeated and timed one by one, by what they do: products
of matrices, also those of Winograd's transforms; sums, activations and masks; comparisons of
pooling; copies. The rest of the step is what runs without a tape: dense layers, batch
normalization, the optimizer, loading the images, and Python itself.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from sknpcnn._engine.engine import Engine
from sknpcnn._engine.tape import arrays_in

from . import networks, ours

BATCH, STEPS, REPEATS = 128, 10, 5
COMPARISONS = {"maximum", "minimum", "greater", "greater_equal", "less", "less_equal", "equal"}


def kind_of(function: Callable[..., Any]) -> str:
    """Say what a call does."""
    name = getattr(getattr(function, "__self__", function), "__name__", "")
    if name == "matmul":
        return "products"
    if name == "copyto":
        return "copies"
    return "comparisons" if name in COMPARISONS else "sums"


def multiply_adds(arguments: tuple[Any, ...], options: dict[str, Any]) -> int:
    """Count those of a product."""
    (out,) = options["out"]
    return int(out.size * arguments[0].shape[-1])


def calls_of(engine: Engine) -> Iterator[tuple[Any, ...]]:
    for tape in engine.tapes:
        yield from tape.calls


def measure(name: str) -> dict[str, Any]:
    """Time a step, and the calls on its tapes by kind."""
    network = networks.network(name)
    X, y = networks.data(network.image, ours.IMAGES)
    seconds: dict[str, float] = defaultdict(float)
    work: dict[str, float] = defaultdict(float)
    with Engine(1, np.float32) as engine:
        state = ours.start(network, networks.parameters(network))
        epochs = ours.epochs(network, state, engine, X, y, BATCH, STEPS)
        step = median([next(epochs).seconds / STEPS for _ in range(6)][1:])
        for function, arguments, options in calls_of(engine):
            times = []
            for _ in range(REPEATS):
                start = perf_counter()
                function(*arguments, **options)
                times.append(perf_counter() - start)
            kind = kind_of(function)
            seconds[kind] += median(times)
            if kind == "products":
                work[kind] += 2 * multiply_adds(arguments, options)
            else:
                work[kind] += sum(array.nbytes for array in arrays_in((arguments, options)))
    direct = 3 * 2 * BATCH * sum(row.multiply_adds for row in network.summary())
    return {"step": step, "seconds": seconds, "work": work, "direct": direct}


def peaks() -> tuple[float, float, float]:
    """Measure what the core can do: GFLOP/s of a product, GB/s of sums in caches and memory."""
    a, b, out = (np.ones((1024, 1024), np.float32) for _ in range(3))
    found = [2 * 1024**3 / _fastest(lambda: np.matmul(a, b, out=out)) / 1e9]
    for size in (2**16, 2**26):
        x, y = np.ones((2, size), np.float32)
        found.append(12 * size / _fastest(lambda x=x, y=y: np.add(x, y, out=y)) / 1e9)
    return found[0], found[1], found[2]


def _fastest(task: Callable[[], object]) -> float:
    times = []
    for _ in range(20):
        start = perf_counter()
        task()
        times.append(perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default="ABCDEFGRP")
    given = parser.parse_args()
    with Engine(1, np.float32):  # which holds BLAS to one thread
        product, cached, memory = peaks()
    print(
        f"One core: {product:.0f} GFLOP/s in a product of 1024 x 1024, "
        f"{cached:.0f} GB/s in sums of arrays that are in the cache, {memory:.0f} in others.\n"
    )
    print(
        "| network | step, ms | GFLOP/s of the direct algorithm | products, ms | GFLOP/s | "
        "sums, ms | GB/s | comparisons, ms | GB/s | copies, ms | GB/s | rest, ms |"
    )
    print("| --- |" + " ---: |" * 11)
    for name in given.networks:
        m = measure(name)
        cells = []
        for kind in ("products", "sums", "comparisons", "copies"):
            taken = m["seconds"][kind]
            cells += [f"{1e3 * taken:.2f}", f"{m['work'][kind] / max(taken, 1e-9) / 1e9:.0f}"]
        rest = m["step"] - sum(m["seconds"].values())
        row = [f"{1e3 * m['step']:.1f}", f"{m['direct'] / m['step'] / 1e9:.0f}", *cells]
        print(f"| {name} | {' | '.join(row)} | {1e3 * rest:.2f} |", flush=True)


if __name__ == "__main__":
    main()
