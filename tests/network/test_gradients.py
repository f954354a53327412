"""The gradient of a whole network against differences of its loss, however it is executed."""

import numpy as np
import pytest

from sknpcnn._engine import parallel
from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import Network
from sknpcnn.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Residual,
    Sequential,
    SiLU,
    Tanh,
)
from sknpcnn.losses import CrossEntropy
from sknpcnn.spec import named

IMAGE, N, STEP = (8, 6, 2), 12, 1e-5
BLOCK = [Conv2D(4, bias=False), BatchNorm(), SiLU(), Conv2D(4), BatchNorm()]
NETWORKS = {
    "norms in a row": [
        BatchNorm(),
        Conv2D(4),
        BatchNorm(),
        BatchNorm(),
        Tanh(),
        Flatten(),
        Dense(5),
    ],
    "blocks in a row": [Conv2D(4), Residual(BLOCK), SiLU(), Residual(BLOCK), SiLU(), AvgPool2D()],
    "a block at the end": [Conv2D(4), SiLU(), Residual(BLOCK)],
    "a block without norms": [
        Conv2D(4),
        Residual([Conv2D(4), SiLU(), Conv2D(4)]),
        Tanh(),
        Conv2D(3),
    ],
    "a block in a sequence": [Conv2D(4), Sequential([SiLU(), Residual(BLOCK)]), Tanh(), Conv2D(3)],
    "blocks in a block": [
        Residual(
            [Conv2D(4), Residual(BLOCK, shortcut=Conv2D(4, 1)), SiLU()], shortcut=Conv2D(4, 1)
        ),
        SiLU(),
        Residual([Conv2D(6, stride=2), BatchNorm()], shortcut=Conv2D(6, 1, stride=2, bias=False)),
        GlobalAvgPool2D(),
    ],
    "norm of vectors": [Conv2D(3, stride=3), Flatten(), Dense(6), BatchNorm(), Tanh(), Dense(4)],
}


@pytest.mark.parametrize("chunk", [1, 1500, 2**20])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_the_gradient_is_the_slope_of_the_loss(layers, weighted, chunk, monkeypatch):
    monkeypatch.setattr(parallel, "MAX_CHUNK_SIZE", chunk)
    network = Network(named(layers), IMAGE, 3)
    rng = np.random.default_rng(0)
    theta = network.layout.start(0, np.float64)
    rows, classes = Rows(rng.normal(size=(N, 96)), IMAGE), np.arange(N) % 3
    weights = rng.uniform(0.5, 2, N) if weighted else None
    total = N if weights is None else weights.sum()
    grad = np.empty_like(theta)

    def learn():
        return network.learn(theta, grad, rows, classes, weights, engine, CrossEntropy())[0] / total

    with Engine(2, np.float64) as engine:
        for _ in range(3):  # run, recorded, and played again
            learn()
            announced = grad.copy()
            direction = rng.normal(size=theta.size)
            direction[averages(network)] = 0
            theta += STEP * direction
            up = learn()
            theta -= 2 * STEP * direction
            down = learn()
            theta += STEP * direction
            slope = (up - down) / (2 * STEP)
            assert slope == pytest.approx(announced @ direction, rel=1e-5, abs=1e-7)


def averages(network):
    """Return where the running averages are, which are no gradients."""
    found = np.zeros(network.layout.size, bool)
    for name, parameter in network.layout.parameters.items():
        if parameter.running is not None:
            found[network.layout.slices[name]] = True
    return found
