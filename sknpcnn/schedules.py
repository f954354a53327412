"""Schedules: the learning rate as a function of how far training has come.

A schedule returns a factor, which multiplies ``learning_rate_init``. It has no memory: what it
needs to know, the curve of the losses included, is in the ``Progress`` that it is given.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil, cos, inf, pi
from typing import ClassVar

from sknpcnn.checks import check_integer, check_real, plain_integer, plain_items, refuse
from sknpcnn.spec import Spec


@dataclass(frozen=True)
class Progress:
    """How far training has come: what a schedule is given.

    Examples
    --------
    >>> from sknpcnn.schedules import Progress
    >>> Progress(epoch=2.5, n_epochs=10).curve
    ()
    """

    epoch: float
    """Epochs behind us, counting half of the step that is about to be taken."""
    n_epochs: float
    """Epochs in all, if nothing stops training before."""
    curve: Sequence[float] = ()
    """What training tries to lower, per epoch: the validation loss, or else the training loss."""
    forgotten: int = 0
    """Epochs before the curve begins: ``partial_fit`` keeps the last 1,000."""
    summary: tuple[float, ...] = ()
    """What the schedule itself has kept of those, by ``summarize``."""


@dataclass(frozen=True, repr=False)
class Schedule(Spec, ABC):
    """The contract. For ``warmup`` epochs the rate rises linearly, then the schedule begins.

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
    """Whether it lowers the rate until the last epoch, so that training is to get there."""
    peak: ClassVar[float] = 1.0
    """By how much the solver's usual rate may be exceeded, as ``learning_rate_init="auto"`` does:
    a rate that is there only for a while may be higher than one that stays."""
    warmup: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_real(self, "warmup")

    def multiplier(self, progress: Progress) -> float:
        """Return what the initial learning rate is multiplied by."""
        if progress.epoch < self.warmup:
            return progress.epoch / self.warmup
        return self.after_warmup(self._since_warmup(progress))

    def summary_of(self, progress: Progress) -> tuple[float, ...]:
        """Return what has to be kept of a curve that is going to be forgotten."""
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
        """Return the same for the schedule proper; the epochs of the warm-up do not count."""

    def summarize(self, progress: Progress) -> tuple[float, ...]:
        """Sum up the curve, and the summary so far, in a few numbers; none by default.

        For a schedule that goes by more than the last 1,000 values of the curve.
        """
        return ()

    def exhausted(self, progress: Progress) -> bool:
        """Tell whether training may stop where it no longer improves; no: lower rates may help."""
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
        After these epochs; a single number means every so many epochs.
    factor : float
        What the learning rate is multiplied by each time.
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
        needed = "an integer of at least 1, or a rising tuple of them"
        if (items := plain_items(self.epochs)) is None:
            check_integer(self, "epochs", needed=needed)
            return
        numbers = [plain_integer(epoch) for epoch in items]
        epochs = tuple(number for number in numbers if number is not None and number >= 1)
        if not epochs or len(epochs) < len(numbers) or any(a >= b for a, b in pairwise(epochs)):
            refuse(self, "epochs", needed)
        object.__setattr__(self, "epochs", epochs)

    def after_warmup(self, progress: Progress) -> float:
        if isinstance(self.epochs, int):
            return self.factor ** (progress.epoch // self.epochs)
        passed = sum(progress.epoch >= epoch for epoch in self.epochs)
        return self.factor**passed


@dataclass(frozen=True, repr=False)
class ExponentialDecay(Schedule):
    """Multiply the learning rate by a factor after every epoch.

    Parameters
    ----------
    factor : float
        What the learning rate is multiplied by.
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
    """Lower the learning rate along half a cosine, step by step, over all of ``max_iter``.

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
        return _glide(1.0, self.final, progress.epoch / progress.n_epochs)


@dataclass(frozen=True, repr=False)
class OneCycle(Schedule):
    """Rise to the full learning rate and fall far below the start (Smith and Topin 2018).

    Both along half a cosine, step by step, as PyTorch's ``OneCycleLR``; the peak is
    ``learning_rate_init``.

    Parameters
    ----------
    rise : float
        The part of the epochs that the rise takes.
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
            return _glide(self.start, 1.0, done / self.rise)
        return _glide(1.0, self.final, (done - self.rise) / (1 - self.rise))


@dataclass(frozen=True, repr=False)
class ReduceOnPlateau(Schedule):
    """Multiply the learning rate by a factor whenever the loss has stopped falling.

    Training does not stop early before the factor has reached ``min_factor``.

    Parameters
    ----------
    factor : float
        What the learning rate is multiplied by.
    patience : int
        After so many epochs without improvement.
    tol : float
        What counts as an improvement.
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
        reached, _, _ = self.summarize(progress)
        return reached

    def summarize(self, progress: Progress) -> tuple[float, ...]:
        reached, best, waited = progress.summary or (1.0, inf, 0.0)
        for loss in progress.curve:
            waited = 0 if loss < best - self.tol else waited + 1
            best = min(best, loss)
            if waited == self.patience:
                reached, waited = max(reached * self.factor, self.min_factor), 0
        return reached, best, float(waited)

    def exhausted(self, progress: Progress) -> bool:
        lowest = self.min_factor * (1 + 1e-9)  # 0.1**2 > 0.01
        return progress.epoch >= self.warmup and self.multiplier(progress) <= lowest


def _glide(start: float, end: float, done: float) -> float:
    """Go from start to end along half a cosine."""
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
"""What the strings that ``learning_rate`` takes stand for."""
