"""Checkpoints let a killed fit resume where it was, with the same bits in the end.

A fit is identified by its fingerprint of parameters, data, weights and initial state. Its progress
is saved in a file of that name, which is replaced after every epoch.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from sknpcnn._network.batches import Array
from sknpcnn._storage import files, storage
from sknpcnn._training.fit import Fit, is_valid_history
from sknpcnn._training.state import TrainingState
from sknpcnn._values.brief import brief

FORMAT = "sknpcnn checkpoint"
VERSION = 1


class Checkpoint:
    """The checkpoint file of one fit.

    ``stopping`` describes the callbacks that may stop it: a stopped fit has ended unless they have
    changed, in which case it resumes. With None it always resumes. ``unchanged()`` returns whether
    the data are still those of the fingerprint; it is called at the end, and also after every epoch
    if they are ``mapped`` from a file, which other processes may write to.
    """

    def __init__(
        self,
        folder: Any,
        fingerprint: str,
        stopping: str | None = None,
        unchanged: Callable[[], bool] = lambda: True,
        mapped: bool = False,
    ) -> None:
        self.fingerprint = fingerprint
        self.stopping = stopping
        self.unchanged = unchanged
        self.mapped = mapped
        self.abandoned = False
        self.path = Path(folder).expanduser() / f"{fingerprint}.npz"

    def seed(self) -> int | None:
        """Read the seed of a fit without ``random_state``; None if there is no valid file."""
        with suppress(OSError, ValueError):
            seed = storage.read(self.path)[0].get("seed")
            if type(seed) is int and 0 <= seed < 2**31:
                return seed
        return None

    def agree_on_seed(self, seed: int) -> int:
        """Return the seed of the first process that started this fit: the given one, if none has.

        The first one creates a file that holds the seed. Of several processes that start at the
        same time, one creates it, and the others read it.
        """
        if (known := self.seed()) is not None:
            return known
        values = {**self._header(), "stage": "claimed", "seed": seed}
        with self._explaining_folder_errors():
            files.make_folder(self.path.parent)
            with suppress(FileExistsError):
                storage.write_new(self.path, values, {})
        return seed if (known := self.seed()) is None else known

    def resume_or_create(self, fit: Fit) -> bool:
        """Resume from the file, or create it; return whether the fit had already ended."""
        with self._explaining_folder_errors():
            files.make_folder(self.path.parent)
            files.remove_stale(self.path.parent)
            if self.path.exists():
                try:
                    return self._restore(fit)
                except ValueError as error:
                    warnings.warn(
                        f"The checkpoint cannot be used, and training starts from scratch. {error}",
                        stacklevel=7,  # the caller of fit
                    )
            self._write(fit, "training")
        return False

    def save(self, fit: Fit, stage: str) -> None:
        """Save the progress of the fit. If that fails, warn, and let training continue.

        If the data have changed meanwhile, as memory-mapped ones may, the fingerprint is wrong: the
        checkpoint is removed, and the fit is no longer saved.
        """
        if self.abandoned:
            return
        if (stage != "training" or self.mapped) and not self.unchanged():
            self.abandoned = True
            warnings.warn(
                "X, y or weights have changed during training, so this fit is no longer saved in "
                "checkpoint_dir. Fit again when no other process writes to them.",
                stacklevel=8,
            )
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            return
        try:
            self._write(fit, stage)
        except OSError as error:
            warnings.warn(
                f"The checkpoint of epoch {fit.state.epoch} could not be written ({error}). "
                "Training continues; if it is killed, it will resume from the last one that was "
                "written.",
                stacklevel=8,
            )

    def _write(self, fit: Fit, stage: str) -> None:
        state = fit.state
        values = {
            **self._header(),
            "stage": stage,
            "stopping": self.stopping,
            **state.to_values(),
            "history": fit.history,
            "best": None if fit.best is None else fit.best[0],
        }
        arrays = {f"memory.{name}": array for name, array in state.memory.items()}
        arrays["theta"] = state.theta
        if fit.best is not None:
            arrays["best"] = fit.best[1]
        storage.write(self.path, values, arrays)

    def _restore(self, fit: Fit) -> bool:
        values, arrays = storage.read(self.path)
        claim = {**self._header(), "stage": "claimed", "seed": fit.state.seed}
        if values == claim:  # no epoch has been saved yet
            return False
        wrong = self._wrong_values(values, fit) or self._wrong_arrays(values, arrays, fit)
        if wrong:
            raise ValueError(f"{self.path}: is not a checkpoint of this fit ({wrong}).")
        state = fit.state
        state.theta[...] = arrays["theta"]
        for name, array in state.memory.items():
            array[...] = arrays[f"memory.{name}"]
        state.epoch, state.step = values["epoch"], values["step"]
        state.curve[:] = values["curve"]
        fit.history[:] = values["history"]
        if values["best"] is not None:
            fit.best = values["best"], arrays["best"]
        stopped = values["stage"] == "stopped" and self.stopping is not None
        return values["stage"] == "ended" or (stopped and values["stopping"] == self.stopping)

    def _wrong_values(self, values: dict[str, Any], fit: Fit) -> list[str]:
        """Return the names of values that are invalid or belong to another fit."""
        state = fit.state
        known = {**self._header(), "seed": state.seed, "rule": state.rule}
        wrong = [name for name, value in known.items() if values.get(name) != value]
        given = {name: values[name] for name in state.to_values() if name in values}
        try:
            TrainingState.from_values(state.theta, state.memory, given)
        except ValueError as error:
            wrong.append(str(error))
        kinds: dict[str, tuple[type, ...]] = {"stage": (str,), "history": (list,)}
        kinds |= {"best": (float, type(None))}
        wrong += [name for name, kind in kinds.items() if type(values.get(name)) not in kind]
        wrong += [name for name in ("best", "stopping") if name not in values]
        if wrong:
            return wrong
        epochs, curve, history = values["epoch"] - state.epoch, values["curve"], values["history"]
        steps = len(fit.plan.batch_starts(len(fit.samples)))
        before = [len(state.curve), len(fit.history)]
        valid = {
            "epoch": 0 <= epochs <= fit.plan.n_epochs - state.epoch,
            "step": values["step"] == state.step + epochs * steps,
            "stage": values["stage"] in ("training", "ended", "stopped"),
            "history": is_valid_history(history),
            "best": values["best"] is None or (fit.early_stopping and isfinite(values["best"])),
            "lengths": [len(curve) - epochs, len(history) - epochs] == before,
        }
        return [name for name, holds in valid.items() if not holds]

    def _wrong_arrays(
        self, values: dict[str, Any], arrays: dict[str, Array], fit: Fit
    ) -> list[str]:
        expected = {f"memory.{name}": array for name, array in fit.state.memory.items()}
        expected["theta"] = fit.state.theta
        if values["best"] is not None:
            expected["best"] = fit.state.theta
        return [
            name
            for name, array in expected.items()
            if name not in arrays
            or (arrays[name].shape, arrays[name].dtype) != (array.shape, array.dtype)
            or not np.isfinite(arrays[name]).all()
        ]

    def _header(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint}

    @contextmanager
    def _explaining_folder_errors(self) -> Iterator[None]:
        """Add the folder, and what is needed, to errors of the operating system."""
        try:
            yield
        except OSError as error:
            raise type(error)(
                error.errno,
                f"checkpoint_dir={brief(str(self.path.parent))} cannot be used ({error.strerror}); "
                "needed: a folder that can be read and written, with room on its disk, or None",
            ) from error
