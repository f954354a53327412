"""A small network, its samples and a plan, for tests of the training loop."""

import numpy as np

from sknpcnn._engine.engine import Engine
from sknpcnn._network.network import Network
from sknpcnn._network.samples import Samples
from sknpcnn._training.classes import Classes
from sknpcnn._training.loop import Course, train
from sknpcnn._training.state import TrainingPlan, TrainingState
from sknpcnn.layers import Conv2D, Dense, Flatten, MaxPool2D, ReLU
from sknpcnn.losses import CrossEntropy
from sknpcnn.optimizers import SGD
from sknpcnn.schedules import Constant
from sknpcnn.spec import named

IMAGE = (8, 8, 2)


N = 72


PLAN = TrainingPlan(
    optimizer=SGD(),
    schedule=Constant(),
    learning_rate=0.1,
    max_iter=10,
    n_epochs=10,
    batch_size=16,
    shuffle=False,
    alpha=0.0,
    clip_norm=None,
    loss=CrossEntropy(),
    target=Classes(np.arange(3)),
)


SMALL = [Conv2D(4), ReLU(), MaxPool2D(2), Flatten(), Dense(10), ReLU()]


def network_of(layers=SMALL, n_classes=3):
    return Network(named(layers), IMAGE, n_classes)


def samples_of(n=N, weighted=False, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 128))
    weights = rng.uniform(0.5, 2, n) if weighted else None
    return Samples(X, rng.integers(3, size=n), weights, np.arange(n))


def start(network, plan=PLAN, seed=1, dtype=np.float64):
    theta = network.layout.start(seed, dtype)
    return TrainingState(theta, plan.optimizer.start(theta[: network.layout.n_trained]), seed)


def run(network, samples, plan=PLAN, n_epochs=1, state=None, standard=None, n_threads=1):
    state = start(network, plan) if state is None else state
    with Engine(n_threads, state.theta.dtype) as engine:
        epochs = train(Course(network, samples, standard, plan), state, engine)
        return state, [next(epochs) for _ in range(n_epochs)]


def arrays(network, state):
    return {name: array.copy() for name, array in network.layout.arrays(state.theta)}
