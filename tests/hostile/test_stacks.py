"""Random stacks, with layers of users' own among them, against PyTorch, with tapes and without."""

import os

import numpy as np
import pytest

from sknpcnn._engine import parallel
from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import Network
from sknpcnn.layers import (
    ELU,
    GELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Identity,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)
from sknpcnn.losses import CrossEntropy
from sknpcnn.spec import named
from tests.hostile import NIGHTLY
from tests.layers.own_layers import (
    Centered,
    Hidden,
    Mirror,
    Named,
    NewBatchNorm,
    NewDense,
    Prepared,
    Scale,
    Square,
    Twice,
    WholeBatch,
)
from tests.layers.torch_layers import to_torch, torch_forward

SEEDS = range(500) if NIGHTLY else range(25)
FIRST = int.from_bytes(os.urandom(4), "little") if NIGHTLY else 0  # other ones each night
STEPS, CLASSES = 8, 3


def own_in_torch(torch, layer, params, x):
    """Compute in PyTorch what a layer of ``own_layers`` does; None for any other layer."""
    functions = {
        Square: lambda: x * x,
        WholeBatch: lambda: x * x,
        Scale: lambda: x * _per_channel(params["factor"], x),
        Named: lambda: 0.5 * x * x,
        Hidden: lambda: torch.tanh(x),
        Prepared: lambda: x + 2 * _per_channel(params["shift"], x),
        Centered: lambda: x - x.mean(tuple(range(1, x.ndim)), keepdim=True),
        Mirror: lambda: x + x.flip(1),
        Twice: lambda: 2 * forward(torch, layer.layers, params, x),
        NewDense: lambda: torch_forward(torch, Dense(layer.units), params, x),
        NewBatchNorm: lambda: torch_forward(torch, BatchNorm(), params, x),
    }
    return functions[type(layer)]() if type(layer) in functions else None


def _per_channel(values, x):
    return values[:, None, None] if x.ndim == 4 else values


def forward(torch, steps, params, x):
    """Run steps in PyTorch, with layers of users' own anywhere among them."""
    for name, layer in steps:
        inside = params.get(name, {})
        y = own_in_torch(torch, layer, inside, x)
        if y is None and type(layer) is Sequential:
            y = forward(torch, layer.layers, inside, x)
        elif y is None and type(layer) is Residual:
            y = sum(forward(torch, steps, inside, x) for steps in layer.branches)
        x = torch_forward(torch, layer, inside, x) if y is None else y
    return x


def draw_stack(rng):
    """Draw a network for small images, with composites and layers of all kinds."""
    h, w, c = (int(n) for n in rng.integers([5, 5, 1], [10, 10, 4]))
    shape, steps = (h, w, c), []

    def pick(*things):
        return things[rng.integers(len(things))]

    def own():
        kinds = [Square, WholeBatch, Scale, Named, Hidden, Prepared, Centered, Mirror, NewBatchNorm]
        return pick(*kinds, lambda: Twice([Scale(), NewBatchNorm()]))()

    def activation():
        return pick(ReLU, Tanh, ELU, GELU, SiLU, Sigmoid, LeakyReLU, Identity)()

    def convolution(filters=None):
        kernel = pick(1, 3, 5, (3, 1), (2, 3))
        return Conv2D(filters or int(pick(2, 3, 8, 9)), kernel, bias=pick(True, False, "position"))

    for _ in range(rng.integers(2, 7)):
        filters = shape[2]
        inner = [convolution(filters), pick(own, activation, BatchNorm)(), convolution(filters)]
        layer = pick(
            convolution,
            activation,
            own,
            own,
            BatchNorm,
            lambda: MaxPool2D(pick(2, 3), padding="same"),
            lambda: AvgPool2D(2, padding="same"),
            lambda inner=inner: Residual(inner, shortcut=pick(None, own(), BatchNorm())),
            lambda inner=inner: Sequential(inner),
        )()
        shape = layer.output_shape(shape)
        steps.append(layer)
    if rng.integers(2):
        steps += [pick(Flatten, GlobalAvgPool2D)(), pick(own, activation)()]
        steps += [
            pick(Dense, NewDense)(int(rng.integers(2, 9))),
            pick(own, activation, BatchNorm)(),
        ]
    return named(steps), (h, w, c)


def train(network, rng, n_threads, chunk, monkeypatch, tapes=True):
    """Take some steps; return gradients, and logits in prediction, of each of them."""
    theta = network.layout.start(int(rng.integers(2**31)), np.float64)
    theta += rng.uniform(0, 0.2, theta.size)
    grad, found = np.zeros_like(theta), []
    with monkeypatch.context() as patch, Engine(n_threads, theta.dtype) as engine:
        patch.setattr(parallel, "MAX_CHUNK_SIZE", chunk)
        if not tapes:
            patch.setattr(parallel, "_tape_set", lambda *args: None)
        for step in range(STEPS):
            n = 7 if step == 5 else 12
            X = rng.normal(size=(n, np.prod(network.image)))
            classes = rng.integers(0, CLASSES, n)
            rows = Rows(X, network.image)
            network.learn(theta, grad, rows, classes, None, engine, CrossEntropy(), step)
            found.append((theta.copy(), X, classes, grad.copy()))
            theta -= 1e-3 * grad / (1 + np.abs(grad).max())
            found.append((network.logits(theta, rows, engine),))
    return found


def torch_gradient(torch, network, theta, X, classes):
    """The gradient by PyTorch's automatic differentiation; running averages are left out."""
    tensors = to_torch(torch, network.layout.views(theta))
    images = torch.tensor(X.reshape(-1, *network.image).transpose(0, 3, 1, 2).copy())
    logits = forward(torch, network.steps, tensors, images)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(classes))
    loss.backward()
    grad = np.zeros_like(theta)
    for name, array in network.layout.arrays(grad):
        tensor = tensors
        for part in name.split("."):
            tensor = tensor[part]
        if tensor.grad is not None:
            array[...] = tensor.grad.numpy()
    return grad, float(loss.detach())


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_random_stacks_agree_with_pytorch_and_tapes_change_no_bit(seed, monkeypatch):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng([FIRST, seed])
    steps, image = draw_stack(rng)
    network = Network(steps, image, CLASSES)
    chunk = int(rng.choice([2**8, 2**12, 2**20]))
    state = rng.bit_generator.state
    runs = []
    for n_threads, tapes in ((1, True), (2, True), (1, False)):
        rng.bit_generator.state = state
        runs.append(train(network, rng, n_threads, chunk, monkeypatch, tapes))
    for played, on_threads, directly in zip(*runs, strict=True):
        for a, b, c in zip(played, on_threads, directly, strict=True):
            np.testing.assert_array_equal(a, c, err_msg=f"{FIRST} {seed}: {steps}")
            np.testing.assert_array_equal(b, c, err_msg=f"{FIRST} {seed}: {steps}")
    for theta, X, classes, grad in runs[0][::4]:
        wanted, loss = torch_gradient(torch, network, theta, X, classes)
        trained = slice(0, network.layout.n_trained)
        scale = np.abs(wanted).max() + 1e-300
        np.testing.assert_allclose(
            grad[trained] / scale,
            wanted[trained] / scale,
            atol=1e-8,
            err_msg=f"{FIRST} {seed}: {steps}",
        )
        with Engine(1, np.float64) as engine:
            total, _ = network.learn(
                theta, grad, Rows(X, image), classes, None, engine, CrossEntropy()
            )
        assert total / len(classes) == pytest.approx(loss, rel=1e-9, abs=1e-12)
