"""A chunk that is replayed from its tape does bit for bit what its layers' code does."""

import ast
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import sknpcnn
from sknpcnn._engine import parallel
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.tape import UNRECORDABLE, Tape
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import Network
from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
)
from sknpcnn.losses import CrossEntropy
from sknpcnn.spec import named
from tests.layers.layer_cases import CASES

HOME = Path(sknpcnn.__file__).parent

SPOILING = (Dense, Dropout)
"""What makes new arrays or draws random numbers in training: these run their own code."""


def never_recorded(layer):
    inside = (child for steps in layer.branches for _, child in steps)
    frozen = isinstance(layer, BatchNorm) and layer.lr_scale == 0
    return frozen or isinstance(layer, SPOILING) or any(map(never_recorded, inside))


RECORDED = [case for case in CASES if not never_recorded(case.layer)]
OTHERS = [case for case in CASES if never_recorded(case.layer)]


def learn(layers, image, sizes=(9, 9, 9, 4, 9, 9), n_threads=1, chunk=None):
    """Return the gradients of some mini-batches of such sizes, theta changing in between."""
    network = Network(named(layers), image, 3)
    theta = network.layout.start(0, np.float64)
    grad, found = np.zeros_like(theta), []
    rng = np.random.default_rng(0)
    with Engine(n_threads, theta.dtype) as engine:
        for n in sizes:
            X = rng.normal(size=(n, int(np.prod(image))))
            rows, classes = Rows(X, image), rng.integers(0, 3, n)
            network.learn(theta, grad, rows, classes, None, engine, CrossEntropy(), n)
            found.append(grad.copy())
            theta -= 0.01 * grad
    return found, engine


def no_tapes(monkeypatch):
    monkeypatch.setattr(parallel, "_tape_set", lambda *args: None)


def assert_same_without_tapes(monkeypatch, *args, **options):
    played, engine = learn(*args, **options)
    with monkeypatch.context() as patch:
        no_tapes(patch)
        run, _ = learn(*args, **options)
    for a, b in zip(played, run, strict=True):
        np.testing.assert_array_equal(a, b)
    return engine


@pytest.mark.parametrize("case", RECORDED, ids=[case.id for case in RECORDED])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_nearly_every_layer_is_played_again(case, n_threads, monkeypatch):
    played, replay = [], Tape.replay
    monkeypatch.setattr(Tape, "replay", lambda tape: played.append(len(tape.calls)) or replay(tape))
    engine = assert_case_same_without_tapes(case, n_threads, monkeypatch)
    assert UNRECORDABLE not in engine.tapes
    assert any(played)  # a thread that comes late may have dropped all tapes at the end


@pytest.mark.parametrize("case", OTHERS, ids=[case.id for case in OTHERS])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_what_the_others_do_is_not_played_again(case, n_threads, monkeypatch):
    calls, forward = [], type(case.layer).forward
    monkeypatch.setattr(
        type(case.layer), "forward", lambda *args: calls.append(1) or forward(*args)
    )
    assert_case_same_without_tapes(case, n_threads, monkeypatch)
    mini_batches = 2 * (4 + 4 * n_threads)
    assert len(calls) >= mini_batches


def assert_case_same_without_tapes(case, n_threads, monkeypatch):
    monkeypatch.setattr("sknpcnn._engine.parallel.MAX_CHUNK_SIZE", 1)  # one image per chunk
    image, before = case.shape, []
    if len(image) == 1:
        image, before = (1, image[0], 1), [Flatten()]
    layers = [*before, case.layer]
    sizes = (9, 9, 9, 4, *[9] * 4 * n_threads)  # a chunk is recorded once on each thread
    return assert_same_without_tapes(monkeypatch, layers, image, sizes=sizes, n_threads=n_threads)


LAYERS = [Conv2D(16), ReLU(), MaxPool2D(), Conv2D(16), Residual([Conv2D(16), ReLU()]), Flatten()]


@pytest.mark.parametrize("sizes", [(3, 3, 3, 9, 9, 3, 9, 9), (9, 9, 2, 2, 9, 9)], ids=str)
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("chunk", [2**10, 2**18])
def test_batches_of_changing_size_move_the_memory_and_are_recorded_anew(
    sizes, n_threads, chunk, monkeypatch
):
    monkeypatch.setattr("sknpcnn._engine.parallel.MAX_CHUNK_SIZE", chunk)
    assert_same_without_tapes(monkeypatch, LAYERS, (8, 8, 1), sizes=sizes, n_threads=n_threads)


