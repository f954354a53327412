"""Epochs that several processes train together, and when that is worth it.

All of them run the training loop, each on its part of the work, on a copy of the state in shared
memory. The state itself stays in the leader. So if a worker dies in the middle of an epoch, nothing
has happened yet: the leader repeats it, with new workers or without.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np

from sknpcnn._engine.engine import Engine
from sknpcnn._engine.member import Member, WorkerLostError
from sknpcnn._engine.processes import ProcessTeam
from sknpcnn._engine.workers import processes_for, recent
from sknpcnn._training.loop import Alone, Course, Epoch, Team, Trainer
from sknpcnn._training.state import TrainingState

SLOWEST_SPEED = 5e8
"""Multiply-adds per second that even the slowest network reaches: what is quick then is short."""
SECONDS_PER_STEP = 3e-3
"""How long a step has to take on one core: shorter ones have too little to share."""
MAX_REPLACEMENTS = 3
"""How often a fit starts new workers after some have died; then it goes on without."""


@contextmanager
def choose_team(
    course: Course, state: TrainingState, engine: Engine, n_epochs: int
) -> Iterator[Team]:
    """Provide a team of processes for a fit that will take long, otherwise the engine's threads."""

    def takes_longer(seconds: float) -> bool:
        n_madds = sum(row.multiply_adds for row in course.network.summary())
        if 3 * n_madds * n_epochs * len(course.samples) < seconds * SLOWEST_SPEED:
            return False
        n_steps = n_epochs * len(course.plan.batch_starts(len(course.samples)))
        with Engine(1, state.theta.dtype) as alone:
            trainer = Trainer(course, state.copy(), alone, np.zeros_like(state.theta))
            step = trainer.time_step()
        return step > SECONDS_PER_STEP and n_steps * step > seconds

    size = processes_for(engine.n_threads, takes_longer) if course.network.may_share else 1
    if size > 1:
        with Together(course, size, engine) as team:
            yield team
        return
    start = perf_counter()
    yield Alone(course, engine)
    if engine.n_threads > 1:
        recent.add(perf_counter() - start)


class Together:
    """Runs the epochs of a fit in a team of processes; a context manager."""

    def __init__(self, course: Course, size: int, engine: Engine) -> None:
        self._course, self._size = course, size
        self._alone = Alone(course, engine)
        self._team: ProcessTeam | None = None
        self._share: _Share | None = None
        self._n_lost = 0

    def __enter__(self) -> "Together":
        return self

    def __exit__(self, *exc: Any) -> None:
        team, self._team, self._share = self._team, None, None
        if team is not None:
            team.__exit__(*exc)

    def run(self, state: TrainingState, on_batch: Callable[[float], None] | None) -> Epoch:
        """Train for an epoch; if a worker is lost, train for the same epoch again."""
        while self._n_lost <= MAX_REPLACEMENTS:
            try:
                return self._run_together(state, on_batch)
            except (WorkerLostError, MemoryError) as error:
                self._lose(error)
        return self._alone.run(state, on_batch)

    def _run_together(
        self, state: TrainingState, on_batch: Callable[[float], None] | None
    ) -> Epoch:
        if self._team is None:
            self._team = ProcessTeam(self._size)
            memory = {name: array.shape for name, array in state.memory.items()}
            start = self._course, state.theta.dtype, state.theta.shape, memory
            self._team.call(_join, *start)
            self._share = _Share(self._team.member, *start)
            self._team.results()
        team, share = self._team, self._share
        assert share is not None
        share.copy_from(state)
        values = state.to_values()
        team.call(_run_epoch, values)
        epoch = share.run_epoch(values, on_batch)
        team.results()
        share.copy_to(state)
        return epoch

    def _lose(self, error: BaseException) -> None:
        team, self._team, self._share = self._team, None, None
        if team is not None:
            team.__exit__(type(error), error, None)
        self._n_lost += 1
        if self._n_lost == 1:
            warnings.warn(
                f"{error} The epoch is repeated, and the result will be the same; needed, for full "
                "speed: enough memory for all processes. n_jobs=1 trains in one.",
                RuntimeWarning,
                stacklevel=10,
            )


class _Share:
    """What a process of the team has of a fit: the state in shared memory, and its own engine."""

    def __init__(
        self,
        member: Member,
        course: Course,
        dtype: np.dtype,
        shape: tuple[int, ...],
        memory: dict[str, tuple[int, ...]],
    ) -> None:
        def empty(shape: tuple[int, ...]) -> np.ndarray:
            return member.blocks.empty(shape, dtype)

        arrays = {name: empty(size) for name, size in memory.items()}
        self.state = TrainingState(empty(shape), arrays, seed=0)
        self._engine = Engine(1, dtype, member=member)
        self._trainer = Trainer(course, self.state, self._engine, empty(shape))

    def copy_from(self, state: TrainingState) -> None:
        """Copy the arrays of the leader's state."""
        self.state.copy_arrays(state)

    def copy_to(self, state: TrainingState) -> None:
        """Copy the arrays to the leader's state, and its count of steps."""
        state.copy_arrays(self.state)
        state.step = self.state.step

    def run_epoch(
        self, values: dict[str, Any], on_batch: Callable[[float], None] | None = None
    ) -> Epoch:
        """Train for an epoch, at the same time as the others."""
        for name, value in values.items():
            setattr(self.state, name, value)
        with self._engine:
            return self._trainer.run_epoch(on_batch)


def _join(member: Member, *start: Any) -> None:
    member.objects["share"] = _Share(member, *start)


def _run_epoch(member: Member, values: dict[str, Any]) -> None:
    member.objects["share"].run_epoch(values)
