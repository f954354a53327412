"""Checkpoints: whatever happens to a fit, calling it again ends in the same bits."""

import errno
import multiprocessing
import os
import resource
import shutil
import signal
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sknpcnn._storage import storage
from sknpcnn._training.checkpoints import Checkpoint
from sknpcnn.augmentation import Shift
from sknpcnn.callbacks import TimeLimit
from sknpcnn.layers import Conv2D, Dropout
from sknpcnn.optimizers import SGD, Adagrad
from sknpcnn.schedules import OneCycle
from tests.models import assert_same
from tests.training.checkpointed import (
    Killed,
    Slow,
    Stop,
    StopAfter,
    checkpointed,
    in_a_process,
    interrupted,
)

CONFIGURATIONS = {
    "default": {},
    "sgd": {"solver": SGD(momentum=0.9), "learning_rate_init": 0.01},
    "adagrad, double": {"solver": Adagrad(), "dtype": "float64"},
    "one cycle": {"learning_rate": OneCycle(), "learning_rate_init": 0.01},
    "plateau": {"learning_rate": "adaptive", "solver": "sgd", "learning_rate_init": 0.5},
    "batch norm, dropout, augment": {"batch_norm": True, "dropout": 0.2, "augment": [Shift(1)]},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 30},
    "early stopping by accuracy": {"early_stopping": True, "scoring": "accuracy"},
    "converged": {"tol": 0.01, "n_iter_no_change": 2, "max_iter": 40},
    "layers": {"layers": [Conv2D(3), Dropout(0.1)]},
    "weights of classes": {"class_weight": {0: 2.0}},
}


@pytest.mark.parametrize("params", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_fit_that_was_interrupted_ends_in_the_same_bits(data, tmp_path, params):
    whole = checkpointed(**params).fit(*data)
    for epoch in (1, 2, 4):
        interrupted(checkpointed(tmp_path, **params), *data, epoch)
    assert_same(checkpointed(tmp_path, n_jobs=2, **params).fit(*data), whole)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_fit_that_has_ended_returns_at_once(data, tmp_path):
    first = checkpointed(tmp_path).fit(*data)
    watch = Stop(epoch=1)
    assert_same(checkpointed(tmp_path).set_callbacks(watch).fit(*data), first)
    assert watch.seen == []


def test_ctrl_c_keeps_the_model_and_the_next_fit_goes_on(data, tmp_path):
    clf = checkpointed(tmp_path).set_callbacks(Stop(4, KeyboardInterrupt))
    with pytest.warns(UserWarning, match="the model of epoch 4 is kept"):
        clf.fit(*data)
    assert clf.n_iter_ == 4
    (file,) = tmp_path.iterdir()
    assert storage.read(file)[0]["epoch"] == 4
    assert_same(checkpointed(tmp_path).fit(*data), checkpointed().fit(*data))


def test_ctrl_c_ends_a_search_and_not_only_one_of_its_fits(data, tmp_path):
    clf = checkpointed(tmp_path, warm_start=True).set_callbacks(Stop(4, KeyboardInterrupt))
    search = GridSearchCV(clf, {"alpha": [0.0, 0.1]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(*data)
    (file,) = tmp_path.iterdir()
    assert storage.read(file)[0]["epoch"] == 4
    with pytest.warns(UserWarning, match="the model of epoch 4 is kept"):  # the only fit there is
        Pipeline([("cnn", checkpointed().set_callbacks(Stop(4, KeyboardInterrupt)))]).fit(*data)


def test_a_fit_that_a_callback_has_stopped_goes_on_without_it(data, tmp_path):
    clf = checkpointed(tmp_path).set_callbacks(Stop(2, error=None)).fit(*data)
    assert clf.n_iter_ == 2
    assert_same(checkpointed(tmp_path).set_callbacks(Stop(2, error=None)).fit(*data), clf)
    assert checkpointed(tmp_path).set_callbacks(Stop(1, error=None)).fit(*data).n_iter_ == 3
    assert_same(checkpointed(tmp_path).fit(*data), checkpointed().fit(*data))


def test_a_search_whose_fits_a_callback_stops_is_the_same_again(data, tmp_path):
    clf = checkpointed(tmp_path, max_iter=9).set_callbacks(StopAfter(3))
    search = GridSearchCV(clf, {"alpha": [0.0, 0.1]}, cv=2)
    first, second = (clone(search).fit(*data).best_estimator_ for _ in range(2))
    assert first.n_iter_ == 3
    assert_same(first, second)


def test_a_fit_that_ran_out_of_time_goes_on(data, tmp_path):
    for epoch in range(1, 4):
        clf = checkpointed(tmp_path, max_iter=3).set_callbacks(TimeLimit(1e-9)).fit(*data)
        assert clf.n_iter_ == epoch
    assert_same(clf, checkpointed(max_iter=3).fit(*data))


def test_what_is_left_of_the_time_is_told_from_what_is_left_to_do(data, tmp_path, capsys):
    interrupted(checkpointed(tmp_path, max_iter=60), *data, 59)
    slow = Slow()
    checkpointed(tmp_path, max_iter=60, verbose=1).set_callbacks(slow).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Resuming after epoch 58/60"
    assert lines[1].startswith("Epoch 59/60")
    assert lines[1].endswith("0:01 left")  # and not the sixtieth part of it


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}], ids=["plain", "early stopping"])
def test_without_a_seed_the_start_is_that_of_the_first_call(data, tmp_path, params):
    params = params | {"random_state": None}
    interrupted(checkpointed(tmp_path, **params), *data, 1)  # no epoch has been saved
    interrupted(checkpointed(tmp_path, **params), *data, 3)
    first = checkpointed(tmp_path, **params).fit(*data)
    assert_same(checkpointed(tmp_path, **params).fit(*data), first)
    assert len(list(tmp_path.iterdir())) == 1
    assert checkpointed(**params).fit(*data).loss_ != first.loss_


