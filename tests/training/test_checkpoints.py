"""Checkpoints: whatever happens to a fit, calling it again ends in the same bits."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
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
    Stop,
    StopAfter,
    checkpointed,
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


def test_ctrl_c_keeps_the_model_and_the_next_fit_resumes(data, tmp_path):
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


def test_a_fit_that_a_callback_has_stopped_resumes_without_it(data, tmp_path):
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


def test_a_fit_that_ran_out_of_time_resumes(data, tmp_path):
    for epoch in range(1, 4):
        clf = checkpointed(tmp_path, max_iter=3).set_callbacks(TimeLimit(1e-9)).fit(*data)
        assert clf.n_iter_ == epoch
    assert_same(clf, checkpointed(max_iter=3).fit(*data))


def test_what_is_left_of_the_time_is_told_from_what_is_left_to_do(
    data, tmp_path, capsys, monkeypatch
):
    interrupted(checkpointed(tmp_path, max_iter=60), *data, 59)
    monkeypatch.setattr("sknpcnn._training.report.perf_counter", partial(next, count()))
    checkpointed(tmp_path, max_iter=60, verbose=1).fit(*data)
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


def test_a_random_state_that_advances_is_another_fit_each_time(data, tmp_path):
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


def test_a_warm_start_resumes_though_what_was_before_took_another_time(data, tmp_path):
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


# Disks


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


@pytest.mark.slow
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


def test_a_fit_that_was_killed_after_its_claim_resumes_with_that_seed(data, tmp_path):
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
