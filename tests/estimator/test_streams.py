"""Data that come in batches, are on disk, or exceed memory; and callbacks in other processes."""

import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn.layers import AvgPool2D, Conv2D
from tests import models
from tests.engine.test_memory import MB, STATUS, status
from tests.models import StopAfter

HOME = Path(__file__).parents[2]
SIDE = 256


small = partial(models.small, max_iter=2)


# Streams


def batches(X, y):
    """Split data into the batches of a stream: many samples, a single one, those of one class."""
    weights = 0.5 + np.arange(len(y)) % 3
    for rows in (slice(0, 150), slice(150, 151), slice(151, 300), np.flatnonzero(y == 3)):
        yield X[rows], y[rows], weights[rows]


@pytest.mark.parametrize("params", [{}, {"batch_norm": True, "dropout": 0.2}], ids=str)
def test_batches_of_any_size_make_a_stream(params, data):
    clf, seen = small(**params), 0
    for i, (X, y, weights) in enumerate(batches(*data), start=1):
        clf.partial_fit(X, y, classes=np.arange(10) if i == 1 else None, sample_weight=weights)
        seen += len(y)
        assert (clf.n_iter_, clf.t_, len(clf.history_)) == (i, seen, i)
        assert clf.predict_proba(data[0]).shape == (300, 10)
        clf = pickle.loads(pickle.dumps(clf))  # a stream may outlive the process
    again = small(**params)
    for X, y, weights in batches(*data):
        again.partial_fit(X, y, np.arange(10), weights)
    np.testing.assert_array_equal(clf._theta, again._theta)


def test_a_batch_of_zero_weights_is_refused_and_the_stream_continues(data):
    X, y = data
    clf = small().partial_fit(X, y, classes=np.arange(10))
    with pytest.raises(ValueError, match="at least one non-zero"):
        clf.partial_fit(X, y, sample_weight=np.zeros(300))
    again = small().partial_fit(X, y, np.arange(10)).partial_fit(X, y)
    np.testing.assert_array_equal(clf.partial_fit(X, y)._theta, again._theta)


def test_other_classes_in_a_later_call_are_refused(data):
    clf = small().partial_fit(*data, classes=np.arange(10))
    with pytest.raises(ValueError, match=r"`classes=.*` is not the same as on last call"):
        clf.partial_fit(*data, classes=np.arange(11))
    assert clf.partial_fit(*data, classes=np.arange(10)).n_iter_ == 2


# Files


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", ">i2"])
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_mapped_file_trains_the_same_model_and_stays_as_it_is(mode, dtype, data, tmp_path):
    X, y = data[0].astype(dtype).reshape(-1, 8, 8), data[1]
    np.save(tmp_path / "X.npy", X)
    before = (tmp_path / "X.npy").read_bytes()
    mapped = np.load(tmp_path / "X.npy", mmap_mode=mode)
    params = {"early_stopping": True, "scoring": "accuracy", "dropout": 0.1}
    one, other = (small(**params).fit(A, y, X_val=A[:50], y_val=y[:50]) for A in (X, mapped))
    one.partial_fit(X[:100], y[:100])
    other.partial_fit(mapped[:100], y[:100])
    np.testing.assert_array_equal(one._theta, other._theta)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(mapped))
    del mapped
    assert (tmp_path / "X.npy").read_bytes() == before


