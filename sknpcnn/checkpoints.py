"""Checkpoints: a fit that was killed goes on where it was, and ends in the same bits.

A fit is known by its fingerprint: parameters, data, weights and start. What it has come to lies in
a file of that name, replaced after every epoch.
"""

import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from time import time
from typing import Any

import numpy as np

from sknpcnn import storage
from sknpcnn.batches import BLOCK, Array, Samples
from sknpcnn.fitting import Fit
from sknpcnn.spec import Spec

FORMAT = "sknpcnn checkpoint"
VERSION = 1

# What makes no difference to the result; of random_state it is the seed that does.
WITHOUT_EFFECT = {"n_jobs", "verbose", "checkpoint_dir", "warm_start", "random_state"}


class Checkpoint:
    """The file of one fit."""

    def __init__(self, folder: Any, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.path = Path(folder).expanduser() / f"{fingerprint}.npz"

    def begin(self, fit: Fit) -> bool:
        """Take over what is in the file, or write the first one; tell whether the fit has ended."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._clean_up()
            if self.path.exists():
                try:
                    return self._take_over(fit)
                except ValueError as error:
                    warnings.warn(
                        f"The checkpoint cannot be used, and training starts anew. {error}",
                        stacklevel=2,
                    )
            self._write(fit, ended=False)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"checkpoint_dir={str(self.path.parent)!r} cannot be used ({error.strerror}); "
                "needed: a folder that can be read and written, with room on its disk, or None",
            ) from error
        return False

    def keep(self, fit: Fit, ended: bool) -> None:
        """Write down what the fit has come to. If that fails training goes on, with a warning."""
        try:
            self._write(fit, ended)
        except OSError as error:
            warnings.warn(
                f"The checkpoint of epoch {fit.state.epoch} could not be written ({error}). "
                "Training goes on; if it is killed, it will begin again at the last one that was "
                "written.",
                stacklevel=2,
            )

    def _write(self, fit: Fit, ended: bool) -> None:
        state = fit.state
        values = {
            "format": FORMAT,
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "ended": ended,
            "seed": state.seed,
            "epoch": state.epoch,
            "step": state.step,
            "curve": state.curve,
            "rule": state.rule,
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
        self._check(values, arrays, fit)
        state = fit.state
        state.theta[...] = arrays["theta"]
        for name, array in state.memory.items():
            array[...] = arrays[f"memory.{name}"]
        state.seed, state.epoch, state.step = (values[k] for k in ("seed", "epoch", "step"))
        state.curve[:] = values["curve"]
        fit.history[:] = values["history"]
        if values["best"] is not None:
            fit.best = values["best"], arrays["best"]
        return values["ended"]

    def _check(self, values: dict[str, Any], arrays: dict[str, Array], fit: Fit) -> None:
        """Refuse a file that is not of this fit."""
        known = {"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint}
        wrong = [name for name, value in known.items() if values.get(name) != value]
        wanted = {f"memory.{name}": array for name, array in fit.state.memory.items()}
        wanted["theta"] = fit.state.theta
        if values.get("best") is not None:
            wanted["best"] = fit.state.theta
        wrong += [
            name
            for name, array in wanted.items()
            if name not in arrays
            or (arrays[name].shape, arrays[name].dtype) != (array.shape, array.dtype)
        ]
        kinds = {"seed": int, "epoch": int, "step": int, "curve": list, "history": list}
        kinds |= {"ended": bool, "rule": str}
        wrong += [name for name, kind in kinds.items() if type(values.get(name)) is not kind]
        if wrong or values["rule"] != fit.state.rule:
            raise ValueError(f"{self.path}: is not a checkpoint of this fit ({wrong or 'rule'}).")

    def _clean_up(self) -> None:
        """Remove what a process left that was killed while it wrote, an hour ago or earlier."""
        for rest in self.path.parent.glob(f".{self.path.name}.*"):
            with suppress(OSError):
                if time() - rest.stat().st_mtime > 3600:
                    rest.unlink()


def fingerprint(estimator: Any, fit: Fit) -> str:
    """Hash everything that the result of a fit depends on, the machine apart."""
    digest = blake2b(digest_size=16)
    kind = type(estimator)
    params = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name not in WITHOUT_EFFECT
    }
    digest.update(f"{VERSION} {kind.__module__}.{kind.__qualname__} {_described(params)}".encode())
    state = fit.state
    if fit.history or estimator.random_state is not None:  # else any start will do
        start = (state.seed, state.epoch, state.step, state.curve, state.rule, fit.history)
        digest.update(_described(start).encode())
        for array in (state.theta, *state.memory.values()):
            digest.update(array.data)
    digest.update(_described(fit.classes.tolist()).encode())
    _add_samples(digest, fit.samples)
    if fit.validation is not None:
        _add_samples(digest, fit.validation.samples)
    return digest.hexdigest()


def _add_samples(digest: Any, samples: Samples) -> None:
    X = samples.X
    digest.update(f"{X.dtype.str} {X.shape}".encode())
    rows = max(BLOCK // X.shape[1], 1)
    for start in range(0, len(X), rows):
        digest.update(np.ascontiguousarray(X[start : start + rows]))
    for array in (samples.classes, samples.weights, samples.index):
        digest.update(b"none" if array is None else np.ascontiguousarray(array))


def _described(value: Any) -> str:
    """Spell a parameter out, the same in every process."""
    if isinstance(value, Spec):
        kind = type(value)
        fields = _described(value.get_params(deep=False))
        return f"{kind.__module__}.{kind.__qualname__}{fields}"
    if isinstance(value, Mapping):
        items = sorted((_described(key), _described(item)) for key, item in value.items())
        return f"{{{', '.join(f'{key}: {item}' for key, item in items)}}}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str} {_described(value.tolist())}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_described, value))}]"
    if isinstance(value, np.generic):
        return repr(value.item())
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x\w+", "", repr(value))