def test_without_a_seed_a_damaged_file_gives_none(data, tmp_path):
    checkpointed(tmp_path, random_state=None).fit(*data)
    (file,) = tmp_path.iterdir()
    values, arrays = storage.read(file)
    for seed in (-1, 10**40, "a", None, 1.5):
        storage.write(file, values | {"seed": seed}, arrays)
        with pytest.warns(UserWarning, match=r"\['seed'\]"):
            checkpointed(tmp_path, random_state=None).fit(*data)


def test_a_random_state_that_goes_on_is_another_fit_each_time(data, tmp_path):
    rng = np.random.RandomState(0)
    first, second = (checkpointed(tmp_path, random_state=rng).fit(*data) for _ in range(2))
    assert first.loss_ != second.loss_
    again = np.random.RandomState(0)
    assert_same(checkpointed(tmp_path, random_state=again).fit(*data), first)


def test_warm_starts_have_checkpoints_of_their_own(data, tmp_path):
    def fits(folder, last=lambda clf: clf.fit(*data)):
        clf = checkpointed(folder, warm_start=True, max_iter=3)
        clf.fit(*data)
        return last(clf)

    whole = fits(None)
    fits(tmp_path, lambda clf: interrupted(clf, *data, 2))
    assert_same(fits(tmp_path), whole)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_warm_start_goes_on_though_what_was_before_took_another_time(data, tmp_path):
    def fit(epoch=None):
        clf = checkpointed(warm_start=True, max_iter=3).fit(*data)
        clf.set_params(checkpoint_dir=tmp_path)
        return clf.fit(*data) if epoch is None else interrupted(clf, *data, epoch)

    fit(epoch=3)
    (file,) = tmp_path.iterdir()
    assert storage.read(file)[0]["epoch"] == 5
    whole = checkpointed(warm_start=True, max_iter=3)
    assert_same(fit(), whole.fit(*data).fit(*data))
    assert list(tmp_path.iterdir()) == [file]


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
    whole = checkpointed(max_iter=2).fit(*data)
    interrupted(checkpointed(tmp_path, max_iter=2), *data, 2)
    (file,) = tmp_path.iterdir()
    content, refused = file.read_bytes(), 0
    for _, damaged in damages(content):
        file.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = checkpointed(tmp_path, max_iter=2).fit(*data)
        for warning in caught:
            assert "The checkpoint cannot be used, and training starts from scratch" in str(
                warning.message
            )
            assert str(file) in str(warning.message)
            assert warning.filename == __file__
        refused += len(caught)
        assert_same(found, whole)  # or the damage was where it does no harm
    assert refused > 30


