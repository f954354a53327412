"""Threads: BLAS limits are restored, errors are raised, and results do not depend on n_jobs."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from sknpcnn._engine import parallel
from sknpcnn._engine.chunks import cut
from sknpcnn._engine.context import MiniBatch, RunningContext, Workspace, forward
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.parallel import ThreadedRunner, whole_batch
from sknpcnn._engine.plan import Segment, plan
from sknpcnn._kernels.randomness import row_ids
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import Network
from sknpcnn._network.standard import Standard
from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
)
from sknpcnn.losses import CrossEntropy
from sknpcnn.spec import named
from tests.engine.threads import our_threads


@pytest.mark.parametrize("n", [0, 1, 2, 5, 16, 17, 100])
@pytest.mark.parametrize("size", [1, 2, 5, 16, 1000])
def test_cut_covers_everything_in_equal_parts(n, size):
    parts = cut(n, size)
    assert [i for lo, hi in parts for i in range(lo, hi)] == list(range(n))
    lengths = [hi - lo for lo, hi in parts]
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    assert len(parts) == max(-(-n // size), 1)


# --- whole networks -------------------------------------------------------------------------------

IMAGE = (9, 8, 2)
N = 60
LAYERS = [
    Conv2D(4),
    BatchNorm(),
    ReLU(),
    Dropout(0.3),
    MaxPool2D(2),
    Residual([Conv2D(4), BatchNorm(), Sequential([ReLU(), Dropout(0.2)])]),
    Flatten(),
    Dense(20),
    BatchNorm(),
    ReLU(),
    Dropout(0.5),
]


LOSS = CrossEntropy(0.1)


class Case:
    """A network with everything in it, split into many chunks and tiles."""

    def __init__(self, dtype):
        rng = np.random.default_rng(0)
        self.network = Network(named(LAYERS), IMAGE, 3)
        self.dtype = np.dtype(dtype)
        self.X = rng.integers(0, 256, (N, 144)).astype(np.uint8)
        self.classes = rng.integers(3, size=N)
        self.weights = rng.uniform(0.5, 2, N)
        self.standard = Standard(np.full(2, 128, dtype), np.full(2, 0.01, dtype))
        self.theta = self.network.layout.start(1, dtype)

    def learn(self, engine, grad, weighted, n=N, key=5):
        index = np.arange(n)
        rows = Rows(self.X, IMAGE, self.standard, index)
        weights = self.weights[:n] if weighted else None
        identify = partial(row_ids, self.X[index])
        return self.network.learn(
            self.theta, grad, rows, self.classes[:n], weights, engine, LOSS, key, identify
        )

    def logits(self, engine):
        return self.network.logits(self.theta, Rows(self.X, IMAGE, self.standard), engine)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(parallel, "MAX_CHUNK_SIZE", 3000)
    monkeypatch.setattr("sknpcnn._engine.context.MIN_TILE_SIZE", 500)
    monkeypatch.setattr("sknpcnn._network.prediction.PREDICTION_BATCH", 25)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def case(request, small_pieces):
    return Case(request.param)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_keep_what_they_go_on_with_or_share_it(dtype, weighted, small_pieces, monkeypatch):
    found = []
    for ratio, kept in ((0, False), (1000, True)):
        monkeypatch.setattr("sknpcnn._engine.unfold.MAX_RATIO", ratio)
        case = Case(dtype)
        parts = plan(case.network.steps, IMAGE, training=True).parts
        assert any(isinstance(part, Segment) and part.hands_over for part in parts) == kept
        grad = np.full_like(case.theta, np.nan)
        with Engine(2, dtype) as engine:
            for _ in range(4):
                _, outputs = case.learn(engine, grad, weighted)
        found.append((outputs, grad))
    (outputs, grad), (same_outputs, same_grad) = found
    tolerance = 2e-5 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(outputs, same_outputs, rtol=0, atol=tolerance)
    np.testing.assert_allclose(grad, same_grad, rtol=0, atol=tolerance * np.abs(grad).max())


@pytest.mark.parametrize("weighted", [False, True])
def test_number_of_threads_changes_no_bit(case, weighted):
    found = []
    for n_threads in (1, 2, 3, 5, 3, 2):
        grad = np.full_like(case.theta, np.nan)
        with Engine(n_threads, case.dtype) as engine:
            (loss, outputs), again = (case.learn(engine, grad, weighted) for _ in range(2))
            logits = case.logits(engine)
            assert max(n for *_, n in engine.gradient_rows) > 5, "too few chunks to tell"
        assert loss == again[0]
        np.testing.assert_array_equal(outputs, again[1])
        found.append((loss, outputs.tobytes(), grad.tobytes(), logits.tobytes()))
    assert all(other == found[0] for other in found[1:])
    assert np.isfinite(grad).all()


def test_chunks_change_the_result_by_no_more_than_rounding(case, monkeypatch):
    found = []
    for chunk, tile in ((3000, 500), (2**17, 2**17), (1, 1)):
        monkeypatch.setattr(parallel, "MAX_CHUNK_SIZE", chunk)
        monkeypatch.setattr("sknpcnn._engine.context.MIN_TILE_SIZE", tile)
        grad = np.empty_like(case.theta)
        with Engine(2, case.dtype) as engine:
            loss, outputs = case.learn(engine, grad, weighted=True)
            found.append((loss, outputs, grad, case.logits(engine)))
    tolerance = 1e-11 if case.dtype == np.float64 else 2e-4
    for loss, outputs, grad, logits in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=tolerance)
        np.testing.assert_allclose(outputs, found[0][1], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(grad, found[0][2], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(logits, found[0][3], rtol=tolerance, atol=tolerance)


def test_prediction_of_a_row_does_not_depend_on_the_other_rows(case):
    with Engine(2, case.dtype) as engine:
        whole = case.logits(engine)
        alone = Rows(case.X, IMAGE, case.standard, slice(7, 8))
        one = case.network.logits(case.theta, alone, engine)
    tolerance = 1e-12 if case.dtype == np.float64 else 1e-4
    np.testing.assert_allclose(one[0], whole[7], rtol=tolerance, atol=tolerance)


def test_key_draws_other_random_numbers(case):
    grads = np.empty((2, case.theta.size), case.dtype)
    with Engine(1, case.dtype) as engine:
        losses = [case.learn(engine, grads[i], False, key=i) for i in range(2)]
    assert losses[0] != losses[1]
    assert (grads[0] != grads[1]).any()


def test_learning_writes_neither_the_parameters_nor_the_data(case):
    before = case.theta.copy(), case.X.copy(), case.weights.copy()
    arrays = case.theta, case.X, case.weights, case.classes
    for array in arrays:
        array.flags.writeable = False
    with Engine(2, case.dtype) as engine:
        case.learn(engine, np.empty_like(case.theta), weighted=True)
        case.logits(engine)
    for array, copy in zip(arrays, before, strict=False):
        np.testing.assert_array_equal(array, copy)


def memory_of(engine):
    """How many buffers there are, and how large they are together."""
    buffers = [b for arena in engine._arenas.values() for b in arena._buffers]
    gradients = sum(rows.nbytes for _, (_, rows, _) in engine.gradient_rows.values())
    return len(engine._arenas), len(buffers), sum(b.size for b in buffers), gradients


def test_no_memory_is_allocated_after_the_first_steps(case):
    """A short last batch and a prediction in between need no memory of their own a second time."""
    grad = np.empty_like(case.theta)
    used = []
    with Engine(1, case.dtype) as engine:
        for _ in range(4):
            case.learn(engine, grad, weighted=True)
            case.learn(engine, grad, weighted=True, n=17)
            case.logits(engine)
            used.append(memory_of(engine))
    assert used[1] == used[0]
    assert used[3] == used[0]


def test_engines_in_several_threads_do_not_disturb_each_other(case):
    """As in a predict that a web server calls from many threads."""
    with Engine(1, case.dtype) as engine:
        expected = case.logits(engine)

    def predict(i):
        with Engine(1 + i % 2, case.dtype) as engine:
            return case.logits(engine)

    with ThreadPoolExecutor(4) as pool:
        for logits in pool.map(predict, range(8)):
            np.testing.assert_array_equal(logits, expected)
    assert not our_threads()


def test_error_in_a_layer_reaches_the_caller_and_leaves_no_thread(case, monkeypatch):
    def fail(self, params, x, ctx):
        raise MemoryError("no room")

    monkeypatch.setattr(ReLU, "forward", fail)
    with Engine(3, case.dtype) as engine, pytest.raises(MemoryError, match="no room"):
        case.learn(engine, np.empty_like(case.theta), weighted=False)
    assert not our_threads()


def test_weights_in_sight_are_those_of_the_rows_in_sight():
    weights = np.arange(5.0)
    with Engine(1, np.float64) as engine:
        batch = MiniBatch(5, True, weights=weights)
        some = RunningContext(Workspace(engine, batch, ThreadedRunner, (1, 3)))
        np.testing.assert_array_equal(some.weights, [1, 2])
        np.testing.assert_array_equal(RunningContext(whole_batch(engine, batch)).weights, weights)
        assert RunningContext(whole_batch(engine, MiniBatch(5, True))).weights is None


def test_samples_are_identified_once_and_only_if_somebody_draws_for_them():
    asked = []

    def identify():
        asked.append(1)
        return np.array([7, 8, 7], np.uint32)

    with Engine(1, np.float64) as engine:
        batch = MiniBatch(3, True, identify=identify)
        place = whole_batch(engine, batch)
        RunningContext(place).empty((3, 2))
        assert not asked
        drawn = RunningContext(place, ("a",)).random_bits((3, 4))
        part = RunningContext(Workspace(engine, batch, ThreadedRunner, (1, 3)), ("a",)).random_bits(
            (2, 4)
        )
    assert asked == [1]
    np.testing.assert_array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(part, drawn[1:])


def test_layers_of_different_names_draw_different_numbers():
    with Engine(1, np.float64) as engine:
        place = whole_batch(engine, MiniBatch(8, True, key=1))
        drawn = {}
        for path in (("a",), ("b",), ("a", "b"), ("b", "a"), ("a",)):
            bits = RunningContext(place, path).random_bits((8, 4)).tobytes()
            assert drawn.setdefault(path, bits) == bits
    assert len(set(drawn.values())) == 4


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2D(8), (16, 16, 3)),  # by planes
        (Conv2D(8, stride=2), (16, 16, 16)),  # by rows
        (Conv2D(24), (16, 16, 16)),  # by Winograd's algorithm
        (Conv2D(24, 5, padding="valid"), (12, 16, 16)),
        (MaxPool2D(), (16, 16, 8)),
        (ReLU(), (16, 16, 8)),
        (Residual([Conv2D(16)]), (16, 16, 16)),
    ],
    ids=str,
)
def test_the_working_set_of_a_layer_is_about_what_it_asks_for(layer, shape):
    n, asked = 32, []
    x = np.ones((*shape[:2], n, shape[2]), np.float32)
    engine = Engine(1, np.float32)
    place = Workspace(engine, MiniBatch(n, training=True), ThreadedRunner, (0, n))
    place.wrap = lambda array: asked.append(array.size) or array
    layout = Network([("layer", layer)], shape, 2).layout
    planned = plan([("layer", layer)], shape, training=True, whole=False)
    forward(planned, layout.views(layout.start(0, np.float32)), x, place)
    working_set = n * layer.working_set(shape)
    assert working_set / 3 < x.size + sum(asked) < 3 * working_set
