"""The training loop: a generator of epochs, so that callers decide when to stop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from struct import pack
from time import perf_counter
from zlib import crc32

import numpy as np

from sknpcnn._engine.chunks import cut
from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Array, Rows
from sknpcnn._network.network import Network
from sknpcnn._network.parameters import Layout
from sknpcnn._network.samples import Samples, content_ids
from sknpcnn._network.standard import Standard
from sknpcnn._training.state import TrainingPlan, TrainingState
from sknpcnn.losses import measure
from sknpcnn.optimizers import Optimizer

BLOCK_SIZE = 2**16
"""Parameters per call of an optimizer: the arrays that it needs for them fit into the cache."""


@dataclass(frozen=True)
class Epoch:
    """Results of one pass over the training data."""

    number: int
    loss: float
    """Mean over the mini-batches as they were trained on, penalty included."""
    score: float
    """Accuracy or R2, averaged likewise."""
    learning_rate: float
    seconds: float


def train(
    network: Network,
    samples: Samples,
    standard: Standard | None,
    plan: TrainingPlan,
    state: TrainingState,
    engine: Engine,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_batch: Callable[[float], None] | None = None,
) -> Iterator[Epoch]:
    """Yield epochs of training without end.

    ``on_epoch`` is called with each epoch before it is complete, ``on_batch`` after each mini-batch
    with the completed fraction of the epoch.

    An epoch is a transaction: if it or ``on_epoch`` fails or is interrupted, ``state`` is restored.
    """
    grad = np.zeros_like(state.theta)
    ids = cache(partial(content_ids, samples))
    while True:
        before = state.copy()
        try:
            epoch = _run_epoch(network, samples, standard, plan, state, engine, grad, ids, on_batch)
            if on_epoch is not None:
                on_epoch(epoch)
            state.epoch += 1
        except BaseException:
            state.restore(before)
            raise
        yield epoch


@np.errstate(all="ignore")  # finiteness is checked below
def _run_epoch(
    network: Network,
    samples: Samples,
    standard: Standard | None,
    plan: TrainingPlan,
    state: TrainingState,
    engine: Engine,
    grad: Array,
    ids: Callable[[], Array],
    on_batch: Callable[[float], None] | None,
) -> Epoch:
    start = perf_counter()
    starts = plan.batch_starts(len(samples))
    n_steps = len(starts)
    order = np.arange(len(samples))
    if plan.shuffle:
        order = np.random.default_rng([state.seed, state.epoch]).permutation(len(samples))
    loss = weight = lr = 0.0
    scored: Array | float = 0.0
    for i, lo in enumerate(starts):
        part = order[lo : lo + starts.step]
        index = samples.index[part]
        weights = samples.weights_at(index)
        rows = Rows(samples.X, network.image, standard, index, plan.augment)
        key = crc32(pack("<QQQ", state.seed, state.epoch, i))
        targets = samples.targets[index]
        batch_loss, outputs = network.learn(
            state.theta,
            grad,
            rows,
            targets,
            weights,
            engine,
            plan.loss,
            key,
            partial(_select_ids, ids, part),
        )
        batch_weight = float(len(index) if weights is None else weights.sum())
        penalty = plan.alpha / batch_weight
        batch_loss += batch_weight * _add_penalty(state.theta, grad, network.layout, penalty)
        if not np.isfinite(batch_loss):
            raise ValueError(
                f"Training diverged: the loss is {batch_loss} in epoch {state.epoch + 1}, step "
                f"{i + 1} of {n_steps}, {_advice(plan, lr or plan.learning_rate)}, or check that "
                f"{'X and y hold' if plan.loss.targets == 'reals' else 'X holds'} no extreme "
                "values."
            )
        epoch_now = state.epoch + (i + 0.5) / n_steps
        lr = plan.learning_rate * plan.schedule.multiplier(state.progress(epoch_now, plan))
        if plan.clip_norm is not None:
            for segment in network.layout.groups:
                if segment.lr_scale == 0:  # frozen: its gradient does not count
                    grad[segment.start : segment.stop] = 0
            clip(grad[: network.layout.n_trained], plan.clip_norm)
        state.step += 1
        _optimizer_step(state, grad, network.layout, plan.optimizer, lr, engine)
        loss, weight = loss + batch_loss, weight + batch_weight
        scored = scored + plan.target.sums(outputs, targets, weights, plan.loss)
        if on_batch is not None:
            on_batch((i + 1) / n_steps)
    if not np.isfinite(state.theta).all():
        raise ValueError(
            f"Training diverged: parameters are not finite after epoch {state.epoch + 1}, "
            f"{_advice(plan, lr)}."
        )
    seconds = perf_counter() - start
    score = plan.target.score(np.asarray(scored))
    return Epoch(state.epoch + 1, loss / weight, score, lr, seconds)


def _select_ids(ids: Callable[[], Array], part: Array) -> Array:
    known: Array = ids()[part]
    return known


def _advice(plan: TrainingPlan, lr: float) -> str:
    """Return the advice for training that has diverged."""
    if plan.alpha:
        return (
            f"at a learning rate of {lr:g} and with alpha={plan.alpha:g}. Lower "
            "learning_rate_init or alpha, set clip_norm=1.0"
        )
    return f"at a learning rate of {lr:g}. Lower learning_rate_init, set clip_norm=1.0"


@np.errstate(all="ignore")  # callers check that the loss is finite
def evaluate(
    network: Network,
    theta: Array,
    samples: Samples,
    standard: Standard | None,
    plan: TrainingPlan,
    engine: Engine,
) -> tuple[float, float, Array]:
    """Compute mean loss, score and outputs of samples in inference mode."""
    rows = Rows(samples.X, network.image, standard, samples.index)
    outputs = network.logits(theta, rows, engine)
    weights = samples.weights_at(samples.index)
    targets = samples.targets[samples.index]
    loss = measure(plan.loss, outputs, targets, weights).total
    total = len(samples) if weights is None else weights.sum()
    score = plan.target.score(plan.target.sums(outputs, targets, weights, plan.loss))
    return float(loss / total), score, outputs


def clip(grad: Array, norm: float) -> None:
    """Scale a gradient in place to at most the given norm."""
    # in double precision: the squares of large float32 would overflow
    length = float(np.sqrt(np.einsum("i,i->", grad, grad, dtype=np.float64)))
    if length > norm:
        grad *= norm / length


def _add_penalty(theta: Array, grad: Array, layout: Layout, penalty: float) -> float:
    """Add the L2 penalty on the weights to the gradient; return its value."""
    value = 0.0
    if penalty:
        for segment in layout.groups:
            if segment.decay:
                weights = theta[segment.start : segment.stop]
                grad[segment.start : segment.stop] += penalty * weights
                value += 0.5 * penalty * float(weights @ weights)
    return value


def _optimizer_step(
    state: TrainingState,
    grad: Array,
    layout: Layout,
    optimizer: Optimizer,
    lr: float,
    engine: Engine,
) -> None:
    """Apply one step of the optimizer, block by block, and update the running averages."""
    blocks = [
        (slice(segment.start + lo, segment.start + hi), segment.lr_scale)
        for segment in layout.groups
        if segment.lr_scale > 0
        for lo, hi in cut(segment.stop - segment.start, BLOCK_SIZE)
    ]

    def step(i: int, thread: int) -> None:
        block, scale = blocks[i]
        memory = {name: array[block] for name, array in state.memory.items()}
        optimizer.step(state.theta[block], grad[block], memory, lr * scale, state.step)

    if state.theta.size > 4 * BLOCK_SIZE:
        engine.run(step, len(blocks))
    else:  # less work than waking up a thread
        for i in range(len(blocks)):
            step(i, 0)
    for segment, momentum in layout.averages:
        state.theta[segment] += (1 - momentum) * (grad[segment] - state.theta[segment])