def test_half_precision_trains_the_model_of_single_precision(data):
    X, y = data  # from 0 to 16, exact in both
    half, single = (small().fit(X.astype(dtype), y) for dtype in ("float16", "float32"))
    np.testing.assert_array_equal(half._theta, single._theta)
    np.testing.assert_array_equal(
        half.predict_proba(X.astype("float16")), single.predict_proba(X.astype("float32"))
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_not_finite_is_found_wherever_it_is(dtype, bad, data):
    X, y = np.repeat(data[0], 20, axis=0).astype(dtype), data[1].repeat(20)
    clf, name = small(max_iter=1).fit(X, y), "NaN" if np.isnan(bad) else "infinity"
    for place in (0, 3000, -1):
        spoilt = X.copy()
        spoilt[place, 7] = bad
        for act in (lambda A: small().fit(A, y), clf.predict, lambda A: clf.partial_fit(A, y)):
            with pytest.raises(ValueError, match=f"Input X contains {name}"):
                act(spoilt)


def within(path, allowance, task):
    """Do a task with a file, with no more address space than there is now and the allowance."""
    import resource

    X = np.load(path, mmap_mode="r")
    y = np.arange(len(X)) % 2
    clf = NumpyCNNClassifier(layers=[AvgPool2D(SIDE // 4)], max_iter=1, batch_size=32, n_jobs=1)
    limit = status("VmSize") + allowance
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if task == "fit":
        clf.fit(X, y)
    for lo in range(0, len(X) if task == "partial_fit" else 0, 32):
        clf.partial_fit(np.array(X[lo : lo + 32]), y[lo : lo + 32], classes=[0, 1])
    assert clf.predict(X).shape == y.shape
    print("done")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "task"), [("float16", "fit"), ("float16", "partial_fit"), ("float32", "fit")]
)
def test_a_file_far_larger_than_the_memory_allowed_stays_on_disk(dtype, task, tmp_path):
    """Of values so large that their sum is infinite, although each of them is finite."""
    if not STATUS.exists():
        pytest.skip("this system does not tell how much memory a process has")
    path, dtype = tmp_path / "X.npy", np.dtype(dtype)
    image = SIDE**2 * dtype.itemsize
    n = 200 * MB // image
    start = np.lib.format.open_memmap(path, "w+", dtype, (n, SIDE, SIDE)).offset
    with path.open("r+b") as file:  # sparse: only these few values take space on the disk
        for i in range(n):
            file.seek(start + i * image)
            file.write(np.array([np.finfo(dtype).max, i % 100], dtype).tobytes())
        file.truncate(start + n * image)
    call = f"within({str(path)!r}, {80 * MB}, {task!r})"
    program = f"from tests.estimator.test_streams import within; {call}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HOME, capture_output=True, text=True, timeout=600
    )
    path.unlink()
    assert done.stdout.strip() == "done", done.stderr


# Prediction in batches


@pytest.mark.parametrize("params", [{}, {"batch_norm": True}, {"conv_filters": ()}], ids=str)
def test_every_method_keeps_to_the_working_memory(params, data):
    X, y = data
    clf = small(**params).fit(X, y)
    names = ("predict", "predict_proba", "predict_log_proba", "decision_function")
    features = NumpyCNNFeatures(small(**params), random_state=0).fit(X)
    methods = {name: getattr(clf, name) for name in names} | {"transform": features.transform}
    for name, method in methods.items():
        whole = method(X)
        with config_context(working_memory=0.01):  # in megabytes: a few images at a time
            np.testing.assert_allclose(method(X), whole, rtol=1e-9, atol=1e-9, err_msg=name)


def test_working_memory_for_not_even_one_image_is_mentioned(data):
    clf = NumpyCNNClassifier(layers=[Conv2D(4000, 1)], max_iter=1).fit(data[0][:20], data[1][:20])
    whole = clf.predict_proba(data[0][:5])
    warns = pytest.warns(UserWarning, match="Could not adhere to working_memory")
    with config_context(working_memory=0.1), warns:
        alone = clf.predict_proba(data[0][:5])
    np.testing.assert_allclose(alone, whole)


# Resuming


def test_warm_starts_go_on_through_a_stream_and_a_pickle(data):
    X, y = data
    warm = small(warm_start=True).fit(X, y)
    warm = pickle.loads(pickle.dumps(warm)).fit(X[:100], y[:100])
    warm.fit(X[y < 5], y[y < 5])  # fewer classes are fine: those of the first fit stay
    assert warm.classes_.tolist() == list(range(10))
    assert (warm.n_iter_, warm.t_) == (6, 2 * (300 + 100 + (y < 5).sum()))
    step_by_step = small()
    for part in (slice(None), slice(100), y < 5):
        for _ in range(2):
            step_by_step.partial_fit(X[part], y[part], classes=np.arange(10))
    np.testing.assert_array_equal(warm._theta, step_by_step._theta)


CHANGES = {
    "features": (lambda X, y: (X[:, :49], y), "X has 49 features, but .* expecting 64"),
    "image": (lambda X, y: (X.reshape(-1, 4, 16), y), r"shape \(4, 16, 1\), .* \(8, 8, 1\)"),
    "channels": (lambda X, y: (X.reshape(-1, 4, 4, 4), y), r"\(4, 4, 4\), .* \(8, 8, 1\)"),
    "names": (
        lambda X, y: (pd.DataFrame(X[:, ::-1], columns=NAMES[::-1]), y),
        "names should match",
    ),
    "labels": (lambda X, y: (X, y + 1), r"y holds \[10\], which is not among the classes"),
    "kind of labels": (lambda X, y: (X, y.astype(str)), r"which is not among the classes"),
}
NAMES = [f"pixel{i}" for i in range(64)]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", CHANGES)
def test_what_has_changed_is_refused_and_the_model_continues_as_if_nothing_had_been(
    name, method, data
):
    X, y = data
    X = pd.DataFrame(X, columns=NAMES) if name == "names" else X
    clf, again = (small(warm_start=True).fit(X, y) for _ in range(2))
    change, message = CHANGES[name]
    with pytest.raises(ValueError, match=message):
        getattr(clf, method)(*change(*data))
    np.testing.assert_array_equal(clf._theta, again._theta)
    np.testing.assert_array_equal(clf.fit(X, y)._theta, again.fit(X, y)._theta)


# Callbacks, in the processes of a grid search over a pipeline


def search(clf, **params):
    grid = {"numpycnnclassifier__alpha": [0.0, 0.1]}
    return GridSearchCV(make_pipeline(StandardScaler(), clf), grid, cv=2, n_jobs=2, **params)


@pytest.mark.slow
def test_progress_bar(data, capfd, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "200")
    search(small()).set_callbacks(ProgressBar(max_propagation_depth=None)).fit(*data)
    lines = [line for line in capfd.readouterr().out.splitlines() if "NumpyCNNClassifier" in line]
    assert len(lines) == 2 * 2 + 1  # one for each fit
    assert all("fit-final-estimator" in line and "100%" in line for line in lines)


def test_scoring_monitor(data):
    monitor = ScoringMonitor(scoring="accuracy")
    found = search(small().set_callbacks(monitor)).fit(*data)
    log = monitor.get_logs().data_as_pandas
    epochs, fits = log[log["task_name"] == "epoch"], log[log["task_name"] == "fit"]
    assert (len(epochs), len(fits)) == (5 * 2, 5)
    last = epochs[epochs["task_id"] == 1].set_index("parent_task_id_path")["accuracy"]
    assert last.to_dict() == fits.set_index("task_id_path")["accuracy"].to_dict()
    scaled = found.best_estimator_[0].transform(data[0])
    assert found.best_estimator_[-1].score(scaled, data[1]) in set(fits["accuracy"])


def test_scoring_monitor_on_a_data_frame(data):
    frame, monitor = pd.DataFrame(data[0], columns=NAMES), ScoringMonitor(scoring="accuracy")
    clf = small().set_callbacks(monitor).fit(frame, data[1])  # warnings are errors
    log = monitor.get_logs().data_as_pandas
    assert log[log["task_name"] == "fit"]["accuracy"].item() == clf.score(frame, data[1])


def epochs_of(pipeline, X, y):
    return pipeline[-1].n_iter_


def test_callback_that_stops(data):
    clf = small(max_iter=5).set_callbacks(StopAfter(2))
    found = search(clf, scoring=epochs_of).fit(*data)
    assert found.cv_results_["mean_test_score"].tolist() == [2, 2]
    assert found.best_estimator_[-1].n_iter_ == 2
