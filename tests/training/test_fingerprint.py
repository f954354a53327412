"""A fit is identified by everything that its result depends on, and by nothing else."""

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from threading import Lock

import numpy as np
import pytest
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV

from sknpcnn import version
from sknpcnn.layers import ReLU
from sknpcnn.schedules import OneCycle
from tests.models import assert_same, assert_same_weights, weights_of
from tests.training.checkpointed import Stop, checkpointed


def test_a_callback_that_holds_a_figure_does_not_keep_a_fit_from_starting(data, tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure, axes = plt.subplots()
    callback = Stop(2, error=None)
    callback.axes = axes
    clf = checkpointed(tmp_path).set_callbacks(callback).fit(*data)
    plt.close(figure)
    assert clf.n_iter_ == 2


def test_it_is_the_same_in_every_process():
    code = (
        "from sknpcnn._training.description import described\n"
        "class Own:\n"
        "    names = {'a', 'b', 'c'}\n"
        "    def __call__(self, x):\n"
        "        return x in {'a', 'b', 'c', 'd'} or self\n"
        "print(described([Own(), Own, lambda x: x in {'a', 'b', 'c'}, {'x': {'p', 'q', 'r'}}]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert len(said) == 1


def other_data(X, y):
    X = X.copy()
    X[7, 30] += 1
    return X, y


CHANGES = {
    "a parameter": lambda X, y: ({"alpha": 0.1}, X, y, {}),
    "a layer": lambda X, y: ({"kernel_size": 5}, X, y, {}),
    "a schedule": lambda X, y: ({"learning_rate": OneCycle()}, X, y, {}),
    "more epochs": lambda X, y: ({"max_iter": 7}, X, y, {}),
    "the shape of an image": lambda X, y: ({"image_shape": (4, 16)}, X, y, {}),
    "the shape of the data": lambda X, y: ({}, X.reshape(-1, 4, 16), y, {}),
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
    checkpointed(tmp_path).fit(*data)
    params, X, y, fit = change(*data)
    changed = checkpointed(tmp_path, **params).fit(X, y, **fit)
    assert len(list(tmp_path.iterdir())) == 2
    assert_same(changed, checkpointed(**params).fit(X, y, **fit))


def test_what_does_not_change_the_result_does_not_change_the_name(data, tmp_path):
    X, y = data
    checkpointed(tmp_path, class_weight={0: 2.0, 3: 1.5}).fit(X, y)
    same = {"class_weight": {3: 1.5, 0: 2.0}, "n_jobs": 2, "verbose": 0}
    checkpointed(str(tmp_path), **same).fit(np.asfortranarray(X), list(y))
    assert len(list(tmp_path.iterdir())) == 1


class Scorer:
    """A scorer that is an object."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, estimator, X, y):
        return self.factor * (estimator.predict(X) == y).mean()


def scorer_with(factor):
    return lambda estimator, X, y: factor * (estimator.predict(X) == y).mean()


SCORERS = {
    "objects": (Scorer(1), Scorer(-1)),
    "closures": (scorer_with(1), scorer_with(-1)),
    "lambdas": (lambda clf, X, y: clf.score(X, y), lambda clf, X, y: -clf.score(X, y)),
    "made of functions": (
        make_scorer(lambda y, found: (y == found).mean()),
        make_scorer(lambda y, found: (y != found).mean()),
    ),
    "partly applied": (
        partial(lambda factor, clf, X, y: factor * clf.score(X, y), 1),
        partial(lambda factor, clf, X, y: factor * clf.score(X, y), -1),
    ),
    "by name": ("accuracy", "balanced_accuracy"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCORERS)
def test_another_scorer_is_another_fit(data, tmp_path, kind):
    for scorer in (*SCORERS[kind], *SCORERS[kind]):
        params = {"early_stopping": True, "scoring": scorer, "learning_rate_init": 0.03}
        assert_same(checkpointed(tmp_path, **params).fit(*data), checkpointed(**params).fit(*data))
    assert len(list(tmp_path.iterdir())) == 2


def test_pool_sizes_for_all_blocks_and_for_each_block_are_two_fits(data, tmp_path):
    X, y = data
    for pool_size in ((2, 1), [2, 1]):
        params = {"conv_filters": (4, 8), "pool_size": pool_size}
        assert_same(checkpointed(tmp_path, **params).fit(X, y), checkpointed(**params).fit(X, y))
    assert len(list(tmp_path.iterdir())) == 2
    search = {"pool_size": [(2, 1), [2, 1]]}
    found = GridSearchCV(checkpointed(tmp_path, conv_filters=(4, 8)), search, cv=2).fit(X, y)
    wanted = GridSearchCV(checkpointed(conv_filters=(4, 8)), search, cv=2).fit(X, y)
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], wanted.cv_results_["mean_test_score"]
    )


def test_a_table_and_images_of_one_row_are_two_fits(tmp_path):
    """The same values, and images of the same shape; but columns are scaled on their own."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 30)) * np.arange(1, 31), np.arange(40) % 2
    for some in (X, X.reshape(40, 1, 30, 1)):
        assert_same(checkpointed(tmp_path).fit(some, y), checkpointed().fit(some, y))
    assert len(list(tmp_path.iterdir())) == 2


def test_another_version_of_the_package_makes_another_fit(data, tmp_path, monkeypatch):
    checkpointed(tmp_path).fit(*data)
    monkeypatch.setattr(version, "__version__", "0.0.9")
    checkpointed(tmp_path).fit(*data)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_warm_start_is_also_known_by_what_scales_the_input(data, tmp_path):
    X, y = data
    params = {"warm_start": True, "max_iter": 1}
    models = [checkpointed(**params).fit(X * scale, y) for scale in (1, 2)]
    models[1].set_weights(models[0].get_weights())
    models[1]._progress = models[0]._progress
    models[1]._history = models[0]._history
    alone = [pickle.loads(pickle.dumps(model)).fit(X, y) for model in models]
    kept = [model.set_params(checkpoint_dir=tmp_path).fit(X, y) for model in models]
    assert not np.array_equal(weights_of(alone[0]), weights_of(alone[1]))
    for a, b in zip(kept, alone, strict=True):
        assert_same_weights(a, b)


@pytest.mark.parametrize("name", ["scoring", "layers"])
def test_a_fit_that_cannot_be_known_again_is_refused_before_it_starts(data, tmp_path, name):
    lock = Lock()

    @dataclass(frozen=True, repr=False)
    class Locked(ReLU):
        def forward(self, params, x, ctx):
            with lock:
                return super().forward(params, x, ctx)

    value = {"scoring": lambda clf, X, y: lock and clf.score(X, y), "layers": [Locked()]}[name]
    params = {name: value} | ({"conv_filters": "auto"} if name == "layers" else {})
    with pytest.raises(ValueError, match=rf"checkpoint_dir needs .* {name} holds .*lock"):
        checkpointed(tmp_path, early_stopping=True, **params).fit(*data)
    assert not list(tmp_path.iterdir())
    checkpointed(early_stopping=True, **params).fit(*data)
