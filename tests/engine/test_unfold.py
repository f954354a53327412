"""Blocks in which chunks meet run in one sequence with what is around them: the same results."""

from dataclasses import dataclass

import numpy as np
import pytest

from sknpcnn._engine import parallel
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.plan import Node, Segment, plan
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import Network
from sknpcnn._network.standard import Standard
from sknpcnn.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dropout,
    GlobalAvgPool2D,
    ReLU,
    Residual,
    Sequential,
    SiLU,
    Tanh,
)
from sknpcnn.losses import CrossEntropy
from sknpcnn.spec import named

IMAGE, N = (6, 5, 4), 23
BLOCK = [Conv2D(4), BatchNorm(), SiLU(), Conv2D(4), BatchNorm()]
WIDER = Residual([*BLOCK, Conv2D(6, stride=2), BatchNorm()], shortcut=Conv2D(6, 1, stride=2))
NORMED = Sequential([Conv2D(4, 1), BatchNorm()])


@dataclass(frozen=True, repr=False)
class OwnNorm(BatchNorm):
    """A user's own layer that sees the whole mini-batch."""


NETWORKS = {
    "one after the other": [Conv2D(4), Residual(BLOCK), ReLU(), Residual(BLOCK), Tanh()],
    "at the beginning": [Residual(BLOCK), GlobalAvgPool2D()],
    "at once": [Residual(BLOCK), Residual(BLOCK), Residual([BatchNorm()]), GlobalAvgPool2D()],
    "within each other": [
        Conv2D(4),
        Residual([Residual(BLOCK), SiLU(), Residual([*BLOCK, Residual([BatchNorm()])]), ReLU()]),
        AvgPool2D(),
    ],
    "shortcuts": [Residual(BLOCK, shortcut=NORMED), WIDER, ReLU(), GlobalAvgPool2D()],
    "shortcuts within each other": [
        Residual([Residual(BLOCK, shortcut=NORMED)], shortcut=Sequential([Residual(BLOCK)])),
    ],
    "nothing but a shortcut": [Conv2D(4), Residual([], shortcut=NORMED), Tanh()],
    "random": [Residual([*BLOCK, Sequential([ReLU(), Dropout(0.4)])]), GlobalAvgPool2D()],
    "frozen": [
        Residual([Conv2D(4, lr_scale=0.0), BatchNorm(), BatchNorm(lr_scale=0.0)]),
        Residual([ReLU(), BatchNorm()], shortcut=Conv2D(4, 1)),
    ],
}


def parts(layers):
    return plan(Network(named(layers), IMAGE, 3).steps, IMAGE, training=True).parts


def learn(layers, weighted=False, n_threads=2, steps=4):
    """Return outputs and gradient; the first step runs, the second is recorded, then replayed."""
    network = Network(named(layers), IMAGE, 3)
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (N, *IMAGE)).astype(np.uint8).reshape(N, -1)
    standard = Standard(np.full(IMAGE[2], 128.0), np.full(IMAGE[2], 0.01))
    theta = network.layout.start(1, np.float64) + rng.uniform(0, 0.3, network.layout.size)
    weights = rng.uniform(0.5, 2, N) if weighted else None
    y, grad = rng.integers(3, size=N), np.empty_like(theta)
    seen = []
    with Engine(n_threads, np.float64) as engine:
        for _ in range(steps):
            grad[...] = np.nan
            rows = Rows(X, IMAGE, standard, np.arange(N))
            _, outputs = network.learn(theta, grad, rows, y, weights, engine, CrossEntropy(), key=3)
            seen.append((outputs, grad.copy()))
    for outputs, gradient in seen:
        np.testing.assert_array_equal(outputs, seen[0][0])
        np.testing.assert_array_equal(gradient, seen[0][1])
    return seen[0]


@pytest.mark.parametrize("chunk", [1, 10**3, 10**6])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_compute_the_same_unfolded_or_on_their_own(name, weighted, chunk, monkeypatch):
    monkeypatch.setattr(parallel, "MAX_CHUNK_SIZE", chunk)
    found = []
    for ratio in (0, 10**6):
        monkeypatch.setattr("sknpcnn._engine.unfold.MAX_RATIO", ratio)
        found.append(learn(NETWORKS[name], weighted))
    (outputs, gradient), (same_outputs, same_gradient) = found
    np.testing.assert_allclose(same_outputs, outputs, rtol=0, atol=1e-11)
    assert np.isfinite(gradient).all()
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(same_gradient, gradient, rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("name", NETWORKS)
def test_number_of_threads_changes_no_bit(name, monkeypatch):
    monkeypatch.setattr(parallel, "MAX_CHUNK_SIZE", 1000)
    monkeypatch.setattr("sknpcnn._engine.unfold.MAX_RATIO", 10**6)
    (outputs, gradient), *others = (learn(NETWORKS[name], n_threads=n) for n in (1, 2, 3, 5))
    for same_outputs, same_gradient in others:
        np.testing.assert_array_equal(same_outputs, outputs)
        np.testing.assert_array_equal(same_gradient, gradient)


def test_chunks_meet_for_batch_normalization_only():
    wide = [Conv2D(8), BatchNorm(), ReLU(), Conv2D(8), BatchNorm()]
    layers = [Conv2D(8), BatchNorm(), ReLU(), Residual(wide), ReLU(), GlobalAvgPool2D()]
    segments = [part for part in parts(layers) if isinstance(part, Segment)]
    kinds = [[type(node.layer).__name__ for node in s.single_chunk.parts] for s in segments]
    assert kinds == [
        ["Identity", "Conv2D", "Bias", "Moments"],
        ["Normalize", "ReLU", "Fork", "Conv2D", "Bias", "Moments"],
        ["Normalize", "ReLU", "Conv2D", "Bias", "Moments"],
        ["Normalize", "Join", "ReLU", "GlobalAvgPool2D"],
    ]
    assert [segment.forked for segment in segments] == [False, True, True, False]
    assert [segment.hands_over for segment in segments] == [True, True, True, False]


def test_layers_that_need_the_whole_batch_keep_a_block_together():
    layers = [Conv2D(4), Residual([Conv2D(4), OwnNorm(), Residual(BLOCK)]), GlobalAvgPool2D()]
    (block,) = (part for part in parts(layers) if isinstance(part, Node) and part.branches)
    assert type(block.layer) is Residual
    ours = [Conv2D(4), Residual([Conv2D(4), BatchNorm(), Residual(BLOCK)]), GlobalAvgPool2D()]
    for same, expected in zip(learn(layers), learn(ours), strict=True):
        np.testing.assert_allclose(same, expected, rtol=0, atol=1e-11)


def test_prediction_runs_blocks_as_they_are():
    steps = Network(named(NETWORKS["shortcuts"]), IMAGE, 3).steps
    for fold in (False, True):
        nodes = list(plan(steps, IMAGE, training=False, fold=fold).nodes())
        assert sum(type(node.layer) is Residual for node in nodes) == 2
