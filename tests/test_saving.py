"""Model files without pickle: the same model, or an error, and nothing else."""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sknpcnn
from sknpcnn import NumpyCNNClassifier, storage
from sknpcnn.augmentation import Cutout, Shift
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Flatten, Layer, ReLU, Residual, Sequential
from sknpcnn.optimizers import SGD
from sknpcnn.schedules import OneCycle, StepDecay

FIXTURES = Path(__file__).parent / "data"


def small(**params):
    given = {"conv_filters": (3,), "hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    return NumpyCNNClassifier(**given | params)


@pytest.fixture
def data(digits):
    X, _, y, _ = digits
    return X[:200], y[:200]


def assert_same(found, clf):
    for name in {*vars(found), *vars(clf)} - {"_theta", "_progress", "_standard", "dtype"}:
        one, other = getattr(found, name), getattr(clf, name)
        assert type(one) is type(other), name
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:
            assert pickle.dumps(one) == pickle.dumps(other) or repr(one) == repr(other), name
    np.testing.assert_array_equal(found._theta, clf._theta)


CASES = {
    "default": {},
    "double": {"dtype": np.float64},
    "not standardised": {"standardize": False},
    "specs": {
        "solver": SGD(momentum=0.5),
        "learning_rate": OneCycle(),
        "augment": [("move", Shift((0, 1))), Cutout(2)],
        "class_weight": {0: 2.0, 5: 0.5},
        "n_iter_no_change": np.inf,
        "alpha": 0.1,
        "learning_rate_init": 0.01,
    },
    "layers": {
        "layers": [
            ("first", Conv2D(4, (3, 1), padding=(0, 1), bias="position")),
            Sequential([BatchNorm(), ReLU()]),
            Residual([Conv2D(5)], shortcut=Conv2D(5, 1)),
            Flatten(),
            Dense(3),
        ],
        "conv_filters": (16, 32),
        "hidden_layer_sizes": (100,),
        "learning_rate": StepDecay((1, 3)),
    },
    "early stopping": {"early_stopping": True},
    "warm start": {"warm_start": True},
    "arrays and lists": {"conv_filters": [3, 4], "kernel_size": [3, (1, 3)], "batch_norm": True},
}


@pytest.mark.parametrize("params", CASES.values(), ids=CASES)
def test_what_is_loaded_is_what_was_saved(data, tmp_path, params):
    clf = small(**params).fit(*data)
    sknpcnn.save(clf, tmp_path / "model.npz")
    found = sknpcnn.load(str(tmp_path / "model.npz"))
    assert_same(found, clf)
    np.testing.assert_array_equal(found.predict_proba(data[0]), clf.predict_proba(data[0]))
    assert found.summary().equals(clf.summary())
    assert found.history_.equals(clf.history_)


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (list("abcdefghij"), None),
        (list("abcdefghij"), object),
        ([float(i - 5) for i in range(10)], None),
        ([True, False] * 5, None),
    ],
)
def test_labels_of_every_kind(data, tmp_path, labels, dtype):
    X, y = data
    clf = small().fit(X, np.array(labels, dtype=dtype)[y])
    sknpcnn.save(clf, tmp_path / "model.npz")
    found = sknpcnn.load(tmp_path / "model.npz")
    assert_same(found, clf)
    np.testing.assert_array_equal(found.predict(X), clf.predict(X))


def test_names_of_features_stay(data, tmp_path):
    X, y = data
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    clf = small().fit(frame, y)
    sknpcnn.save(clf, tmp_path / "model.npz")
    found = sknpcnn.load(tmp_path / "model.npz")
    assert_same(found, clf)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[frame.columns[::-1]])


def test_training_goes_on_as_if_nothing_had_been(data, tmp_path):
    whole, clf = small(), small()
    for _ in range(3):
        whole.partial_fit(*data, classes=np.arange(10))
    clf.partial_fit(*data, classes=np.arange(10))
    for _ in range(2):
        sknpcnn.save(clf, tmp_path / "model.npz")
        clf = sknpcnn.load(tmp_path / "model.npz").partial_fit(*data)
    np.testing.assert_array_equal(clf._theta, whole._theta)


def test_a_file_of_the_first_version_stays_readable(digits):
    _, X_test, _, _ = digits
    clf = sknpcnn.load(FIXTURES / "model_1.npz")
    expected = json.loads((FIXTURES / "model_1.json").read_text())
    np.testing.assert_allclose(clf.predict_proba(X_test[:5]), expected["probabilities"], rtol=1e-4)
    assert clf.classes_.tolist() == expected["classes"]
    assert repr(clf) == expected["classifier"]


# What cannot be saved


