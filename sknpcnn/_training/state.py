"""How to train, and how far training has come: all that a resumed fit needs."""

from dataclasses import dataclass, field, replace
from math import isfinite, isnan
from typing import Any

from sknpcnn._network.batches import Array
from sknpcnn._training.targets import Target
from sknpcnn.losses import Loss
from sknpcnn.optimizers import Memory, Optimizer
from sknpcnn.schedules import Progress, Schedule
from sknpcnn.spec import Steps


@dataclass(frozen=True)
class TrainingPlan:
    """The settings of training."""

    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    max_iter: int
    """Maximum number of epochs of a fit."""
    n_epochs: int
    """Total number of epochs that schedules assume; the loop itself has no limit."""
    batch_size: int
    shuffle: bool
    alpha: float
    clip_norm: float | None
    loss: Loss
    target: Target
    augment: Steps = ()

    def batch_starts(self, n: int) -> range:
        """Return where the mini-batches of n samples start: a range whose step is their size."""
        return range(0, n, min(self.batch_size, n))


MAX_COUNT = 2**53 - 1
"""Counts are added, divided and used as keys of random numbers: a float must represent them."""
_COUNTS = "epoch", "step", "forgotten"
_KINDS = {"seed": int, "epoch": int, "step": int, "curve": list, "rule": str}
_KINDS |= {"forgotten": int, "summary": tuple}
"""The values of a state besides arrays, and their types."""
_DEFAULTS_BEFORE_STREAMS = {"forgotten": 0, "summary": ("", ())}
"""Values missing from files that were written before streams could be endless."""


@dataclass
class TrainingState:
    """Everything needed to resume training as if it had not been interrupted.

    It holds no random generator: random values are functions of seed, epoch and step.
    """

    theta: Array
    memory: Memory
    seed: int
    epoch: int = 0
    step: int = 0
    curve: list[float] = field(default_factory=list)
    """The monitored value of each epoch, appended by the caller of ``train``."""
    rule: str = ""
    """Name of the optimizer that the memory belongs to."""
    forgotten: int = 0
    """Number of epochs dropped from the start of the curve."""
    summary: tuple[str, tuple[float, ...]] = ("", ())
    """Name of the schedule, and its summary of the dropped epochs."""

    def to_values(self) -> dict[str, Any]:
        """Return everything except the arrays, as values that can be saved."""
        return {name: getattr(self, name) for name in _KINDS}

    @classmethod
    def from_values(cls, theta: Array, memory: Memory, values: dict[str, Any]) -> "TrainingState":
        """Make a state from saved values; raise a ValueError that names invalid ones."""
        found = {**_DEFAULTS_BEFORE_STREAMS, **values}
        if type(found["summary"]) is list:  # JSON has no tuples
            found["summary"] = tuple(map(_as_tuple, found["summary"]))
        wrong = [name for name, kind in _KINDS.items() if type(found.get(name)) is not kind]
        wrong += found.keys() - _KINDS.keys()
        if not wrong:
            name, *rest = found["summary"] or (None,)
            valid = {
                "seed": 0 <= found["seed"] < 2**31,
                **{count: 0 <= found[count] <= MAX_COUNT for count in _COUNTS},
                "curve": all(type(loss) is float and isfinite(loss) for loss in found["curve"]),
                "summary": type(name) is str and len(rest) == 1 and _is_valid_summary(rest[0]),
            }
            wrong = [name for name, holds in valid.items() if not holds]
        if wrong:
            raise ValueError(f"invalid values in its training state: {wrong}")
        return cls(theta, memory, **found)

    def copy(self) -> "TrainingState":
        """Return an independent copy, writeable even if this state is mapped from a file."""
        memory = {name: array.copy() for name, array in self.memory.items()}
        return replace(self, theta=self.theta.copy(), memory=memory, curve=list(self.curve))

    def progress(self, epoch: float, plan: "TrainingPlan") -> Progress:
        """Return the progress of training for a schedule."""
        name, summary = self.summary
        known = summary if name == type(plan.schedule).__name__ else ()
        return Progress(epoch, plan.n_epochs, self.curve, self.forgotten, known)

    def trim_curve(self, keep: int, plan: "TrainingPlan") -> None:
        """Keep only the end of the curve, and the schedule's summary of the rest."""
        if (dropped := len(self.curve) - keep) > 0:
            old = replace(self.progress(self.epoch, plan), curve=self.curve[:dropped])
            self.summary = type(plan.schedule).__name__, plan.schedule.summary_of(old)
            self.forgotten += dropped
            del self.curve[:dropped]

    def copy_arrays(self, other: "TrainingState") -> None:
        """Copy parameters and the optimizer's memory from another state."""
        self.theta[...] = other.theta
        for name, array in other.memory.items():
            self.memory[name][...] = array

    def restore(self, earlier: "TrainingState") -> None:
        """Restore the values of an earlier copy in place."""
        self.copy_arrays(earlier)
        self.epoch, self.step = earlier.epoch, earlier.step
        self.curve[:] = earlier.curve


def _as_tuple(value: Any) -> Any:
    return tuple(value) if type(value) is list else value


def _is_valid_summary(values: Any) -> bool:
    """Return whether these can be a schedule's summary: floats, perhaps infinite, but not NaN."""
    return type(values) is tuple and all(type(v) is float and not isnan(v) for v in values)
