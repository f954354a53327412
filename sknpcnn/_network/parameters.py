"""Parameters as named views of one flat vector.

All parameters of a network are in one vector, and their gradients in another. The optimizer,
clipping, checkpoints and restoring the best weights are one operation on one array; layers see
named views.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sknpcnn.layers.parameter import Parameter


@dataclass(frozen=True)
class ParameterGroup:
    """A slice of the flat vector whose parameters are all trained alike."""

    start: int
    stop: int
    lr_scale: float
    decay: bool


class Layout:
    """The position of each parameter in the flat vector.

    Parameters that are trained alike are adjacent (weights, then biases, then running averages), so
    that the optimizer works on a few long slices.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters = dict(parameters)
        self.slices: dict[str, slice] = {}
        self.groups: list[ParameterGroup] = []
        self.averages: list[tuple[slice, float]] = []
        position = 0
        for name, p in sorted(self.parameters.items(), key=lambda item: _training_order(item[1])):
            place = slice(position, position + p.size)
            self.slices[name] = place
            position = place.stop
            if p.running is not None:
                if p.lr_scale > 0:
                    self.averages.append((place, p.running))
            elif self.groups and _continues(self.groups[-1], p):
                previous = self.groups.pop()
                self.groups.append(ParameterGroup(previous.start, place.stop, p.lr_scale, p.decay))
            else:
                self.groups.append(ParameterGroup(place.start, place.stop, p.lr_scale, p.decay))
        self.size = position
        self.n_trained = self.groups[-1].stop if self.groups else 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays by name."""
        return {name: p.shape for name, p in self.parameters.items()}

    def reorder(self, vector: np.ndarray, before: "Layout") -> np.ndarray:
        """Return a vector of another layout of the same arrays in the order of this one.

        It has the length of all parameters or, as the state of an optimizer, of the trained ones.
        """
        whole = np.zeros(before.size, vector.dtype)
        whole[: len(vector)] = vector
        reordered = np.empty_like(whole)
        for name, place in self.slices.items():
            reordered[place] = whole[before.slices[name]]
        return reordered[: len(vector)]

    def start(self, seed: int, dtype: Any) -> np.ndarray:
        """Return the initial vector before scaling; the same values for any dtype.

        ``sknpcnn._training.initialization`` then scales the weights by measurements.
        """
        rng = np.random.default_rng(seed)
        theta = np.empty(self.size, dtype)
        for name, p in self.parameters.items():
            if p.fan_in is None:
                theta[self.slices[name]] = p.start
            else:
                bound = np.sqrt(6.0 / p.fan_in)  # a variance of 2 / fan_in
                theta[self.slices[name]] = rng.uniform(-bound, bound, p.size)
        return theta

    def arrays(self, vector: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Iterate over the parameters by name (``conv2d_1.W``) as views of the vector."""
        for name, p in self.parameters.items():
            yield name, vector[self.slices[name]].reshape(p.shape)

    def views(self, vector: np.ndarray) -> dict[str, Any]:
        """Return the views of the vector, nested like the layers: ``["conv2d_1"]["W"]``."""
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


def _continues(group: ParameterGroup, p: Parameter) -> bool:
    return (group.lr_scale, group.decay) == (p.lr_scale, p.decay)