class Own(Layer):
    def forward(self, params, x, ctx):
        return x, None

    def backward(self, params, cache, dy, grads, ctx):
        return dy


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"layers": [Own()], "conv_filters": (16, 32), "hidden_layer_sizes": (100,)}, "layers"),
        ({"random_state": np.random.RandomState(0)}, "random_state"),
        ({"scoring": lambda *args: 0.0, "early_stopping": True}, "scoring"),
    ],
)
def test_what_needs_pickle_is_refused(data, tmp_path, params, name):
    clf = small(**params).fit(*data)
    with pytest.raises(TypeError, match=f"{name} holds .*, which cannot be written down without"):
        sknpcnn.save(clf, tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_only_a_fitted_classifier_is_saved(data, tmp_path):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        sknpcnn.save(small(), tmp_path / "model.npz")
    with pytest.raises(TypeError, match="save is given a NumpyCNNFeatures; needed: a NumpyCNN"):
        sknpcnn.save(sknpcnn.NumpyCNNFeatures(), tmp_path / "model.npz")


# What cannot be loaded


@pytest.fixture
def file(data, tmp_path):
    path = tmp_path / "model.npz"
    params = {"warm_start": True, "conv_filters": (2,), "layers": None, "batch_norm": True}
    sknpcnn.save(small(**params).fit(*data), path)
    return path


def loaded(file):
    """Load a file; None where it is refused in the way that is documented."""
    try:
        return sknpcnn.load(file)
    except ValueError as refused:
        return None if str(file) in str(refused) else pytest.fail(f"no file is named: {refused}")


@pytest.mark.thread_unsafe(reason="all write the same file")
def test_a_byte_that_is_wrong_is_an_error_or_does_no_harm(data, file):
    content = bytearray(file.read_bytes())
    whole = sknpcnn.load(file)
    rng = np.random.default_rng(0)
    # every byte of the archive's own records matters most; they are at the end
    places = {*rng.integers(0, len(content), 400), *range(len(content) - 600, len(content))}
    harmless = 0
    for place in places:
        before = content[place]
        content[place] ^= int(rng.integers(1, 256))
        file.write_bytes(content)
        content[place] = before
        found = loaded(file)
        if found is not None:
            harmless += 1
            assert_same(found, whole)
    assert harmless < len(places) / 2


def test_a_file_that_is_cut_short_is_an_error(file):
    content = file.read_bytes()
    for length in {*range(200), *range(0, len(content), 97)}:
        file.write_bytes(content[:length])
        with pytest.raises(ValueError, match="is not an intact file"):
            sknpcnn.load(file)


WRONG = {
    "parameter left out": lambda v, a: v["params"].pop("alpha"),
    "negative samples": lambda v, a: v["fitted"].update(t_=-5),
    "another activation": lambda v, a: v["fitted"].update(out_activation_="tanh"),
    "another curve": lambda v, a: v["fitted"].update(loss_curve_={"list": [1.0]}),
    "curve of words": lambda v, a: v["fitted"].update(loss_curve_={"list": ["a", "b"]}),
    "another loss": lambda v, a: v["fitted"].update(loss_=float("nan")),
    "another best loss": lambda v, a: v["fitted"].update(best_loss_=-1.0),
    "scores of no validation": lambda v, a: v["fitted"].update(validation_scores_={"list": [0.5]}),
    "odd rows": lambda v, a: v["fitted"].update(_history={"list": [{"dict": [["a", 1.0]]}] * 2}),
    "rows of words": lambda v, a: v["fitted"]["_history"]["list"][0]["dict"][0].__setitem__(1, "a"),
    "seed below zero": lambda v, a: v["progress"].update(seed=-1),
    "enormous seed": lambda v, a: v["progress"].update(seed=10**40),
    "epoch below zero": lambda v, a: v["progress"].update(epoch=-7),
    "step below zero": lambda v, a: v["progress"].update(step=-1),
    "curve of nothing": lambda v, a: v["progress"].update(curve={"list": [float("inf")]}),
    "rule that is none": lambda v, a: v["progress"].update(rule="Conv2D"),
    "memory missing": lambda v, a: a.pop("memory.squares"),
    "memory misnamed": lambda v, a: a.update({"memory.other": a["memory.squares"]}),
    "memory in double": lambda v, a: a.update({"memory.total": a["memory.total"].astype("f4")}),
    "memory of nothing": lambda v, a: v.pop("progress"),
    "scale of zero": lambda v, a: a.update(scale=0 * a["scale"]),
    "negative scale": lambda v, a: a.update(scale=-a["scale"]),
    "scale missing": lambda v, a: a.pop("scale"),
    "mean missing": lambda v, a: a.pop("mean"),
    "negative variance": lambda v, a: a.update(theta=-abs(a["theta"])),
    "unsorted classes": lambda v, a: a.update(classes_=a["classes_"][::-1].copy()),
    "complex classes": lambda v, a: a.update(classes_=a["classes_"] + 0j),
    "nan among classes": lambda v, a: a.update(classes_=np.r_[a["classes_"][:-1], np.nan]),
    "void classes": lambda v, a: a.update(classes_=a["classes_"].view("V8")),
    "format": lambda v, a: v.update(format="another"),
    "version": lambda v, a: v.update(version=2),
    "no parameters": lambda v, a: v.pop("params"),
    "unknown parameter": lambda v, a: v["params"].update(colour=1),
    "bad parameter": lambda v, a: v["params"].update(alpha=-1),
    "bad combination": lambda v, a: v["params"].update(n_jobs=0),
    "unknown layer": lambda v, a: v["params"].update(solver={"spec": "os", "fields": {}}),
    "an abstract one": lambda v, a: v["params"].update(solver={"spec": "Optimizer", "fields": {}}),
    "bad fields": lambda v, a: v["params"].update(
        solver={"spec": "SGD", "fields": {"momentum": 2.0}}
    ),
    "bad kind": lambda v, a: v["params"].update(solver={"eval": "1"}),
    "bare list": lambda v, a: v["params"].update(solver=[1]),
    "missing attribute": lambda v, a: v["fitted"].pop("t_"),
    "attribute of another type": lambda v, a: v["fitted"].update(t_="many"),
    "image that is none": lambda v, a: v["fitted"].update(image_shape_={"tuple": [8, 8]}),
    "negative image": lambda v, a: v["fitted"].update(image_shape_={"tuple": [-8, -8, 1]}),
    "other features": lambda v, a: v["fitted"].update(n_features_in_=63),
    "architecture": lambda v, a: v["fitted"]["_architecture"]["dict"].pop(),
    "history": lambda v, a: v["fitted"]["_history"]["list"].pop(),
    "no parameters of the network": lambda v, a: a.pop("theta"),
    "too few": lambda v, a: a.update(theta=a["theta"][:-1]),
    "not finite": lambda v, a: a.update(theta=a["theta"] * np.nan),
    "half precision": lambda v, a: a.update(theta=a["theta"].astype(np.float16)),
    "whole numbers": lambda v, a: a.update(theta=a["theta"].astype(np.int32)),
    "a class twice": lambda v, a: a.update(classes_=np.zeros(10)),
    "no classes": lambda v, a: a.pop("classes_"),
    "classes in a table": lambda v, a: a.update(classes_=np.eye(10)),
    "scale": lambda v, a: a.pop("scale"),
    "memory": lambda v, a: a.update({"memory.mean": a["theta"][:3]}),
    "rule": lambda v, a: v["progress"].update(rule="Unknown"),
    "progress": lambda v, a: v["progress"].pop("seed"),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_every_field_is_checked(file, spoil):
    values, arrays = storage.read(file)
    spoil(values, arrays)
    storage.write(file, values, arrays)
    with pytest.raises(ValueError, match=r"model\.npz: ") as caught:
        sknpcnn.load(file)
    assert type(caught.value) is ValueError


def test_a_file_with_pickled_objects_is_refused(file, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    _, arrays = storage.read(file)
    objects = {**arrays, "classes_": np.array([Trap()], dtype=object)}
    np.savez(file, **{"values.json": np.zeros(1)}, **objects)
    with pytest.raises(ValueError, match="is not an intact file"):
        sknpcnn.load(file)
    assert not (tmp_path / "sprung").exists()


def test_a_file_that_promises_too_much_is_refused(file, tmp_path):
    import zipfile

    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("values.json", "{}")
        archive.writestr("theta.npy", bytes(10**8))
    with pytest.raises(ValueError, match="packed in a way that is not used here"):
        sknpcnn.load(bomb)


def test_a_file_that_is_not_there_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        sknpcnn.load(tmp_path / "nowhere.npz")


def test_an_error_while_saving_leaves_the_old_file(file, data, monkeypatch):
    import os

    before = file.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        sknpcnn.save(small().fit(*data), file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_skops_needs_to_trust_one_type(data):
    skops = pytest.importorskip("skops.io")
    clf = small().fit(*data)
    dumped = skops.dumps(clf)
    (needed,) = skops.get_untrusted_types(data=dumped)
    assert needed == "sknpcnn.classifier.NumpyCNNClassifier"
    found = skops.loads(dumped, trusted=[needed])
    np.testing.assert_array_equal(found.predict_proba(data[0]), clf.predict_proba(data[0]))
