"""A step: gradient and penalty become a change of the parameters, block by block.

The blocks are shared among the workers. Within each the arrays fit into the cache, however many
passes the optimizer makes.
"""

from collections.abc import Callable

import numpy as np

from sknpcnn._engine.chunks import cut
from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Array
from sknpcnn._network.parameters import Layout
from sknpcnn._training.state import TrainingState
from sknpcnn.optimizers import Optimizer

MAX_BLOCK_SIZE = 2**16
"""Parameters per call of an optimizer: the arrays that it needs for them fit into the cache."""
MIN_SIZE_TO_SHARE = 2**18
"""Fewer parameters are less work than waking up a thread."""


class Stepper:
    """Takes the steps of one fit, on arrays that stay where they are."""

    def __init__(self, state: TrainingState, grad: Array, layout: Layout, engine: Engine) -> None:
        self._state, self._grad, self._layout, self._engine = state, grad, layout, engine
        # worker processes share even small ones: they wait at a barrier anyway
        few = state.theta.size <= MIN_SIZE_TO_SHARE
        self._alone = few and engine.member is None
        size = MAX_BLOCK_SIZE // 8 if few else MAX_BLOCK_SIZE
        self._blocks = [
            (slice(segment.start + lo, segment.start + hi), segment)
            for segment in layout.groups
            for lo, hi in cut(segment.stop - segment.start, size)
        ]
        arena = engine.arena("penalties", shared=True)
        self._penalties = arena.empty((len(self._blocks),), np.float64)

    def add_penalty(self, penalty: float) -> float:
        """Add the L2 penalty on the weights to the gradient; return its value."""
        if not penalty:
            return 0.0
        theta, grad = self._state.theta, self._grad

        def add(i: int) -> None:
            block, segment = self._blocks[i]
            self._penalties[i] = 0.0
            if segment.decay:
                weights = theta[block]
                grad[block] += penalty * weights
                self._penalties[i] = weights @ weights

        self._run(add, len(self._blocks))
        return 0.5 * penalty * float(self._penalties.sum())

    def clip(self, norm: float) -> None:
        """Scale the gradient to at most the given norm; frozen layers do not count."""
        grad, trained = self._grad, self._layout.n_trained

        def clear(i: int) -> None:
            block, segment = self._blocks[i]
            if segment.lr_scale == 0:
                grad[block] = 0

        if any(segment.lr_scale == 0 for segment in self._layout.groups):
            self._run(clear, len(self._blocks))
        factor = clip_factor(grad[:trained], norm)
        if factor < 1:

            def scale(i: int) -> None:
                grad[self._blocks[i][0]] *= factor

            self._run(scale, len(self._blocks))

    def step(self, optimizer: Optimizer, lr: float) -> None:
        """Apply one step of the optimizer, and update the running averages."""
        state, grad = self._state, self._grad

        def update(i: int) -> None:
            if i < len(self._blocks):
                block, segment = self._blocks[i]
                if segment.lr_scale > 0:
                    memory = {name: array[block] for name, array in state.memory.items()}
                    lr_here = lr * segment.lr_scale
                    optimizer.step(state.theta[block], grad[block], memory, lr_here, state.step)
                return
            for place, momentum in self._layout.averages:
                state.theta[place] += (1 - momentum) * (grad[place] - state.theta[place])

        self._run(update, len(self._blocks) + bool(self._layout.averages))

    def _run(self, task: Callable[[int], None], n_tasks: int) -> None:
        if self._alone:
            for i in range(n_tasks):
                task(i)
        else:
            self._engine.run(lambda i, worker: task(i), n_tasks)


def clip_factor(grad: Array, norm: float) -> float:
    """Compute the factor that scales a gradient to at most the given norm."""
    # in double precision: the squares of large float32 would overflow
    length = float(np.sqrt(np.einsum("i,i->", grad, grad, dtype=np.float64)))
    return norm / length if length > norm else 1.0
