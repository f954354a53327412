"""Layers of users' own train the same network with tapes as without, whatever they return."""

import gc
import tracemalloc
import weakref
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.linalg import norm
from sklearn.datasets import load_digits

from sknpcnn import NumpyCNNClassifier
from sknpcnn._engine import parallel
from sknpcnn._engine.engine import Engine
from sknpcnn._estimator import estimator
from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    ReLU,
    Residual,
    Sequential,
)
from sknpcnn.testing import check_layer
from tests.layers.own_layers import SMALL, NewDense, Square
from tests.models import assert_same_weights

X, y = load_digits(return_X_y=True)
X, y = X[:400], y[:400]
AROUND = [Conv2D(8), BatchNorm(), ReLU()]


def stacks(own):
    """Networks with the layer at various positions."""
    return {
        "first": [own, Conv2D(4), GlobalAvgPool2D()],
        "before a residual": [Conv2D(8), own, Residual(AROUND), GlobalAvgPool2D()],
        "in a residual": [Conv2D(8), Residual([own, Conv2D(8), ReLU()]), GlobalAvgPool2D()],
        "in a shortcut": [Conv2D(8), Residual([Conv2D(8)], shortcut=own), GlobalAvgPool2D()],
        "in a sequence": [Sequential([Conv2D(8), own]), ReLU(), Conv2D(4), GlobalAvgPool2D()],
        "among others": [Conv2D(8), own, ReLU(), Conv2D(4), GlobalAvgPool2D()],
        "last": [Conv2D(8), ReLU(), GlobalAvgPool2D(), own],
    }


CASES = [
    pytest.param(layers, id=f"{type(own).__name__} {place}")
    for own in SMALL
    for place, layers in stacks(own).items()
]
CASES += [
    pytest.param([Conv2D(4), Flatten(), NewDense(16), own, NewDense(8), ReLU()], id=str(own))
    for own in SMALL
]


def fitted(layers, **params):
    params = {
        "batch_size": 40,
        "max_iter": 1,
        "random_state": 0,
        "learning_rate_init": 1e-3,
    } | params
    return NumpyCNNClassifier(layers=layers, **params).fit(X, y)


@pytest.mark.parametrize("own", [*SMALL, NewDense(8)], ids=lambda own: type(own).__name__)
def test_these_layers_keep_every_promise(own):
    if not isinstance(own, NewDense):
        check_layer(own, (4, 5, 3))
    check_layer(own, (6,))


@pytest.mark.parametrize("layers", CASES)
def test_tapes_change_no_bit(layers, monkeypatch):
    monkeypatch.setattr("sknpcnn._engine.parallel.MAX_CHUNK_SIZE", 2**14)  # several chunks
    with_tapes = fitted(layers, n_jobs=2)
    single = [with_tapes.predict_proba(X[i : i + 1]) for i in range(6)]
    together = with_tapes.predict_proba(X)
    monkeypatch.setattr(parallel, "_tape_set", lambda *args: None)
    without = fitted(layers)
    assert_same_weights(with_tapes, without)
    np.testing.assert_array_equal(together, without.predict_proba(X))
    for i, p in enumerate(single):
        np.testing.assert_array_equal(p, without.predict_proba(X[i : i + 1]))


def test_a_layer_that_makes_new_arrays_learns_as_well_as_without_tapes(monkeypatch):
    layers = [Conv2D(8), Square(), Residual(AROUND), GlobalAvgPool2D()]
    params = {"batch_size": 32, "max_iter": 10, "learning_rate_init": 0.02}
    with_tapes = fitted(layers, **params)
    monkeypatch.setattr(parallel, "_tape_set", lambda *args: None)
    assert_same_weights(with_tapes, fitted(layers, **params))
    assert with_tapes.score(X, y) > 0.6


@dataclass(frozen=True, repr=False)
class Deciding(Layer):
    """Doubles or triples, by a factor that is computed without any array."""

    limit: float

    def factor(self, x):
        size = norm(np.asarray(x).reshape(1, -1))
        return x.dtype.type(3 if size > self.limit else 2)

    def forward(self, params, x, ctx):
        factor = self.factor(x)
        return np.multiply(x, factor, out=ctx.output(x.shape, x.dtype)), factor

    def backward(self, params, factor, dy, grads, ctx):
        return np.multiply(dy, factor, out=ctx.output(dy.shape, dy.dtype))


