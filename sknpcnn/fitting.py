"""One fit of an estimator: trains, watches the validation data, decides when to stop."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any, NamedTuple

from sknpcnn import defaults, optimizers, schedules
from sknpcnn.augmentation.base import Image, steps_of
from sknpcnn.balance import Seen
from sknpcnn.batches import Array
from sknpcnn.blas import threads_for
from sknpcnn.engine import Engine
from sknpcnn.losses import Loss
from sknpcnn.network import Network
from sknpcnn.report import Report
from sknpcnn.samples import Samples
from sknpcnn.standard import Standard
from sknpcnn.targets import Target
from sknpcnn.training import Epoch, Plan, TrainingState, evaluate, train

COLUMNS = (
    *("train_loss", "train_score", "validation_loss", "validation_score"),
    *("learning_rate", "seconds"),
)
"""What is written down of each epoch."""


def is_history(rows: list[Any]) -> bool:
    """Return whether what was read from a file are rows as a fit writes them down."""
    return all(
        isinstance(row, dict)
        and tuple(row) == COLUMNS
        and all(type(number) is float for number in row.values())
        for row in rows
    )


@dataclass
class Validation:
    """The data that training is watched with, and the scorer, if it is not the loss."""

    samples: Samples
    score: Callable[[Array, Array], float] | None = None
    """Scores the model that has these parameters; None: the loss is what counts."""


class Forgotten(NamedTuple):
    """What is left of the epochs that are in the history no longer."""

    epochs: int = 0
    lowest_loss: float = inf


@dataclass
class Fit:
    """What one fit works on and what it has found out so far."""

    network: Network
    architecture: dict[str, Any]
    """The hyperparameters that the network was made of."""
    features: dict[str, Any]
    """How many features X has, and their names, as scikit-learn's attributes."""
    samples: Samples
    standard: Standard | None
    plan: Plan
    loss: str | Loss
    """That of the plan, by its name where it has one."""
    state: TrainingState
    history: list[dict[str, float]]
    samples_before: int
    """How many samples earlier fits have seen."""
    seen_before: Seen
    """How much of each class earlier fits have seen."""
    forgotten: "Forgotten"
    validation: Validation | None
    early_stopping: bool
    tol: float
    n_iter_no_change: float
    verbose: int
    checkpoint: Any = None
    """Where it is written down."""

    def __post_init__(self) -> None:
        self.epochs_before = len(self.history)
        self._curve_before = len(self.state.curve)
        self.best: tuple[float, Array] | None = None
        """What is to be as low as possible at its lowest, and the parameters that reached it."""

    def run(
        self,
        n_epochs: int,
        n_jobs: int | None,
        begin: Callable[[], Any] = lambda: None,
        end: Callable[[Any], bool] = lambda task: False,
        keep: Callable[[str], None] = lambda stage: None,
        alone: bool = True,
    ) -> None:
        """Train until the epochs are used up, nothing improves, ``end`` or Ctrl-C says stop.

        ``begin()`` and ``end(what begin returned)`` are called around each epoch; ``keep(stage)``
        behind it, and when the fit has ended or was stopped. A fit that is not ``alone`` is one of
        many: Ctrl-C means all of them.
        """
        stopped = interrupted = False
        last = self.forgotten.epochs + self.epochs_before + n_epochs
        metric = self.plan.target.metric
        self._report = Report(self.epochs_known, last, len(self.samples), metric)
        if self.verbose and self.epochs_run:
            self._report.going_on()
        with Engine(threads_for(n_jobs), self.state.theta.dtype) as engine:
            if self.validation is not None:  # a scorer that fails should do so before training
                _, _, watched = self._validate(self.validation, engine)
                # going on: what is there may be the best
                if self.early_stopping and self.history and self.best is None:
                    self.best = watched, self.state.theta.copy()
            epochs = train(
                self.network,
                self.samples,
                self.standard,
                self.plan,
                self.state,
                engine,
                watch=lambda epoch: self._watch(epoch, engine),
                tick=self._tick if self.verbose > 1 else None,
            )
            counted, best = self.state.epoch, self.best
            not_here = len(self.history) - counted  # epochs that the state knows nothing of
            try:
                while not (stopped or self._converged() or self.epochs_run >= n_epochs):
                    task = begin()
                    counted, best = self.state.epoch, self.best
                    next(epochs)
                    stopped = end(task)
                    keep("training")
            except KeyboardInterrupt:
                interrupted = True
                if self.state.epoch == counted:  # the epoch may have been written down already
                    self.best = best
                    del self.history[counted + not_here :]
                keep("training")
                if self.epochs_run == 0 or not alone:
                    raise
                warnings.warn(
                    f"Training was interrupted: the model of epoch {self.epochs_known} is kept.",
                    stacklevel=7,
                )
        if self.best is not None:
            self.state.theta[...] = self.best[1]
        if not interrupted:
            keep("stopped" if stopped else "ended")

    @property
    def epochs_run(self) -> int:
        """How many epochs this fit has trained."""
        return len(self.history) - self.epochs_before

    @property
    def epochs_known(self) -> int:
        """How many epochs the model has seen, in earlier fits too."""
        return self.forgotten.epochs + len(self.history)

    def forget(self, keep: int) -> None:
        """Keep the last epochs of the history: who trains for ever must not remember everything."""
        if (dropped := len(self.history) - keep) > 0:
            losses = [row["train_loss"] for row in self.history[:dropped]]
            epochs, lowest = self.forgotten
            self.forgotten = Forgotten(epochs + dropped, min(lowest, *losses))
            del self.history[:dropped]
            self.epochs_before -= dropped
        self.state.forget(keep, self.plan)

    def _tick(self, part: float) -> None:
        self._report.progress(self.epochs_known + 1, part)

    def _watch(self, epoch: Epoch, engine: Engine) -> None:
        """Write down what an epoch has brought."""
        loss, score, watched = nan, nan, epoch.loss
        if self.validation is not None:
            loss, score, watched = self._validate(self.validation, engine)
        numbers = (epoch.loss, epoch.score, loss, score, epoch.learning_rate, epoch.seconds)
        row = dict(zip(COLUMNS, map(float, numbers), strict=True))
        if self.verbose:
            self._report.epoch(self.epochs_known + 1, row)
        if self.early_stopping and (self.best is None or watched < self.best[0]):
            self.best = watched, self.state.theta.copy()
        self.state.curve.append(watched if self.early_stopping else epoch.loss)
        self.history.append(row)

    def _validate(self, validation: Validation, engine: Engine) -> tuple[float, float, float]:
        """Compute loss and score on the validation data, and what of them is to be lowered."""
        loss, score, outputs = evaluate(
            self.network, self.state.theta, validation.samples, self.standard, self.plan, engine
        )
        watched = loss
        if validation.score is not None:
            score = validation.score(self.state.theta, outputs)
            watched = -score
        if not isfinite(watched):
            raise ValueError(
                f"The validation data give a loss of {loss} and a score of {score}, which training "
                "cannot go by. Check that X_val holds no extreme values, and what the scorer needs."
            )
        return loss, score, watched

    def _converged(self) -> bool:
        """Tell whether nothing has improved for more than ``n_iter_no_change`` epochs.

        Where the learning rate is still going to fall, a training loss that stands still may fall
        again, unless so little is left of it that this would be no improvement.
        """
        may_fall = self.plan.schedule.ends and not self.early_stopping
        best, waited = inf, 0
        for value in self.state.curve[self._curve_before :]:
            improves = value < best - self.tol or (may_fall and value >= self.tol)
            waited = 0 if improves else waited + 1
            best = min(best, value)
        progress = self.state.progress(self.state.epoch, self.plan)
        return waited > self.n_iter_no_change and self.plan.schedule.finished(progress)


