"""Do both sides compute the same? Looked at before anything is timed."""

import numpy as np
import torch
from torch.nn import functional

from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import Network
from sknpcnn.layers import BatchNorm
from sknpcnn.losses import CrossEntropy, softmax
from sknpcnn.optimizers import Adam

from . import networks, ours
from .torch_networks import arrays_of, module_of

MAX_IMAGES, MAX_PIXELS = 16, 2**15
TOLERANCES = {np.float64: 1e-8, np.float32: 1e-4}
UPDATES = 3
# Adam divides a gradient by its size plus epsilon: with the usual 1e-8, a gradient of about nothing
# makes a step of full size out of its last digits, and these differ between any two programs.
EPSILON = 1e-4
# A number near zero may round to either side of it, and then the gradients of a rectifier differ
# by more than rounding; so in single precision a few draws are made, of which one has to agree.
DRAWS = 5


def check(name: str, n: int | None = None) -> dict[str, float]:
    """Compare loss, gradients, predictions and updates with PyTorch's; return the errors.

    Of large images there are few: where a rectifier is decided by rounding, gradients differ, and
    the more pixels there are, the nearer to zero some of them come.

    Raises
    ------
    AssertionError
        Where they are further apart than rounding explains.
    """
    h, w, _ = networks.network(name).image
    n = n or min(max(MAX_PIXELS // (h * w), 2), MAX_IMAGES)
    errors = compare(name, n, np.float64)
    _demand(name, errors, np.float64)
    _demand(name, {"updates": compare_updates(name, n)}, np.float64)
    for seed in range(DRAWS):
        errors = compare(name, n, np.float32, seed)
        if max(errors.values()) <= TOLERANCES[np.float32]:
            break
    _demand(name, errors, np.float32)
    return errors


def compare(name: str, n: int, dtype: type, seed: int = 0) -> dict[str, float]:
    """Measure how far apart one mini-batch's loss, gradients and predictions are, relatively."""
    network = networks.network(name)
    X, y = networks.data(network.image, n, dtype, seed)
    theta = networks.parameters(network, dtype, seed)
    rows, grad = Rows(X.reshape(n, -1), network.image), np.full_like(theta, np.nan)
    with Engine(1, dtype) as engine:
        proba = softmax(network.logits(theta, rows, engine))
        loss, _ = network.learn(theta, grad, rows, y, None, engine, CrossEntropy())

    module, images = module_of(network, theta), torch.from_numpy(X).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected_proba = functional.softmax(module.eval()(images), 1).numpy()
    expected_loss = functional.cross_entropy(module.train()(images), torch.from_numpy(y))
    expected_loss.backward()
    expected = arrays_of(network, module, gradients=True)
    found = dict(network.layout.arrays(grad))
    errors = {
        "loss": abs(loss / n / expected_loss.item() - 1),
        "predictions": _distance(proba, expected_proba),
    }
    without = _biases_without_effect(network)
    for array, values in expected.items():
        scale = expected[array.removesuffix("b") + "W"] if array in without else values
        errors[f"gradient of {array}"] = _distance(found[array], values, scale)
    return errors


def compare_updates(name: str, n: int) -> float:
    """Train some steps in double precision; return how far apart the parameters then are."""
    network = networks.network(name)
    X, y = networks.data(network.image, n, np.float64)
    theta = networks.parameters(network, np.float64)
    state = ours.start(network, theta)
    with Engine(1, np.float64) as engine:
        rule = Adam(epsilon=EPSILON)
        epochs = ours.epochs(network, state, engine, X, y, n, 1, shuffle=False, optimizer=rule)
        for _ in range(UPDATES):
            next(epochs)

    module = module_of(network, theta).train()
    optimizer = torch.optim.Adam(module.parameters(), ours.LEARNING_RATE, eps=EPSILON, fused=True)
    images, labels = torch.from_numpy(X).permute(0, 3, 1, 2), torch.from_numpy(y)
    for _ in range(UPDATES):
        optimizer.zero_grad()
        functional.cross_entropy(module(images), labels).backward()
        optimizer.step()
    found, before = dict(network.layout.arrays(state.theta)), dict(network.layout.arrays(theta))
    steps = {
        array: (found[array] - before[array], values - before[array])
        for array, values in arrays_of(network, module).items()
        # the running variance is that of the batch, in PyTorch its unbiased estimate
        if network.layout.parameters[array].running is None
    }
    without = _biases_without_effect(network)
    return max(_distance(*pair) for array, pair in steps.items() if array not in without)


def _biases_without_effect(network: Network) -> set[str]:
    """Name the biases that a batch norm takes away again: their gradients are all rounding."""
    pairs = zip(network.steps, network.steps[1:], strict=False)
    return {f"{name}.b" for (name, _), (_, layer) in pairs if isinstance(layer, BatchNorm)}


def _distance(a: np.ndarray, b: np.ndarray, scale: np.ndarray | None = None) -> float:
    return float(np.abs(a - b).max() / np.abs(b if scale is None else scale).max())


def _demand(name: str, errors: dict[str, float], dtype: type) -> None:
    worst = max(errors, key=lambda what: errors[what])
    if not errors[worst] <= TOLERANCES[dtype]:  # NaN is an error too
        raise AssertionError(
            f"Network {name} in {dtype.__name__}: {worst} differs from PyTorch's by "
            f"{errors[worst]:.2g}, relatively; allowed: {TOLERANCES[dtype]:g}."
        )
