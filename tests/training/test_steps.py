"""One training step: learning rates of layers, the penalty, clipping."""

from dataclasses import replace

import numpy as np
import pytest

from sknpcnn._training.step import clip_factor
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Flatten, ReLU, Tanh
from sknpcnn.losses import CrossEntropy, Focal
from sknpcnn.optimizers import SGD, Adadelta, Adam, AdamW
from sknpcnn.schedules import StepDecay
from tests.training.networks import (
    PLAN,
    N,
    arrays,
    network_of,
    run,
    samples_of,
    start,
)


def test_step_decay_acts_from_the_epoch_on_that_it_names():
    plan = replace(PLAN, schedule=StepDecay(epochs=(2, 3), factor=0.1))
    _, epochs = run(network_of(), samples_of(), plan, 4)
    assert [e.learning_rate for e in epochs] == pytest.approx([0.1, 0.1, 0.01, 0.001])


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.9), Adam(), AdamW(), Adadelta()])
def test_layer_of_learning_rate_zero_is_frozen_to_the_bit(optimizer):
    layers = [Conv2D(4, lr_scale=0), BatchNorm(lr_scale=0), ReLU(), Flatten(), Dense(5)]
    network = network_of(layers)
    plan = replace(PLAN, optimizer=optimizer, alpha=0.1)
    state = start(network, plan)
    before = arrays(network, state)
    state, _ = run(network, samples_of(), plan, 2, state)
    for name, array in arrays(network, state).items():
        frozen = name.startswith(("conv2d_1", "batchnorm_1"))
        assert (array.tobytes() == before[name].tobytes()) == frozen, name


def test_layer_of_half_the_learning_rate_takes_half_the_step():
    plan = replace(PLAN, batch_size=N)
    steps = []
    for scale in (1.0, 0.5):
        network = network_of([Conv2D(4, lr_scale=scale), Tanh(), Flatten(), Dense(5)])
        state = start(network, plan)
        before = arrays(network, state)
        state, _ = run(network, samples_of(), plan, 1, state)
        steps.append({k: v - before[k] for k, v in arrays(network, state).items()})
    for name, step in steps[0].items():
        share = 0.5 if name.startswith("conv2d_1") else 1.0
        assert np.abs(step).max() > 1e-5
        np.testing.assert_allclose(steps[1][name], share * step, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.2), Focal(1.5)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_step_goes_down_the_loss_that_is_reported(alpha, weighted, loss):
    """A step of SGD with learning rate 1 is the gradient, penalty included."""
    network = network_of([Conv2D(2, stride=2), Tanh(), Flatten(), Dense(3), Tanh()])
    samples = samples_of(12, weighted)
    plan = replace(PLAN, learning_rate=1.0, alpha=alpha, batch_size=12, loss=loss)
    state, _ = run(network, samples, plan)
    theta = start(network).theta
    gradient = theta - state.theta

    rng = np.random.default_rng(0)
    for direction in [*rng.normal(size=(3, theta.size)), *np.eye(theta.size)[::17]]:
        ends = []
        for h in (-1e-6, 1e-6):
            moved = replace(start(network), theta=theta + h * direction)
            _, (epoch,) = run(network, samples, plan, state=moved)
            ends.append(epoch.loss)
        slope = (ends[1] - ends[0]) / 2e-6
        assert slope == pytest.approx(float(direction @ gradient), rel=1e-5, abs=1e-7)


def test_penalty_is_on_weights_alone_and_shared_by_the_samples():
    """Half of alpha times the sum of squares over n, once for each mini-batch."""
    network, samples = network_of(), samples_of()
    losses = [
        run(network, samples, replace(PLAN, alpha=alpha, learning_rate=1e-300))[1][0].loss
        for alpha in (0.0, 5.0)
    ]
    weights = arrays(network, start(network))
    squares = sum((array**2).sum() for name, array in weights.items() if name.endswith(".W"))
    assert losses[1] - losses[0] == pytest.approx(5 * 5.0 / 2 * squares / N, rel=1e-9)


def test_clip_shortens_only_what_is_too_long():
    grad = np.array([3.0, 4.0])
    assert clip_factor(grad, 10.0) == 1.0
    assert clip_factor(grad, 1.0) == pytest.approx(0.2, rel=1e-15)


def test_clip_bears_gradients_whose_squares_overflow():
    grad = np.full(4, 1e30, np.float32)
    assert clip_factor(grad, 2.0) == pytest.approx(1e-30, rel=1e-6)


def test_step_of_a_clipped_gradient_has_the_length_asked_for():
    network, samples = network_of(), samples_of()
    plan = replace(PLAN, learning_rate=1.0, batch_size=N)
    lengths = []
    for norm in (None, 1e-3, 1e3):
        state, _ = run(network, samples, replace(plan, clip_norm=norm))
        lengths.append(np.linalg.norm(state.theta - start(network).theta))
    assert lengths[1] == pytest.approx(1e-3, rel=1e-9)
    assert lengths[2] == lengths[0] > 1e-3