def test_the_layers_code_runs_for_the_first_mini_batches_only(monkeypatch):
    calls, forward = [], Conv2D.forward
    monkeypatch.setattr(Conv2D, "forward", lambda *args: calls.append(1) or forward(*args))
    learn([Conv2D(4)], (8, 8, 1), sizes=[5] * 10)
    assert 1 <= len(calls) <= 4  # until no memory moves any more


@dataclass(frozen=True, repr=False)
class Spoiler(Layer):
    """Doubles, in ways that a tape cannot record."""

    way: str = "new array"

    def forward(self, params, x, ctx):
        if self.way == "new array":
            return x * 2, None
        y = ctx.output(x.shape, x.dtype)
        if self.way == "copy":
            y[...] = x.copy()
        elif self.way == "function":
            y[...] = np.concatenate([x, x])[: len(x)]
        elif self.way == "number":
            y[...] = float(x.ravel()[0])
        elif self.way == "selection":
            y[...] = 0
            y[np.ones(x.shape, bool)] = np.asarray(x).ravel()
        elif self.way == "reshape":
            y[...] = x.T.reshape(x.size).reshape(x.shape[::-1]).T
        elif self.way == "random":
            y[...] = x
            y += ctx.random_bits(x.shape)
        elif self.way == "ordinary view":
            np.multiply(x.view(np.ndarray), 2, out=y.view(np.ndarray))
        elif self.way == "base":
            np.multiply(x.base, 1, out=x.base)
            np.multiply(x, 2, out=y)
        elif self.way == "address":
            y[...] = x
            assert y.ctypes.data
        elif self.way == "another's memory":
            twice = np.empty(x.shape, x.dtype)
            np.multiply(x, 2, out=twice)
            y[...] = twice
        return y, None

    def backward(self, params, cache, dy, grads, ctx):
        return dy


WAYS = ["new array", "copy", "function", "number", "selection", "reshape", "random"]
WAYS += ["ordinary view", "base", "address", "another's memory"]


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_written_down_spoils_the_tape(way, monkeypatch):
    monkeypatch.setattr("sknpcnn._engine.plan.is_builtin", lambda *args, **options: True)
    layers = [Conv2D(2), Spoiler(way)]
    engine = assert_same_without_tapes(monkeypatch, layers, (4, 4, 1))
    assert UNRECORDABLE in engine.tapes


@dataclass(frozen=True, repr=False)
class Keeper(Layer):
    """Adds an array that it has from before: its own, or the first input that it saw."""

    own: bool
    kept: list = field(default_factory=list, compare=False)

    def forward(self, params, x, ctx):
        if not self.kept:
            self.kept.append(np.zeros_like(x[:, :, :1]) if self.own else np.asarray(x)[:, :, :1])
        if self.own:
            self.kept[0][...] += 1
        return np.add(x, self.kept[0], out=ctx.output(x.shape, x.dtype)), None

    def backward(self, params, cache, dy, grads, ctx):
        return dy


@pytest.mark.parametrize("own", [True, False])
def test_an_array_from_before_spoils_the_tape(own, monkeypatch):
    """That of the engine too, once its memory has moved."""
    monkeypatch.setattr("sknpcnn._engine.plan.is_builtin", lambda *args, **options: True)
    sizes = (4, 9, 9, 9, 9)
    played, engine = learn([Conv2D(2), Keeper(own)], (4, 4, 1), sizes)
    assert UNRECORDABLE in engine.tapes
    no_tapes(monkeypatch)
    run, _ = learn([Conv2D(2), Keeper(own)], (4, 4, 1), sizes)
    np.testing.assert_array_equal(played, run)


