"""Checkpoints that a fuzzer makes up: a warning and a fresh start, or a fit that resumes correctly.

    python -m tests.fuzz.fuzz_checkpoint -runs=1000000 [folder]

needs atheris. ``check`` does without.
"""

import os
import sys
import tempfile
import warnings
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    import atheris

    READERS = (
        *("_storage.archive", "_storage.files", "_storage.storage"),
        *("_training.checkpoints", "_training.fit", "_training.state"),
    )
    with atheris.instrument_imports(include=[f"sknpcnn.{name}" for name in READERS]):
        import_module("sknpcnn")

import numpy as np

from sknpcnn import NumpyCNNClassifier
from sknpcnn._storage import storage
from sknpcnn._training.checkpoints import Checkpoint
from sknpcnn.optimizers import SGD
from tests.fuzz.fuzz_load import FOLDER
from tests.fuzz.mutations import Base, changed

EPOCHS = 4


def check(data):
    """Resume from a file made of these bytes; raise an AssertionError if anything is wrong."""
    checkpoint, begun, bases = _case(os.getpid())
    fit = replace(begun, state=begun.state.copy(), history=[])
    checkpoint.path.write_bytes(changed(bases, data))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seed = checkpoint.seed()
        ended = checkpoint.resume_or_create(fit)
    if not (seed is None or (type(seed) is int and 0 <= seed < 2**31)):
        raise AssertionError(f"the seed is {seed!r}")
    if caught:
        _demand_fresh(fit, begun, ended, [str(warning.message) for warning in caught])
        if sum(data) % 8:  # seldom too
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what has been written instead can be read
            checkpoint.resume_or_create(replace(begun, state=begun.state.copy(), history=[]))
        return False
    _demand_sound(fit)
    if not ended and sum(data) % 4 == 0:  # seldom, as it takes as long as all else
        try:
            fit.run(EPOCHS, n_jobs=1)
        except ValueError as error:
            if "diverged" not in str(error) and "validation data give" not in str(error):
                raise AssertionError("resuming fails in another way") from error
        else:
            _demand_sound(fit)
    return True


def _demand_fresh(fit, begun, ended, said):
    """The fit is as it was before the file was looked at, and one warning names the file."""
    path, state = str(begun.checkpoint.path), fit.state
    if len(said) != 1 or "training starts from scratch" not in said[0] or path not in said[0]:
        raise AssertionError(f"the warnings are {said}")
    same = state.theta.tobytes() == begun.state.theta.tobytes()
    same = same and all((a == 0).all() for a in state.memory.values())
    counts = (state.epoch, state.step, state.curve, fit.history, fit.best, ended)
    if not same or counts != (0, 0, [], [], None, False):
        raise AssertionError(f"a file that was refused has changed the fit: {counts}")


def _demand_sound(fit):
    state, numbers = fit.state, [number for row in fit.history for number in row.values()]
    arrays = [state.theta, *state.memory.values()]
    if fit.best is not None:
        arrays.append(fit.best[1])
        numbers.append(fit.best[0])
    sound = all(np.isfinite(array).all() for array in arrays)
    sound = sound and all(type(number) is float for number in [*numbers, *state.curve])
    sound = sound and type(state.epoch) is type(state.step) is int
    if not sound or not len(state.curve) == len(fit.history) == state.epoch <= EPOCHS:
        raise AssertionError(f"the fit resumes from {state} and {fit.history}")


class _BegunError(Exception):
    """Ends a fit where it would look for its file."""


@cache
def _case(process):
    """A fit that is about to begin, its checkpoint, and valid files of it."""
    folder = Path(tempfile.mkdtemp(dir=FOLDER))
    rng = np.random.default_rng(0)
    X, y = rng.random((12, 3, 3)), np.arange(12) % 3
    clf = NumpyCNNClassifier(
        conv_filters=(2,),
        hidden_layer_sizes=(2,),
        max_iter=EPOCHS,
        random_state=0,
        early_stopping=True,
        solver=SGD(0.5),
        learning_rate="adaptive",
        n_jobs=1,
        checkpoint_dir=folder,
    )
    found = {}

    def seize(self, fit):
        found.update(fit=replace(fit, state=fit.state.copy(), history=[]))
        raise _BegunError

    resume_or_create, Checkpoint.resume_or_create = Checkpoint.resume_or_create, seize
    try:
        clf.fit(X, y)
    except _BegunError:
        pass
    finally:
        Checkpoint.resume_or_create = resume_or_create
    contents, fit = [], found["fit"]
    checkpoint = fit.checkpoint
    for stage, epochs in (("training", 2), ("stopped", 3), ("ended", EPOCHS)):
        partly = replace(fit, state=fit.state.copy(), history=[])
        partly.run(epochs, n_jobs=1)
        checkpoint.save(partly, stage)
        contents.append(Base(*storage.read(checkpoint.path)))
    return checkpoint, fit, contents


if __name__ == "__main__":
    _case(os.getpid())
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