def test_a_file_of_another_fit_is_refused(data, tmp_path):
    checkpointed(tmp_path / "a").fit(*data)
    checkpointed(tmp_path / "b", random_state=1).fit(*data)
    (mine,), (foreign,) = (list((tmp_path / name).iterdir()) for name in "ab")
    shutil.copy(foreign, mine)
    with pytest.warns(UserWarning, match=r"is not a checkpoint of this fit \(\['fingerprint'"):
        assert_same(checkpointed(tmp_path / "a").fit(*data), checkpointed().fit(*data))


def test_a_file_of_another_version_is_refused(data, tmp_path):
    checkpointed(tmp_path).fit(*data)
    (file,) = tmp_path.iterdir()
    values, arrays = storage.read(file)
    storage.write(file, values | {"version": 99}, arrays)
    with pytest.warns(UserWarning, match=r"\['version'\]"):
        checkpointed(tmp_path).fit(*data)


MADE_UP = {
    "curve": [["a"], [], [float("nan")] * 4, None],
    "history": [[], [1, 2, 3, 4], [{}] * 4, [{"train_loss": 1.0}] * 4, "abcd"],
    "best": ["x", float("inf"), 1],
    "epoch": [-7, 10**6, 3, "4", None],
    "step": [-1, 10**30, 0, 1.5],
    "stage": ["finished", 1, None],
    "rule": ["SGD", None],
}


@pytest.mark.parametrize("name", MADE_UP)
def test_made_up_values_are_refused(data, tmp_path, name):
    interrupted(checkpointed(tmp_path), *data, 5)
    (file,) = tmp_path.iterdir()
    values, arrays = storage.read(file)
    whole = checkpointed().fit(*data)
    for made_up in MADE_UP[name]:
        storage.write(file, values | {name: made_up}, arrays)
        with pytest.warns(UserWarning, match=f"is not a checkpoint of this fit.*{name}|lengths"):
            assert_same(checkpointed(tmp_path).fit(*data), whole)


def test_made_up_arrays_are_refused(data, tmp_path):
    interrupted(checkpointed(tmp_path), *data, 5)
    (file,) = tmp_path.iterdir()
    values, arrays = storage.read(file)
    for name, array in arrays.items():
        for made_up in (np.full_like(array, np.nan), array[1:], array.astype("f4")):
            storage.write(file, values, arrays | {name: made_up})
            with pytest.warns(UserWarning, match=rf"is not a checkpoint of this fit.*{name}"):
                checkpointed(tmp_path, max_iter=6).fit(*data)


def test_nothing_in_a_file_is_executed(data, tmp_path):
    checkpointed(tmp_path).fit(*data)
    (file,) = tmp_path.iterdir()

    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(file, theta=np.array([Trap()], dtype=object))
    with pytest.warns(UserWarning, match="cannot be used"):
        checkpointed(tmp_path).fit(*data)
    assert not (tmp_path / "sprung").exists()


