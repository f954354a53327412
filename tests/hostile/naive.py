"""The logits of a fitted classifier in the plain loops of ``tests/reference.py``."""

from dataclasses import fields

import numpy as np

from sknpcnn._estimator import fitted
from sknpcnn.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Residual,
    Sequential,
)
from tests import reference


def naive_logits(clf, X):
    """Compute the logits in plain loops, and bounds of the terms that add up to them."""
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    x = np.asarray(X, np.float64).reshape(len(X), -1)
    standard = fitted.standard_of(clf)
    if standard is not None:  # by channels, or by columns
        mean, scale = (np.tile(a, x.shape[1] // len(a)) for a in (standard.mean, standard.scale))
        x = (x - mean.astype(np.float64)) * scale
    x = x.reshape(-1, *clf.image_shape_)
    return naive_steps(fitted.network_of(clf).steps, clf.get_weights(), x, abs(x))


def naive_steps(steps, weights, x, size):
    for name, layer in steps:
        prefix = name + "."
        own = {k.removeprefix(prefix): w for k, w in weights.items() if k.startswith(prefix)}
        x, size = naive_layer(layer, own, x, size)
    return x, size


def naive_layer(layer, weights, x, size):
    """Run one layer as in prediction on the values, and on bounds of them."""
    options = {field.name: within_reach(getattr(layer, field.name)) for field in fields(layer)}
    if isinstance(layer, Sequential):
        return naive_steps(layer.layers, weights, x, size)
    if isinstance(layer, Residual):
        ways = [naive_steps(steps, weights, x, size) for steps in layer.branches]
        return ways[0][0] + ways[1][0], ways[0][1] + ways[1][1]
    if isinstance(layer, BatchNorm):
        gamma, beta, mean, var = (weights[name].astype(float) for name in NORM)
        gain = abs(gamma) / np.sqrt(var + layer.epsilon)
        y = reference.batch_norm(x, gamma, beta, mean, var, layer.epsilon)
        return y, gain * (size + abs(mean)) + abs(beta)
    if isinstance(layer, (Conv2D, Dense)):
        places = {k: options[k] for k in ("stride", "padding", "dilation") if k in options}
        function = reference.conv2d if isinstance(layer, Conv2D) else reference.dense
        W, b = weights["W"].astype(float), weights.get("b")
        bounds = abs(W), None if b is None else abs(b)
        return function(x, W, b, **places), function(size, *bounds, **places)
    if isinstance(layer, Dropout):
        return x, size
    if (function := REARRANGING.get(type(layer))) is not None:
        return function(x, **options), function(size, **options)
    function, _ = reference.ACTIVATIONS[type(layer).__name__]
    return reference.apply(function, x, **options), 2 * size + 1


def within_reach(value):
    """Replace a size far beyond any image here by one that is beyond them, too: it is the same."""
    if isinstance(value, tuple):
        return tuple(map(within_reach, value))
    return min(value, 100) if type(value) is int else value


NORM = ("gamma", "beta", "mean", "var")
REARRANGING = {
    MaxPool2D: lambda x, **options: reference.max_pool(x, **options)[0],
    AvgPool2D: reference.avg_pool,
    GlobalAvgPool2D: reference.global_avg_pool,
    Flatten: reference.flatten,
}
