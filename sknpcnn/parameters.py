"""Named arrays inside one flat vector.

Everything that a network learns lies in one vector, and its gradient in another. Optimizers,
clipping, checkpoints and the restoring of the best weights are one operation on one array; layers
see named views.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Parameter:
    """One array that a layer learns: its shape, how it starts and how it is trained.

    ``fan_in``, the number of inputs of one unit, asks for a random start (He et al. 2015), which is
    then scaled by what the layer makes of some images (see ``sknpcnn.start``); without it the array
    starts at ``start``. ``decay`` puts it under the L2 penalty. ``running`` marks a running average
    with that momentum: no optimizer touches it, and what backward writes into its gradient is the
    new observation. No weights that are set or loaded may be below ``minimum``.

    Examples
    --------
    >>> from sknpcnn.layers import Dense
    >>> Dense(10).parameters((64,))["b"].shape
    (10,)
    """

    shape: tuple[int, ...]
    fan_in: int | None = None
    start: float = 0.0
    decay: bool = False
    lr_scale: float = 1.0
    running: float | None = None
    minimum: float = -inf

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True)
class Segment:
    """A stretch of the flat vector whose parameters are all trained alike."""

    start: int
    stop: int
    lr_scale: float
    decay: bool


class Layout:
    """Where each parameter lies in the flat vector.

    Parameters that are trained alike lie side by side (weights, then biases, then running
    averages), so that the optimizer works on few long segments.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters = dict(parameters)
        self.places: dict[str, slice] = {}
        self.segments: list[Segment] = []
        self.averages: list[tuple[slice, float]] = []
        position = 0
        for name, p in sorted(self.parameters.items(), key=lambda item: _training_order(item[1])):
            place = slice(position, position + p.size)
            self.places[name] = place
            position = place.stop
            if p.running is not None:
                if p.lr_scale > 0:
                    self.averages.append((place, p.running))
            elif self.segments and _continues(self.segments[-1], p):
                last = self.segments.pop()
                self.segments.append(Segment(last.start, place.stop, p.lr_scale, p.decay))
            else:
                self.segments.append(Segment(place.start, place.stop, p.lr_scale, p.decay))
        self.size = position
        self.n_trained = self.segments[-1].stop if self.segments else 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name all arrays with their shapes."""
        return {name: p.shape for name, p in self.parameters.items()}

    def carry(self, vector: np.ndarray, before: "Layout") -> np.ndarray:
        """Copy a vector that was laid out otherwise: the same arrays, trained in another way.

        It may be as long as the parameters or, like the memory of an optimizer, as what is trained.
        """
        whole = np.zeros(before.size, vector.dtype)
        whole[: len(vector)] = vector
        carried = np.empty_like(whole)
        for name, place in self.places.items():
            carried[place] = whole[before.places[name]]
        return carried[: len(vector)]

    def start(self, seed: int, dtype: Any) -> np.ndarray:
        """Draw the vector that a start is made from; the same numbers whatever the dtype.

        How large the weights then have to be is measured: see ``sknpcnn.start``.
        """
        rng = np.random.default_rng(seed)
        theta = np.empty(self.size, dtype)
        for name, p in self.parameters.items():
            if p.fan_in is None:
                theta[self.places[name]] = p.start
            else:
                bound = np.sqrt(6.0 / p.fan_in)  # a variance of 2 / fan_in
                theta[self.places[name]] = rng.uniform(-bound, bound, p.size)
        return theta

    def arrays(self, vector: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Name every parameter (``conv2d_1.W``) with its view of the vector."""
        for name, p in self.parameters.items():
            yield name, vector[self.places[name]].reshape(p.shape)

    def views(self, vector: np.ndarray) -> dict[str, Any]:
        """Lay out the views of the vector as the layers are nested: ``["conv2d_1"]["W"]``."""
        tree: dict[str, Any] = {}
        for name, array in self.arrays(vector):
            *parents, leaf = name.split(".")
            branch = tree
            for parent in parents:
                branch = branch.setdefault(parent, {})
            branch[leaf] = array
        return tree


def _training_order(p: Parameter) -> tuple[bool, float, bool]:
    return p.running is not None, p.lr_scale, not p.decay


def _continues(segment: Segment, p: Parameter) -> bool:
    return (segment.lr_scale, segment.decay) == (p.lr_scale, p.decay)
