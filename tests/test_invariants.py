"""The twelve invariants of the design, each by its name."""

import pickle
from dataclasses import FrozenInstanceError

import joblib
import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone

from sknpcnn import NumpyCNNClassifier
from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import Network
from sknpcnn.callbacks import TimeLimit
from sknpcnn.layers import (
    Add,
    BatchNorm,
    Branches,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GroupNorm,
    HardSwish,
    Identity,
    MaxPool2D,
    PReLU,
    ReLU,
    Residual,
    SqueezeExcite,
)
from sknpcnn.losses import CrossEntropy
from sknpcnn.optimizers import SGD
from sknpcnn.schedules import CosineDecay, OneCycle, ReduceOnPlateau, StepDecay
from tests.estimator.private import vector_of
from tests.layers.layer_cases import CASES, EXPORTED
from tests.models import assert_same_weights, weights_of
from tests.project import test_imports, test_numpy_alone

STACK = [
    ("conv", Conv2D(6)),
    ("norm", BatchNorm()),
    ("relu", ReLU()),
    ("res", Residual([Conv2D(6), BatchNorm(), ReLU(), Conv2D(6)])),
    ("wide", Branches([[Conv2D(4, 1), BatchNorm(), HardSwish()], Conv2D(2)])),
    ("each", Conv2D(6, groups=6, bias=False)),
    ("group", GroupNorm(2)),
    ("gate", SqueezeExcite(2)),
    ("sum", Add([Identity(), [BatchNorm(), PReLU()]])),
    ("pool", MaxPool2D()),
    ("flat", Flatten()),
    ("drop", Dropout(0.3)),
    ("dense", Dense(20)),
]


def deep(**params):
    return NumpyCNNClassifier(
        **{"layers": STACK, "max_iter": 2, "random_state": 0, "batch_size": 100} | params
    )


@pytest.fixture
def images(digits):
    X, _, y, _ = digits
    return X[:400].astype("float32").reshape(-1, 8, 8), y[:400]


def test_1_a_layer_is_immutable():
    for _, layer, _ in CASES:
        for name in layer.get_params(deep=False):
            with pytest.raises(FrozenInstanceError):
                setattr(layer, name, 1)


def test_2_nothing_transient_is_attached(images):
    clf = deep().fit(*images)
    plain = (np.ndarray, str, int, float, bool, tuple, list, dict, type(None))
    assert [k for k, v in vars(clf).items() if not isinstance(v, plain)] == []
    size = len(pickle.dumps(clf))
    clf.predict(images[0])
    assert len(pickle.dumps(clf)) == size
    assert size < weights_of(clf).nbytes + 8000
    network = Network(STACK, (8, 8, 1), 10)
    before = pickle.dumps(network)
    rows = Rows(images[0].reshape(400, 64), (8, 8, 1))
    with Engine(2, np.float32) as engine:
        theta = vector_of(clf)
        network.logits(theta, rows, engine)
        network.learn(theta, np.empty_like(theta), rows, images[1], None, engine, CrossEntropy())
    assert pickle.dumps(network) == before
    assert [
        layer for _, layer in network.steps if vars(layer) != layer.get_params(deep=False)
    ] == []


def test_3_one_flat_vector_knows_everything(images):
    clf = deep().fit(*images)
    p = clf.predict_proba(images[0])
    weights = clf.get_weights()
    assert sum(array.size for array in weights.values()) == vector_of(clf).size
    flat = np.sort(np.concatenate([array.ravel() for array in weights.values()]))
    np.testing.assert_array_equal(flat, np.sort(vector_of(clf)))
    other = deep(random_state=5).fit(*images)
    vector_of(other)[:] = vector_of(clf)
    np.testing.assert_array_equal(other.predict_proba(images[0]), p)


def test_4_backward_only_writes_gradients_and_all_of_them(images):
    network = Network(STACK, (8, 8, 1), 10)
    theta = network.layout.start(0, np.float32)
    rows = Rows(images[0].reshape(400, 64), (8, 8, 1))
    before, found = theta.copy(), []
    for fill in (np.nan, 7.0):
        grad = np.full_like(theta, fill)
        with Engine(2, np.float32) as engine:
            network.learn(theta, grad, rows, images[1], None, engine, CrossEntropy())
        found.append(grad)
    np.testing.assert_array_equal(theta, before)
    assert np.isfinite(found[0]).all()
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("n_jobs", [2, 3, 5, -1])
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_5_neither_number_nor_kind_of_workers_changes_a_bit(backend, n_jobs, images, monkeypatch):
    monkeypatch.setattr("sknpcnn._engine.workers.count_cores", lambda: 5)
    one = deep(n_jobs=1).fit(*images)
    with parallel_config(backend=backend):
        many = deep(n_jobs=n_jobs).fit(*images)
        outputs = many.predict_proba(images[0])
    assert_same_weights(one, many)
    np.testing.assert_array_equal(one.predict_proba(images[0]), outputs)
    assert one.loss_curve_ == many.loss_curve_


