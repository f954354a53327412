"""Checkpoints: whatever happens to a fit, calling it again ends in the same bits."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sknpcnn import NumpyCNNClassifier, storage
from sknpcnn.augmentation import Shift
from sknpcnn.layers import Conv2D, Dropout
from sknpcnn.optimizers import SGD, Adagrad
from sknpcnn.schedules import OneCycle


def small(folder=None, **params):
    given = {"conv_filters": (4,), "max_iter": 6, "random_state": 0, "batch_size": 64}
    return NumpyCNNClassifier(**given | params, checkpoint_dir=folder)


class Killed(BaseException):
    """Ends a fit as abruptly as an exception can."""


@dataclass
class Stop:
    """A callback that raises behind some epoch, or stops there."""

    epoch: int
    error: type | None = Killed
    seen: list = field(default_factory=list)

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **data):
        pass

    def on_fit_task_end(self, estimator, context, **data):
        if context.task_name == "epoch":
            self.seen.append(context)
            if len(self.seen) == self.epoch:
                if self.error is not None:
                    raise self.error
                return True
        return False

    def teardown(self, estimator, context):
        pass


def interrupted(clf, X, y, epoch, **fit):
    """Fit, and be killed behind some epoch; that epoch itself is not written down."""
    with pytest.raises(Killed):
        clf.set_callbacks(Stop(epoch)).fit(X, y, **fit)


@pytest.fixture
def data(digits):
    X, _, y, _ = digits
    return X[:300], y[:300]


def assert_same(one, other):
    np.testing.assert_array_equal(one._theta, other._theta)
    columns = [name for name in one.history_ if name != "seconds"]
    assert one.history_[columns].equals(other.history_[columns])
    for name in ("n_iter_", "t_", "best_loss_", "loss_"):
        assert getattr(one, name) == getattr(other, name)


CONFIGURATIONS = {
    "default": {},
    "sgd": {"solver": SGD(momentum=0.9), "learning_rate_init": 0.01},
    "adagrad, double": {"solver": Adagrad(), "dtype": "float64"},
    "one cycle": {"learning_rate": OneCycle(), "learning_rate_init": 0.01},
    "plateau": {"learning_rate": "adaptive", "solver": "sgd", "learning_rate_init": 0.5},
    "batch norm, dropout, augment": {"batch_norm": True, "dropout": 0.2, "augment": [Shift(1)]},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 30},
    "early stopping by accuracy": {"early_stopping": True, "scoring": "accuracy"},
    "converged": {"tol": 0.5, "n_iter_no_change": 2, "max_iter": 40},
    "layers": {"layers": [Conv2D(3), Dropout(0.1)], "conv_filters": (16, 32)},
    "weights of classes": {"class_weight": {0: 2.0}},
}


@pytest.mark.parametrize("params", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_fit_that_was_interrupted_ends_in_the_same_bits(data, tmp_path, params):
    whole = small(**params).fit(*data)
    for epoch in (1, 2, 4):
        interrupted(small(tmp_path, **params), *data, epoch)
    assert_same(small(tmp_path, n_jobs=2, **params).fit(*data), whole)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_fit_that_has_ended_returns_at_once(data, tmp_path):
    first = small(tmp_path).fit(*data)
    watch = Stop(epoch=1)
    assert_same(small(tmp_path).set_callbacks(watch).fit(*data), first)
    assert watch.seen == []


def test_ctrl_c_keeps_the_model_and_the_next_fit_goes_on(data, tmp_path):
    clf = small(tmp_path).set_callbacks(Stop(4, KeyboardInterrupt))
    with pytest.warns(UserWarning, match="the model of epoch 4 is kept"):
        clf.fit(*data)
    assert clf.n_iter_ == 4
    assert_same(small(tmp_path).fit(*data), small().fit(*data))


def test_a_fit_that_a_callback_has_stopped_goes_on(data, tmp_path):
    clf = small(tmp_path).set_callbacks(Stop(2, error=None)).fit(*data)
    assert clf.n_iter_ == 2
    assert_same(small(tmp_path).fit(*data), small().fit(*data))


def test_without_a_seed_the_start_is_that_of_the_first_call(data, tmp_path):
    interrupted(small(tmp_path, random_state=None), *data, 1)  # no epoch has been written down
    first = small(tmp_path, random_state=None).fit(*data)
    assert_same(small(tmp_path, random_state=None).fit(*data), first)
    assert small(random_state=None).fit(*data).loss_ != first.loss_


def test_a_random_state_that_goes_on_is_another_fit_each_time(data, tmp_path):
    rng = np.random.RandomState(0)
    first, second = (small(tmp_path, random_state=rng).fit(*data) for _ in range(2))
    assert first.loss_ != second.loss_
    again = np.random.RandomState(0)
    assert_same(small(tmp_path, random_state=again).fit(*data), first)


def test_warm_starts_have_checkpoints_of_their_own(data, tmp_path):
    def fits(folder, last=lambda clf: clf.fit(*data)):
        clf = small(folder, warm_start=True, max_iter=3)
        clf.fit(*data)
        return last(clf)

    whole = fits(None)
    fits(tmp_path, lambda clf: interrupted(clf, *data, 2))
    assert_same(fits(tmp_path), whole)
    assert len(list(tmp_path.iterdir())) == 2


def other_data(X, y):
    X = X.copy()
    X[7, 30] += 1
    return X, y


CHANGES = {
    "a parameter": lambda X, y: ({"alpha": 0.1}, X, y, {}),
    "a layer": lambda X, y: ({"kernel_size": 5}, X, y, {}),
    "a schedule": lambda X, y: ({"learning_rate": OneCycle()}, X, y, {}),
    "more epochs": lambda X, y: ({"max_iter": 7}, X, y, {}),
    "the seed": lambda X, y: ({"random_state": 1}, X, y, {}),
    "one pixel": lambda X, y: ({}, *other_data(X, y), {}),
    "the type": lambda X, y: ({}, X.astype(np.float32), y, {}),
    "one label": lambda X, y: ({}, X, np.where(np.arange(len(y)) == 5, 9 - y, y), {}),
    "names of labels": lambda X, y: ({}, X, y.astype(str), {}),
    "weights": lambda X, y: ({}, X, y, {"sample_weight": np.arange(1.0, len(y) + 1)}),
    "validation data": lambda X, y: ({}, X, y, {"X_val": X[:9], "y_val": y[:9]}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_the_result_changes_the_name_of_the_file(data, tmp_path, change):
    small(tmp_path).fit(*data)
    params, X, y, fit = change(*data)
    changed = small(tmp_path, **params).fit(X, y, **fit)
    assert len(list(tmp_path.iterdir())) == 2
    assert_same(changed, small(**params).fit(X, y, **fit))


def test_what_does_not_change_the_result_does_not_change_the_name(data, tmp_path):
    X, y = data
    small(tmp_path, class_weight={0: 2.0, 3: 1.5}).fit(X, y)
    same = {"class_weight": {3: 1.5, 0: 2.0}, "n_jobs": 2, "verbose": 0}
    small(str(tmp_path), **same).fit(np.asfortranarray(X), list(y))
    assert len(list(tmp_path.iterdir())) == 1


# Files that are not what they should be


def damages(content):
    rng = np.random.default_rng(0)
    yield "empty", b""
    yield "cut", content[: len(content) // 2]
    yield "no archive", b"something else"
    for place in rng.integers(0, len(content), 40):
        yield (
            f"byte {place}",
            content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :],
        )


def test_a_damaged_file_is_refused_with_a_warning_and_training_starts_anew(data, tmp_path):
    whole = small(max_iter=2).fit(*data)
    interrupted(small(tmp_path, max_iter=2), *data, 2)
    (file,) = tmp_path.iterdir()
    content, refused = file.read_bytes(), 0
    for _, damaged in damages(content):
        file.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = small(tmp_path, max_iter=2).fit(*data)
        for warning in caught:
            assert "The checkpoint cannot be used, and training starts anew" in str(warning.message)
            assert str(file) in str(warning.message)
        refused += len(caught)
        assert_same(found, whole)  # or the damage was where it does no harm
    assert refused > 30


def test_a_file_of_another_fit_is_refused(data, tmp_path):
    small(tmp_path / "a").fit(*data)
    small(tmp_path / "b", random_state=1).fit(*data)
    (mine,), (foreign,) = (list((tmp_path / name).iterdir()) for name in "ab")
    shutil.copy(foreign, mine)
    with pytest.warns(UserWarning, match=r"is not a checkpoint of this fit \(\['fingerprint'\]\)"):
        assert_same(small(tmp_path / "a").fit(*data), small().fit(*data))


def test_a_file_of_another_version_is_refused(data, tmp_path):
    small(tmp_path).fit(*data)
    (file,) = tmp_path.iterdir()
    values, arrays = storage.read(file)
    storage.write(file, values | {"version": 99}, arrays)
    with pytest.warns(UserWarning, match=r"\['version'\]"):
        small(tmp_path).fit(*data)


def test_nothing_in_a_file_is_executed(data, tmp_path):
    small(tmp_path).fit(*data)
    (file,) = tmp_path.iterdir()

    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(file, theta=np.array([Trap()], dtype=object))
    with pytest.warns(UserWarning, match="cannot be used"):
        small(tmp_path).fit(*data)
    assert not (tmp_path / "sprung").exists()


def test_what_was_left_of_a_write_is_not_taken_for_a_checkpoint(data, tmp_path):
    interrupted(small(tmp_path), *data, 3)
    (file,) = tmp_path.iterdir()
    rest, old = (tmp_path / f".{file.name}.{n}.abc" for n in (1, 2))
    rest.write_bytes(b"cut sh")
    old.write_bytes(b"cut sh")
    os.utime(old, (0, 0))
    assert_same(small(tmp_path).fit(*data), small().fit(*data))
    assert rest.exists()  # somebody may be writing it
    assert not old.exists()


# Disks


def test_a_folder_is_made_where_there_is_none(data, tmp_path):
    small(tmp_path / "new" / "folder").fit(*data)
    assert list((tmp_path / "new" / "folder").glob("*.npz"))


def test_a_folder_that_cannot_be_used_is_an_error_and_the_fitted_model_survives(data, tmp_path):
    (tmp_path / "file").touch()
    clf = small().fit(*data)
    before = dict(vars(clf))
    clf.set_params(checkpoint_dir=tmp_path / "file" / "folder", alpha=1.0)
    with pytest.raises(OSError, match=r"cannot be used .*; needed: a folder that can be read and"):
        clf.fit(*data)
    assert {**vars(clf), "checkpoint_dir": None, "alpha": 0.0} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_without_permission_to_write_is_an_error(data, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot be used"):
        small(tmp_path).fit(*data)
    tmp_path.chmod(0o700)


def in_a_process(task):
    """Run a task in a process of its own; return its number."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            warnings.simplefilter("ignore")
            task()
            status = 0
        finally:
            os._exit(status)
    return process


