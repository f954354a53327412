"""The training loop: a generator of epochs, so that callers decide when to stop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from struct import pack
from time import perf_counter
from typing import Protocol
from zlib import crc32

import numpy as np

from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Array, Rows
from sknpcnn._network.network import Network
from sknpcnn._network.samples import Samples, content_ids
from sknpcnn._network.standard import Standard
from sknpcnn._training.state import TrainingPlan, TrainingState
from sknpcnn._training.step import Stepper
from sknpcnn.losses import measure


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


@dataclass(frozen=True)
class Course:
    """What is trained, on what and how: all that stays the same from epoch to epoch."""

    network: Network
    samples: Samples
    standard: Standard | None
    plan: TrainingPlan


class Team(Protocol):
    """Runs the epochs of a fit."""

    def run(self, state: TrainingState, on_batch: Callable[[float], None] | None) -> Epoch:
        """Train for an epoch, which changes the state, but does not count the epoch."""


def train(
    course: Course,
    state: TrainingState,
    engine: Engine,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_batch: Callable[[float], None] | None = None,
    team: Team | None = None,
) -> Iterator[Epoch]:
    """Yield epochs of training without end.

    ``on_epoch`` is called with each epoch before it is complete, ``on_batch`` after each mini-batch
    with the completed fraction of the epoch. Without a ``team`` the engine runs the epochs.

    An epoch is a transaction: if it or ``on_epoch`` fails or is interrupted, ``state`` is restored.
    """
    team = Alone(course, engine) if team is None else team
    while True:
        before = state.copy()
        try:
            epoch = team.run(state, on_batch)
            if on_epoch is not None:
                on_epoch(epoch)
            state.epoch += 1
        except BaseException:
            state.restore(before)
            raise
        yield epoch


class Alone:
    """Runs epochs in this process, on the threads of an engine."""

    def __init__(self, course: Course, engine: Engine) -> None:
        self._course, self._engine = course, engine
        self._trainer: Trainer | None = None

    def run(self, state: TrainingState, on_batch: Callable[[float], None] | None) -> Epoch:
        """Train for an epoch; the arrays of the state stay the same from call to call."""
        if self._trainer is None:
            self._trainer = Trainer(self._course, state, self._engine, np.zeros_like(state.theta))
        return self._trainer.run_epoch(on_batch)


class Trainer:
    """Trains a state, whose arrays stay where they are, epoch by epoch."""

    def __init__(self, course: Course, state: TrainingState, engine: Engine, grad: Array) -> None:
        self._course, self._state, self._engine, self._grad = course, state, engine, grad
        self._stepper = Stepper(state, grad, course.network.layout, engine)
        self._ids = cache(partial(content_ids, course.samples))

    @np.errstate(all="ignore")  # finiteness is checked below
    def run_epoch(self, on_batch: Callable[[float], None] | None = None) -> Epoch:
        """Train for an epoch, without counting it."""
        start = perf_counter()
        samples, plan, state = self._course.samples, self._course.plan, self._state
        starts = plan.batch_starts(len(samples))
        n_steps = len(starts)
        order = np.arange(len(samples))
        if plan.shuffle:
            order = np.random.default_rng([state.seed, state.epoch]).permutation(len(samples))
        loss = weight = lr = 0.0
        scored: Array | float = 0.0
        for i, lo in enumerate(starts):
            part = order[lo : lo + starts.step]
            batch_loss, batch_weight, sums = self._learn(part, i)
            if not np.isfinite(batch_loss):
                raise ValueError(
                    f"Training diverged: the loss is {batch_loss} in epoch {state.epoch + 1}, step "
                    f"{i + 1} of {n_steps}, {_advice(plan, lr or plan.learning_rate)}, or check "
                    f"that {'X and y hold' if plan.loss.targets == 'reals' else 'X holds'} no "
                    "extreme values."
                )
            epoch_now = state.epoch + (i + 0.5) / n_steps
            lr = plan.learning_rate * plan.schedule.multiplier(state.progress(epoch_now, plan))
            if plan.clip_norm is not None:
                self._stepper.clip(plan.clip_norm)
            state.step += 1
            self._stepper.step(plan.optimizer, lr)
            loss, weight, scored = loss + batch_loss, weight + batch_weight, scored + sums
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

    def time_step(self) -> float:
        """Return how many seconds the gradient of a mini-batch takes; trains nothing."""
        part = np.arange(self._course.plan.batch_starts(len(self._course.samples)).step)
        start = 0.0
        for _ in range(2):  # memory is new in the first one
            start = perf_counter()
            self._learn(part, 0)
        return perf_counter() - start

    def _learn(self, part: Array, step: int) -> tuple[float, float, Array]:
        """Compute the gradient of a mini-batch; return its loss, its weight and sums to score."""
        network, samples, plan = self._course.network, self._course.samples, self._course.plan
        state = self._state
        index = samples.index[part]
        weights, targets = samples.weights_at(index), samples.targets[index]
        loss, outputs = network.learn(
            state.theta,
            self._grad,
            Rows(samples.X, network.image, self._course.standard, index, plan.augment),
            targets,
            weights,
            self._engine,
            plan.loss,
            crc32(pack("<QQQ", state.seed, state.epoch, step)),
            partial(_select_ids, self._ids, part),
        )
        weight = float(len(index) if weights is None else weights.sum())
        loss += weight * self._stepper.add_penalty(plan.alpha / weight)
        return loss, weight, plan.target.sums(outputs, targets, weights, plan.loss)


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