def test_6_float32_in_float32_through(images, monkeypatch):
    seen = set()
    for layer in EXPORTED:
        for method in ("forward", "backward"):
            original = vars(layer).get(method)
            if original is None:
                continue

            def noting(self, *args, original=original):
                arrays = [a for a in args if isinstance(a, np.ndarray)]
                result = original(self, *args)
                y = result[0] if isinstance(result, tuple) else result
                floats = [a for a in (*arrays, y) if a is not None and a.dtype.kind == "f"]
                seen.update(a.dtype.name for a in floats)
                return result

            monkeypatch.setattr(layer, method, noting)
    clf = deep().fit(*images)
    assert clf.predict_proba(images[0]).dtype == np.float32
    assert seen == {"float32"}
    assert {array.dtype.name for array in clf.get_weights().values()} == {"float32"}


def test_7_batch_statistics_are_those_of_the_whole_mini_batch(digits):
    X, _, y, _ = digits
    X, y = X[:300], y[:300]
    weights = np.random.default_rng(0).random(300)
    clf = NumpyCNNClassifier(
        layers=[BatchNorm(momentum=0.0), Flatten()], batch_size=300, max_iter=1, standardize=False
    ).fit(X, y, sample_weight=weights)
    mean = np.average(X.mean(axis=1), weights=weights)
    var = np.average(((X - mean) ** 2).mean(axis=1), weights=weights)
    found = clf.get_weights()
    np.testing.assert_allclose(found["batchnorm_1.mean"], [mean], rtol=1e-10)
    np.testing.assert_allclose(found["batchnorm_1.var"], [var], rtol=1e-10)


def test_8_the_callers_arrays_are_never_modified(images, tmp_path):
    X, y = images
    kept = X.copy(), y.copy()
    weights = np.ones(len(y))
    X.flags.writeable = y.flags.writeable = weights.flags.writeable = False
    wanted = deep().fit(X, y, weights).predict_proba(X)
    np.testing.assert_array_equal(X, kept[0])
    np.testing.assert_array_equal(y, kept[1])
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(deep().fit(mapped, y, weights).predict_proba(mapped), wanted)


@pytest.mark.parametrize(
    ("solver", "schedule"),
    [
        ("adam", "constant"),
        ("adadelta", StepDecay(epochs=2)),
        ("rmsprop", CosineDecay(warmup=1)),
        (SGD(momentum=0.9), OneCycle()),
        ("adam", ReduceOnPlateau(patience=1, tol=10.0)),
    ],
)
def test_9_partial_fits_a_pickled_a_resumed_and_an_uninterrupted_fit_are_the_same(
    solver, schedule, images, tmp_path
):
    whole = deep(max_iter=4, solver=solver, learning_rate=schedule).fit(*images)
    parts = deep(max_iter=4, solver=solver, learning_rate=schedule)
    for k in range(4):
        parts.partial_fit(*images, classes=np.arange(10))
        if k == 1:
            parts = pickle.loads(pickle.dumps(parts))
        if k == 2:
            joblib.dump(parts, tmp_path / "parts.joblib")
            parts = joblib.load(tmp_path / "parts.joblib", mmap_mode="r")
    assert_same_weights(whole, parts)
    assert whole.loss_curve_ == parts.loss_curve_

    clf = deep(max_iter=4, solver=solver, learning_rate=schedule, checkpoint_dir=tmp_path)
    clf.set_callbacks(TimeLimit(1e-9)).fit(*images)  # stops after the first epoch
    assert clf.n_iter_ == 1
    resumed = clone(clf).set_callbacks().fit(*images)
    assert_same_weights(whole, resumed)
    assert whole.loss_curve_ == resumed.loss_curve_


def test_10_imports_point_one_way():
    for module in test_imports.MODULES:
        test_imports.test_imports_point_one_way(module)
    test_imports.test_no_modules_import_each_other()


def test_11_every_layer_is_in_the_table_of_cases():
    assert {type(layer) for _, layer, _ in CASES} == EXPORTED


@pytest.mark.thread_unsafe(reason="sets variables of the environment")
def test_12_the_core_needs_numpy_alone(monkeypatch):
    for module in test_imports.CORE:
        test_imports.test_the_core_imports_numpy_alone(module)
    test_numpy_alone.test_networks_learn_and_predict_the_same_bits_where_numpy_is_alone(monkeypatch)
