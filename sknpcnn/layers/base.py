"""The contract between a layer and the network: what a layer promises and what it is given."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Protocol

import numpy as np

from sknpcnn.brief import brief
from sknpcnn.layers.steps import Shape, Steps, parameters, with_shapes
from sknpcnn.parameters import Parameter
from sknpcnn.spec import Spec

Array = np.ndarray
Arrays = Mapping[str, Any]
"""Arrays by name; those of a layer inside another one are an ``Arrays`` in it."""


class Context(Protocol):
    """What a running layer is given beside its input: memory, randomness, the rows' weights.

    Examples
    --------
    >>> def forward(self, params, x, ctx):
    ...     y = ctx.output(x.shape, x.dtype)
    ...     return np.multiply(x, x, out=y), x
    """

    training: bool
    samples: int
    """How many samples the whole mini-batch has, of which the layer may see only a few."""
    needs_dx: bool
    """False where nobody will read the gradient of the layer's input; backward may return None."""

    @property
    def weights(self) -> Array | None:
        """The sample weights of the rows in x, shape (n,); None where all are one."""

    def output(self, shape: Shape, dtype: Any = None, keep: bool = False) -> Array:
        """Return an uninitialized array for what the layer returns: valid until that is read.

        ``keep`` says that the layer's own backward will read it once more.
        """

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        """Return an uninitialized array that stays valid until backward has run."""

    def scratch(self, shape: Shape, dtype: Any = None) -> Array:
        """Return an uninitialized array that stays valid until the layer returns."""

    def constant(self, make: Callable[..., Array], *args: Any) -> Array:
        """Return what ``make(*args)`` does, such as ``np.ones`` of a shape: made once, read-only.

        It must follow from the arguments alone, which are hashable.
        """

    def random_bits(self, shape: Shape) -> Array:
        """Draw uint32 for an array of that shape: a function of seed, step, layer and sample.

        Equal samples of one mini-batch draw equal numbers, wherever they stand, so a sample of
        weight two and a sample given twice train the same network.
        """

    def map(self, task: Callable[[int, Callable[..., Array]], None], count: int) -> None:
        """Run ``task(i, scratch)`` for ``i`` below ``count``, on all threads."""

    def tiles(self, rows: int, values_per_row: int, at_least: int = 1) -> list[tuple[int, int]]:
        """Cut rows into ranges of a size that depends on the data alone."""

    def forward(self, params: Arrays, x: Array, branch: int = 0) -> tuple[Array, Any]:
        """Run the layers of one of the layer's own branches; once for each."""

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, branch: int = 0
    ) -> Array | None:
        """Run the layers of a branch backwards, on the cache that its forward has returned."""


@dataclass(frozen=True)
class Hints:
    """What the engine may assume of a layer of this package, to be faster or to need less memory.

    ``check_layer`` verifies what is claimed. As no test proves it for all data, nothing is assumed
    of layers from elsewhere, whatever they claim.

    Examples
    --------
    >>> from sknpcnn.layers import ReLU
    >>> ReLU.hints
    Hints(needs_input=False, monotonic=True)
    """

    needs_input: bool = True
    """False if backward reads no ``x``, and forward has read it when it returns."""

    monotonic: bool = False
    """True if each value of ``y`` follows from one of ``x``, and never falls where it rises."""


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

    hints: ClassVar[Hints] = Hints()

    @property
    def branches(self) -> tuple[Steps, ...]:
        """For a layer made of layers: sequences of them that each begin at its input.

        They are run by ``ctx.forward`` and ``ctx.backward``; their parameters are the layer's.
        """
        return ()

    def whole_batch(self, training: bool) -> bool:
        """Return whether the layer needs all samples of the mini-batch at once.

        All others see a few samples at a time, and may not care which.
        """
        return any(layer.whole_batch(training) for steps in self.branches for _, layer in steps)

    def output_shape(self, shape: Shape) -> Shape:
        """Compute the shape of one sample after it; raise ValueError where it does not fit."""
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """Describe by name what the layer learns on samples of that shape."""
        inside = [parameters(steps, shape) for steps in self.branches]
        return {name: parameter for found in inside for name, parameter in found.items()}

    def multiply_adds(self, shape: Shape) -> int:
        """Count the multiplications that one sample costs, for ``summary()``."""
        inside = (with_shapes(steps, shape) for steps in self.branches)
        return sum(layer.multiply_adds(s) for steps in inside for _, layer, s in steps)

    def working_set(self, shape: Shape) -> int:
        """Count the elements that it works with at once for each sample, about."""
        if not self.branches:
            return prod(shape) + prod(self.output_shape(shape))
        inside = [with_shapes(steps, shape) for steps in self.branches]
        most = max((layer.working_set(s) for steps in inside for _, layer, s in steps), default=0)
        waiting = prod(shape) if len(inside) > 1 else 0  # what the next branch begins with
        return waiting + (most or prod(shape))

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
    """Return which axis of a batch counts the samples: 2 of images (h, w, n, c), 0 of vectors.

    Parameters
    ----------
    x : array
        A batch as layers see it.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.layers import batch_axis
    >>> batch_axis(np.zeros((8, 8, 100, 3))), batch_axis(np.zeros((100, 64)))
    (2, 0)
    """
    return 2 if x.ndim == 4 else 0


