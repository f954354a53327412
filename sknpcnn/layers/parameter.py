"""One array that a layer learns, described: values come later, in the vector of a network."""

from dataclasses import dataclass
from math import inf, prod


@dataclass(frozen=True)
class Parameter:
    """One array that a layer learns: its shape, its initialization and how it is trained.

    ``fan_in``, the number of inputs of one unit, asks for random initialization (He et al. 2015),
    which is then scaled by the layer's output for some images, in
    ``_training/initialization.py``; without it all elements are ``start``. ``decay`` applies the L2
    penalty. ``running`` marks a running average with that momentum: it is not optimized, and
    backward writes the new observation into its gradient. Weights that are set or loaded must not
    be below ``minimum``.

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
        """Number of elements."""
        return prod(self.shape)
