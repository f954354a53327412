"""Where only NumPy is installed, networks train and predict as they do elsewhere."""

import json
import sys

import numpy as np
import pytest

from sknpcnn import layers
from sknpcnn._engine.blas import BlasGuard
from sknpcnn._engine.workers import workers_for
from sknpcnn._kernels import special
from tests.engine import test_tape
from tests.engine.threads import blas_is_held
from tests.processes import python
from tests.project import test_imports

pytestmark = pytest.mark.thread_unsafe(reason="hides modules, or starts processes that use cores")

OTHERS = ("scipy", "sklearn", "joblib", "threadpoolctl", "pandas", "PIL")

ALONE = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {"numpy", "sknpcnn", *sys.stdlib_module_names}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
"""

IMPORT = f"""
import importlib

for name in {test_imports.CORE}:
    importlib.import_module(name)
"""

WORK = f"""
import hashlib, json, sys
import numpy as np
from sknpcnn.augmentation import Shift
from sknpcnn._network.batches import Rows
from sknpcnn._engine.workers import workers_for
from sknpcnn._engine.engine import Engine
from sknpcnn.layers import *
from sknpcnn.losses import CrossEntropy
from sknpcnn._network.network import Network
from sknpcnn.optimizers import Adam
from sknpcnn.spec import named

stack = [Conv2D(8), BatchNorm(), ReLU(), Residual([Conv2D(8), BatchNorm(), ReLU(), Conv2D(8)])]
stack += [MaxPool2D(), Flatten(), Dropout(0.2), Dense(16), Tanh()]
rng = np.random.default_rng(0)
X, classes = rng.normal(size=(60, 192)).astype(np.float32), rng.integers(0, 3, 60)
network = Network(named(stack), (8, 8, 3), 3)
theta = network.layout.start(0, np.float32)
grad = np.zeros_like(theta)
adam = Adam()
memory = adam.start(theta)
with Engine(2, theta.dtype) as engine:
    for step in range(6):
        rows = Rows(X, (8, 8, 3), augment=(("shift", Shift(1)),))
        network.learn(theta, grad, rows, classes, None, engine, CrossEntropy(), step)
        adam.step(theta, grad, memory, 0.01, step + 1)
    logits = network.logits(theta, Rows(X, (8, 8, 3)), engine)
bits = [hashlib.sha256(array.tobytes()).hexdigest() for array in (theta, logits)]
threads = [workers_for(n) for n in (1, 3)]
assert np.isfinite(logits).all()
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & {set(OTHERS)})
print(json.dumps([bits, threads, workers_for(None), loaded]))
"""

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Without threadpoolctl BLAS is not limited to one thread, on which its bits may depend."""


def written(program, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return json.loads(python(program))


def test_networks_learn_and_predict_the_same_bits_where_numpy_is_alone(monkeypatch):
    alone, threads, by_default, loaded = written(ALONE + IMPORT + WORK, monkeypatch)
    with_all, *_ = written("import sknpcnn.classifier" + IMPORT + WORK, monkeypatch)
    assert alone == with_all
    assert threads == [1, 3]
    assert by_default == 1  # BLAS, which is not limited, uses the other cores
    assert not loaded


def test_numpy_alone_is_what_these_programs_see():
    program = ALONE + "import sknpcnn\ntry:\n    sknpcnn.NumpyCNNClassifier\n"
    program += "except ModuleNotFoundError as error:\n    print(error.name)"
    assert python(program).strip() in OTHERS


def hide(monkeypatch, *modules):
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("layer", [layers.GELU(), layers.SiLU(), layers.Sigmoid()], ids=str)
def test_layers_learn_the_same_without_scipy(layer, monkeypatch):
    stack = [layers.Conv2D(4), layer]
    expected, _ = test_tape.learn(stack, (8, 8, 1), sizes=[9] * 6)
    hide(monkeypatch, "scipy.special")
    for name in ("_erf", "_expit"):
        monkeypatch.setattr(special, name, getattr(special, name).__wrapped__)
    found, engine = test_tape.learn(stack, (8, 8, 1), sizes=[9] * 6)
    assert any(tape.calls for tape in engine.tapes)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


def test_nothing_is_held_where_threadpoolctl_is_missing(monkeypatch):
    hide(monkeypatch, "threadpoolctl")
    guard = BlasGuard()
    with guard, guard:
        assert guard.threads_allowed() == 1
    assert guard.threads_allowed() == 1
    assert not blas_is_held(guard)


def test_cores_are_counted_without_joblib(monkeypatch):
    with_joblib = workers_for(-1)
    hide(monkeypatch, "joblib", "joblib.parallel")
    assert workers_for(-1) >= with_joblib  # joblib also knows the limits of containers
    assert workers_for(None) >= 1
    assert workers_for(2) == 2
