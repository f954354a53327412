"""Our side of the comparisons: the real training loop and the real classifier."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from joblib import parallel_config

from sknpcnn import NumpyCNNClassifier
from sknpcnn._engine.engine import Engine
from sknpcnn._network.network import Network
from sknpcnn._network.samples import Samples
from sknpcnn._training.classes import Classes
from sknpcnn._training.loop import Course, Epoch, train
from sknpcnn._training.state import TrainingPlan, TrainingState
from sknpcnn._training.together import Together, choose_team
from sknpcnn.losses import CrossEntropy
from sknpcnn.optimizers import Adam, Optimizer
from sknpcnn.schedules import NAMED

from . import networks, timing

ADAM = Adam()
LEARNING_RATE = 1e-3
IMAGES = 2048  # that mini-batches are drawn from
MANY_STEPS = 10**7  # of a fit that takes long, whatever the network


def plan(batch: int, shuffle: bool = True, optimizer: Optimizer = ADAM) -> TrainingPlan:
    """Plan training with Adam, without anything that PyTorch does not do next to it."""
    return TrainingPlan(
        optimizer=optimizer,
        schedule=NAMED["constant"],
        learning_rate=LEARNING_RATE,
        max_iter=1,
        n_epochs=1,
        batch_size=batch,
        shuffle=shuffle,
        alpha=0.0,
        clip_norm=None,
        loss=CrossEntropy(),
        target=Classes(np.arange(networks.CLASSES)),
    )


def epochs(
    network: Network,
    state: TrainingState,
    engine: Engine,
    X: np.ndarray,
    y: np.ndarray,
    batch: int,
    steps: int,
    shuffle: bool = True,
    optimizer: Optimizer = ADAM,
    processes: int | None = 1,
) -> Iterator[Epoch]:
    """Train in epochs of so many mini-batches, drawn from the images again and again.

    On the threads of the engine, in several processes, or with None in whatever a fit would choose
    that takes long. An epoch's ``seconds`` hold all that its
    steps cost: selecting the rows, laying them out, forward, backward and the optimizer; not the
    copy of the state that ``train`` makes before it.
    """
    index = np.arange(steps * batch) % len(X)
    samples = Samples(X.reshape(len(X), -1), y, None, index)
    course = Course(network, samples, None, plan(batch, shuffle, optimizer))
    if processes == 1:
        yield from train(course, state, engine)
        return
    many = MANY_STEPS // steps
    chosen = choose_team(course, state, engine, many)
    with chosen if processes is None else Together(course, processes, engine) as team:
        yield from train(course, state, engine, team=team)


def start(network: Network, theta: np.ndarray) -> TrainingState:
    """Make the state that training starts from."""
    memory = Adam().start(theta[: network.layout.n_trained])
    return TrainingState(theta.copy(), memory, seed=0)


def classifier(name: str, threads: int, batch: int = 128, **parameters: object):
    """Make a classifier of one of the networks."""
    _, layers = networks.NETWORKS[name]
    return NumpyCNNClassifier(
        layers=layers,
        learning_rate="constant",
        batch_size=batch,
        n_iter_no_change=np.inf,
        standardize=False,
        random_state=0,
        n_jobs=threads,
        dtype=np.float32,
        **parameters,
    )


def fitted(name: str, threads: int, theta: np.ndarray):
    """Make a classifier that predicts with these parameters."""
    network = networks.network(name)
    X, y = networks.data(network.image, 2 * networks.CLASSES)
    clf = classifier(name, threads, batch=len(X), max_iter=1).fit(X, y)
    return clf.set_weights(dict(network.layout.arrays(theta)))


def alone(name: str, threads: int, batch: int, rounds: int, n_predicted: int) -> dict[str, Any]:
    """Time training steps and predictions without PyTorch in the process; in images/s."""
    network = networks.network(name)
    X, y = networks.data(network.image, max(IMAGES, batch))
    theta = networks.parameters(network)
    with Engine(threads, np.float32) as engine:
        state = start(network, theta)
        trial = epochs(network, state, engine, X, y, batch, 1)
        times = timing.repeats(lambda: next(trial))
        whole = epochs(network, state, engine, X, y, batch, times, processes=None)
        steps = timing.alternate({"ours": lambda: next(whole).seconds / times}, rounds)
    result: dict[str, Any] = {"training": batch / timing.medians(steps)["ours"]}
    result["seconds"] = {"training": steps["ours"]}
    if not n_predicted:
        return result
    clf = fitted(name, threads, theta)
    X, _ = networks.data(network.image, n_predicted)
    with parallel_config(backend="loky"):  # in processes, which wait for the next call
        times = timing.repeats(lambda: clf.predict_proba(X))
        turn = timing.repeated(lambda: clf.predict_proba(X), times)
        predictions = timing.alternate({"ours": turn}, rounds)
    result["prediction"] = n_predicted / timing.medians(predictions)["ours"]
    result["seconds"]["prediction"] = predictions["ours"]
    return result
