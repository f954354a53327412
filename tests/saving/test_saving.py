"""Model files without pickle: the same model, or an error, and nothing else."""

import json
import os
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sknpcnn
from sknpcnn.augmentation import Cutout, Shift
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Flatten, Layer, ReLU, Residual, Sequential
from sknpcnn.optimizers import SGD
from sknpcnn.schedules import OneCycle, StepDecay
from tests.models import assert_same_weights
from tests.saving.model_files import assert_same_attributes, small

FIXTURES = Path(__file__).parents[1] / "data"


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
        "conv_filters": "auto",
        "hidden_layer_sizes": "auto",
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
    assert_same_attributes(found, clf)
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
        (np.arange(10, dtype=">i2"), None),
        (np.array(list("äbcdefghij"), dtype=">U3"), None),
        (np.arange(10).astype("m8[25s]"), None),
        (np.arange(10).astype("<m8"), None),
        (np.arange(10).astype(">m8[ns]"), None),
        (np.arange(10).astype("M8[D]"), None),
        (np.arange(10).astype("M8[us]"), None),
        (pd.timedelta_range("1h", periods=10).to_numpy(), None),
        (np.arange(10, dtype=np.float16), None),
        (np.arange(10, dtype=np.longdouble), None),
        (np.array([0, 2**63] * 5, dtype=np.uint64), None),
        ([np.str_(letter) for letter in "abcdefghij"], object),
    ],
)
def test_labels_of_every_kind(data, tmp_path, labels, dtype):
    X, y = data
    clf = small().fit(X, np.array(labels, dtype=dtype)[y])
    sknpcnn.save(clf, tmp_path / "model.npz")
    found = sknpcnn.load(tmp_path / "model.npz")
    assert_same_attributes(found, clf)
    np.testing.assert_array_equal(found.predict(X), clf.predict(X))


def test_many_classes_are_no_reason_for_a_warning(tmp_path):
    """scikit-learn warns where most labels are different ones, and those of a model all are."""
    X, y = np.random.default_rng(0).random((60, 16)), np.arange(60) % 30
    sknpcnn.save(small().fit(X, y), tmp_path / "model.npz")
    assert sknpcnn.load(tmp_path / "model.npz").classes_.tolist() == list(range(30))


def test_names_of_features_stay(data, tmp_path):
    X, y = data
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    clf = small().fit(frame, y)
    sknpcnn.save(clf, tmp_path / "model.npz")
    found = sknpcnn.load(tmp_path / "model.npz")
    assert_same_attributes(found, clf)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[frame.columns[::-1]])


def test_training_resumes_as_if_nothing_had_been(data, tmp_path):
    whole, clf = small(), small()
    for _ in range(3):
        whole.partial_fit(*data, classes=np.arange(10))
    clf.partial_fit(*data, classes=np.arange(10))
    for _ in range(2):
        sknpcnn.save(clf, tmp_path / "model.npz")
        clf = sknpcnn.load(tmp_path / "model.npz").partial_fit(*data)
    assert_same_weights(clf, whole)


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
    "odd",
    [
        np.array(["NaT", 1], dtype="m8[s]"),
        np.array(["2000-01-01", "NaT"], dtype="M8[D]"),
    ],
    ids=str,
)
def test_labels_that_could_not_be_loaded_are_not_saved(data, tmp_path, odd):
    clf = small().fit(*data)
    clf.classes_ = odd
    with pytest.raises(ValueError, match="cannot be saved, as it could not be loaded again"):
        sknpcnn.save(clf, tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


ODD = [
    datetime(2000, 1, 1),
    timedelta(1),
    Decimal(1),
    None,
    b"a",
    (1, 2),
    np.timedelta64(1, "ns"),
    np.datetime64("2000-01-01"),
    np.bytes_(b"a"),
    pd.Timestamp(0),
    pd.Timedelta(1),
    1,
    np.float32(1),
]


@pytest.mark.parametrize("label", ODD, ids=lambda label: f"{type(label).__name__}-{label}")
def test_objects_that_are_labels_are_refused(data, tmp_path, label):
    """``fit`` takes no such labels; nor does ``save``, where they came in some other way."""
    clf = small().fit(*data)
    clf.classes_ = np.empty(10, dtype=object)
    clf.classes_[:] = [label] * 10
    with pytest.raises((TypeError, ValueError), match=r"classes_ .*needed|could not be loaded"):
        sknpcnn.save(clf, tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_labels_with_parts_are_refused(data, tmp_path):
    clf = small().fit(*data)
    for dtype in ([("a", int)], "V4", "S4", "c16"):
        clf.classes_ = np.zeros(10, dtype=dtype)
        with pytest.raises(ValueError, match="its classes are of the type"):
            sknpcnn.save(clf, tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "weights", [{np.timedelta64(5, "ns"): 2.0}, {10**30: 2.0}, {b"a": 2.0}], ids=str
)
def test_weights_of_classes_keep_their_labels_or_are_refused(data, tmp_path, weights):
    clf = small().fit(*data).set_params(class_weight=weights)
    with pytest.raises((TypeError, ValueError), match=r"class_weight holds|cannot be saved"):
        sknpcnn.save(clf, tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"layers": [Own()], "conv_filters": "auto", "hidden_layer_sizes": "auto"}, "layers"),
        ({"random_state": np.random.RandomState(0)}, "random_state"),
        ({"scoring": lambda *args: 0.0, "early_stopping": True}, "scoring"),
    ],
)
def test_what_needs_pickle_is_refused(data, tmp_path, params, name):
    clf = small(**params).fit(*data)
    with pytest.raises(TypeError, match=f"{name} holds .*, which cannot be saved without"):
        sknpcnn.save(clf, tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_only_a_fitted_classifier_is_saved(data, tmp_path):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        sknpcnn.save(small(), tmp_path / "model.npz")
    with pytest.raises(TypeError, match="save is given a NumpyCNNFeatures; needed: a NumpyCNN"):
        sknpcnn.save(sknpcnn.NumpyCNNFeatures(), tmp_path / "model.npz")


# Where it is saved


def test_a_model_is_saved_where_a_link_leads_and_what_was_left_there_is_removed(data, tmp_path):
    clf = small().fit(*data)
    sknpcnn.save(clf, tmp_path / "model.npz")
    (tmp_path / "model.npz").chmod(0o600)
    (tmp_path / "latest.npz").symlink_to("model.npz")
    rest = tmp_path / ".sknpcnn-0123456789abcdef.tmp"
    rest.write_bytes(b"cut sh")
    os.utime(rest, (0, 0))
    sknpcnn.save(clf.set_params(alpha=1.0), tmp_path / "latest.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.npz", "model.npz"]
    assert (tmp_path / "latest.npz").is_symlink()
    assert (tmp_path / "model.npz").stat().st_mode & 0o777 == 0o600
    assert sknpcnn.load(tmp_path / "model.npz").alpha == 1.0


def test_an_error_while_saving_leaves_the_old_file(data, tmp_path, monkeypatch):
    clf, file = small().fit(*data), tmp_path / "model.npz"
    sknpcnn.save(clf, file)
    before = file.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        sknpcnn.save(clf, file)
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
