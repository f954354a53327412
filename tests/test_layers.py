"""Every layer, through the contract, against the naive reference and against PyTorch."""

from dataclasses import FrozenInstanceError, dataclass, fields
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sknpcnn import layers as exported
from sknpcnn import parallel
from sknpcnn.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Identity,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Tanh,
)
from sknpcnn.layers.compose import parameters
from sknpcnn.parallel import Engine, MiniBatch, RunningContext
from sknpcnn.parameters import Layout
from sknpcnn.testing import check_layer
from tests import reference
from tests.layer_cases import CASES

every_case = pytest.mark.parametrize(
    ("layer", "shape"), [pytest.param(case.layer, case.shape, id=case.id) for case in CASES]
)
# A random mask has no reference; what it promises is tested below.
deterministic_case = pytest.mark.parametrize(
    ("layer", "shape"),
    [pytest.param(c.layer, c.shape, id=c.id) for c in CASES if not c.layer.random],
)


def in_network(x):
    """Turn images (n, h, w, c) height first, or back; vectors stay as they are."""
    return np.swapaxes(x, 0, 1) if x.ndim == 4 else x


def run(layer, params, x, dy, weights=None, key=1, name="layer", training=True):
    """Run a layer on ordinary arrays, (n, h, w, c) or (n, features)."""
    grads = zeros_like(params)
    with Engine(1, x.dtype) as engine:
        ctx = RunningContext(engine, MiniBatch(len(x), training, key, weights))
        with ctx.inside(name):
            y, cache = layer.forward(params, in_network(x), ctx)
            y = in_network(y).copy()
            dx = layer.backward(params, cache, in_network(dy), grads, ctx)
        return y, in_network(dx).copy(), grads


def predict(layer, params, x):
    with Engine(1, x.dtype) as engine:
        ctx = RunningContext(engine, MiniBatch(len(x), training=False))
        return in_network(layer.forward(params, in_network(x), ctx)[0]).copy()


def zeros_like(tree):
    if isinstance(tree, np.ndarray):
        return np.zeros_like(tree)
    return {name: zeros_like(branch) for name, branch in tree.items()}


def example(layer, shape, n=3, seed=0, dtype=np.float64):
    """Draw parameters, input and the gradient of the output."""
    rng = np.random.default_rng(seed)
    layout = Layout(parameters([("layer", layer)], shape))
    theta = layout.start(seed, dtype) + rng.uniform(0.0, 0.5, layout.size).astype(dtype)
    x = rng.normal(size=(n, *shape)).astype(dtype)
    dy = rng.normal(size=(n, *layer.output_shape(shape))).astype(dtype)
    return layout.views(theta).get("layer", {}), x, dy


def naive(layer, params, x, dy, weights=None):
    """Return what ``run`` should: y, dx and the gradients, from the reference."""
    if isinstance(layer, (Sequential, Residual)):
        return naive_composition(layer, params, x, dy, weights)
    options = {field.name: getattr(layer, field.name) for field in fields(layer)}
    if isinstance(layer, Conv2D):
        places = {name: options[name] for name in ("stride", "padding", "dilation")}
        y = reference.conv2d(x, params["W"], params.get("b"), **places)
        dx, dW, per_filter, per_pixel = reference.conv2d_gradients(x, params["W"], dy, **places)
        db = per_pixel if layer.bias == "position" else per_filter
        return y, dx, {"W": dW, "b": db} if layer.bias else {"W": dW}
    if isinstance(layer, Dense):
        y = reference.dense(x, params["W"], params.get("b"))
        dx, dW, db = reference.dense_gradients(x, params["W"], dy)
        return y, dx, {"W": dW, "b": db} if layer.bias else {"W": dW}
    if isinstance(layer, BatchNorm):
        return naive_batch_norm(layer, params, x, dy, weights)
    if isinstance(layer, MaxPool2D):
        dx = reference.max_pool_gradient(x, dy, **options)
        return reference.max_pool(x, **options)[0], dx, {}
    if isinstance(layer, AvgPool2D):
        dx = reference.avg_pool_gradient(x, dy, **options)
        return reference.avg_pool(x, **options), dx, {}
    if isinstance(layer, GlobalAvgPool2D):
        return reference.global_avg_pool(x), reference.global_avg_pool_gradient(x, dy), {}
    if isinstance(layer, Flatten):
        return reference.flatten(x), reference.flatten_gradient(x, dy), {}
    if isinstance(layer, Dropout):
        assert layer.rate == 0
        return x, dy, {}
    function, derivative = reference.ACTIVATIONS[type(layer).__name__]
    y = reference.apply(function, x, **options)
    return y, dy * reference.apply(derivative, x, **options), {}


