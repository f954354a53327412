"""Taking turns with a stopwatch, and the peak of the memory."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import perf_counter
from typing import Any

# How long one turn should take at least: long against the clock, the threads' waking up and the
# caches' being cold after the other one's turn.
TURN = 0.25
# Seconds between looks at the memory of several processes.
INTERVAL = 0.01


def seconds(task: Callable[[], object]) -> float:
    """Time a task once."""
    start = perf_counter()
    task()
    return perf_counter() - start


def repeats(task: Callable[[], object], turn: float = TURN) -> int:
    """Count how often to run a task in one turn."""
    task()
    return max(round(turn / max(seconds(task), 1e-9)), 1)


def repeated(task: Callable[[], object], times: int) -> Callable[[], float]:
    """Make a turn of a task; it returns the seconds of one run."""

    def turn() -> float:
        start = perf_counter()
        for _ in range(times):
            task()
        return (perf_counter() - start) / times

    return turn


def alternate(turns: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let all take turns, another one first in each round; one round warms up."""
    names = list(turns)
    found: dict[str, list[float]] = {name: [] for name in names}
    for i in range(-1, rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            taken = turns[name]()
            if i >= 0:
                found[name].append(taken)
    return found


def medians(found: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each one's turns."""
    return {name: median(taken) for name, taken in found.items()}


def summary(found: dict[str, list[float]], images: int) -> dict[str, Any]:
    """Compare the medians: ours with the fastest of the others."""
    middle = medians(found)
    fastest = min((way for way in middle if way != "ours"), key=lambda way: middle[way])
    return {
        "ours": images / middle["ours"],
        "theirs": images / middle[fastest],
        "ratio": middle[fastest] / middle["ours"],
        "their_way": fastest,
        "seconds": found,
    }


def peak_memory(task: Callable[[], object]) -> float:
    """Run a task; return by how much the process's memory grew at most, in MB.

    To be asked once per process: what was freed before may be used again without growing.
    """
    before = _peak(reset=True)
    task()
    return (_peak() - before) / 2**20


def _peak(reset: bool = False) -> int:
    """Return the largest resident memory so far in bytes; with ``reset`` start anew from now."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: unlike getrusage it does not inherit the parent's peak
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_memory_of_all(task: Callable[[], object]) -> float:
    """Run a task; return by how much the memory of this process and its children grew, in MB.

    Memory that several of them map counts once. It is looked at every few milliseconds (Linux).
    """
    done, sizes = Event(), [_memory_of_all()]

    def watch() -> None:
        while not done.wait(INTERVAL):
            sizes.append(_memory_of_all())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        task()
    finally:
        done.set()
        watcher.join()
    return (max(sizes) - sizes[0]) / 2**10


def _memory_of_all() -> int:
    """Add up the memory of this process and its children in kB, what they share in proportion."""
    total = 0
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended, or is somebody else's
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
            if str(os.getpid()) in (place.name, parent):
                lines = (place / "smaps_rollup").read_text().splitlines()[1:]
                total += int(next(line.split()[1] for line in lines if line.startswith("Pss:")))
    return total
