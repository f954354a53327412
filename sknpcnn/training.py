"""The training loop: a generator that yields one epoch at a time. To stop is to stop asking."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from math import isfinite, isnan
from struct import pack
from time import perf_counter
from typing import Any
from zlib import crc32

import numpy as np

from sknpcnn.batches import Array, Rows
from sknpcnn.chunks import cut
from sknpcnn.engine import Engine
from sknpcnn.losses import Loss, measure
from sknpcnn.network import Network
from sknpcnn.optimizers import Memory, Optimizer
from sknpcnn.parameters import Layout
from sknpcnn.samples import Samples, content_ids
from sknpcnn.schedules import Progress, Schedule
from sknpcnn.spec import Steps
from sknpcnn.standard import Standard
from sknpcnn.targets import Target

# The optimizer works on so many parameters at a time: their five or so arrays fit into the cache.
BLOCK = 2**16


@dataclass(frozen=True)
class Plan:
    """How to train."""

    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    max_iter: int
    """How many epochs a fit takes at most."""
    n_epochs: int
    """What schedules count on; the loop itself goes on as long as it is asked."""
    batch_size: int
    shuffle: bool
    alpha: float
    clip_norm: float | None
    loss: Loss
    target: Target
    augment: Steps = ()

    def starts(self, n: int) -> range:
        """Tell where the mini-batches of an epoch over n samples begin; its step is their size."""
        return range(0, n, min(self.batch_size, n))


MAX_COUNT = 2**53 - 1
"""Counts are added to, divided and made the key of random numbers: a float must hold them."""
_COUNTS = "epoch", "step", "forgotten"
_KINDS = {"seed": int, "epoch": int, "step": int, "curve": list, "rule": str}
_KINDS |= {"forgotten": int, "summary": tuple}
"""What a state holds besides arrays."""
_NOTHING_FORGOTTEN = {"forgotten": 0, "summary": ("", ())}
"""What files do not say that are older than streams without end."""


@dataclass
class TrainingState:
    """Everything that training has to know to go on as if it had never been interrupted.

    There is no random generator in it: what is random is a function of seed, epoch and step.
    """

    theta: Array
    memory: Memory
    seed: int
    epoch: int = 0
    step: int = 0
    curve: list[float] = field(default_factory=list)
    """What training tries to lower, per epoch; whoever asks for epochs writes it down."""
    rule: str = ""
    """Whose memory it is: the name of the optimizer."""
    forgotten: int = 0
    """Epochs before the curve begins."""
    summary: tuple[str, tuple[float, ...]] = ("", ())
    """What a schedule has kept of those, and its name."""

    def to_values(self) -> dict[str, Any]:
        """Return all but the arrays, as values that a file can hold."""
        return {name: getattr(self, name) for name in _KINDS}

    @classmethod
    def from_values(cls, theta: Array, memory: Memory, values: dict[str, Any]) -> "TrainingState":
        """Make a state of what a file holds; raise a ValueError that names what cannot be right."""
        found = {**_NOTHING_FORGOTTEN, **values}
        if type(found["summary"]) is list:  # as JSON has it
            found["summary"] = tuple(map(_as_tuple, found["summary"]))
        wrong = [name for name, kind in _KINDS.items() if type(found.get(name)) is not kind]
        wrong += found.keys() - _KINDS.keys()
        if not wrong:
            name, *kept = found["summary"] or (None,)
            sound = {
                "seed": 0 <= found["seed"] < 2**31,
                **{count: 0 <= found[count] <= MAX_COUNT for count in _COUNTS},
                "curve": all(type(loss) is float and isfinite(loss) for loss in found["curve"]),
                "summary": type(name) is str and len(kept) == 1 and _are_numbers(kept[0]),
            }
            wrong = [name for name, holds in sound.items() if not holds]
        if wrong:
            raise ValueError(f"{wrong} of its training cannot be right")
        return cls(theta, memory, **found)

    def copy(self) -> "TrainingState":
        """Make an independent copy, writeable even where this one is mapped from a file."""
        memory = {name: array.copy() for name, array in self.memory.items()}
        return replace(self, theta=self.theta.copy(), memory=memory, curve=list(self.curve))

    def progress(self, epoch: float, plan: "Plan") -> Progress:
        """Tell a schedule how far training has come."""
        name, summary = self.summary
        known = summary if name == type(plan.schedule).__name__ else ()
        return Progress(epoch, plan.n_epochs, self.curve, self.forgotten, known)

    def forget(self, keep: int, plan: "Plan") -> None:
        """Keep the end of the curve, and what the schedule has to know of the rest."""
        if (dropped := len(self.curve) - keep) > 0:
            old = replace(self.progress(self.epoch, plan), curve=self.curve[:dropped])
            self.summary = type(plan.schedule).__name__, plan.schedule.summary_of(old)
            self.forgotten += dropped
            del self.curve[:dropped]

    def go_back_to(self, earlier: "TrainingState") -> None:
        """Take over the values of an earlier copy."""
        self.theta[...] = earlier.theta
        for name, array in earlier.memory.items():
            self.memory[name][...] = array
        self.epoch, self.step = earlier.epoch, earlier.step
        self.curve[:] = earlier.curve


def _as_tuple(value: Any) -> Any:
    return tuple(value) if type(value) is list else value


def _are_numbers(values: Any) -> bool:
    """Return whether these are what a schedule keeps: infinite, perhaps, but not NaN."""
    return type(values) is tuple and all(type(v) is float and not isnan(v) for v in values)


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data has brought."""

    number: int
    loss: float
    """Mean over the epoch, as the mini-batches came by, penalty included."""
    score: float
    """Accuracy or R2, likewise."""
    learning_rate: float
    seconds: float