def naive_batch_norm(layer, params, x, dy, weights):
    frozen = layer.lr_scale == 0
    running = params["mean"], params["var"]
    mean, var = running if frozen else reference.batch_moments(x, weights)
    y = reference.batch_norm(x, params["gamma"], params["beta"], mean, var, layer.epsilon)
    dx, d_gamma, d_beta = reference.batch_norm_gradients(
        x, dy, params["gamma"], mean, var, layer.epsilon, weights, constant=frozen
    )
    return y, dx, {"gamma": d_gamma, "beta": d_beta, "mean": mean, "var": var}


def naive_composition(layer, params, x, dy, weights):
    y, dx, grads = naive_steps(layer.steps, params, x, dy, weights)
    if isinstance(layer, Residual):
        around, dx_around, more = naive_steps(layer.around, params, x, dy, weights)
        return y + around, dx + dx_around, grads | more
    return y, dx, grads


def naive_steps(steps, params, x, dy, weights):
    xs = [x]
    for name, layer in steps:
        nothing = np.zeros((len(x), *layer.output_shape(xs[-1].shape[1:])))
        xs.append(naive(layer, params.get(name, {}), xs[-1], nothing, weights)[0])
    grads = {}
    for (name, layer), x_in in zip(reversed(steps), reversed(xs[:-1]), strict=True):
        _, dy, grads[name] = naive(layer, params.get(name, {}), x_in, dy, weights)
    return xs[-1], dy, {name: g for name, g in grads.items() if g}


def assert_same(found, expected, tolerance=1e-10):
    """Compare y, dx and all gradients, which may be nested."""
    for one, two in zip(found, expected, strict=True):
        assert_same_tree(one, two, tolerance)


def assert_same_tree(one, two, tolerance):
    if isinstance(two, dict):
        assert one.keys() == two.keys()
        for name in two:
            assert_same_tree(one[name], two[name], tolerance)
    else:
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)


# The table


def test_every_exported_layer_is_in_the_table():
    named = {getattr(exported, name) for name in exported.__all__} - {Layer}
    assert named == {type(case.layer) for case in CASES}


def test_every_option_of_every_layer_is_in_the_table():
    for kind in {type(case.layer) for case in CASES}:
        for field in fields(kind):
            values = {getattr(case.layer, field.name) for case in CASES if type(case.layer) is kind}
            assert len(values) > 1, f"the table has one {kind.__name__}.{field.name} only"


def test_the_names_in_the_table_are_unique():
    assert len({case.id for case in CASES}) == len(CASES)


# The contract


@every_case
def test_layer_keeps_its_promises(layer, shape):
    check_layer(layer, shape)


@every_case
def test_layer_keeps_its_promises_in_the_smallest_chunks_and_tiles(layer, shape, monkeypatch):
    monkeypatch.setattr(parallel, "CHUNK", 1)
    monkeypatch.setattr(parallel, "TILE", 1)
    check_layer(layer, shape)


@every_case
def test_chunks_and_tiles_do_not_change_the_result(layer, shape, monkeypatch):
    params, x, dy = example(layer, shape, n=5)
    whole = run(layer, params, x, dy)
    monkeypatch.setattr(parallel, "CHUNK", 40)
    monkeypatch.setattr(parallel, "TILE", 40)
    assert_same(run(layer, params, x, dy), whole)


frozen = dataclass(frozen=True, repr=False)


@frozen
class Doubling(Layer):
    """A layer that keeps all promises, for subclasses that break one."""

    def forward(self, params, x, ctx):
        return np.multiply(x, 2, out=ctx.empty(x.shape, x.dtype)), None

    def backward(self, params, cache, dy, grads, ctx):
        return np.multiply(dy, 2, out=ctx.empty(dy.shape, dy.dtype))