def test_a_full_disk_is_told_and_the_model_is_there_in_the_end(data, tmp_path):
    """Files may not grow beyond a size: the system refuses to write, as on a full disk."""

    def fit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        small(tmp_path, max_iter=1).fit(*data)
        (file,) = tmp_path.iterdir()
        size = file.stat().st_size
        # early stopping writes the best parameters too: the first file fits, the others do not
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, size + 1000))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = small(tmp_path, early_stopping=True).fit(*data)
        assert len(caught) == 7
        message = str(caught[0].message)
        assert "checkpoint of epoch 1 could not be written" in message
        assert os.strerror(errno.EFBIG) in message
        assert_same(found, small(early_stopping=True).fit(*data))
        assert not list(tmp_path.glob(".*"))

    assert os.waitpid(in_a_process(fit), 0)[1] == 0


# Real processes, killed


def test_fifty_kills_at_random_moments_lose_nothing(data, tmp_path):
    rng = np.random.default_rng(0)
    kills = 0
    for seed in range(1000):
        params = {"max_iter": 30, "n_jobs": 1 + seed % 2, "random_state": seed}
        params |= {"early_stopping": bool(seed % 3), "n_iter_no_change": 100}

        def fit(params=params):
            small(tmp_path, **params).fit(*data)

        while True:
            process = in_a_process(fit)
            patience = rng.uniform(0, 0.25)
            _wait(process, patience)
            done, status = os.waitpid(process, os.WNOHANG)
            if not done:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                kills += 1
                continue
            assert status == 0
            break
        assert_same(small(tmp_path, **params).fit(*data), small(**params).fit(*data))
        if kills >= 50:
            return
    pytest.fail(f"only {kills} fits lived long enough to be killed")