def plan_of(
    params: dict[str, Any],
    image: Image,
    n_samples: int,
    before: int | None,
    loss: Loss,
    target: Target,
) -> Plan:
    """Make the plan of training from the estimator's parameters.

    ``before`` is how many epochs were trained before those of this fit; None for a stream, which
    has no end.
    """
    solver, schedule = params["solver"], params["learning_rate"]
    optimizer = optimizers.NAMED[solver] if isinstance(solver, str) else solver
    rate, size = params["learning_rate_init"], params["batch_size"]
    if schedule == "auto":
        watched = (params[name] for name in ("early_stopping", "n_iter_no_change", "tol"))
        schedule = defaults.schedule(before is None or params["warm_start"], *watched)
    elif isinstance(schedule, str):
        schedule = schedules.NAMED[schedule]
    size = defaults.batch_size(n_samples) if size == "auto" else size
    max_iter = params["max_iter"]
    max_iter = defaults.epochs(image, n_samples, size) if max_iter == "auto" else max_iter
    return Plan(
        optimizer=optimizer,
        schedule=schedule,
        learning_rate=optimizer.learning_rate * schedule.peak if rate == "auto" else float(rate),
        max_iter=max_iter,
        n_epochs=max((before or 0) + max_iter, 1),  # a schedule divides by it
        batch_size=size,
        shuffle=params["shuffle"],
        alpha=float(params["alpha"]),
        clip_norm=params["clip_norm"],
        loss=loss,
        target=target,
        augment=steps_of(params["augment"], image),
    )
