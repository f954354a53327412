"""Real processes, killed at random moments: nothing is lost."""

import os
import signal
import subprocess
import sys
from time import monotonic, sleep

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sknpcnn import NumpyCNNClassifier
from sknpcnn._storage import storage
from tests.models import assert_same, assert_same_weights
from tests.training.checkpointed import checkpointed, in_a_process


@pytest.mark.slow
def test_fifty_kills_at_random_moments_lose_nothing(data, tmp_path):
    rng = np.random.default_rng(0)
    kills = 0
    for seed in range(1000):
        params = {"max_iter": 30, "n_jobs": 1 + seed % 2, "random_state": seed}
        params |= {"early_stopping": bool(seed % 3), "n_iter_no_change": 100}
        params |= {"learning_rate_init": 0.01}  # all of them learn

        def fit(params=params):
            checkpointed(tmp_path, **params).fit(*data)

        reached = 0
        while True:
            process = in_a_process(fit)
            patience = rng.uniform(0, 0.25)
            _wait(process, patience)
            done, status = os.waitpid(process, os.WNOHANG)
            if not done:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                kills += 1
                assert reached <= (reached := epochs(tmp_path))  # nothing is lost
                continue
            assert status == 0
            break
        (tmp_path / f"{seed}").mkdir()
        for file in tmp_path.glob("*.npz"):
            file.rename(tmp_path / f"{seed}" / file.name)
        assert_same(
            checkpointed(tmp_path / f"{seed}", **params).fit(*data),
            checkpointed(**params).fit(*data),
        )
        if kills >= 50:
            return
    pytest.fail(f"only {kills} fits lived long enough to be killed")


def epochs(folder):
    """Return how many epochs are saved in the only file there is; 0 if there is none."""
    files = list(folder.glob("*.npz"))
    assert len(files) <= 1
    return storage.read(files[0])[0]["epoch"] if files else 0


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


@pytest.mark.slow
def test_a_grid_search_in_processes_that_is_killed_again_and_again_ends_the_same(data, tmp_path):
    rng = np.random.default_rng(0)
    folder, result = tmp_path / "checkpoints", tmp_path / "search.joblib"
    command = [sys.executable, "-c", SEARCH, str(folder), str(result)]
    refusals_are_errors = {**os.environ, "PYTHONWARNINGS": "error:The checkpoint cannot be used"}
    kills = 0
    while not result.exists():
        before = states(folder)
        search = subprocess.Popen(command, env=refusals_are_errors, start_new_session=True)
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
    assert_same_weights(found.best_estimator_, whole.best_estimator_)
    assert len(list(folder.glob("*.npz"))) == 4 * 2 + 1


def states(folder):
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("*.npz")}
