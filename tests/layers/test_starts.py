"""How weights start, what layers refuse, and what dropout and single precision do."""

from itertools import product

import numpy as np
import pytest

from sknpcnn import layers as exported
from sknpcnn._network.parameters import Layout
from sknpcnn.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
)
from tests.layers.layer_runs import example, predict, run

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
        (
            Residual([Conv2D(3)], Conv2D(3, 1, stride=2)),
            (4, 4, 2),
            r"the shortcut into \(2, 2, 3\)",
        ),
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
        (
            lambda: Residual([("shortcut", ReLU())]),
            "names a layer 'shortcut', which is the",
        ),
    ],
)
def test_a_hyperparameter_without_sense_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_shortcut_that_is_no_layer_is_refused():
    with pytest.raises(TypeError, match="shortcut='identity'; needed: None or a layer"):
        Residual([ReLU()], shortcut="identity")


# How weights are initialized and trained


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in"),
    [(Conv2D(48, 3), (4, 4, 32), 9 * 32), (Dense(200), (150,), 150)],
)
def test_weights_start_with_the_variance_of_he(layer, shape, fan_in):
    layout = Layout(Sequential([("first", layer)]).parameters(shape))
    start = layout.views(layout.start(0, np.float64))["first"]
    assert start["W"].var() == pytest.approx(2 / fan_in, rel=0.03)
    assert abs(start["W"].mean()) < 4 * np.sqrt(2 / fan_in / start["W"].size)
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