@frozen
class Learning(Doubling):
    """Adds a bias, as Dense does."""

    def parameters(self, shape):
        return Dense(shape[-1]).parameters(shape[-1:])

    def forward(self, params, x, ctx):
        return x @ params["W"] + params["b"], x

    def backward(self, params, cache, dy, grads, ctx):
        grads["W"][...] = cache.T @ dy
        grads["b"][...] = dy.sum(axis=0)
        return dy @ params["W"].T


@frozen
class ModifiesInput(Doubling):
    def forward(self, params, x, ctx):
        return np.multiply(x, 2, out=x), None


@frozen
class ModifiesGradient(Doubling):
    def backward(self, params, cache, dy, grads, ctx):
        return np.multiply(dy, 2, out=dy)


@frozen
class ModifiesParameters(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        params["b"] -= 0.1
        return super().backward(params, cache, dy, grads, ctx)


@frozen
class WritesHalfOfAGradient(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        grads["W"][:1] = (cache.T @ dy)[:1]
        grads["b"][...] = dy.sum(axis=0)
        return dy @ params["W"].T


@frozen
class AddsToGradients(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        grads["W"][...] = cache.T @ dy
        grads["b"] += dy.sum(axis=0)
        return dy @ params["W"].T


@frozen
class WrongInputGradient(Doubling):
    def backward(self, params, cache, dy, grads, ctx):
        return dy * 2.0001


@frozen
class WrongBiasGradient(Learning):
    def backward(self, params, cache, dy, grads, ctx):
        dx = super().backward(params, cache, dy, grads, ctx)
        grads["b"] *= 0.999
        return dx


@frozen
class WidensFloats(Doubling):
    def forward(self, params, x, ctx):
        return x * np.float64(2), None


@frozen
class AnnouncesAnotherShape(Doubling):
    def output_shape(self, shape):
        return (*shape[:-1], shape[-1] + 1)


@frozen
class LooksAtOtherSamples(Doubling):
    def forward(self, params, x, ctx):
        return 2 * x - 2 * x.mean(axis=0), None

    def backward(self, params, cache, dy, grads, ctx):
        return 2 * dy - 2 * dy.mean(axis=0)


@frozen
class PredictsTogether(Doubling):
    def forward(self, params, x, ctx):
        return (2 * x if ctx.training else 2 * x - x.mean(axis=0)), None


@frozen
class IgnoresWeights(Doubling):
    whole_batch = True

    def forward(self, params, x, ctx):
        return (2 * x - 2 * x.mean(axis=0) if ctx.training else 2 * x), None

    def backward(self, params, cache, dy, grads, ctx):
        return 2 * dy - 2 * dy.mean(axis=0)


@frozen
class DrawsFromAStream(Doubling):
    stream = np.random.default_rng(0)

    def forward(self, params, x, ctx):
        return 2 * x + 1e-9 * self.stream.random(), None


@frozen
class RemembersInScratch(Doubling):
    def forward(self, params, x, ctx):
        kept = np.multiply(x, x, out=ctx.scratch(x.shape, x.dtype))
        return x * x * x / 3, kept

    def backward(self, params, cache, dy, grads, ctx):
        return dy * cache


@frozen
class RemembersOnItself(Doubling):
    def forward(self, params, x, ctx):
        object.__setattr__(self, "x", x)
        return 2 * x, None


class CanBeChanged(Doubling):
    """Lacks the decorator."""


@pytest.mark.parametrize("layer", [Doubling(), Learning()])
def test_check_layer_accepts_a_layer_that_keeps_its_promises(layer):
    check_layer(layer, (4,))


@pytest.mark.parametrize(
    ("layer", "broken"),
    [
        (ModifiesInput(), "modifies x"),
        (ModifiesGradient(), "modifies dy"),
        (ModifiesParameters(), "modifies params"),
        (WritesHalfOfAGradient(), "does not write all of the gradient of W"),
        (AddsToGradients(), "does not write all of the gradient of b"),
        (WrongInputGradient(), "wrong gradient of x"),
        (WrongBiasGradient(), "wrong gradient of b"),
        (WidensFloats(), "y is float64 where x is float32"),
        (AnnouncesAnotherShape(), r"y is of shape \(5, 4\), not \(5, 5\)"),
        (LooksAtOtherSamples(), "depends on how the batch is cut up"),
        (PredictsTogether(), "the prediction of a sample depends on the other samples"),
        (IgnoresWeights(), "a sample of weight two"),
        (DrawsFromAStream(), "another result when it runs again"),
        (RemembersInScratch(), "wrong gradient of x"),
        (RemembersOnItself(), "has changed it"),
        (CanBeChanged(), "can be set"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else "",
)
def test_check_layer_names_the_broken_promise(layer, broken):
    with pytest.raises(AssertionError, match=broken):
        check_layer(layer, (4,))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layer_is_immutable(case):
    before = repr(case.layer)
    for name in [*(field.name for field in fields(case.layer)), "anything"]:
        with pytest.raises(FrozenInstanceError):
            setattr(case.layer, name, None)
    assert repr(case.layer) == before


@pytest.mark.parametrize(
    ("with_list", "with_tuple"),
    [
        (Conv2D(2, [3, 1]), Conv2D(2, (3, 1))),
        (Conv2D(2, stride=[2, 1]), Conv2D(2, stride=(2, 1))),
        (Conv2D(2, padding=[0, 1]), Conv2D(2, padding=(0, 1))),
        (Conv2D(2, dilation=[1, 2]), Conv2D(2, dilation=(1, 2))),
        (MaxPool2D([2, 1]), MaxPool2D((2, 1))),
        (MaxPool2D(3, stride=[1, 2]), MaxPool2D(3, stride=(1, 2))),
        (AvgPool2D(3, padding=[1, 0]), AvgPool2D(3, padding=(1, 0))),
    ],
)
def test_a_pair_given_as_a_list_makes_the_same_hashable_layer(with_list, with_tuple):
    assert with_list == with_tuple
    assert hash(with_list) == hash(with_tuple)


# The reference


@deterministic_case
def test_layer_computes_what_the_reference_does(layer, shape):
    params, x, dy = example(layer, shape)
    assert_same(run(layer, params, x, dy), naive(layer, params, x, dy))


@pytest.mark.parametrize("case", [c for c in CASES if c.layer.whole_batch and not c.layer.random])
def test_weighted_layer_computes_what_the_reference_does(case):
    params, x, dy = example(case.layer, case.shape, n=4)
    weights = np.array([0.5, 2.0, 0.0, 1.3])
    found = run(case.layer, params, x, dy, weights)
    assert_same(found, naive(case.layer, params, x, dy, weights))


@pytest.mark.parametrize("shape", [(4, 3, 2), (5,)])
def test_batch_norm_predicts_with_its_running_averages(shape):
    layer = BatchNorm(epsilon=0.01)
    p, x, _ = example(layer, shape)
    expected = reference.batch_norm(x, p["gamma"], p["beta"], p["mean"], p["var"], 0.01)
    np.testing.assert_allclose(predict(layer, p, x), expected, rtol=1e-12)


def test_batch_norm_is_exact_far_from_zero():
    layer = BatchNorm()
    params, x, dy = example(layer, (3, 3, 2))
    near, far = (run(layer, params, x + shift, dy) for shift in (0.0, 1e6))
    assert_same(near[:2], far[:2], 1e-5)


def paddings(smaller_than=4):
    pixels = st.integers(0, smaller_than - 1)
    return st.sampled_from(["same", "valid"]) | pixels | st.tuples(pixels, pixels)


def sizes(largest):
    return st.integers(1, largest) | st.tuples(st.integers(1, largest), st.integers(1, largest))


images = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3))


def fits(layer, shape):
    try:
        layer.output_shape(shape)
    except ValueError:
        return False
    return True


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    layer=st.builds(
        Conv2D,
        st.integers(1, 3),
        kernel_size=sizes(4),
        stride=sizes(3),
        padding=paddings(),
        dilation=sizes(3),
        bias=st.sampled_from([True, False, "position"]),
    ),
    shape=images,
    n=st.integers(1, 3),
)
def test_any_convolution_computes_what_the_reference_does(layer, shape, n):
    assume(fits(layer, shape))
    params, x, dy = example(layer, shape, n)
    assert_same(run(layer, params, x, dy), naive(layer, params, x, dy))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from([MaxPool2D, AvgPool2D]),
    size=sizes(4),
    stride=st.none() | sizes(4),
    padding=paddings(3),
    shape=images,
    n=st.integers(1, 3),
    ties=st.booleans(),
)
def test_any_pooling_computes_what_the_reference_does(kind, size, stride, padding, shape, n, ties):
    border = (0, 0) if isinstance(padding, str) else reference.pair(padding)
    assume(all(p < k for p, k in zip(border, reference.pair(size), strict=True)))
    layer = kind(size, stride, padding)
    assume(fits(layer, shape))
    params, x, dy = example(layer, shape, n)
    if ties:
        x = np.round(x)
    assert_same(run(layer, params, x, dy), naive(layer, params, x, dy))


def test_max_pool_gives_a_tie_to_the_first_pixel_in_row_major_order():
    x = np.zeros((1, 4, 4, 1))
    x[0, 2:, 2:, 0] = [[1, 5], [5, 5]]
    _, dx, _ = run(MaxPool2D(2), {}, x, np.ones((1, 2, 2, 1)))
    expected = [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(dx[0, :, :, 0], expected)


@pytest.mark.parametrize("padding", ["same", 1])
def test_padding_never_wins_a_maximum(padding):
    x = np.full((1, 3, 3, 1), -7.0)
    y, dx, _ = run(MaxPool2D(3, stride=2, padding=padding), {}, x, np.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(y, -7.0)
    assert dx.sum() == 4


def test_padding_does_not_count_in_an_average():
    x = np.full((1, 3, 3, 1), 6.0)
    y, _, _ = run(AvgPool2D(3, stride=2, padding=1), {}, x, np.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(y, 6.0)


# PyTorch


def torch_pads(layer, x):
    """Borders for torch.nn.functional.pad: its own ``same`` knows no stride."""
    kernel, stride = getattr(layer, "kernel_size", None), layer.stride
    kernel = layer.size if kernel is None else kernel
    stride = kernel if stride is None else stride
    kernel, stride = reference.pair(kernel), reference.pair(stride)
    dilation = reference.pair(getattr(layer, "dilation", 1))
    pads = []
    for axis in (1, 0):  # PyTorch names the last axis first
        length = x.shape[2 + axis]
        if layer.padding == "same":
            reach = dilation[axis] * (kernel[axis] - 1) + 1
            outputs = -(-length // stride[axis])
            missing = max((outputs - 1) * stride[axis] + reach - length, 0)
            pads += [missing // 2, missing - missing // 2]
        else:
            pixels = 0 if layer.padding == "valid" else reference.pair(layer.padding)[axis]
            pads += [pixels, pixels]
    return pads


def torch_forward(torch, layer, params, x):
    """Run a layer in PyTorch, on images (n, c, h, w) or vectors."""
    F = torch.nn.functional
    if isinstance(layer, Sequential):
        for name, step in layer.steps:
            x = torch_forward(torch, step, params.get(name, {}), x)
        return x
    if isinstance(layer, Residual):
        through = torch_forward(torch, Sequential(layer.steps), params, x)
        return through + torch_forward(torch, Sequential(layer.around), params, x)
    if isinstance(layer, Conv2D):
        padded = F.pad(x, torch_pads(layer, x))
        W = params["W"].permute(3, 2, 0, 1).contiguous()
        y = F.conv2d(padded, W, stride=layer.stride, dilation=layer.dilation)
        b = params.get("b")
        if b is None:
            return y
        return y + (b.permute(2, 0, 1) if layer.bias == "position" else b[:, None, None])
    if isinstance(layer, MaxPool2D):
        padded = F.pad(x, torch_pads(layer, x), value=-torch.inf)
        return F.max_pool2d(padded, layer.size, layer.stride)
    if isinstance(layer, AvgPool2D):
        pads = torch_pads(layer, x)
        sums, inside = (
            F.avg_pool2d(F.pad(images, pads), layer.size, layer.stride)
            for images in (x, torch.ones_like(x))
        )
        return sums / inside
    if isinstance(layer, Dense):
        return F.linear(x, params["W"].T, params.get("b"))
    if isinstance(layer, BatchNorm):
        frozen = layer.lr_scale == 0
        moments = [params[name].detach() if frozen else None for name in ("mean", "var")]
        gamma, beta = params["gamma"], params["beta"]
        return F.batch_norm(x, *moments, gamma, beta, not frozen, eps=layer.epsilon)
    functions = {
        "Dropout": lambda x: x,  # of rate 0
        "ELU": lambda x: F.elu(x, layer.scale),
        "Flatten": lambda x: x.permute(0, 2, 3, 1).flatten(1),
        "GELU": F.gelu,
        "GlobalAvgPool2D": lambda x: x.mean((2, 3)),
        "Identity": lambda x: x,
        "LeakyReLU": lambda x: F.leaky_relu(x, layer.slope),
        "ReLU": torch.relu,
        "SiLU": F.silu,
        "Sigmoid": torch.sigmoid,
        "Tanh": torch.tanh,
    }
    return functions[type(layer).__name__](x)


def to_torch(torch, tree):
    if isinstance(tree, dict):
        return {name: to_torch(torch, branch) for name, branch in tree.items()}
    return torch.tensor(tree, requires_grad=True)


def assert_torch_gradients(found, tensors):
    for name, branch in tensors.items():
        if isinstance(branch, dict):
            assert_torch_gradients(found[name], branch)
        elif name not in ("mean", "var"):  # running averages, which PyTorch does not learn
            np.testing.assert_allclose(found[name], branch.grad.numpy(), rtol=1e-9, atol=1e-9)


@deterministic_case
def test_layer_computes_what_pytorch_does(layer, shape):
    torch = pytest.importorskip("torch")
    params, x, dy = example(layer, shape)
    y, dx, grads = run(layer, params, x, dy)
    tensors, tensor = to_torch(torch, params), to_torch(torch, x)
    images = tensor.permute(0, 3, 1, 2) if x.ndim == 4 else tensor
    out = torch_forward(torch, layer, tensors, images)
    out = out.permute(0, 2, 3, 1) if out.ndim == 4 else out
    out.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, out.detach().numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=1e-9, atol=1e-9)
    assert_torch_gradients(grads, tensors)


def test_batch_norm_averages_as_pytorch_does_but_with_the_biased_variance():
    torch = pytest.importorskip("torch")
    n, features = 6, 3
    layer = BatchNorm(momentum=0.9)
    params, x, dy = example(layer, (features,), n)
    _, _, observed = run(layer, params, x, dy)
    momentum = layer.parameters((features,))["var"].running
    theirs = torch.nn.BatchNorm1d(features, momentum=0.1, dtype=torch.float64)
    with torch.no_grad():
        theirs.running_mean.copy_(torch.tensor(params["mean"]))
        theirs.running_var.copy_(torch.tensor(params["var"]))
    theirs(torch.tensor(x))
    mean = momentum * params["mean"] + (1 - momentum) * observed["mean"]
    unbiased = observed["var"] * n / (n - 1)
    var = momentum * params["var"] + (1 - momentum) * unbiased
    np.testing.assert_allclose(mean, theirs.running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(var, theirs.running_var.numpy(), rtol=1e-12)


# Precision


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_convolution_in_single_precision_is_close_to_double(kernel_size):
    layer = Conv2D(32, kernel_size)
    params, x, dy = example(layer, (14, 14, 16), n=8)
    single = {name: array.astype(np.float32) for name, array in params.items()}
    exact = run(layer, params, x, dy)
    rough = run(layer, single, x.astype(np.float32), dy.astype(np.float32))
    for a, b in [*zip(rough[:2], exact[:2], strict=True), *zip_grads(rough[2], exact[2])]:
        assert a.dtype == np.float32
        assert np.abs(a - b).max() < 1e-5 * np.abs(b).max()


def zip_grads(one, two):
    return [(one[name], two[name]) for name in two]


# Dropout


def test_dropout_keeps_the_mean_and_drops_its_rate():
    x = np.ones((200, 100))
    y, dx, _ = run(Dropout(0.3), {}, x, x)
    assert abs((y == 0).mean() - 0.3) < 0.02
    assert abs(y.mean() - 1) < 0.02
    np.testing.assert_array_equal(np.unique(y), [0, 1 / 0.7])
    np.testing.assert_array_equal(dx, y)


def test_dropout_draws_anew_for_every_step_layer_and_sample():
    x = np.ones((2, 400))
    first, other_step, other_layer = (
        run(Dropout(0.5), {}, x, x, key=key, name=name)[0] != 0
        for key, name in [(1, "a"), (2, "a"), (1, "b")]
    )
    for other in (other_step, other_layer, first[::-1]):
        assert 0.4 < (first == other).mean() < 0.6


def test_dropout_does_nothing_in_prediction():
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 2))
    np.testing.assert_array_equal(predict(Dropout(0.5), {}, x), x)


# Architectures that do not fit


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2D(2, 5, padding="valid"), (4, 9, 1), "4x9 pixels, which are smaller than its window"),
        (Conv2D(2, 3, padding="valid", dilation=4), (8, 8, 1), "with dilation 4x4"),
        (Conv2D(2), (10,), "needs images"),
        (MaxPool2D(3), (2, 5, 1), "2x5 pixels, which are smaller than its window of 3x3"),
        (AvgPool2D(3), (5, 2, 1), "5x2 pixels, which are smaller than its window of 3x3"),
        (MaxPool2D(), (10,), "needs images"),
        (GlobalAvgPool2D(), (10,), "needs images"),
        (Flatten(), (10,), "needs images"),
        (Dense(3), (4, 4, 1), r"needs vectors.*Flatten\(\)"),
        (Residual([Conv2D(3)]), (4, 4, 2), r"turn \(4, 4, 2\) into \(4, 4, 3\)"),
        (Residual([Conv2D(3)], Conv2D(3, 1, stride=2)), (4, 4, 2), r"way around into \(2, 2, 3\)"),
        (Sequential([Conv2D(3), Dense(2)]), (4, 4, 1), "layer 'dense_1': .*needs vectors"),
        (
            Sequential([("front", Sequential([MaxPool2D(2), MaxPool2D(4)]))]),
            (6, 6, 1),
            "layer 'front': layer 'maxpool2d_2': .*3x3 pixels",
        ),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_with_a_reason(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer.output_shape(shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D(0), "Conv2D: filters=0; needed: an integer of at least 1"),
        (lambda: Conv2D(2.0), "filters=2.0"),
        (lambda: Conv2D(2, (3, 0)), r"kernel_size=\(3, 0\)"),
        (lambda: Conv2D(2, stride=(1, 2, 3)), r"stride=\(1, 2, 3\)"),
        (lambda: Conv2D(2, dilation=0), "dilation=0"),
        (lambda: Conv2D(2, padding="full"), "padding='full'.*'same', 'valid'"),
        (lambda: Conv2D(2, padding=-1), "padding=-1"),
        (lambda: Conv2D(2, padding=(1, -1)), r"padding=\(1, -1\)"),
        (lambda: Conv2D(2, bias="pixel"), "bias='pixel'"),
        (lambda: Conv2D(2, lr_scale=-1), "lr_scale=-1"),
        (lambda: Dense(0), "units=0"),
        (lambda: Dense(2, bias="position"), "bias='position'"),
        (lambda: MaxPool2D(0), "size=0"),
        (lambda: MaxPool2D(2, stride=0), "stride=0"),
        (lambda: MaxPool2D(2, padding=2), "padding=2.*smaller than the window"),
        (lambda: AvgPool2D((3, 1), padding=1), "padding=1.*smaller than the window"),
        (lambda: Dropout(1.0), "rate=1.0"),
        (lambda: BatchNorm(momentum=1.0), "momentum=1.0"),
        (lambda: BatchNorm(epsilon=0), "epsilon=0"),
        (lambda: exported.LeakyReLU(2), "slope=2"),
        (lambda: exported.ELU(0), "scale=0"),
        (lambda: Residual([("shortcut", ReLU())]), "the name 'shortcut' is taken"),
    ],
)
def test_a_hyperparameter_without_sense_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_shortcut_that_is_no_layer_is_refused():
    with pytest.raises(TypeError, match="shortcut='identity'; needed: None or a layer"):
        Residual([ReLU()], shortcut="identity")


# How weights start and how they are trained


def starts_rectified(layers, shape, name):
    return Sequential(layers).parameters(shape)[name].rectified


@pytest.mark.parametrize(
    ("between", "rectified"),
    [
        ([ReLU()], True),
        ([exported.LeakyReLU()], True),
        ([exported.GELU()], True),
        ([BatchNorm(), ReLU()], True),
        ([MaxPool2D(), ReLU()], True),
        ([BatchNorm(), AvgPool2D(), Dropout(), Identity(), ReLU()], True),
        ([Tanh()], False),
        ([BatchNorm(), exported.Sigmoid()], False),
        ([], False),
        ([Conv2D(2), ReLU()], False),
        ([Tanh(), ReLU()], False),
    ],
)
def test_the_activation_behind_the_weights_chooses_their_start(between, rectified):
    layers = [("first", Conv2D(4)), *between]
    assert starts_rectified(layers, (8, 8, 1), "first.W") is rectified


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        ([Sequential([Conv2D(4), ReLU()])], "sequential_1.conv2d_1.W"),
        ([Sequential([Conv2D(4), BatchNorm()]), ReLU()], "sequential_1.conv2d_1.W"),
        ([Conv2D(4), Sequential([BatchNorm(), ReLU()])], "conv2d_1.W"),
        ([Sequential([Sequential([Conv2D(4)])]), ReLU()], "sequential_1.sequential_1.conv2d_1.W"),
        ([Residual([Conv2D(1), ReLU(), Conv2D(1)])], "residual_1.conv2d_1.W"),
    ],
)
def test_a_sequence_within_a_sequence_changes_no_start(layers, name):
    assert starts_rectified(layers, (8, 8, 1), name)


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in", "fan_out"),
    [(Conv2D(48, 3), (4, 4, 32), 9 * 32, 9 * 48), (Dense(200), (150,), 150, 200)],
)
@pytest.mark.parametrize("activation", [ReLU(), Tanh()])
def test_weights_start_with_the_variance_of_he_or_of_glorot(
    layer, shape, fan_in, fan_out, activation
):
    layout = Layout(Sequential([("first", layer), activation]).parameters(shape))
    start = layout.views(layout.start(0, np.float64))["first"]
    expected = 2 / fan_in if activation.rectifier else 2 / (fan_in + fan_out)
    assert start["W"].var() == pytest.approx(expected, rel=0.03)
    assert abs(start["W"].mean()) < 4 * np.sqrt(expected / start["W"].size)
    assert not start["b"].any()