def test_what_was_left_of_a_write_is_not_taken_for_a_checkpoint(data, tmp_path):
    interrupted(checkpointed(tmp_path), *data, 3)
    rest, old = (tmp_path / f".sknpcnn-{n}.tmp" for n in (1, 2))
    rest.write_bytes(b"cut sh")
    old.write_bytes(b"cut sh")
    os.utime(old, (0, 0))
    assert_same(checkpointed(tmp_path).fit(*data), checkpointed().fit(*data))
    assert rest.exists()  # somebody may be writing it
    assert not old.exists()


# Disks


def test_a_folder_is_made_where_there_is_none(data, tmp_path):
    checkpointed(tmp_path / "new" / "folder").fit(*data)
    assert list((tmp_path / "new" / "folder").glob("*.npz"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="Linux tells which file is open")
def test_everything_is_on_the_disk_before_it_counts(data, tmp_path, monkeypatch):
    """The file before it gets its name, then the folder that holds the name; new folders too."""
    done, fsync, replace = [], os.fsync, Path.replace

    def synced(descriptor):
        done.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def replaced(source, target):
        done.append(f"{source} -> {target}")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    folder = tmp_path / "new" / "newer"
    checkpointed(folder, max_iter=1).fit(*data)
    (file,) = folder.iterdir()
    assert set(done[:2]) == {str(tmp_path), str(tmp_path / "new")}
    writes = [done[i : i + 3] for i in range(2, len(done), 3)]
    assert len(writes) == 3  # at the beginning, after the epoch and at the end
    for written, renamed, in_folder in writes:
        assert written.startswith(f"{folder}/.sknpcnn-")
        assert renamed == f"{written} -> {file}"
        assert in_folder == str(folder)


def test_a_folder_that_cannot_be_used_is_an_error_and_the_fitted_model_survives(data, tmp_path):
    (tmp_path / "file").touch()
    clf = checkpointed().fit(*data)
    before = dict(vars(clf))
    clf.set_params(checkpoint_dir=tmp_path / "file" / "folder", alpha=1.0)
    with pytest.raises(OSError, match=r"cannot be used .*; needed: a folder that can be read and"):
        clf.fit(*data)
    assert {**vars(clf), "checkpoint_dir": None, "alpha": 0.0} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_without_permission_to_write_is_an_error(data, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot be used"):
        checkpointed(tmp_path).fit(*data)
    tmp_path.chmod(0o700)


def test_a_full_disk_is_told_and_the_model_is_there_in_the_end(data, tmp_path):
    """Files may not grow beyond a size: the system refuses to write, as on a full disk."""

    def fit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        checkpointed(tmp_path, max_iter=1).fit(*data)
        (file,) = tmp_path.iterdir()
        size = file.stat().st_size
        # early stopping writes the best parameters too: the first file fits, the others do not
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, size + 1000))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = checkpointed(tmp_path, early_stopping=True).fit(*data)
        assert [warning.filename for warning in caught] == [__file__] * 7
        message = str(caught[0].message)
        assert "checkpoint of epoch 1 could not be written" in message
        assert os.strerror(errno.EFBIG) in message
        assert_same(found, checkpointed(early_stopping=True).fit(*data))
        assert not list(tmp_path.glob(".*"))

    assert os.waitpid(in_a_process(fit), 0)[1] == 0


class Rewriting(Stop):
    """Turns a file around in the second epoch; and stops as its parent does."""

    def __init__(self, epoch, file):
        super().__init__(epoch)
        self.mapped = np.load(file, mmap_mode="r+")

    def on_fit_task_end(self, estimator, context, **data):
        if context.task_name == "epoch" and context.task_id == 1:
            self.mapped[:] = self.mapped[::-1].copy()
        return super().on_fit_task_end(estimator, context, **data)


