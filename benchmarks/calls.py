"""Where the time of a training step goes on one core: ``python -m benchmarks.calls``.

While a network is trained, every NumPy call on the tapes of its steps is timed, by what it does:
products of matrices; Winograd's transforms, which are products with a tiny matrix; what goes
element by element, as activations, pooling and batch normalization; copies. The rest of the step is
what runs without a tape: dense layers, the optimizer, loading the images, and Python itself.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from sknpcnn._engine.engine import Engine
from sknpcnn._engine.tape import Tape, arrays_in
from sknpcnn._kernels.memory import CONSTANT, owner_of

from . import networks, ours

BATCH, STEPS, EPOCHS = 128, 10, 6
KINDS = ("products", "transforms", "element by element", "copies")


def kind_of(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """Say what a call does."""
    if function is np.matmul and arguments[0].ndim > 1:
        tiny = arguments[0].ndim == 2 and owner_of(arguments[0]) is CONSTANT
        return "transforms" if tiny else "products"
    return "copies" if function is np.copyto else "element by element"


def multiply_adds(arguments: tuple[Any, ...]) -> int:
    """Count those of a product, whose output is the last argument."""
    return int(arguments[-1].size * arguments[0].shape[-1])


@contextmanager
def timed_calls() -> Iterator[dict[int, tuple[Tape, list[list[float]]]]]:
    """Time the calls of all tapes that are played: for each tape, a list for each time."""
    found: dict[int, tuple[Tape, list[list[float]]]] = {}
    replay = Tape.replay

    def timed(tape: Tape) -> Any:
        times = []
        for function, arguments in tape.calls:
            start = perf_counter()
            function(*arguments)
            times.append(perf_counter() - start)
        found.setdefault(id(tape), (tape, []))[1].append(times)
        return tape.result

    Tape.replay = timed  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Tape.replay = replay  # type: ignore[method-assign]


def measure(name: str) -> dict[str, Any]:
    """Time steps, and the calls on their tapes by kind."""
    network = networks.network(name)
    X, y = networks.data(network.image, ours.IMAGES)
    seconds: dict[str, float] = defaultdict(float)
    work: dict[str, float] = defaultdict(float)
    with Engine(1, np.float32) as engine:
        state = ours.start(network, networks.parameters(network))
        epochs = ours.epochs(network, state, engine, X, y, BATCH, STEPS)
        step = median([next(epochs).seconds / STEPS for _ in range(EPOCHS)][1:])
        with timed_calls() as found:
            next(epochs)
    for tape, times in found.values():
        for i, (function, arguments) in enumerate(tape.calls):
            kind = kind_of(function, arguments)
            seconds[kind] += median(taken[i] for taken in times) * len(times) / STEPS
            if kind in ("products", "transforms"):
                amount = 2 * multiply_adds(arguments)
            else:
                by_name = getattr(function, "keywords", {})
                amount = sum(array.nbytes for array in arrays_in((arguments, by_name)))
            work[kind] += amount * len(times) / STEPS
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
    parser.add_argument("--networks", default="ABCDEFGRPHL")
    given = parser.parse_args()
    with Engine(1, np.float32):  # which holds BLAS to one thread
        product, cached, memory = peaks()
    print(
        f"One core: {product:.0f} GFLOP/s in a product of 1024 x 1024, "
        f"{cached:.0f} GB/s in sums of arrays that are in the cache, {memory:.0f} in others.\n"
    )
    columns = "products, ms | GFLOP/s | transforms, ms | GFLOP/s"
    columns += " | element by element, ms | GB/s | copies, ms | GB/s"
    print(f"| network | step, ms | GFLOP/s of the direct algorithm | {columns} | rest, ms |")
    print("| --- |" + " ---: |" * 11)
    for name in given.networks:
        m = measure(name)
        cells = []
        for kind in KINDS:
            taken = m["seconds"][kind]
            cells += [f"{1e3 * taken:.2f}", f"{m['work'][kind] / max(taken, 1e-9) / 1e9:.0f}"]
        rest = m["step"] - sum(m["seconds"].values())
        row = [f"{1e3 * m['step']:.1f}", f"{m['direct'] / m['step'] / 1e9:.0f}", *cells]
        print(f"| {name} | {' | '.join(row)} | {1e3 * rest:.2f} |", flush=True)


if __name__ == "__main__":
    main()