def test_a_signal_keeps_its_size_through_many_rectified_layers():
    layers = [layer for _ in range(8) for layer in (Dense(256), ReLU())]
    network = Sequential(layers)
    layout = Layout(network.parameters((256,)))
    x = np.random.default_rng(0).normal(size=(64, 256))
    y = predict(network, layout.views(layout.start(0, np.float64)), x)
    assert 0.3 < (y**2).mean() / (x**2).mean() < 3


def test_batch_norm_starts_as_the_plain_normalisation():
    layout = Layout(BatchNorm().parameters((4, 4, 3)))
    start = layout.views(layout.start(0, np.float64))
    for name, value in (("gamma", 1), ("beta", 0), ("mean", 0), ("var", 1)):
        np.testing.assert_array_equal(start[name], np.full(3, value))


@pytest.mark.parametrize(
    ("make", "shape"), [(Conv2D, (4, 4, 1)), (Dense, (5,)), (lambda _, **k: BatchNorm(**k), (5,))]
)
def test_lr_scale_reaches_every_parameter(make, shape):
    for scale, nested in product((1.0, 0.25, 0), (False, True)):
        layer = make(3, lr_scale=scale)
        found = (Sequential([layer]) if nested else layer).parameters(shape)
        assert found
        assert {p.lr_scale for p in found.values()} == {scale}


def test_only_weights_decay_and_only_averages_run():
    network = Sequential([Conv2D(2), BatchNorm(momentum=0.8), Flatten(), Dense(3)])
    found = network.parameters((3, 3, 1))
    assert {name for name, p in found.items() if p.decay} == {"conv2d_1.W", "dense_1.W"}
    running = {name: p.running for name, p in found.items() if p.running is not None}
    assert running == {"batchnorm_1.mean": 0.8, "batchnorm_1.var": 0.8}


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv2D(4, (3, 2), stride=2), (6, 4, 5), 3 * 2 * 4 * 3 * 2 * 5),
        (Dense(4), (7,), 28),
        (ReLU(), (7,), 0),
        (Sequential([Conv2D(2, 1), Flatten(), Dense(3)]), (2, 2, 1), 8 + 24),
        (Residual([Conv2D(2, 1)], shortcut=Conv2D(2, 1)), (2, 2, 1), 16),
    ],
)
def test_multiply_adds_are_those_of_one_sample(layer, shape, expected):
    assert layer.multiply_adds(shape) == expected