def test_a_file_that_changes_during_a_fit_is_never_a_finished_fit_of_what_it_was(data, tmp_path):
    X, y = data
    file, folder = tmp_path / "X.npy", tmp_path / "kept"
    np.save(file, X)
    given = np.load(file, mmap_mode="r")
    with pytest.warns(UserWarning, match="have changed during training") as caught:
        checkpointed(folder).set_callbacks(Rewriting(0, file)).fit(given, y)
    assert [warning.filename for warning in caught] == [__file__]
    assert not list(folder.iterdir())
    np.save(file, X)
    assert_same(checkpointed(folder).fit(np.load(file, mmap_mode="r"), y), checkpointed().fit(X, y))
    assert_same(checkpointed(folder).fit(X, y), checkpointed().fit(X, y))
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("stop", [1, None], ids=["stopped", "ended"])
def test_labels_and_weights_that_change_are_seen_too(data, tmp_path, stop):
    X, y, weights = *data, np.ones(len(data[1]))

    class Writing(Stop):
        def on_fit_task_end(self, estimator, context, **data):
            weights[:3] = 0
            return super().on_fit_task_end(estimator, context, **data)

    callback = Writing(stop, error=None)
    checkpointed(tmp_path).set_callbacks(callback).fit(
        X, y, sample_weight=weights
    )  # which were copied
    file = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", X.dtype, X.shape)
    file[:] = X

    class Editing(Stop):
        def on_fit_task_end(self, estimator, context, **data):
            file[0] += 1
            return super().on_fit_task_end(estimator, context, **data)

    with pytest.warns(UserWarning, match="have changed"):
        checkpointed(tmp_path).set_callbacks(Editing(stop, error=None)).fit(file, y)


def begin_together(folder, barrier, results):
    digits = load_digits()
    X, y = digits.data[:60], digits.target[:60]
    barrier.wait()
    clf = checkpointed(folder, random_state=None, max_iter=2).fit(X, y)
    results.put(clf.get_weights()["output.W"].tobytes())


def test_fits_without_a_seed_that_begin_at_the_same_moment_are_one_fit(tmp_path):
    context = multiprocessing.get_context("spawn")
    for turn in range(4):
        barrier, results = context.Barrier(3), context.Queue()
        given = tmp_path / str(turn), barrier, results
        jobs = [context.Process(target=begin_together, args=given) for _ in range(3)]
        for job in jobs:
            job.start()
        weights = {results.get(timeout=300) for _ in jobs}
        for job in jobs:
            job.join()
        assert len(weights) == 1
        assert len(list((tmp_path / str(turn)).iterdir())) == 1


def test_of_many_that_claim_a_seed_all_get_that_of_one(tmp_path):
    for turn in range(50):
        barrier = Barrier(8)

        def claim(seed, barrier=barrier, turn=turn):
            barrier.wait()
            return Checkpoint(tmp_path, f"fit{turn}").agree_on_seed(seed)

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(claim, range(8)))) == 1


def test_a_fit_that_was_killed_after_its_claim_goes_on_with_that_seed(data, tmp_path):
    checkpointed(tmp_path, random_state=None, max_iter=1).fit(*data)
    (file,) = tmp_path.iterdir()
    values, _ = storage.read(file)
    file.unlink()
    checkpoint = Checkpoint(tmp_path, file.stem)
    assert checkpoint.agree_on_seed(7) == 7
    assert checkpoint.agree_on_seed(8) == 7
    clf = checkpointed(tmp_path, random_state=None, max_iter=1).fit(*data)  # no warning
    assert storage.read(file)[0]["seed"] == 7 != values["seed"]
    assert storage.read(file)[0]["stage"] == "ended"
    assert clf.n_iter_ == 1


def test_a_fit_on_a_file_that_changed_is_not_kept_even_if_it_is_killed(data, tmp_path):
    X, y = data
    file, folder = tmp_path / "X.npy", tmp_path / "kept"
    np.save(file, X)
    with pytest.warns(UserWarning, match="have changed"), pytest.raises(Killed):
        checkpointed(folder).set_callbacks(Rewriting(4, file)).fit(np.load(file, mmap_mode="r"), y)
    np.save(file, X)
    given = np.load(file, mmap_mode="r")
    assert_same(checkpointed(folder).fit(given, y), checkpointed().fit(X, y))
