"""``sknpcnn.load`` on files that a fuzzer makes up: an error of the documented kind, or a model.

    python -m tests.fuzz.fuzz_load -runs=1000000 [folder]

needs atheris. ``check`` does without.
"""

import os
import sys
import tempfile
import warnings
from functools import cache
from importlib import import_module
from math import prod
from pathlib import Path

if __name__ == "__main__":
    import atheris

    READERS = (
        *("_storage.archive", "_storage.files", "_storage.storage"),
        *("saving", "saving.network", "saving.plain", "saving.rebuilding"),
        *("_estimator.blocks", "_estimator.constraints", "spec"),
    )
    with atheris.instrument_imports(include=[f"sknpcnn.{name}" for name in READERS]):
        import_module("sknpcnn")

import numpy as np

import sknpcnn
from sknpcnn import NumpyCNNClassifier
from sknpcnn._estimator.fitted import network_of
from sknpcnn._storage import storage
from sknpcnn.augmentation import HorizontalFlip, Shift
from sknpcnn.layers import BatchNorm, Conv2D, Dropout, GlobalAvgPool2D, ReLU, Residual, Sequential
from sknpcnn.optimizers import SGD
from sknpcnn.schedules import CosineDecay, OneCycle
from tests.estimator.private import progress_of
from tests.fuzz.mutations import Base, changed
from tests.models import weights_of

# A model whose images need more than this is loaded, but not tried: it may take any memory.
MAX_NUMBERS = 2**14
MAX_CLASSES = 40
# Where files cost nothing, if there is such a place.
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None


def check(data):
    """Load a file made of these bytes; raise an AssertionError if anything is not as promised."""
    path = _folder() / f"{os.getpid()}.npz"
    path.write_bytes(changed(_bases(), data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            clf = sknpcnn.load(path)
        except (ValueError, OSError) as error:
            if type(error) is not ValueError or not str(error).startswith(str(path)):
                raise AssertionError("an error of another kind") from error
            return False
        small = _small(clf)
        # one thing at a time, and seldom: they take longer than all else
        if (turn := sum(data) % (8 * len(_CHECKS))) < len(_CHECKS):
            _CHECKS[turn](small)
    return True


def _small(clf):
    """Look at what a model holds; return it, or None where trying it would take too long."""
    given = (clf.checkpoint_dir, clf.n_jobs, clf.verbose)
    if given != (None, None, 0):
        raise AssertionError(f"what belongs to the machine is {given}")
    network = network_of(clf)
    progress = progress_of(clf)
    memory = {} if progress is None else progress["memory"]
    if not all(np.isfinite(array).all() for array in (weights_of(clf), *memory.values())):
        raise AssertionError("it holds values that are not finite")
    cost = sum(row.multiply_adds for row in network.summary())
    if max(prod(network.image), network.widest, cost / 64) > MAX_NUMBERS:
        return None
    return None if len(clf.classes_) > MAX_CLASSES else clf


def _data(clf):
    y = np.tile(clf.classes_, 2)
    return np.random.default_rng(0).random((len(y), *clf.image_shape_)), y


def _predict(clf):
    if clf is not None:
        X, y = _data(clf)
        try:
            p = clf.predict_proba(X)
        except ValueError:  # it overflows
            return
        if p.shape != (len(y), len(clf.classes_)) or abs(p.sum(axis=1) - 1).max() > 1e-3:
            raise AssertionError("its probabilities are none")


def _save(clf):
    if clf is not None:
        first, second = (_folder() / f"{os.getpid()}-{i}.npz" for i in (1, 2))
        sknpcnn.save(clf, first)
        sknpcnn.save(sknpcnn.load(first), second)
        if first.read_bytes() != second.read_bytes():
            raise AssertionError("it is another model when it is saved and loaded")


def _fit(clf):
    if clf is not None:
        _train(clf, clf.fit)


def _partial_fit(clf):
    if clf is not None:
        _train(clf, clf.partial_fit)


def _train(clf, train):
    clf.set_params(n_jobs=1, max_iter=1)
    try:
        train(*_data(clf))
    except (ValueError, TypeError):
        return
    if not np.isfinite(weights_of(clf)).all():
        raise AssertionError("training makes values that are not finite")


_CHECKS = (_predict, _save, _fit, _partial_fit)


@cache
def _folder():
    return Path(tempfile.mkdtemp(dir=FOLDER))


@cache
def _bases():
    rng = np.random.default_rng(0)
    X, y = rng.random((12, 3, 3)), np.arange(12) % 3
    small = {"conv_filters": (2,), "hidden_layer_sizes": (2,), "max_iter": 2, "random_state": 0}
    explicit = {"conv_filters": "auto", "hidden_layer_sizes": "auto"}
    layers = [
        ("first", Conv2D(2, (3, 1), padding=(0, 1), bias="position")),
        Sequential([BatchNorm(), ReLU()]),
        Residual([Conv2D(3)], shortcut=Conv2D(3, 1)),
        Dropout(0.1),
        GlobalAvgPool2D(),
    ]
    models = [
        NumpyCNNClassifier(**small, warm_start=True, batch_norm=True).fit(X, y),
        NumpyCNNClassifier(
            **small | explicit,
            layers=layers,
            solver=SGD(0.5),
            warm_start=True,
            learning_rate=OneCycle(),
            augment=[Shift(1), HorizontalFlip()],
        ).fit(X, y),
        NumpyCNNClassifier(
            **small,
            early_stopping=True,
            dtype="float64",
            standardize=False,
            class_weight={"a": 2.0},
        ).fit(X, np.array(list("abc"), object)[y]),
        NumpyCNNClassifier(
            **small, learning_rate=CosineDecay(), kernel_size=[1], clip_norm=1.0
        ).fit(X, y.astype("m8[s]")),
    ]
    models[2].feature_names_in_ = np.array([f"p{i}" for i in range(9)], dtype=object)
    path = _folder() / "base.npz"
    bases = []
    for model in models:
        sknpcnn.save(model, path)
        bases.append(Base(*storage.read(path)))
    return bases


if __name__ == "__main__":
    _bases()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
