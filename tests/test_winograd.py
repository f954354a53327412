"""Winograd's convolution against the direct one, the naive loops, and double precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sknpcnn.kernels import convolution, winograd
from sknpcnn.layers import Conv2D
from sknpcnn.testing import check_layer
from tests.layer_runs import assert_same, example, naive, run


def direct(x, W, ho, wo):
    gathered = convolution.gather(x, W.shape[1], 1, 1, wo)
    return convolution.correlate(gathered, W, 1, 1, ho)


def by_points(x, W, ho, wo):
    return winograd.correlate(winograd.gather(x, W.shape[1], wo, ho), W, ho)


def test_the_matrices_make_a_convolution_of_three_and_six_rows():
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=6), rng.normal(size=3)
    y = winograd.FROM_POINTS @ ((winograd.KERNEL @ W) * (winograd.TO_POINTS @ x))
    np.testing.assert_allclose(y, np.correlate(x, W, "valid"), rtol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    ho=st.integers(1, 13),
    wo=st.integers(1, 5),
    n=st.integers(1, 3),
    kw=st.integers(1, 4),
    channels=st.integers(1, 5),
    filters=st.integers(1, 5),
)
def test_any_shape_agrees_with_the_direct_convolution(ho, wo, n, kw, channels, filters):
    rng = np.random.default_rng(ho + wo)
    x = rng.normal(size=(ho + 2, wo + kw - 1, n, channels))
    W = rng.normal(size=(3, kw, channels, filters))
    dy = rng.normal(size=(ho, wo, n, filters))
    expected = direct(x, W, ho, wo)
    np.testing.assert_allclose(by_points(x, W, ho, wo), expected, rtol=1e-9, atol=1e-11)
    found, wanted = np.empty_like(W), np.empty_like(W)
    winograd.kernel_gradient(winograd.gather(x, kw, wo, ho), dy, found)
    convolution.kernel_gradient(convolution.gather(x, kw, 1, 1, wo), dy, 1, 1, wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11)


CASES = [
    (Conv2D(16), (8, 5, 16)),
    (Conv2D(48, (3, 1), padding="valid"), (9, 3, 48)),
    (Conv2D(20, (3, 5), padding=(2, 0), bias="position"), (7, 6, 11)),
    (Conv2D(16, padding=3), (6, 4, 16)),
]


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=str)
def test_layer_that_uses_it_keeps_its_promises_and_agrees_with_the_loops(layer, shape, monkeypatch):
    used = []
    original = winograd.correlate
    monkeypatch.setattr(winograd, "correlate", lambda *args: used.append(args) or original(*args))
    params, x, dy = example(layer, shape, n=2)
    assert_same(run(layer, params, x, dy), naive(layer, params, x, dy))
    assert len(used) == 2  # forward, and the gradient of the input
    check_layer(layer, shape)


@pytest.mark.parametrize(("channels", "filters"), [(16, 16), (32, 64), (128, 128)])
def test_error_in_single_precision_is_below_1e_5(channels, filters):
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=(18, 10, 2, channels)), rng.normal(size=(3, 3, channels, filters))
    dy = rng.normal(size=(16, 8, 2, filters))
    exact = direct(x, W, 16, 8)
    x32, W32, dy32 = (a.astype(np.float32) for a in (x, W, dy))
    y = by_points(x32, W32, 16, 8)
    assert y.dtype == np.float32
    assert np.abs(y - exact).max() < 1e-5 * np.abs(exact).max()
    dW, exact_dW = np.empty_like(W32), np.empty_like(W)
    winograd.kernel_gradient(winograd.gather(x32, 3, 8, 16), dy32, dW)
    convolution.kernel_gradient(convolution.gather(x, 3, 1, 1, 8), dy, 1, 1, exact_dW)
    assert np.abs(dW - exact_dW).max() < 1e-5 * np.abs(exact_dW).max()
