"""The contract between a layer and the network: what a layer promises and what it is given."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Protocol

import numpy as np

from sknpcnn.brief import brief
from sknpcnn.parameters import Parameter
from sknpcnn.spec import Spec

Array = np.ndarray
Shape = tuple[int, ...]
Arrays = Mapping[str, Any]


class Context(Protocol):
    """What a running layer is given beside its input: memory, randomness, the rows' weights."""

    training: bool
    samples: int
    """How many samples the whole mini-batch has, of which the layer may see only a few."""
    needs_dx: bool
    """False where nobody will read the gradient of the layer's input; backward may return None."""

    @property
    def weights(self) -> Array | None:
        """The sample weights of the rows in x, shape (n,); None where all are one."""

    def output(self, shape: Shape, dtype: Any = None) -> Array:
        """An uninitialised array for what the layer returns: valid as long as somebody reads it."""

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        """An uninitialised array that stays valid until backward has run."""

    def scratch(self, shape: Shape, dtype: Any = None) -> Array:
        """An uninitialised array that stays valid until the layer returns."""

    def constant(self, make: Callable[..., Array], *args: Any) -> Array:
        """What ``make(*args)`` returns, such as ``np.ones`` of a shape: made once, read-only.

        It must follow from the arguments alone, which are hashable.
        """

    def random_bits(self, shape: Shape) -> Array:
        """Random uint32 for an array of that shape: a function of seed, step, layer and sample.

        Equal samples of one mini-batch draw equal numbers, wherever they stand, so a sample of
        weight two and a sample given twice train the same network.
        """

    def map(self, task: Callable[[int, Callable[..., Array]], None], count: int) -> None:
        """Run ``task(i, scratch)`` for ``i`` below ``count``, on all threads."""

    def tiles(self, rows: int, numbers_per_row: int, at_least: int = 1) -> list[tuple[int, int]]:
        """Cut rows into ranges of a size that depends on the data alone."""


@dataclass(frozen=True, repr=False)
class Layer(Spec, ABC):
    """A frozen set of hyperparameters and the pure functions that they define.

    Inside the network a batch of images is ``(h, w, n, c)``, *height first*: the rows which one row
    of a convolution kernel meets are one block of memory, and so is one column of all images within
    a row. Vectors are ``(n, features)``.
    Shapes without the batch are ``(h, w, c)`` and ``(features,)``.

    Nothing is ever written on ``self``: what forward has to remember for backward is the ``cache``
    that it returns. So one layer may serve many threads at once.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from sknpcnn.layers import Layer
    >>> @dataclass(frozen=True, repr=False)
    ... class Square(Layer):
    ...     def forward(self, params, x, ctx):
    ...         return x * x, x
    ...     def backward(self, params, x, dy, grads, ctx):
    ...         return 2 * x * dy
    >>> Square().output_shape((8, 8, 3))
    (8, 8, 3)
    """

    keeps_input: ClassVar[bool] = True
    """False for a layer whose backward needs no ``x``, and which reads it only once. Its memory can
    then be used again at once, while it is still in the cache."""

    keeps_output: ClassVar[bool] = False
    """True for a layer whose backward needs the ``y`` that it made with ``ctx.output``."""

    rising: ClassVar[bool] = False
    """True for an activation that never falls, computed exactly: the largest number stays it."""

    # These may depend on the hyperparameters; where they do not, a layer sets them as above.

    @property
    def whole_batch(self) -> bool:
        """True for a layer that wants all rows of the mini-batch at once, such as BatchNorm.

        All others see a few images at a time, and may not care which.
        """
        return False

    @property
    def random(self) -> bool:
        """True for a layer that asks for ``ctx.random_bits``."""
        return False

    def joins(self, training: bool) -> bool:
        """Tell whether it wants the whole batch; BatchNorm does not in prediction."""
        return self.whole_batch

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one sample after the layer; raises ValueError where the layer does not fit."""
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """What the layer learns on samples of that shape, by name."""
        return {}

    def multiply_adds(self, shape: Shape) -> int:
        """How many multiplications one sample costs, for ``summary()``."""
        return 0

    def in_hand(self, shape: Shape) -> int:
        """How many numbers it works with at once for each sample."""
        return prod(shape) + prod(self.output_shape(shape))

    def prepare(self, params: Arrays, shape: Shape, ctx: Context) -> Arrays:
        """Add to the parameters what depends on them alone; done once for all of a mini-batch.

        ``forward`` and ``backward`` are then given these, but must not rely on it.
        """
        return params

    @abstractmethod
    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        """Compute ``y`` and the cache that backward will need. Must not modify ``x``."""

    @abstractmethod
    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        """Compute ``dx`` from ``dy``, and write every array of ``grads`` completely."""


def batch_axis(x: Array) -> int:
    """Tell which axis of a batch counts the samples: 2 of images (h, w, n, c), 0 of vectors."""
    return 2 if x.ndim == 4 else 0


def matrix(x: Array) -> Array:
    """View images (h, w, n, c) as one row per pixel; vectors are that already."""
    return x.reshape(-1, x.shape[-1])


def per_channel(values: Array, x: Array, ctx: Context) -> Array:
    """Repeat values, one per channel, for a row of images: (c,) -> (w, n, c).

    What is added to a batch should have long runs of memory too; with c numbers at a time, NumPy
    spends more on getting from run to run than on adding.
    """
    if x.ndim != 4:
        return values
    repeated = ctx.scratch(x.shape[1:], x.dtype)
    repeated[...] = values
    return repeated


def image_shape(layer: Layer, shape: Shape) -> tuple[int, int, int]:
    """Return the shape of one image, or raise an error that says what the layer was given."""
    if len(shape) != 3:
        raise ValueError(
            f"{brief(layer)} needs images (height, width, channels), but is given vectors of shape "
            f"{shape}. Put it before Flatten(), GlobalAvgPool2D() and Dense()."
        )
    h, w, c = shape
    return h, w, c


def vector_size(layer: Layer, shape: Shape) -> int:
    """Return the length of one vector, or raise an error that says what the layer was given."""
    if len(shape) != 1:
        raise ValueError(
            f"{brief(layer)} needs vectors, but is given images of shape {shape}. "
            "Put Flatten() or GlobalAvgPool2D() before it."
        )
    return prod(shape)
