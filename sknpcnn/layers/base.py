"""The contract between layers and the network: what a layer implements and what it receives."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Protocol

import numpy as np

from sknpcnn.layers.parameter import Parameter
from sknpcnn.layers.steps import Shape as Shape
from sknpcnn.layers.steps import Steps, parameters, with_shapes
from sknpcnn.spec import Spec

Array = np.ndarray
Arrays = Mapping[str, Any]
"""Arrays by name; the arrays of a nested layer are a nested ``Arrays``."""


class Context(Protocol):
    """What a running layer receives beside its input: memory, random bits, sample weights.

    Examples
    --------
    >>> def forward(self, params, x, ctx):
    ...     y = ctx.output(x.shape, x.dtype)
    ...     return np.multiply(x, x, out=y), x
    """

    training: bool
    keeps_cache: bool
    """Whether backward will run: always in training, and for gradients of what is predicted."""
    samples: int
    """Size of the whole mini-batch, of which the layer may see only a few samples."""
    needs_dx: bool
    """False if the gradient of the layer's input is not needed; backward may then return None."""

    @property
    def weights(self) -> Array | None:
        """The sample weights of the rows in x, shape (n,); None where all are one."""

    def output(self, shape: Shape, dtype: Any = None, keep: bool = False) -> Array:
        """Return an uninitialized array for the layer's result, valid until that has been read.

        ``keep`` says that the layer's own backward will read it again.
        """

    def empty(self, shape: Shape, dtype: Any = None) -> Array:
        """Return an uninitialized array that stays valid until backward has run."""

    def scratch(self, shape: Shape, dtype: Any = None) -> Array:
        """Return an uninitialized array that stays valid until the layer returns."""

    def constant(self, make: Callable[..., Array], *args: Any) -> Array:
        """Return ``make(*args)``, such as ``np.ones`` of a shape: computed once, read-only.

        It must depend on the arguments alone, which are hashable.
        """

    def random_bits(self, shape: Shape) -> Array:
        """Return random uint32 of that shape: a function of seed, step, layer and sample.

        Equal samples of a mini-batch get equal bits, wherever they are, so that a sample of weight
        two and the same sample given twice train the same network.
        """

    def lasting(self, shape: Shape, dtype: Any = None, *owner: Any) -> Array:
        """Return an array that stays valid over meetings of the chunks, until its owner asks again.

        No two layers that wait at the same time may name the same owner.
        """

    def target(self) -> Array | None:
        """Return where the result will be copied to, if the layer may write it there itself."""

    def note(self) -> Array:
        """Return this chunk's row of ``notes``."""

    def notes(self) -> Array:
        """Return what every chunk has noted in the layer of this name before they met."""

    @property
    def first(self) -> bool:
        """Whether the layer sees the first samples of the mini-batch."""

    def map(
        self,
        task: Callable[[int, Callable[..., Array]], None],
        count: int,
        work: float | None = None,
    ) -> None:
        """Run ``task(i, scratch)`` for ``i`` in ``range(count)``, shared among all workers.

        ``work`` is about how many elements are read: a little is not worth waking up a thread.
        """

    def tiles(self, rows: int, values_per_row: int, at_least: int = 1) -> list[tuple[int, int]]:
        """Split rows into ranges whose size depends on the data alone."""

    def forward(self, params: Arrays, x: Array, branch: int = 0) -> tuple[Array, Any]:
        """Run one of the layer's own branches; each may be run once."""

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, branch: int = 0
    ) -> Array | None:
        """Run the backward pass of a branch, on the cache that its forward returned."""


@dataclass(frozen=True)
class Hints:
    """What the engine may assume of a layer of this package, to run faster or in less memory.

    ``check_layer`` verifies these claims. As no test can prove them for all data, the engine
    ignores those of layers defined elsewhere.

    Examples
    --------
    >>> from sknpcnn.layers import ReLU
    >>> ReLU.hints
    Hints(needs_input=False, monotonic=True)
    """

    needs_input: bool = True
    """False if ``x`` is not needed any more once forward has returned."""

    monotonic: bool = False
    """True if each element of ``y`` is a non-decreasing function of one element of ``x``."""


@dataclass(frozen=True, repr=False)
class Layer(Spec, ABC):
    """A frozen set of hyperparameters and the pure functions that they define.

    Inside the network a batch of images is ``(h, w, n, c)``, *height first*: the rows that one row
    of a convolution kernel reads are contiguous, and so is one column of all images within a row.
    Vectors are ``(n, features)``. Shapes of one sample are ``(h, w, c)`` and ``(features,)``.

    Nothing is ever written on ``self``: what backward needs of forward is in the ``cache`` that
    forward returns. So several threads may use one layer at once.

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
        """The sequences of layers in a composite layer; each starts at its input.

        ``ctx.forward`` and ``ctx.backward`` run them; their parameters are those of the layer.
        """
        return ()

    def whole_batch(self, training: bool) -> bool:
        """Return whether the layer needs all samples of the mini-batch at once.

        Any other layer sees a few samples at a time, and must treat each on its own.
        """
        return any(layer.whole_batch(training) for steps in self.branches for _, layer in steps)

    def output_shape(self, shape: Shape) -> Shape:
        """Compute the shape of one output sample; raise ValueError if the input does not fit."""
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """Return the parameters by name, for samples of that shape."""
        nested = [parameters(steps, shape) for steps in self.branches]
        return {name: parameter for found in nested for name, parameter in found.items()}

    def multiply_adds(self, shape: Shape) -> int:
        """Count the multiply-adds per sample, for ``summary()``."""
        nested = (with_shapes(steps, shape) for steps in self.branches)
        return sum(layer.multiply_adds(s) for steps in nested for _, layer, s in steps)

    def working_set(self, shape: Shape) -> int:
        """Estimate how many elements per sample the layer works on at once."""
        if not self.branches:
            return prod(shape) + prod(self.output_shape(shape))
        nested = [with_shapes(steps, shape) for steps in self.branches]
        largest = max(
            (layer.working_set(s) for steps in nested for _, layer, s in steps), default=0
        )
        kept = prod(shape) if len(nested) > 1 else 0  # the input of the next branch
        return kept + (largest or prod(shape))

    def prepare(self, params: Arrays, shape: Shape, ctx: Context) -> Arrays:
        """Add arrays derived from the parameters alone; called once per mini-batch.

        ``forward`` and ``backward`` usually receive these, but must also work without them.
        """
        return params

    @abstractmethod
    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        """Compute ``y`` and the cache for backward. Must not modify ``x``."""

    @abstractmethod
    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        """Compute ``dx`` from ``dy``, and overwrite every array of ``grads`` completely."""


def is_builtin(layer: Layer, recursive: bool = False) -> bool:
    """Return whether a layer, and with ``recursive`` every layer in it, is of this package.

    Subclasses are not: they may do anything.
    """
    children = (child for steps in layer.branches for _, child in steps) if recursive else ()
    builtin = type(layer).__module__.startswith("sknpcnn.layers.")
    return builtin and all(is_builtin(child, recursive) for child in children)