def train(
    network: Network,
    samples: Samples,
    standard: Standard | None,
    plan: Plan,
    state: TrainingState,
    engine: Engine,
    watch: Callable[[Epoch], None] | None = None,
    tick: Callable[[float], None] | None = None,
) -> Iterator[Epoch]:
    """Train for as many epochs as are asked for; ``watch`` looks at each before it counts.

    ``tick`` is told after every mini-batch which part of the epoch has passed.

    An epoch is taken whole or not at all: if it fails or is interrupted, ``state`` is what it was
    before it.
    """
    grad = np.zeros_like(state.theta)
    ids = cache(partial(content_ids, samples))
    while True:
        before = state.copy()
        try:
            epoch = _one_epoch(network, samples, standard, plan, state, engine, grad, ids, tick)
            if watch is not None:
                watch(epoch)
            state.epoch += 1
        except BaseException:
            state.go_back_to(before)
            raise
        yield epoch


@np.errstate(all="ignore")  # the checks below tell what is not finite
def _one_epoch(
    network: Network,
    samples: Samples,
    standard: Standard | None,
    plan: Plan,
    state: TrainingState,
    engine: Engine,
    grad: Array,
    ids: Callable[[], Array],
    tick: Callable[[float], None] | None,
) -> Epoch:
    start = perf_counter()
    starts = plan.starts(len(samples))
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
            partial(_ids_at, ids, part),
        )
        batch_weight = float(len(index) if weights is None else weights.sum())
        penalty = plan.alpha / batch_weight
        batch_loss += batch_weight * _penalise(state.theta, grad, network.layout, penalty)
        if not np.isfinite(batch_loss):
            raise ValueError(
                f"Training diverged: the loss is {batch_loss} in epoch {state.epoch + 1}, step "
                f"{i + 1} of {n_steps}, {_advice(plan, lr or plan.learning_rate)}, or check that "
                "X holds no extreme values."
            )
        epoch_now = state.epoch + (i + 0.5) / n_steps
        lr = plan.learning_rate * plan.schedule.multiplier(state.progress(epoch_now, plan))
        if plan.clip_norm is not None:
            for segment in network.layout.groups:
                if segment.lr_scale == 0:  # frozen: its gradient goes nowhere
                    grad[segment.start : segment.stop] = 0
            clip(grad[: network.layout.n_trained], plan.clip_norm)
        state.step += 1
        _update(state, grad, network.layout, plan.optimizer, lr, engine)
        loss, weight = loss + batch_loss, weight + batch_weight
        scored = scored + plan.target.sums(outputs, targets, weights, plan.loss)
        if tick is not None:
            tick((i + 1) / n_steps)
    if not np.isfinite(state.theta).all():
        raise ValueError(
            f"Training diverged: parameters are not finite after epoch {state.epoch + 1}, "
            f"{_advice(plan, lr)}."
        )
    seconds = perf_counter() - start
    score = plan.target.score(np.asarray(scored))
    return Epoch(state.epoch + 1, loss / weight, score, lr, seconds)


