"""What ``predict_proba`` of one image costs beyond its arithmetic."""

from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from sknpcnn._network.network import Network
from sknpcnn.layers import Conv2D, Dense
from sknpcnn.layers.steps import with_shapes
from sknpcnn.spec import as_pair

from . import networks, ours, timing


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Time one image, and the bare matrix products that a network does for it, on one thread."""
    network = networks.network(name)
    X, _ = networks.data(network.image, 1)
    clf = ours.fitted(name, 1, networks.parameters(network))
    products = products_of(network)
    turn = timing.TURN / 4
    turns: dict[str, Callable[[], float]] = {}
    with threadpool_limits(1):
        for way, task in (("ours", lambda: clf.predict_proba(X)), ("products", products)):
            turns[way] = timing.repeated(task, timing.repeats(task, turn))
        found = timing.alternate(turns, rounds)
    medians = timing.medians(found)
    overhead = medians["ours"] - medians["products"]
    return {**medians, "overhead": overhead, "seconds": found}


def products_of(network: Network) -> Callable[[], None]:
    """Make a function that does the products of all layers, on arrays that lie ready."""
    rng = np.random.default_rng(0)
    operands = []
    for _, layer, shape in with_shapes(network.steps, network.image):
        if isinstance(layer, Conv2D):
            kh, kw = as_pair(layer.kernel_size)
            h, w, filters = layer.output_shape(shape)
            sizes = h * w, kh * kw * shape[2], filters
        elif isinstance(layer, Dense):
            sizes = 1, shape[0], layer.units
        else:
            continue
        m, k, n = sizes
        a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
        operands.append((a, b, np.empty((m, n), np.float32)))

    def products() -> None:
        for a, b, out in operands:
            np.matmul(a, b, out=out)

    return products
