"""The training loop: whole epochs or none, PyTorch's steps, losses that mean what they say."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import Network
from sknpcnn._network.standard import Standard
from sknpcnn._training.loop import Course, evaluate, train
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, ReLU
from sknpcnn.losses import CrossEntropy
from sknpcnn.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from sknpcnn.schedules import Constant, CosineDecay
from sknpcnn.spec import named
from tests.training.networks import (
    IMAGE,
    PLAN,
    SMALL,
    N,
    arrays,
    network_of,
    run,
    samples_of,
    start,
)


@pytest.fixture
def batches_seen(monkeypatch):
    """The rows of every mini-batch that a network learns from, in order."""
    seen = []
    learn = Network.learn

    def watched(self, theta, grad, rows, *args):
        seen.append(rows.index.tolist())
        return learn(self, theta, grad, rows, *args)

    monkeypatch.setattr(Network, "learn", watched)
    return seen


# --- against PyTorch ------------------------------------------------------------------------------

RULES = [
    (SGD(), 0.1, lambda o, p: o.SGD(p, lr=0.1)),
    (SGD(momentum=0.9), 0.05, lambda o, p: o.SGD(p, lr=0.05, momentum=0.9)),
    (
        SGD(momentum=0.9, nesterov=True),
        0.05,
        lambda o, p: o.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    ),
    (Adam(), 0.01, lambda o, p: o.Adam(p, lr=0.01)),
    (AdamW(weight_decay=0.1), 0.01, lambda o, p: o.AdamW(p, lr=0.01, weight_decay=0.1)),
    (RMSprop(momentum=0.5), 0.005, lambda o, p: o.RMSprop(p, lr=0.005, momentum=0.5)),
    (Adadelta(), 1.0, lambda o, p: o.Adadelta(p, lr=1.0)),
    (Adagrad(lr_decay=0.1), 0.05, lambda o, p: o.Adagrad(p, lr=0.05, lr_decay=0.1)),
]


class Twin:
    """The small network in PyTorch, with our parameters."""

    def __init__(self, torch, weights):
        self.torch = torch
        conv = weights["conv2d_1.W"].transpose(3, 2, 0, 1)  # (kh, kw, in, out) -> (out, in, kh, kw)
        values = [conv, weights["conv2d_1.b"]]
        for name in ("dense_1", "output"):
            values += [weights[f"{name}.W"].T, weights[f"{name}.b"]]
        self.parameters = [torch.nn.Parameter(torch.tensor(v.copy())) for v in values]

    def logits(self, X):
        f = self.torch.nn.functional
        conv, conv_b, dense, dense_b, out, out_b = self.parameters
        x = self.torch.tensor(X.reshape(-1, *IMAGE)).permute(0, 3, 1, 2)
        x = f.max_pool2d(f.relu(f.conv2d(x, conv, conv_b, padding=1)), 2)
        x = x.permute(0, 2, 3, 1).flatten(1)  # we flatten (h, w, c)
        return f.linear(f.relu(f.linear(x, dense, dense_b)), out, out_b)

    def loss(self, X, classes, weights, alpha, label_smoothing):
        w = self.torch.ones(len(X), dtype=self.torch.float64)
        w = w if weights is None else self.torch.tensor(weights)
        each = self.torch.nn.functional.cross_entropy(
            self.logits(X),
            self.torch.tensor(classes),
            reduction="none",
            label_smoothing=label_smoothing,
        )
        penalty = sum((p**2).sum() for p in self.parameters[::2])
        return ((each * w).sum() + alpha / 2 * penalty) / w.sum()

    def clip(self, norm):
        """As clip_grad_norm_, but without the 1e-6 that it adds to the length."""
        length = self.torch.cat([p.grad.ravel() for p in self.parameters]).norm()
        for p in self.parameters:
            p.grad *= min(1, norm / length)

    def weights(self):
        conv, conv_b, dense, dense_b, out, out_b = (p.detach().numpy() for p in self.parameters)
        return {
            "conv2d_1.W": conv.transpose(2, 3, 1, 0),
            "conv2d_1.b": conv_b,
            "dense_1.W": dense.T,
            "dense_1.b": dense_b,
            "output.W": out.T,
            "output.b": out_b,
        }


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("optimizer", "lr", "make"), RULES)
def test_training_goes_where_pytorch_goes(optimizer, lr, make, weighted):
    """Ten steps over two epochs; the last batch of each is short."""
    torch = pytest.importorskip("torch")
    network, samples = network_of(), samples_of(weighted=weighted)
    plan = replace(
        PLAN,
        optimizer=optimizer,
        learning_rate=lr,
        alpha=0.02,
        loss=CrossEntropy(0.1),
        clip_norm=0.8,
    )
    state = start(network, plan)
    twin = Twin(torch, arrays(network, state))
    rule = make(torch.optim, twin.parameters)
    expected_losses = []
    for _ in range(2):
        total = weight = 0.0
        for lo in range(0, N, plan.batch_size):
            part = slice(lo, lo + plan.batch_size)
            w = samples.weights[part] if weighted else None
            rule.zero_grad()
            loss = twin.loss(samples.X[part], samples.targets[part], w, 0.02, 0.1)
            loss.backward()
            twin.clip(0.8)
            rule.step()
            batch_weight = len(samples.X[part]) if w is None else w.sum()
            total, weight = total + float(loss.detach()) * batch_weight, weight + batch_weight
        expected_losses.append(total / weight)

    before = arrays(network, state)
    state, epochs = run(network, samples, plan, n_epochs=2, state=state)
    assert state.step == 10
    found = arrays(network, state)
    for name, expected in twin.weights().items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-8, atol=1e-9, err_msg=name)
        assert np.abs(found[name] - before[name]).max() > 1e-4
    assert [epoch.loss for epoch in epochs] == pytest.approx(expected_losses, rel=1e-9)


# --- epochs ---------------------------------------------------------------------------------------


def test_train_yields_one_epoch_each_time_it_is_asked():
    network, samples = network_of(), samples_of()
    state = start(network)
    with Engine(1, np.float64) as engine:
        epochs = train(Course(network, samples, None, PLAN), state, engine)
        assert (state.epoch, state.step) == (0, 0)
        for number in (1, 2, 3):
            epoch = next(epochs)
            assert epoch.number == number
            assert (state.epoch, state.step) == (number, 5 * number)
            assert epoch.learning_rate == 0.1
            assert 0 <= epoch.score <= 1
            assert epoch.seconds > 0
        stopped_at = state.theta.copy()
    np.testing.assert_array_equal(state.theta, stopped_at)


def test_loss_falls_and_score_rises():
    _, epochs = run(
        network_of(), samples_of(), replace(PLAN, optimizer=Adam(), learning_rate=0.01), 30
    )
    assert epochs[-1].loss < 0.1 * epochs[0].loss
    assert epochs[-1].score == 1


def test_loss_and_score_are_those_of_the_batches_as_they_came_by():
    """If nothing is learned, the epoch agrees with an evaluation of the same samples."""
    network, samples = network_of(), samples_of(weighted=True)
    state, (epoch,) = run(network, samples, replace(PLAN, learning_rate=1e-300))
    with Engine(1, np.float64) as engine:
        loss, score, _ = evaluate(network, state.theta, samples, None, PLAN, engine)
    assert epoch.loss == pytest.approx(loss, rel=1e-12)
    assert epoch.score == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (9, 4, [4, 4, 1]), (3, 4, [3]), (1, 4, [1])],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_sample_is_used_once_and_a_short_last_batch_too(
    n, size, sizes, shuffle, batches_seen
):
    run(network_of(), samples_of(n), replace(PLAN, batch_size=size, shuffle=shuffle))
    assert [len(batch) for batch in batches_seen] == sizes
    assert sorted(i for batch in batches_seen for i in batch) == list(range(n))


def test_only_the_rows_of_the_index_take_part(batches_seen):
    samples = samples_of().at(np.array([5, 9, 70]))
    run(network_of(), samples, replace(PLAN, batch_size=2))
    assert batches_seen == [[5, 9], [70]]


def test_order_differs_by_epoch_and_is_the_same_for_the_same_seed(batches_seen):
    network, samples, plan = network_of(), samples_of(), replace(PLAN, shuffle=True)
    first, _ = run(network, samples, plan, n_epochs=2)
    second, _ = run(network, samples, plan, n_epochs=2)
    epochs = [list(chain(*batches_seen[i : i + 5])) for i in range(0, 20, 5)]
    assert epochs[0] != epochs[1]
    assert epochs[:2] == epochs[2:]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(N))
    np.testing.assert_array_equal(first.theta, second.theta)
    other = start(network)
    other.seed = 2
    run(network, samples, plan, state=other)
    assert list(chain(*batches_seen[20:])) != epochs[0]


def test_data_come_in_their_order_without_shuffling(batches_seen):
    run(network_of(), samples_of(), n_epochs=2)
    assert list(chain(*batches_seen)) == [*range(N), *range(N)]


@pytest.mark.parametrize("layers", [SMALL, [Conv2D(3), BatchNorm(), ReLU(), Dropout(0.4)]])
def test_training_in_two_parts_is_training_in_one(layers):
    network, samples = network_of(layers), samples_of()
    plan = replace(PLAN, optimizer=Adam(), shuffle=True, schedule=CosineDecay())
    whole, epochs = run(network, samples, plan, n_epochs=4)
    part, first = run(network, samples, plan, n_epochs=3)
    resumed = part.copy()
    resumed, last = run(network, samples, plan, n_epochs=1, state=resumed)
    np.testing.assert_array_equal(resumed.theta, whole.theta)
    for name, array in whole.memory.items():
        np.testing.assert_array_equal(resumed.memory[name], array)
    assert [e.loss for e in [*first, *last]] == [e.loss for e in epochs]
    assert part.epoch == 3, "the copy is independent"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", [SGD(momentum=0.5), Adam()])
def test_number_of_threads_changes_no_bit(optimizer, dtype, monkeypatch):
    """Also where the optimizer works on blocks, on all threads."""
    monkeypatch.setattr("sknpcnn._training.step.MAX_BLOCK_SIZE", 512)
    monkeypatch.setattr("sknpcnn._training.step.MIN_SIZE_TO_SHARE", 256)
    monkeypatch.setattr("sknpcnn._engine.parallel.MAX_CHUNK_SIZE", 2000)
    monkeypatch.setattr("sknpcnn._engine.context.MIN_TILE_SIZE", 300)
    network = network_of([Conv2D(3), BatchNorm(), ReLU(), Dropout(0.2), Flatten(), Dense(9)])
    samples, plan = samples_of(weighted=True), replace(PLAN, optimizer=optimizer, shuffle=True)
    results = []
    for n_threads in (1, 2, 3):
        state, epochs = run(
            network, samples, plan, 2, start(network, plan, dtype=dtype), n_threads=n_threads
        )
        assert state.theta.dtype == dtype
        results.append((state.theta.tobytes(), [(e.loss, e.score) for e in epochs]))
    assert results[0] == results[1] == results[2]


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_state_is_what_it_was_when_an_epoch_fails(error, monkeypatch):
    network, samples = network_of([Conv2D(3), BatchNorm(), ReLU()]), samples_of()
    plan = replace(PLAN, optimizer=Adam(), learning_rate=0.01)
    state, _ = run(network, samples, plan, n_epochs=2)
    state.curve.extend([0.5, 0.4])
    before = state.copy()
    learn, calls = Network.learn, []

    def fail_in_the_middle(self, *args):
        calls.append(args)
        if len(calls) == 3:
            assert (state.theta != before.theta).any(), "nothing has been learned yet"
            raise error("in the middle")
        return learn(self, *args)

    monkeypatch.setattr(Network, "learn", fail_in_the_middle)
    with pytest.raises(error, match="in the middle"):
        run(network, samples, plan, state=state)
    np.testing.assert_array_equal(state.theta, before.theta)
    assert state.memory.keys() == before.memory.keys()
    for name, array in before.memory.items():
        np.testing.assert_array_equal(state.memory[name], array)
    assert (state.epoch, state.step, state.curve) == (2, before.step, [0.5, 0.4])

    monkeypatch.undo()
    after, _ = run(network, samples, plan, state=state)
    expected, _ = run(network, samples, plan, state=before)
    np.testing.assert_array_equal(after.theta, expected.theta)


def test_epoch_does_not_count_before_it_has_been_watched():
    network, samples = network_of(), samples_of()
    state = start(network)
    before = state.copy()

    def watch(epoch):
        assert state.epoch == 0
        assert epoch.number == 1
        state.curve.append(epoch.loss)
        raise KeyboardInterrupt

    with Engine(1, np.float64) as engine, pytest.raises(KeyboardInterrupt):
        next(train(Course(network, samples, None, PLAN), state, engine, watch))
    np.testing.assert_array_equal(state.theta, before.theta)
    assert (state.epoch, state.step, state.curve) == (0, 0, [])


def test_watch_sees_every_epoch_before_it_is_handed_out():
    network, samples = network_of(), samples_of()
    seen = []
    with Engine(1, np.float64) as engine:
        epochs = train(Course(network, samples, None, PLAN), start(network), engine, seen.append)
        for number in (1, 2):
            assert next(epochs) is seen[-1]
            assert len(seen) == number


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(("dtype", "lr"), [(np.float32, 1e30), (np.float64, 1e300)])
def test_divergence_is_an_error_that_names_the_learning_rate(dtype, lr, n_threads):
    """And no warning comes with it, on any number of threads."""
    network = network_of()
    state = start(network, dtype=dtype)
    before = state.copy()
    message = rf"diverged.*learning rate of 1e\+{int(np.log10(lr))}\. .*learning_rate_init"
    with pytest.raises(ValueError, match=message):
        run(network, samples_of(), replace(PLAN, learning_rate=lr), 5, state, n_threads=n_threads)
    assert np.isfinite(state.theta).all()
    np.testing.assert_array_equal(state.theta, before.theta)


def test_parameters_that_the_last_step_made_infinite_are_an_error():
    """The loss of the only batch was still finite."""
    network, samples = network_of(), samples_of()
    with pytest.raises(
        ValueError, match=r"not finite after epoch 1, at a learning rate of 1e\+308"
    ):
        run(network, samples, replace(PLAN, learning_rate=1e308, batch_size=N, alpha=1e5))


# --- the learning rate ----------------------------------------------------------------------------


def test_schedule_is_asked_in_the_middle_of_every_step(monkeypatch):
    asked = []

    class Listening(Constant):
        def multiplier(self, progress):
            asked.append((progress.epoch, progress.n_epochs, tuple(progress.curve)))
            return 0.5

    state = start(network_of())
    state.curve.append(7.0)
    _, epochs = run(network_of(), samples_of(), replace(PLAN, schedule=Listening()), 2, state)
    assert asked == [(pytest.approx((i + 0.5) / 5), 10, (7.0,)) for i in range(10)]
    assert epochs[0].learning_rate == 0.05


# --- penalty and clipping -------------------------------------------------------------------------


# --- evaluation and running averages --------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_evaluation_is_the_weighted_mean_as_prediction_sees_it(weighted):
    network = network_of([Conv2D(3), BatchNorm(), ReLU(), Dropout(0.5)])
    samples = samples_of(weighted=weighted).at(np.arange(0, N, 2))
    standard = Standard(np.array([0.1, -0.1]), np.array([2.0, 0.5]))
    state, _ = run(network, samples, standard=standard)
    before = state.theta.copy()
    with Engine(1, np.float64) as engine:
        loss, score, _ = evaluate(network, state.theta, samples, standard, PLAN, engine)
        rows = Rows(samples.X[samples.index], IMAGE, standard)
        logits = network.logits(state.theta, rows, engine)
    np.testing.assert_array_equal(state.theta, before)
    classes = samples.targets[samples.index]
    weights = samples.weights[samples.index] if weighted else None
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    each = -np.log(p[np.arange(len(p)), classes])
    assert loss == pytest.approx(np.average(each, weights=weights), rel=1e-12)
    assert score == pytest.approx(np.average(p.argmax(axis=1) == classes, weights=weights))


def test_running_averages_follow_the_batches_whatever_the_optimizer():
    """They move to the statistics of each batch, at their own momentum, not at a learning rate."""
    network = Network(named([BatchNorm(momentum=0.75)]), IMAGE, 3)
    samples = samples_of()
    state = start(network)
    state, _ = run(network, samples, replace(PLAN, learning_rate=1e-300, alpha=1.0), 1, state)
    mean, var = np.zeros(2), np.ones(2)
    for lo in range(0, N, 16):
        pixels = samples.X[lo : lo + 16].reshape(-1, 2)
        mean = 0.75 * mean + 0.25 * pixels.mean(axis=0)
        var = 0.75 * var + 0.25 * pixels.var(axis=0)
    found = arrays(network, state)
    np.testing.assert_allclose(found["batchnorm_1.mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(found["batchnorm_1.var"], var, rtol=1e-12)


def test_read_only_data_are_trained_on_and_left_as_they_are():
    samples = samples_of(weighted=True)
    before = samples.X.copy(), samples.targets.copy(), samples.weights.copy()
    for array in (samples.X, samples.targets, samples.weights, samples.index):
        array.flags.writeable = False
    run(network_of(), samples, replace(PLAN, shuffle=True), 2)
    for array, copy in zip((samples.X, samples.targets, samples.weights), before, strict=True):
        np.testing.assert_array_equal(array, copy)