def matrix(x: Array) -> Array:
    """View images (h, w, n, c) as one row per pixel; vectors are that already.

    Parameters
    ----------
    x : array
        A batch as layers see it.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.layers import matrix
    >>> matrix(np.zeros((8, 8, 100, 3))).shape
    (6400, 3)
    """
    return x.reshape(-1, x.shape[-1])


def per_channel(values: Array, x: Array, ctx: Context) -> Array:
    """Repeat values, one per channel, for a row of images: (c,) -> (w, n, c).

    What is added to a batch should have long runs of memory too; with c numbers at a time, NumPy
    spends more on getting from run to run than on adding.

    Parameters
    ----------
    values : array of shape (c,)
        One value for each channel.
    x : array
        The batch that they will meet.
    ctx : Context
        Gives the memory.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.layers import per_channel
    >>> per_channel(np.ones(64), np.zeros((100, 64)), ctx=None).shape  # vectors need nothing
    (64,)
    """
    if x.ndim != 4:
        return values
    repeated = ctx.scratch(x.shape[1:], x.dtype)
    repeated[...] = values
    return repeated


def image_shape(layer: Layer, shape: Shape) -> tuple[int, int, int]:
    """Return the shape of one image, or raise an error that says what the layer was given.

    Parameters
    ----------
    layer : Layer
        Who needs images.
    shape : tuple of int
        What it is given.

    Examples
    --------
    >>> from sknpcnn.layers import Conv2D, image_shape
    >>> image_shape(Conv2D(8), (28, 28, 1))
    (28, 28, 1)
    """
    if len(shape) != 3:
        raise ValueError(
            f"{brief(layer)} needs images (height, width, channels), but is given vectors of shape "
            f"{shape}. Put it before Flatten(), GlobalAvgPool2D() and Dense()."
        )
    h, w, c = shape
    return h, w, c


def vector_size(layer: Layer, shape: Shape) -> int:
    """Return the length of one vector, or raise an error that says what the layer was given.

    Parameters
    ----------
    layer : Layer
        Who needs vectors.
    shape : tuple of int
        What it is given.

    Examples
    --------
    >>> from sknpcnn.layers import Dense, vector_size
    >>> vector_size(Dense(10), (64,))
    64
    """
    if len(shape) != 1:
        raise ValueError(
            f"{brief(layer)} needs vectors, but is given images of shape {shape}. "
            "Put Flatten() or GlobalAvgPool2D() before it."
        )
    return prod(shape)


def is_ours(layer: Layer, deeply: bool = False) -> bool:
    """Return whether a layer is of this package, and ``deeply`` all that is in it as well.

    What inherits from one is not: it may do anything.
    """
    inside = (child for steps in layer.branches for _, child in steps) if deeply else ()
    ours = type(layer).__module__.startswith("sknpcnn.layers.")
    return ours and all(is_ours(child, deeply) for child in inside)
