"""Runs one fit of an estimator: trains, monitors the validation data, decides when to stop."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any, NamedTuple

from sknpcnn import optimizers, schedules
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.workers import workers_for
from sknpcnn._network.balance import Seen
from sknpcnn._network.batches import Array
from sknpcnn._network.network import Network
from sknpcnn._network.samples import Samples
from sknpcnn._network.standard import Standard
from sknpcnn._training import defaults
from sknpcnn._training.loop import Course, Epoch, evaluate, train
from sknpcnn._training.report import Report
from sknpcnn._training.state import TrainingPlan, TrainingState
from sknpcnn._training.targets import Target
from sknpcnn._training.together import choose_team
from sknpcnn.augmentation.base import Image, steps_of
from sknpcnn.losses import Loss

HISTORY_COLUMNS = (
    *("train_loss", "train_score", "validation_loss", "validation_score"),
    *("learning_rate", "seconds"),
)
"""The columns of the history: one row per epoch."""


def is_valid_history(rows: list[Any]) -> bool:
    """Return whether rows, read from a file, could be the history of a fit."""
    return all(
        isinstance(row, dict)
        and tuple(row) == HISTORY_COLUMNS
        and all(type(value) is float for value in row.values())
        for row in rows
    )


@dataclass
class Validation:
    """Validation data, and how a model is scored on them if not by its loss."""

    samples: Samples
    score: Callable[[Array, Array], float] | None = None
    """Score of the model, given parameters and outputs; None to use the loss."""


class Forgotten(NamedTuple):
    """Summary of the epochs that were dropped from the history."""

    epochs: int = 0
    lowest_loss: float = inf


@dataclass
class Fit:
    """The inputs of one fit, and its progress so far."""

    network: Network
    architecture: dict[str, Any]
    """The hyperparameters of the network."""
    features: dict[str, Any]
    """scikit-learn's attributes for the number of features and their names."""
    samples: Samples
    standard: Standard | None
    plan: TrainingPlan
    loss: str | Loss
    """The loss of the plan, by name if it has one."""
    state: TrainingState
    history: list[dict[str, float]]
    samples_before: int
    """Number of samples seen by earlier fits."""
    seen_before: Seen
    """Weight of each class seen by earlier fits."""
    forgotten: "Forgotten"
    validation: Validation | None
    early_stopping: bool
    tol: float
    n_iter_no_change: float
    verbose: int
    checkpoint: Any = None
    """The ``Checkpoint`` of this fit, if any."""

    def __post_init__(self) -> None:
        self.epochs_before = len(self.history)
        self._curve_before = len(self.state.curve)
        self.best: tuple[float, Array] | None = None
        """The lowest monitored value, and the parameters that reached it."""

    def run(
        self,
        n_epochs: int,
        n_jobs: int | None,
        begin_epoch: Callable[[], Any] = lambda: None,
        end_epoch: Callable[[Any], bool] = lambda task: False,
        save: Callable[[str], None] = lambda stage: None,
        outermost: bool = True,
    ) -> None:
        """Train for ``n_epochs``, or until converged or stopped by ``end_epoch`` or Ctrl-C.

        ``end_epoch`` gets what ``begin_epoch`` returned. ``save(stage)`` is called after each
        epoch, and when the fit has ended or was stopped. A fit that is not ``outermost`` is one of
        many, as in a search: Ctrl-C is meant for all of them, and raised.
        """
        stopped = interrupted = False
        last = self.forgotten.epochs + self.epochs_before + n_epochs
        metric = self.plan.target.metric
        self._report = Report(self.n_epochs_total, last, len(self.samples), metric)
        if self.verbose and self.epochs_run:
            self._report.resumed()
        course = Course(self.network, self.samples, self.standard, self.plan)
        with (
            Engine(workers_for(n_jobs), self.state.theta.dtype) as engine,
            choose_team(course, self.state, engine, n_epochs) as team,
        ):
            if self.validation is not None:  # a failing scorer should fail before training
                _, _, monitored = self._validate(self.validation, engine)
                # when training resumes, the current parameters may be the best
                if self.early_stopping and self.history and self.best is None:
                    self.best = monitored, self.state.theta.copy()
            epochs = train(
                course,
                self.state,
                engine,
                on_epoch=lambda epoch: self._record(epoch, engine),
                on_batch=self._show_progress if self.verbose > 1 else None,
                team=team,
            )
            n_before, best = self.state.epoch, self.best
            offset = len(self.history) - n_before  # the state may count fewer epochs
            try:
                while not (stopped or self._converged() or self.epochs_run >= n_epochs):
                    task = begin_epoch()
                    n_before, best = self.state.epoch, self.best
                    next(epochs)
                    stopped = end_epoch(task)
                    save("training")
            except KeyboardInterrupt:
                interrupted = True
                if self.state.epoch == n_before:  # the epoch may be in the history already
                    self.best = best
                    del self.history[n_before + offset :]
                save("training")
                if self.epochs_run == 0 or not outermost:
                    raise
                warnings.warn(
                    f"Training was interrupted: the model of epoch {self.n_epochs_total} is kept.",
                    stacklevel=7,
                )
        if self.best is not None:
            self.state.theta[...] = self.best[1]
        if not interrupted:
            save("stopped" if stopped else "ended")

    @property
    def epochs_run(self) -> int:
        """Number of epochs trained by this fit."""
        return len(self.history) - self.epochs_before

    @property
    def n_epochs_total(self) -> int:
        """Number of epochs trained by this and earlier fits."""
        return self.forgotten.epochs + len(self.history)

    def trim_history(self, keep: int) -> None:
        """Keep only the last epochs of the history, which would grow without bound in a stream."""
        if (dropped := len(self.history) - keep) > 0:
            losses = [row["train_loss"] for row in self.history[:dropped]]
            epochs, lowest = self.forgotten
            self.forgotten = Forgotten(epochs + dropped, min(lowest, *losses))
            del self.history[:dropped]
            self.epochs_before -= dropped
        self.state.trim_curve(keep, self.plan)

    def _show_progress(self, part: float) -> None:
        self._report.progress(self.n_epochs_total + 1, part)

    def _record(self, epoch: Epoch, engine: Engine) -> None:
        """Add an epoch to the history, and check whether it is the best."""
        loss, score, monitored = nan, nan, epoch.loss
        if self.validation is not None:
            loss, score, monitored = self._validate(self.validation, engine)
        values = (epoch.loss, epoch.score, loss, score, epoch.learning_rate, epoch.seconds)
        row = dict(zip(HISTORY_COLUMNS, map(float, values), strict=True))
        if self.verbose:
            self._report.epoch(self.n_epochs_total + 1, row)
        if self.early_stopping and (self.best is None or monitored < self.best[0]):
            self.best = monitored, self.state.theta.copy()
        self.state.curve.append(monitored if self.early_stopping else epoch.loss)
        self.history.append(row)

    def _validate(self, validation: Validation, engine: Engine) -> tuple[float, float, float]:
        """Compute loss, score and the monitored value, to be minimized, on the validation data."""
        loss, score, outputs = evaluate(
            self.network, self.state.theta, validation.samples, self.standard, self.plan, engine
        )
        monitored = loss
        if validation.score is not None:
            score = validation.score(self.state.theta, outputs)
            monitored = -score
        if not isfinite(monitored):
            raise ValueError(
                f"The validation data give a loss of {loss} and a score of {score}; needed: finite "
                f"ones. {self._advice(loss, len(validation.samples))}"
            )
        return loss, score, monitored

    def _advice(self, loss: float, n: int) -> str:
        """Return the advice for n validation samples whose loss or score is not finite."""
        real = self.plan.loss.targets == "reals"
        if isfinite(loss):
            needs = "ROC AUC, for example, samples of each class"
            needs = "R2, for example, 2 samples and no extreme values of y" if real else needs
            return (
                f"Check what the scorer needs ({needs}) and what it is given (validation samples: "
                f'{n}). Set validation_fraction higher, give a larger X_val, or set scoring="loss".'
            )
        data = "X_val and y_val, or the held-out part of X and y, hold"
        data = data if real else "X_val, or the held-out part of X, holds"
        return f"Check that {data} no extreme values."

    def _converged(self) -> bool:
        """Return whether nothing has improved for more than ``n_iter_no_change`` epochs.

        As long as the learning rate is going to be lowered, a training loss on a plateau may still
        improve, unless it is below ``tol`` already.
        """
        may_fall = self.plan.schedule.ends and not self.early_stopping
        best, waited = inf, 0
        for value in self.state.curve[self._curve_before :]:
            improves = value < best - self.tol or (may_fall and value >= self.tol)
            waited = 0 if improves else waited + 1
            best = min(best, value)
        progress = self.state.progress(self.state.epoch, self.plan)
        return waited > self.n_iter_no_change and self.plan.schedule.finished(progress)


def make_plan(
    params: dict[str, Any],
    image: Image,
    n_samples: int,
    before: int | None,
    loss: Loss,
    target: Target,
) -> TrainingPlan:
    """Make the training plan from the estimator's parameters.

    ``before`` is the number of epochs trained by earlier fits; None for a stream, which has no end.
    """
    solver, schedule = params["solver"], params["learning_rate"]
    optimizer = optimizers.NAMED[solver] if isinstance(solver, str) else solver
    rate, size = params["learning_rate_init"], params["batch_size"]
    if schedule == "auto":
        stopping = (params[name] for name in ("early_stopping", "n_iter_no_change", "tol"))
        schedule = defaults.schedule(before is None or params["warm_start"], *stopping)
    elif isinstance(schedule, str):
        schedule = schedules.NAMED[schedule]
    size = defaults.batch_size(n_samples) if size == "auto" else size
    max_iter = params["max_iter"]
    max_iter = defaults.epochs(image, n_samples, size) if max_iter == "auto" else max_iter
    return TrainingPlan(
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
