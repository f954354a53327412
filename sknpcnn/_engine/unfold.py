"""Composite layers within which chunks meet become part of the sequence around them.

Then a chunk goes on from block to block with what it has in its own memory, and all meet only where
they have to. See ``layers.forks`` for how a sequence can fork.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sknpcnn.layers.base import Layer
from sknpcnn.layers.compose import Residual, Sequential
from sknpcnn.layers.forks import Fork, Join, Swap
from sknpcnn.layers.moments import Moments
from sknpcnn.layers.rewriting import rewrite
from sknpcnn.layers.steps import Shape, Steps, with_shapes

MAX_RATIO = 4
"""Chunks go on over a meeting if they work on at most so many times as many elements per sample
after it as before it, or the other way round."""


class Placed(NamedTuple):
    """A layer, the names that lead to its parameters, and the shape of one input sample."""

    names: tuple[str, ...]
    layer: Layer
    shape: Shape


def unfold(steps: Steps, shape: Shape, depth: int = 1) -> Iterator[Placed]:
    """Place the layers that run in training, those of composite layers instead of these.

    ``depth`` is that of the stack in the blocks among them.
    """
    for name, layer, s in with_shapes(steps, shape):
        inside = _inside(layer, s, depth)
        for placed in inside or [Placed((), layer, s)]:
            yield placed._replace(names=(name, *placed.names))


def _inside(layer: Layer, shape: Shape, depth: int) -> list[Placed]:
    """Return the layers of a composite layer of this package, if chunks meet within it only."""
    if type(layer) not in (Sequential, Residual) or not layer.whole_batch(training=True):
        return []
    forks = type(layer) is Residual
    branches = [
        list(unfold(rewrite(steps, fold=False, training=True)[0], shape, depth + forks))
        for steps in layer.branches
    ]
    placed = list(branches[0])
    if forks:
        out = layer.output_shape(shape)
        placed.insert(0, Placed(("__fork__",), Fork(), shape))
        if branches[1]:
            placed += [Placed(("__swap__",), Swap(depth), out), *branches[1]]
        placed.append(Placed(("__join__",), Join(depth), out))
    if any(layer.whole_batch(training=True) for _, layer, _ in placed):
        return []
    return placed if similar(_working_sets(placed)) else []


def _working_sets(placed: Iterable[Placed]) -> Iterator[int]:
    """Compute the largest working set before each meeting and after the last one."""
    largest = 0
    for _, layer, shape in placed:
        largest = max(largest, layer.working_set(shape))
        if type(layer) is Moments:
            yield largest
            largest = 0
    yield largest


def similar(working_sets: Iterable[int]) -> bool:
    """Return whether chunks that are cut for the largest of them suit the others."""
    found = [size for size in working_sets if size]
    return not found or max(found) <= MAX_RATIO * min(found)