@dataclass(frozen=True, repr=False)
class Evader(Layer):
    """Doubles, in ways that arrays cannot notice."""

    way: str

    def forward(self, params, x, ctx):
        y = ctx.output(x.shape, x.dtype)
        if self.way == "asarray":
            np.multiply(np.asarray(x), 2, out=np.asarray(y))
        elif self.way == "value of asarray":
            np.multiply(x, float(np.asarray(x).max()), out=y)
        elif self.way == "method of the base class":
            np.multiply(np.ndarray.view(x, np.ndarray), 2, out=np.ndarray.view(y, np.ndarray))
        elif self.way == "memoryview":
            y[...] = x
            np.frombuffer(memoryview(y).cast("B"), x.dtype)[...] *= 2
        elif self.way == "nditer":
            with np.nditer([x, y], op_flags=[["readonly"], ["writeonly"]]) as pairs:
                for a, b in pairs:
                    b[...] = 2 * a
        return y, None

    def backward(self, params, cache, dy, grads, ctx):
        return dy


EVASIONS = ["asarray", "value of asarray", "method of the base class", "memoryview", "nditer"]


@pytest.mark.parametrize(
    "layer", [*map(Evader, EVASIONS), *map(Spoiler, WAYS)], ids=lambda x: x.way
)
def test_a_layer_of_ones_own_that_evades_recording_is_refused(layer, monkeypatch):
    engine = assert_same_without_tapes(monkeypatch, [Conv2D(2), layer], (4, 4, 1))
    assert not list(engine.tapes)


EVADING = {"asarray", "ascontiguousarray", "asfortranarray", "require", "array", "memoryview"}
EVADING |= {"frombuffer", "nditer"}
"""Functions that expose the memory or the values of an array without calling its methods."""
HARMLESS = {
    ("norm.py", "ascontiguousarray"),  # the tape is unusable already, because of new arrays
    ("winograd.py", "array"),  # of constants
    ("randomness.py", "ascontiguousarray"),  # of the user's rows
}


@pytest.mark.thread_unsafe(reason="two threads that parse disturb each other in 3.11")
def test_layers_of_this_package_evade_no_recording():
    for path in [*HOME.glob("layers/*.py"), *HOME.glob("kernels/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = getattr(node, "func", None)
            name = getattr(called, "attr", getattr(called, "id", None))
            assert name not in EVADING or (path.name, name) in HARMLESS, f"{name} in {path.name}"


@pytest.mark.parametrize("composite", [Sequential, Residual])
def test_a_layer_of_ones_own_is_never_recorded(composite):
    _, engine = learn([Conv2D(2), composite([ReLU(), Spoiler()])], (4, 4, 1))
    assert not list(engine.tapes)
    _, engine = learn([Conv2D(2), Residual([ReLU()], shortcut=Spoiler())], (4, 4, 1))
    assert not list(engine.tapes)


@dataclass(frozen=True, repr=False)
class Fickle(Layer):
    """Returns the first, second or third array that it requests, depending on the data."""

    def whole_batch(self, training):
        return training

    def forward(self, params, x, ctx):
        for _ in range(1 + int(np.abs(x).sum() * 1000) % 3):
            y = ctx.empty(x.shape, x.dtype)
        return np.multiply(x, 1.5, out=y), None

    def backward(self, params, cache, dy, grads, ctx):
        return self.forward(params, dy, ctx)[0]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("chunk", [2**10, 2**18])
def test_a_layer_that_returns_another_array_each_time_deceives_no_tape(
    n_threads, chunk, monkeypatch
):
    monkeypatch.setattr("sknpcnn._engine.parallel.MAX_CHUNK_SIZE", chunk)
    layers = [Conv2D(8), Fickle(), Conv2D(8), ReLU()]
    assert_same_without_tapes(monkeypatch, layers, (8, 8, 1), sizes=[9] * 16, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_prediction_is_played_too(n_threads, monkeypatch):
    monkeypatch.setattr("sknpcnn._network.prediction.PREDICTION_BATCH", 10)
    monkeypatch.setattr("sknpcnn._engine.parallel.MAX_CHUNK_SIZE", 2**11)
    network = Network(named([Conv2D(16), BatchNorm(), ReLU(), MaxPool2D()]), (8, 8, 3), 3)
    theta = network.layout.start(0, np.float32)
    rows = Rows(np.random.default_rng(0).normal(size=(100, 192)).astype(np.float32), (8, 8, 3))
    with Engine(n_threads, theta.dtype) as engine:
        for _ in range(3):  # a thread that comes late needs memory, which drops all tapes
            played = network.logits(theta, rows, engine)
        assert any(tape.calls for tape in engine.tapes)
        no_tapes(monkeypatch)
        np.testing.assert_array_equal(played, network.logits(theta, rows, engine))
