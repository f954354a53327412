"""Every convolution algorithm against the naive loops, on any shape, and in single precision."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sknpcnn._kernels import convolution, planes, rows, winograd
from sknpcnn._kernels.windows import Window, axis_pads, output_length
from sknpcnn.layers import Conv2D
from sknpcnn.testing import check_layer
from tests import reference
from tests.layers.layer_runs import assert_close, example, in_network, naive, ordinary, run

pytestmark = pytest.mark.thread_unsafe(reason="algorithms are exchanged")

ALGORITHMS = [rows, planes, winograd]
every_algorithm = pytest.mark.parametrize(
    "algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.__name__.split(".")[-1]
)


def window_of(shape, kernel, stride=(1, 1), dilation=(1, 1), padding=("same", "same")):
    pads = tuple(map(axis_pads, shape, kernel, stride, dilation, padding))
    outputs = tuple(map(output_length, shape, pads, kernel, stride, dilation))
    return Window(kernel, stride, dilation, pads, outputs)


def window_of_layer(layer, shape):
    pairs = (reference.pair(v) for v in (layer.kernel_size, layer.stride, layer.dilation))
    padding = layer.padding if isinstance(layer.padding, tuple) else (layer.padding,) * 2
    return window_of(shape[:2], *pairs, padding)


def convolve(algorithm, x, W, dy, window):
    """Compute y, dx and dW by that algorithm, forward and backward."""
    size = x.shape[:2]
    y = algorithm.correlate(x, algorithm.prepare(W, window), window)
    dW = np.full_like(W, np.nan)
    algorithm.kernel_gradient(x, dy, window, dW)
    with patch.object(convolution, "choose_algorithm", lambda *shape: algorithm):
        kernel = convolution.prepare_gradient(W, window, size, x.shape[2])
        dx = convolution.input_gradient(dy, kernel, W, window, size, x.shape[2])
    return y, dx, dW


def assert_like_the_loops(algorithm, n, channels, filters, shape, kernel, **places):
    window = window_of(shape, kernel, **places)
    rng = np.random.default_rng(n + channels + filters)
    x, W = rng.normal(size=(n, *shape, channels)), rng.normal(size=(*kernel, channels, filters))
    dy = rng.normal(size=(n, *window.outputs, filters))
    y, dx, dW = convolve(algorithm, in_network(x), W, np.ascontiguousarray(in_network(dy)), window)
    expected_dx, expected_dW, *_ = reference.conv2d_gradients(x, W, dy, **places)
    for found, expected in (
        (ordinary(y), reference.conv2d(x, W, **places)),
        (ordinary(dx), expected_dx),
        (dW, expected_dW),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


few = st.integers(1, 3)


@pytest.mark.parametrize("algorithm", [rows, planes], ids=["rows", "planes"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_shape_stride_dilation_and_padding_agrees_with_the_loops(algorithm, data):
    def pair(numbers):
        return data.draw(st.tuples(numbers, numbers))

    kernel, dilation = pair(few), pair(few)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    shape = tuple(r + data.draw(st.integers(0, 4)) for r in reach)
    padding = pair(st.one_of(st.integers(0, 3), st.just("same")))
    numbers = [data.draw(few) for _ in range(3)]
    assert_like_the_loops(
        algorithm, *numbers, shape, kernel, stride=pair(few), dilation=dilation, padding=padding
    )


@pytest.mark.parametrize("block", [1, 150, 300, 800, 5000])
@pytest.mark.parametrize(
    ("algorithm", "stride"),
    [(rows, 1), (rows, 2), (planes, 1), (planes, 2), (winograd, 1)],
    ids=["rows", "rows, strided", "planes", "planes, strided", "winograd"],
)
def test_a_few_rows_of_the_output_are_computed_at_a_time(algorithm, block, stride, monkeypatch):
    window = window_of((18, 7), (3, 5), (stride, stride))
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=(18, 7, 2, 3)), rng.normal(size=(3, 5, 3, 4))
    dy = rng.normal(size=(*window.outputs, 2, 4))

    def both():
        dW = np.full(W.shape, np.nan)
        algorithm.kernel_gradient(x, dy, window, dW)
        return algorithm.correlate(x, algorithm.prepare(W, window), window), dW

    monkeypatch.setattr(algorithm, "BLOCK", 10**9)
    y, dW = both()
    monkeypatch.setattr(algorithm, "BLOCK", block)
    monkeypatch.setattr(winograd, "MIN_KERNELS", 0)
    found, found_dW = both()
    np.testing.assert_array_equal(found, y)
    np.testing.assert_allclose(found_dW, dW, rtol=0, atol=1e-12)  # a sum in another order


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    kernel=st.tuples(st.sampled_from([3, 5]), st.sampled_from([3, 5])),
    padding=st.tuples(st.sampled_from([2, 4, "same"]), st.sampled_from([2, 3, "same"])),
    numbers=st.tuples(few, few, few),
)
def test_any_shape_agrees_with_the_loops_at_points(shape, kernel, padding, numbers):
    assert_like_the_loops(winograd, *numbers, shape, kernel, padding=padding)


@pytest.mark.parametrize(("length", "tile"), [(k, t) for k in (3, 5) for t in winograd.TILES[k]])
def test_the_matrices_make_a_convolution_along_one_axis(length, tile):
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=length + tile - 1), rng.normal(size=length)
    matrices = winograd.transforms(length, tile)
    y = matrices.output @ ((matrices.kernel @ W) * (matrices.input @ x))
    np.testing.assert_allclose(y, np.correlate(x, W, "valid"), rtol=1e-11)


@pytest.mark.parametrize(
    ("layer", "shape", "algorithm"),
    [
        (Conv2D(16), (8, 5, 1), planes),
        (Conv2D(16, 5), (9, 8, 3), planes),
        (Conv2D(7), (8, 5, 16), rows),
        (Conv2D(16), (8, 7, 16), winograd),
        (Conv2D(17, 5, padding="valid"), (12, 11, 18), winograd),
        (Conv2D(20, (3, 5), padding=(2, 4), bias="position"), (7, 6, 16), winograd),
        (Conv2D(16, padding=3), (6, 4, 16), winograd),
        (Conv2D(16), (2, 2, 16), rows),  # one tile of 4x4 for 2x2 pixels saves nothing
        (Conv2D(16, stride=2), (8, 8, 16), rows),
        (Conv2D(16, dilation=2), (8, 8, 16), rows),
        (Conv2D(16, (3, 1)), (8, 8, 16), rows),
    ],
    ids=str,
)
def test_layer_takes_the_algorithm_that_suits_its_shape_and_agrees_with_the_loops(
    layer, shape, algorithm
):
    params, x, dy = example(layer, shape, n=8)
    window, (channels, filters) = window_of_layer(layer, shape), params["W"].shape[2:]
    assert convolution.choose_algorithm(window, channels, filters, 8) is algorithm
    assert_close(run(layer, params, x, dy), naive(layer, params, x, dy))
    check_layer(layer, shape)


@pytest.mark.parametrize(("images", "algorithm"), [(1, rows), (31, rows), (32, winograd)])
def test_a_kernel_is_brought_to_the_points_only_for_enough_tiles(images, algorithm):
    layer, shape = Conv2D(16), (4, 4, 16)  # one tile
    params, x, dy = example(layer, shape, n=images)
    assert convolution.choose_algorithm(window_of_layer(layer, shape), 16, 16, images) is algorithm
    assert_close(run(layer, params, x, dy), naive(layer, params, x, dy))


@every_algorithm
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("channels", "filters"), [(16, 16), (32, 64), (64, 32), (128, 128)])
def test_error_in_single_precision_is_below_1e_5(algorithm, kernel, channels, filters):
    if algorithm is winograd and not winograd.tile_size(kernel, channels):
        algorithm = rows  # as a layer would
    rng = np.random.default_rng(0)
    window = window_of((16, 10), (kernel, kernel))
    x, dy = rng.normal(size=(16, 10, 16, channels)), rng.normal(size=(16, 10, 16, filters))
    W = rng.normal(size=(kernel, kernel, channels, filters))
    exact = convolve(rows, x, W, dy, window)
    single = convolve(algorithm, *(a.astype(np.float32) for a in (x, W, dy)), window)
    for found, expected in zip(single, exact, strict=True):
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
