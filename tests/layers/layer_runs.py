"""How layer tests run a layer, and what the naive reference says that it should return."""

from dataclasses import fields

import numpy as np
import pytest

from sknpcnn._engine.context import MiniBatch, backward, forward
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.parallel import whole_batch
from sknpcnn._engine.plan import plan
from sknpcnn._network.parameters import Layout
from sknpcnn.layers import (
    Add,
    AvgPool2D,
    BatchNorm,
    Branches,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GroupNorm,
    LayerNorm,
    MaxPool2D,
    PReLU,
    Residual,
    Scale,
    Sequential,
    SqueezeExcite,
    ZeroPad2D,
)
from sknpcnn.layers.steps import parameters
from tests import reference
from tests.layers.layer_cases import CASES

every_case = pytest.mark.parametrize(
    ("layer", "shape"), [pytest.param(case.layer, case.shape, id=case.id) for case in CASES]
)


def random(layer):
    """Return whether a layer draws random numbers."""
    inside = (child for steps in layer.branches for _, child in steps)
    return (isinstance(layer, Dropout) and layer.rate > 0) or any(map(random, inside))


# A random mask has no reference; what it promises is tested below.
deterministic_case = pytest.mark.parametrize(
    ("layer", "shape"),
    [pytest.param(c.layer, c.shape, id=c.id) for c in CASES if not random(c.layer)],
)


def in_network(x):
    """Turn images (n, h, w, c) height first, (h, w, n, c); vectors stay as they are."""
    return x.transpose(1, 2, 0, 3) if x.ndim == 4 else x


def ordinary(x):
    """Turn images (h, w, n, c) into (n, h, w, c); vectors stay as they are."""
    return x.transpose(2, 0, 1, 3) if x.ndim == 4 else x


def run(layer, params, x, dy, weights=None, key=1, name="layer", training=True):
    """Run a layer on ordinary arrays, (n, h, w, c) or (n, features)."""
    grads = zeros_like(params)
    planned = plan([(name, layer)], x.shape[1:], training, needs_dx=True)
    with Engine(1, x.dtype) as engine:
        place = whole_batch(engine, MiniBatch(len(x), training, key, weights))
        y, cache = forward(planned, {name: params}, in_network(x), place)
        y = ordinary(y).copy()
        dx = backward(planned, {name: params}, cache, in_network(dy), {name: grads}, place)
        return y, ordinary(dx).copy(), grads


def predict(layer, params, x):
    with Engine(1, x.dtype) as engine:
        place = whole_batch(engine, MiniBatch(len(x), training=False))
        planned = plan([("layer", layer)], x.shape[1:], training=False)
        return ordinary(forward(planned, {"layer": params}, in_network(x), place)[0]).copy()


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
    if isinstance(layer, (Add, Branches)):
        return naive_branches(layer, params, x, dy, weights)
    options = {field.name: getattr(layer, field.name) for field in fields(layer)}
    if isinstance(layer, Conv2D):
        places = {name: options[name] for name in ("stride", "padding", "dilation")}
        W, b, groups = params["W"], params.get("b"), layer.groups
        y = reference.grouped_conv2d(x, W, b, groups, **places)
        dx, dW, per_filter, per_pixel = reference.grouped_conv2d_gradients(
            x, W, dy, groups, **places
        )
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
    if isinstance(layer, GlobalMaxPool2D):
        return reference.global_max_pool(x), reference.global_max_pool_gradient(x, dy), {}
    if isinstance(layer, ZeroPad2D):
        return (
            reference.zero_pad(x, layer.border, layer.channels),
            reference.zero_pad_gradient(x, dy, layer.border, layer.channels),
            {},
        )
    if isinstance(layer, (GroupNorm, LayerNorm)):
        return naive_sample_norm(layer, params, x, dy)
    if isinstance(layer, SqueezeExcite):
        return reference.squeeze_excite(x, dy, params, layer.hard)
    if isinstance(layer, Scale):
        y, dx, d_gamma, d_beta = reference.scale(x, dy, params["gamma"], params["beta"])
        return y, dx, {"gamma": d_gamma, "beta": d_beta}
    if isinstance(layer, PReLU):
        y, dx, d_slope = reference.prelu(x, params["slope"], dy)
        return y, dx, {"slope": d_slope}
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
    seen = {"mean": 0 * mean, "var": 0 * var} if frozen else {"mean": mean, "var": var}
    return y, dx, {"gamma": d_gamma, "beta": d_beta} | seen


def naive_sample_norm(layer, params, x, dy):
    channels, n_pixels = x.shape[-1], x[0].size // x.shape[-1]
    if isinstance(layer, LayerNorm):
        groups = [[(p, c) for c in range(channels)] for p in range(n_pixels)]
    else:
        size = channels // layer.groups
        first = range(0, channels, size)
        groups = [[(p, c + i) for p in range(n_pixels) for i in range(size)] for c in first]
    y, dx, d_gamma, d_beta = reference.sample_norm(
        x, dy, params["gamma"], params["beta"], layer.epsilon, groups
    )
    return y, dx, {"gamma": d_gamma, "beta": d_beta}


def naive_composition(layer, params, x, dy, weights):
    y, dx, grads = naive_steps(layer.layers, params, x, dy, weights)
    if isinstance(layer, Residual):
        around, dx_around, more = naive_steps(layer.branches[1], params, x, dy, weights)
        return y + around, dx + dx_around, grads | more
    return y, dx, grads


def naive_branches(layer, params, x, dy, weights):
    joined = isinstance(layer, Branches)
    first, ys, dx, grads = 0, [], 0, {}
    for steps in layer.branches:
        last = first + layer.output_shape(x.shape[1:])[-1]
        if joined:
            last = first + steps[0][1].output_shape(x.shape[1:])[-1]
        y, own, more = naive_steps(steps, params, x, dy[..., first:last], weights)
        ys.append(y)
        dx, grads = dx + own, grads | more
        first = last if joined else 0
    return np.concatenate(ys, axis=-1) if joined else sum(ys), dx, grads


def naive_steps(steps, params, x, dy, weights):
    xs = [x]
    for name, layer in steps:
        nothing = np.zeros((len(x), *layer.output_shape(xs[-1].shape[1:])))
        xs.append(naive(layer, params.get(name, {}), xs[-1], nothing, weights)[0])
    grads = {}
    for (name, layer), x_in in zip(reversed(steps), reversed(xs[:-1]), strict=True):
        _, dy, grads[name] = naive(layer, params.get(name, {}), x_in, dy, weights)
    return xs[-1], dy, {name: g for name, g in grads.items() if g}


def assert_close(found, expected, tolerance=1e-10):
    """Compare y, dx and all gradients, which may be nested."""
    for one, two in zip(found, expected, strict=True):
        assert_close_tree(one, two, tolerance)


def assert_close_tree(one, two, tolerance):
    if isinstance(two, dict):
        assert one.keys() == two.keys()
        for name in two:
            assert_close_tree(one[name], two[name], tolerance)
    else:
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)
