"""Schedules: the learning rate as a function of the progress of training.

A schedule returns a factor on ``learning_rate_init``. It is stateless: all it needs, the loss curve
included, is in the ``Progress`` that it receives.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil, cos, inf, pi
from typing import ClassVar

from sknpcnn._values.checks import check_integer, check_real, plain_integer, plain_items, refuse
from sknpcnn.spec import Spec


@dataclass(frozen=True)
class Progress:
    """The progress of training, which a schedule receives.

    Examples
    --------
    >>> from sknpcnn.schedules import Progress
    >>> Progress(epoch=2.5, n_epochs=10).curve
    ()
    """

    epoch: float
    """Epochs completed, counted to the middle of the next step."""
    n_epochs: float
    """Epochs in total, if training does not stop early."""
    curve: Sequence[float] = ()
    """The monitored loss of each epoch: the validation loss, or else the training loss."""
    forgotten: int = 0
    """Epochs dropped from the start of the curve: ``partial_fit`` keeps the last 1,000."""
    summary: tuple[float, ...] = ()
    """What the schedule itself has kept of these, by ``summarize``."""


@dataclass(frozen=True, repr=False)
class Schedule(Spec, ABC):
    """The contract. For ``warmup`` epochs the rate rises linearly, then the schedule starts.

    Parameters
    ----------
    warmup : float
        Epochs of linear rise at the start.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from sknpcnn.schedules import Progress, Schedule
    >>> @dataclass(frozen=True, repr=False)
    ... class InverseRoot(Schedule):
    ...     def after_warmup(self, progress):
    ...         return (1 + progress.epoch) ** -0.5
    >>> InverseRoot(warmup=2).multiplier(Progress(epoch=5, n_epochs=10))
    0.5
    """

    ends: ClassVar[bool] = False
    """Whether the rate falls until the last epoch, so that training should not stop early."""
    peak: ClassVar[float] = 1.0
    """Factor on the solver's default rate if ``learning_rate_init="auto"``: a peak that is reached
    only briefly may be higher than a constant rate."""
    warmup: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_real(self, "warmup")

    def multiplier(self, progress: Progress) -> float:
        """Return the factor on the initial learning rate."""
        if progress.epoch < self.warmup:
            return progress.epoch / self.warmup
        return self.after_warmup(self._since_warmup(progress))

    def summary_of(self, progress: Progress) -> tuple[float, ...]:
        """Return the summary of a curve that is about to be dropped."""
        return self.summarize(self._since_warmup(progress))

    def _since_warmup(self, progress: Progress) -> Progress:
        first = ceil(self.warmup)
        return replace(
            progress,
            epoch=progress.epoch - self.warmup,
            n_epochs=max(progress.n_epochs - self.warmup, 1.0),
            curve=progress.curve[max(first - progress.forgotten, 0) :],
            forgotten=max(progress.forgotten - first, 0),
        )

    @abstractmethod
    def after_warmup(self, progress: Progress) -> float:
        """Return the factor after the warm-up, whose epochs are not counted in ``progress``."""

    def summarize(self, progress: Progress) -> tuple[float, ...]:
        """Summarize the curve and the previous summary in a few numbers; by default in none.

        For a schedule that depends on more than the last 1,000 values of the curve.
        """
        return ()

    def finished(self, progress: Progress) -> bool:
        """Return whether training may stop early; False if a lower rate is still to come."""
        return True


@dataclass(frozen=True, repr=False)
class Constant(Schedule):
    """Keep the learning rate.

    Parameters
    ----------
    warmup : float
        Epochs of linear rise at the start.

    Examples
    --------
    >>> from sknpcnn.schedules import Constant, Progress
    >>> Constant(warmup=4).multiplier(Progress(epoch=2, n_epochs=10))
    0.5
    """

    def after_warmup(self, progress: Progress) -> float:
        return 1.0


@dataclass(frozen=True, repr=False)
class StepDecay(Schedule):
    """Multiply the learning rate by a factor after certain epochs.

    Parameters
    ----------
    epochs : int or tuple of int
        After these epochs; a single integer k means after every k epochs.
    factor : float
        The learning rate is multiplied by this each time.
    warmup : float
        Epochs of linear rise at the start; ``epochs`` count from its end.

    Examples
    --------
    >>> from sknpcnn.schedules import Progress, StepDecay
    >>> StepDecay(epochs=(10, 20), factor=0.1).multiplier(Progress(epoch=12, n_epochs=25))
    0.1
    """

    epochs: int | tuple[int, ...] = 10
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real(self, "factor", 0.0, 1.0, open_="low")
        needed = "an integer of at least 1, or an increasing tuple of them"
        if (items := plain_items(self.epochs)) is None:
            check_integer(self, "epochs", needed=needed)
            return
        integers = [plain_integer(epoch) for epoch in items]
        epochs = tuple(epoch for epoch in integers if epoch is not None and epoch >= 1)
        if not epochs or len(epochs) < len(integers) or any(a >= b for a, b in pairwise(epochs)):
            refuse(self, "epochs", needed)
        object.__setattr__(self, "epochs", epochs)

    def after_warmup(self, progress: Progress) -> float:
        if isinstance(self.epochs, int):
            multiplier: float = self.factor ** (progress.epoch // self.epochs)
            return multiplier
        passed = sum(progress.epoch >= epoch for epoch in self.epochs)
        return self.factor**passed


@dataclass(frozen=True, repr=False)
class ExponentialDecay(Schedule):
    """Multiply the learning rate by a factor after every epoch.

    Parameters
    ----------
    factor : float
        The learning rate is multiplied by this.
    warmup : float
        Epochs of linear rise at the start.

    Examples
    --------
    >>> from sknpcnn.schedules import ExponentialDecay, Progress
    >>> ExponentialDecay(0.5).multiplier(Progress(epoch=2, n_epochs=10))
    0.25
    """

    factor: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real(self, "factor", 0.0, 1.0, open_="low")

    def after_warmup(self, progress: Progress) -> float:
        return self.factor ** int(progress.epoch)


@dataclass(frozen=True, repr=False)
class CosineDecay(Schedule):
    """Lower the learning rate along half a cosine, in every step, over ``max_iter`` epochs.

    Parameters
    ----------
    final : float
        Factor at the end.
    warmup : float
        Epochs of linear rise at the start.

    Examples
    --------
    >>> from sknpcnn.schedules import CosineDecay, Progress
    >>> CosineDecay().multiplier(Progress(epoch=5, n_epochs=10))
    0.5
    """

    ends = True
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real(self, "final", 0.0, 1.0)

    def after_warmup(self, progress: Progress) -> float:
        return _cosine(1.0, self.final, progress.epoch / progress.n_epochs)


@dataclass(frozen=True, repr=False)
class OneCycle(Schedule):
    """Raise the learning rate to a peak, then lower it below the start (Smith and Topin 2018).

    Both follow half a cosine and change in every step, as PyTorch's ``OneCycleLR``; the peak is
    ``learning_rate_init``.

    Parameters
    ----------
    rise : float
        Fraction of the epochs that the rise takes.
    start : float
        Factor at the start.
    final : float
        Factor at the end.
    warmup : float
        Epochs of linear rise before the cycle.

    Examples
    --------
    >>> from sknpcnn.schedules import OneCycle, Progress
    >>> OneCycle(rise=0.25).multiplier(Progress(epoch=5, n_epochs=20))
    1.0
    """

    ends = True
    peak = 3.0
    rise: float = 0.3
    start: float = 0.04
    final: float = 4e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real(self, "rise", 0.0, 1.0, open_="low high")
        check_real(self, "start", 0.0, 1.0)
        check_real(self, "final", 0.0, 1.0)

    def after_warmup(self, progress: Progress) -> float:
        done = progress.epoch / progress.n_epochs
        if done < self.rise:
            return _cosine(self.start, 1.0, done / self.rise)
        return _cosine(1.0, self.final, (done - self.rise) / (1 - self.rise))


@dataclass(frozen=True, repr=False)
class ReduceOnPlateau(Schedule):
    """Multiply the learning rate by a factor whenever the loss stops improving.

    Training does not stop early before the factor has reached ``min_factor``.

    Parameters
    ----------
    factor : float
        The learning rate is multiplied by this.
    patience : int
        Number of epochs without improvement after which the rate is lowered.
    tol : float
        The smallest decrease of the loss that counts as an improvement.
    min_factor : float
        The product of all factors does not go below this.
    warmup : float
        Epochs of linear rise at the start.

    Examples
    --------
    >>> from sknpcnn.schedules import Progress, ReduceOnPlateau
    >>> plateau = [0.9, 0.5, 0.5, 0.5]
    >>> ReduceOnPlateau(factor=0.1, patience=2).multiplier(Progress(4, 10, plateau))
    0.1
    """

    factor: float = 0.2
    patience: int = 5
    tol: float = 1e-4
    min_factor: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real(self, "factor", 0.0, 1.0, open_="low high")
        check_integer(self, "patience")
        check_real(self, "tol")
        check_real(self, "min_factor", 0.0, 1.0)

    def after_warmup(self, progress: Progress) -> float:
        multiplier, _, _ = self.summarize(progress)
        return multiplier

    def summarize(self, progress: Progress) -> tuple[float, ...]:
        multiplier, best, waited = progress.summary or (1.0, inf, 0.0)
        for loss in progress.curve:
            waited = 0 if loss < best - self.tol else waited + 1
            best = min(best, loss)
            if waited == self.patience:
                multiplier, waited = max(multiplier * self.factor, self.min_factor), 0
        return multiplier, best, float(waited)

    def finished(self, progress: Progress) -> bool:
        lowest = self.min_factor * (1 + 1e-9)  # 0.1**2 > 0.01
        return progress.epoch >= self.warmup and self.multiplier(progress) <= lowest


def _cosine(start: float, end: float, done: float) -> float:
    """Interpolate from start to end along half a cosine."""
    return end + (start - end) * (1 + cos(pi * min(done, 1.0))) / 2


__all__ = [
    "Constant",
    "CosineDecay",
    "ExponentialDecay",
    "OneCycle",
    "Progress",
    "ReduceOnPlateau",
    "Schedule",
    "StepDecay",
]

NAMED = {"constant": Constant(), "adaptive": ReduceOnPlateau()}
"""What the strings for ``learning_rate`` stand for."""
