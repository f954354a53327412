"""Peak memory of one task, beyond the data: each has a process of its own."""

import numpy as np
from joblib import parallel_config

from . import networks, ours, timing

FITTED, PREDICTED, EPOCHS = 2048, 10_000, 2


def our_fit(name: str, threads: int, batch: int) -> float:
    X, y = networks.data(networks.network(name).image, FITTED)
    clf = ours.classifier(name, threads, batch, max_iter=EPOCHS)
    return timing.peak_memory(lambda: clf.fit(X, y))


def our_fit_together(name: str, processes: int, batch: int) -> float:
    """Measure the peak of all processes."""
    X, y = networks.data(networks.network(name).image, FITTED)
    clf = ours.classifier(name, processes, batch, max_iter=EPOCHS)
    with parallel_config("loky"):
        return timing.peak_memory_of_all(lambda: clf.fit(X, y))


def torch_fit(name: str, threads: int, batch: int, layout: str) -> float:
    import torch

    from .against_torch import torch_images, torch_steps

    torch.set_num_threads(threads)
    network = networks.network(name)
    theta = networks.parameters(network)
    X, y = networks.data(network.image, FITTED)
    # the data in PyTorch's layout are data; the steps then find them as they are
    X = torch_images(X, layout).permute(0, 2, 3, 1).numpy()

    def fit() -> None:
        steps = torch_steps(name, theta, X, y, batch, layout)
        for _ in range(EPOCHS * FITTED // batch):
            next(steps)

    return timing.peak_memory(fit)


def our_prediction(name: str, threads: int) -> float:
    network = networks.network(name)
    X, _ = networks.data(network.image, PREDICTED)
    clf = ours.fitted(name, threads, networks.parameters(network))
    return timing.peak_memory(lambda: clf.predict_proba(X))


def torch_prediction(name: str, threads: int, layout: str, size: int) -> float:
    import torch

    from .against_torch import torch_images
    from .against_torch import torch_prediction as prediction

    torch.set_num_threads(threads)
    network = networks.network(name)
    X, _ = networks.data(network.image, PREDICTED)
    X = torch_images(X, layout).permute(0, 2, 3, 1).numpy()
    predict = prediction(name, networks.parameters(network, np.float32), X, layout, size)
    return timing.peak_memory(lambda: predict(slice(0, PREDICTED)))
