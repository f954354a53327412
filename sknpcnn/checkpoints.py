"""Checkpoints: a fit that was killed goes on where it was, and ends in the same bits.

A fit is known by its fingerprint: parameters, data, weights and start. What it has come to lies in
a file of that name, replaced after every epoch.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from sknpcnn import files, storage
from sknpcnn.batches import Array
from sknpcnn.brief import brief
from sknpcnn.fitting import Fit, is_history
from sknpcnn.training import TrainingState

FORMAT = "sknpcnn checkpoint"
VERSION = 1


class Checkpoint:
    """The file of one fit.

    ``stopping`` describes the callbacks that may stop it: a fit that was stopped has ended for
    those that stopped it, and goes on where they have changed. With None it always goes on.
    ``unchanged()`` tells whether the data are those still that the fingerprint was made of; it is
    asked at the end, and after every epoch where they are ``mapped`` from a file, which others may
    write to.
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
        self.given_up = False
        self.path = Path(folder).expanduser() / f"{fingerprint}.npz"

    def seed(self) -> int | None:
        """Read which seed a fit began with, for one whose user has not chosen any."""
        with suppress(OSError, ValueError):
            seed = storage.read(self.path)[0].get("seed")
            if type(seed) is int and 0 <= seed < 2**31:
                return seed
        return None

    def agree_on_seed(self, seed: int) -> int:
        """Return the seed of whoever was the first to begin this fit: this one, if nobody was.

        The first one leaves a file that holds the seed. Of several that begin at the same moment
        one creates it, and the others find it.
        """
        if (known := self.seed()) is not None:
            return known
        values = {**self._marks(), "stage": "claimed", "seed": seed}
        with self._usable_folder():
            files.make_folder(self.path.parent)
            with suppress(FileExistsError):
                storage.write_new(self.path, values, {})
        return seed if (known := self.seed()) is None else known

    def begin(self, fit: Fit) -> bool:
        """Take over what is in the file, or write the first one; tell whether the fit has ended."""
        with self._usable_folder():
            files.make_folder(self.path.parent)
            files.remove_stale(self.path.parent)
            if self.path.exists():
                try:
                    return self._take_over(fit)
                except ValueError as error:
                    warnings.warn(
                        f"The checkpoint cannot be used, and training starts anew. {error}",
                        stacklevel=2,
                    )
            self._write(fit, "training")
        return False

    def keep(self, fit: Fit, stage: str) -> None:
        """Write down what the fit has come to. If that fails training goes on, with a warning.

        A fit whose data have changed meanwhile, as those in a file may, is not what its name says:
        it is not kept any further, and its file is removed.
        """
        if self.given_up:
            return
        if (stage != "training" or self.mapped) and not self.unchanged():
            self.given_up = True
            warnings.warn(
                "X, y or weights have changed while they were trained on, so this fit is not kept "
                "in checkpoint_dir. Fit again when nobody writes to them.",
                stacklevel=2,
            )
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            return
        try:
            self._write(fit, stage)
        except OSError as error:
            warnings.warn(
                f"The checkpoint of epoch {fit.state.epoch} could not be written ({error}). "
                "Training goes on; if it is killed, it will begin again at the last one that was "
                "written.",
                stacklevel=2,
            )

    def _write(self, fit: Fit, stage: str) -> None:
        state = fit.state
        values = {
            **self._marks(),
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

    def _take_over(self, fit: Fit) -> bool:
        values, arrays = storage.read(self.path)
        claim = {**self._marks(), "stage": "claimed", "seed": fit.state.seed}
        if values == claim:  # nobody has come any further
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
        """Name what cannot be of this fit, whatever the file says."""
        state = fit.state
        known = {**self._marks(), "seed": state.seed, "rule": state.rule}
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
        steps = len(fit.plan.starts(len(fit.samples)))
        before = [len(state.curve), len(fit.history)]
        sound = {
            "epoch": 0 <= epochs <= fit.plan.n_epochs - state.epoch,
            "step": values["step"] == state.step + epochs * steps,
            "stage": values["stage"] in ("training", "ended", "stopped"),
            "history": is_history(history),
            "best": values["best"] is None or (fit.early_stopping and isfinite(values["best"])),
            "lengths": [len(curve) - epochs, len(history) - epochs] == before,
        }
        return [name for name, holds in sound.items() if not holds]

    def _wrong_arrays(
        self, values: dict[str, Any], arrays: dict[str, Array], fit: Fit
    ) -> list[str]:
        wanted = {f"memory.{name}": array for name, array in fit.state.memory.items()}
        wanted["theta"] = fit.state.theta
        if values["best"] is not None:
            wanted["best"] = fit.state.theta
        return [
            name
            for name, array in wanted.items()
            if name not in arrays
            or (arrays[name].shape, arrays[name].dtype) != (array.shape, array.dtype)
            or not np.isfinite(arrays[name]).all()
        ]

    def _marks(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint}

    @contextmanager
    def _usable_folder(self) -> Iterator[None]:
        """Say which folder it is that cannot be used, and what is needed."""
        try:
            yield
        except OSError as error:
            raise type(error)(
                error.errno,
                f"checkpoint_dir={brief(str(self.path.parent))} cannot be used ({error.strerror}); "
                "needed: a folder that can be read and written, with room on its disk, or None",
            ) from error