def _wait(process, seconds):
    """Wait that long, or until a process has ended."""
    end = monotonic() + seconds
    while monotonic() < end:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        sleep(0.002)


SEARCH = """
import sys
import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sknpcnn import NumpyCNNClassifier

X, y = load_digits(return_X_y=True)
clf = NumpyCNNClassifier(
    conv_filters=(4,), max_iter=40, n_iter_no_change=100, random_state=0, checkpoint_dir=sys.argv[1]
)
grid = {"alpha": [0.0, 0.1], "kernel_size": [3, 5]}
search = GridSearchCV(clf, grid, cv=2, n_jobs=2).fit(X[:600], y[:600])
joblib.dump(search, sys.argv[2])
"""


def test_a_grid_search_in_processes_that_is_killed_again_and_again_ends_the_same(data, tmp_path):
    rng = np.random.default_rng(0)
    folder, result = tmp_path / "checkpoints", tmp_path / "search.joblib"
    command = [sys.executable, "-c", SEARCH, str(folder), str(result)]
    kills = 0
    while not result.exists():
        before = states(folder)
        search = subprocess.Popen(command, start_new_session=True)
        while search.poll() is None and states(folder) == before:
            sleep(0.01)
        sleep(rng.uniform(0, 0.6))
        if kills < 3:
            os.killpg(search.pid, signal.SIGKILL)  # the workers too
            kills += search.wait() == -signal.SIGKILL
        else:
            assert search.wait() == 0
    assert kills >= 2  # one may have come too late
    found = joblib.load(result)
    params = {"conv_filters": (4,), "max_iter": 40, "n_iter_no_change": 100, "random_state": 0}
    grid = {"alpha": [0.0, 0.1], "kernel_size": [3, 5]}
    X, y = load_digits(return_X_y=True)
    whole = GridSearchCV(NumpyCNNClassifier(**params), grid, cv=2).fit(X[:600], y[:600])
    for key in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(found.cv_results_[key], whole.cv_results_[key])
    np.testing.assert_array_equal(found.best_estimator_._theta, whole.best_estimator_._theta)
    assert len(list(folder.glob("*.npz"))) == 4 * 2 + 1


def states(folder):
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("*.npz")}