def _ids_at(ids: Callable[[], Array], part: Array) -> Array:
    return ids()[part]


def _advice(plan: Plan, lr: float) -> str:
    """Say what may be too large where training has diverged, and what to do about it."""
    if plan.alpha:
        return (
            f"at a learning rate of {lr:g} and with alpha={plan.alpha:g}. Lower "
            "learning_rate_init or alpha, set clip_norm=1.0"
        )
    return f"at a learning rate of {lr:g}. Lower learning_rate_init, set clip_norm=1.0"


@np.errstate(all="ignore")  # who asks looks whether the loss is finite
def evaluate(
    network: Network,
    theta: Array,
    samples: Samples,
    standard: Standard | None,
    plan: Plan,
    engine: Engine,
) -> tuple[float, float, Array]:
    """Compute mean loss, score and outputs of some samples, as prediction sees them."""
    rows = Rows(samples.X, network.image, standard, samples.index)
    outputs = network.logits(theta, rows, engine)
    weights = samples.weights_at(samples.index)
    targets = samples.targets[samples.index]
    loss = measure(plan.loss, outputs, targets, weights).total
    total = len(samples) if weights is None else weights.sum()
    score = plan.target.score(plan.target.sums(outputs, targets, weights, plan.loss))
    return float(loss / total), score, outputs


def clip(grad: Array, norm: float) -> None:
    """Shorten a gradient, in place, to at most that norm."""
    # in double precision: the squares of large float32 would overflow
    length = float(np.sqrt(np.einsum("i,i->", grad, grad, dtype=np.float64)))
    if length > norm:
        grad *= norm / length


def _penalise(theta: Array, grad: Array, layout: Layout, penalty: float) -> float:
    """Add the L2 penalty on the weights to the gradient; return its value."""
    value = 0.0
    if penalty:
        for segment in layout.groups:
            if segment.decay:
                weights = theta[segment.start : segment.stop]
                grad[segment.start : segment.stop] += penalty * weights
                value += 0.5 * penalty * float(weights @ weights)
    return value


def _update(
    state: TrainingState,
    grad: Array,
    layout: Layout,
    optimizer: Optimizer,
    lr: float,
    engine: Engine,
) -> None:
    """Take one step: the optimizer on what is trained, block by block, and running averages."""
    blocks = [
        (slice(segment.start + lo, segment.start + hi), segment.lr_scale)
        for segment in layout.groups
        if segment.lr_scale > 0
        for lo, hi in cut(segment.stop - segment.start, BLOCK)
    ]

    def step(i: int, thread: int) -> None:
        block, scale = blocks[i]
        memory = {name: array[block] for name, array in state.memory.items()}
        optimizer.step(state.theta[block], grad[block], memory, lr * scale, state.step)

    if state.theta.size > 4 * BLOCK:
        engine.run(step, len(blocks))
    else:  # less work than waking a thread
        for i in range(len(blocks)):
            step(i, 0)
    for place, momentum in layout.averages:
        state.theta[place] += (1 - momentum) * (grad[place] - state.theta[place])