@pytest.mark.parametrize("place", ["among others", "in a residual", "in a sequence", "last"])
def test_a_layer_that_decides_by_its_data_decides_for_every_mini_batch(place, monkeypatch):
    size, sizes, layers = norm, [], stacks(Deciding(np.inf))[place]
    with monkeypatch.context() as patch:
        patch.setattr(parallel, "_tape_set", lambda *args: None)
        patch.setattr(
            "tests.engine.test_tape_own_layers.norm", lambda x: sizes.append(size(x)) or 0
        )
        fitted(layers, max_iter=4)
    of_steps = sizes[-4 * len(X) // 40 :]  # the initialization runs it before them
    limit = float(max(of_steps[:10]))
    assert max(of_steps[10:]) > limit  # it decides otherwise only after an epoch
    layers = stacks(Deciding(limit))[place]
    with_tapes = fitted(layers, max_iter=4)
    monkeypatch.setattr(parallel, "_tape_set", lambda *args: None)
    assert_same_weights(with_tapes, fitted(layers, max_iter=4))


@pytest.mark.slow
@pytest.mark.thread_unsafe(reason="measures the memory of the whole process")
@pytest.mark.parametrize("own", [Square(), ReLU()], ids=str)
def test_memory_stays_flat_over_many_calls(own, monkeypatch):
    monkeypatch.setattr(estimator, "MAX_HISTORY", 10)
    layers = [Conv2D(4), own, Residual([Conv2D(4), BatchNorm()]), GlobalAvgPool2D()]
    clf = fitted(layers, max_iter=1)
    images = [X[i : i + 1].copy() for i in range(20)]
    acts = {
        500: lambda i: clf.predict_proba(images[i % 20]),
        100: lambda i: clf.partial_fit(X[:8], y[:8]),
    }
    grown = {}
    tracemalloc.start()
    try:
        for n, act in acts.items():
            sizes = []
            for _ in range(8):
                for i in range(n):
                    act(i)
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
            # What is made once, as the small arrays that NumPy keeps for reuse, comes to an
            # end, if only after thousands of calls; what is kept grows every time.
            grown[n] = np.diff(sizes).min()
    finally:
        tracemalloc.stop()
    assert grown[500] < 10_000  # bytes; with tapes that kept new arrays it was six thousand a call
    assert grown[100] < 10_000


@pytest.mark.thread_unsafe(reason="switches the garbage collector off")
@pytest.mark.parametrize("own", [Square(), ReLU()], ids=str)
def test_an_engine_is_gone_as_soon_as_nobody_has_it(own, monkeypatch):
    engines = []
    enter = Engine.__enter__

    def noting(engine):
        engines.append(weakref.ref(engine))
        return enter(engine)

    monkeypatch.setattr(Engine, "__enter__", noting)
    gc.disable()
    try:
        fitted([Conv2D(4), own, Residual([Conv2D(4), BatchNorm()]), GlobalAvgPool2D()])
        assert engines
        assert [engine() for engine in engines] == [None] * len(engines)
    finally:
        gc.enable()


@pytest.mark.slow
@pytest.mark.thread_unsafe(reason="measures the memory of the whole process")
def test_memory_stays_flat_over_many_steps():
    layers = [Conv2D(2), Square(), Residual([Conv2D(2), BatchNorm()]), GlobalAvgPool2D()]
    clf = NumpyCNNClassifier(layers=layers, batch_size=4, max_iter=80, random_state=0)
    seen = []

    class Watch:
        def setup(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...
        def teardown(self, estimator, context): ...

        def on_fit_task_end(self, estimator, context):
            gc.collect()
            seen.append(tracemalloc.get_traced_memory()[0])
            return False

    tracemalloc.start()
    try:
        clf.set_callbacks(Watch()).fit(X[:100, :16], y[:100])  # 25 steps an epoch, 2,000 in all
    finally:
        tracemalloc.stop()
    assert max(seen[10:-1]) - seen[10] < 100_000
