"""The optimizers: PyTorch's steps, in place, on any stretch of the parameters."""

import numpy as np
import pytest
from sklearn.base import clone

from sknpcnn.optimizers import (
    NAMED,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
)

# ours, the name of PyTorch's, its settings, learning rate
SAME = [
    (SGD(), "SGD", {}, 0.1),
    (SGD(momentum=0.9), "SGD", {"momentum": 0.9}, 0.1),
    (SGD(momentum=0.9, nesterov=True), "SGD", {"momentum": 0.9, "nesterov": True}, 0.05),
    (Adam(), "Adam", {}, 0.001),
    (Adam(beta_1=0.5, beta_2=0.9, epsilon=1e-3), "Adam", {"betas": (0.5, 0.9), "eps": 1e-3}, 0.1),
    (Adam(beta_1=0.0), "Adam", {"betas": (0.0, 0.999)}, 0.01),
    (AdamW(), "AdamW", {}, 0.001),
    (
        AdamW(weight_decay=0.3, beta_1=0.8),
        "AdamW",
        {"weight_decay": 0.3, "betas": (0.8, 0.999)},
        0.1,
    ),
    (RMSprop(), "RMSprop", {}, 0.01),
    (RMSprop(rho=0.9, momentum=0.8), "RMSprop", {"alpha": 0.9, "momentum": 0.8}, 0.02),
    (RMSprop(epsilon=0.1), "RMSprop", {"eps": 0.1}, 0.02),
    (Adadelta(), "Adadelta", {}, 1.0),
    (Adadelta(rho=0.95, epsilon=1e-3), "Adadelta", {"rho": 0.95, "eps": 1e-3}, 0.5),
    (Adagrad(), "Adagrad", {}, 0.01),
    (Adagrad(lr_decay=0.1, epsilon=1e-3), "Adagrad", {"lr_decay": 0.1, "eps": 1e-3}, 0.1),
]
OURS = [case[0] for case in SAME]

BAD = [
    (SGD, "momentum", -0.1, "at least 0"),
    (SGD, "momentum", 1.0, "below 1"),
    (SGD, "momentum", "much", "a number"),
    (SGD, "nesterov", True, "a momentum above 0"),
    (SGD, "nesterov", 1, "True or False"),
    (Adam, "beta_1", 1.0, "below 1"),
    (Adam, "beta_2", -0.5, "at least 0"),
    (Adam, "beta_2", float("nan"), "a number"),
    (Adam, "epsilon", 0.0, "above 0"),
    (AdamW, "weight_decay", -1.0, "at least 0"),
    (AdamW, "beta_1", True, "a number"),
    (AdamW, "epsilon", float("inf"), "a number"),
    (RMSprop, "rho", 1.0, "below 1"),
    (RMSprop, "momentum", 1.5, "below 1"),
    (RMSprop, "epsilon", -1.0, "above 0"),
    (Adadelta, "rho", -1.0, "at least 0"),
    (Adadelta, "epsilon", None, "a number"),
    (Adagrad, "lr_decay", -1.0, "at least 0"),
    (Adagrad, "epsilon", 0, "above 0"),
]


def gradients(n_steps, size, dtype, seed=0):
    """Gradients of very different sizes, zeros among them."""
    rng = np.random.default_rng(seed)
    grads = rng.normal(size=(n_steps, size)) * np.logspace(-6, 2, size)
    grads[:, ::7] = 0
    return grads.astype(dtype)


def run(optimizer, theta, grads, lr, blocks=(slice(None),)):
    theta = theta.copy()
    memory = optimizer.start(theta)
    for t, grad in enumerate(grads, start=1):
        for block in blocks:
            part = {name: array[block] for name, array in memory.items()}
            optimizer.step(theta[block], grad[block].copy(), part, lr, t)
    return theta, memory


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize(("optimizer", "name", "settings", "lr"), SAME)
def test_steps_are_those_of_pytorch(optimizer, name, settings, lr, dtype, rtol):
    torch = pytest.importorskip("torch")
    start = np.random.default_rng(1).normal(size=50).astype(dtype)
    grads = gradients(8, 50, dtype)
    theta, _ = run(optimizer, start, grads, lr)

    expected = torch.nn.Parameter(torch.tensor(start))
    rule = getattr(torch.optim, name)([expected], lr=lr, **settings)
    for grad in grads:
        expected.grad = torch.tensor(grad)
        rule.step()
    np.testing.assert_allclose(
        theta, expected.detach().numpy(), rtol=rtol, atol=rtol * np.abs(start).max()
    )
    assert np.abs(theta - start).max() > 1e-4


@pytest.mark.parametrize(("optimizer", "name", "settings", "lr"), SAME)
def test_usual_learning_rate_is_that_of_pytorch(optimizer, name, settings, lr):
    torch = pytest.importorskip("torch")
    rule = getattr(torch.optim, name)([torch.nn.Parameter(torch.zeros(1))])
    # PyTorch's for SGD is one by which hardly anything is learned
    expected = 0.01 if name == "SGD" else rule.param_groups[0]["lr"]
    assert optimizer.learning_rate == expected


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSprop, Adadelta, Adagrad])
def test_default_hyperparameters_are_those_of_pytorch(kind):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, kind.__name__)([torch.nn.Parameter(torch.zeros(1))]).defaults
    names = {"epsilon": "eps", "rho": "alpha" if kind is RMSprop else "rho"}
    for name, value in kind().get_params().items():
        if name in ("beta_1", "beta_2"):
            assert value == theirs["betas"][int(name[-1]) - 1]
        else:
            assert value == theirs[names.get(name, name)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OURS)
def test_step_on_blocks_equals_the_step_on_the_whole(optimizer, dtype):
    start = np.random.default_rng(2).normal(size=41).astype(dtype)
    grads = gradients(5, 41, dtype)
    whole, memory = run(optimizer, start, grads, 0.01)
    blocks = [slice(0, 1), slice(1, 17), slice(17, 41)]
    parts, memory_of_parts = run(optimizer, start, grads, 0.01, blocks)
    np.testing.assert_array_equal(parts, whole)
    for name, array in memory.items():
        np.testing.assert_array_equal(memory_of_parts[name], array)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OURS)
def test_step_works_in_place_and_keeps_the_dtype(optimizer, dtype):
    theta = np.ones(5, dtype)
    memory = optimizer.start(theta)
    arrays = dict(memory)
    assert optimizer.step(theta, np.ones(5, dtype), memory, 0.1, 1) is None
    assert (theta < 1).all()
    assert theta.dtype == dtype
    assert memory.keys() == arrays.keys()
    for name, array in memory.items():
        assert array is arrays[name]
        assert array.dtype == dtype


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        (SGD(), ()),
        (SGD(momentum=0.9), ("velocity",)),
        (SGD(momentum=0.9, nesterov=True), ("velocity",)),
        (Adam(), ("total", "squares")),
        (AdamW(), ("total", "squares")),
        (RMSprop(), ("square",)),
        (RMSprop(momentum=0.5), ("square", "velocity")),
        (Adadelta(), ("square", "moved")),
        (Adagrad(), ("square",)),
    ],
)
def test_memory_starts_with_zeros_under_the_names_that_the_rule_tells(optimizer, names):
    assert optimizer.state_names() == names
    theta = np.ones(3, np.float32)
    memory = optimizer.start(theta)
    assert tuple(memory) == names
    for array in memory.values():
        np.testing.assert_array_equal(array, np.zeros(3, np.float32), strict=True)
        assert not np.shares_memory(array, theta)


@pytest.mark.parametrize("optimizer", OURS)
def test_a_gradient_of_zeros_never_makes_a_step_that_is_not_finite(optimizer):
    theta, _ = run(optimizer, np.ones(4, np.float32), np.zeros((3, 4), np.float32), 0.1)
    assert np.isfinite(theta).all()
    shrunk = (1 - 0.1 * getattr(optimizer, "weight_decay", 0.0)) ** 3
    np.testing.assert_allclose(theta, shrunk, rtol=1e-6)


@pytest.mark.parametrize(("kind", "name", "value", "needed"), BAD)
def test_bad_hyperparameter_is_refused_by_name_and_value_and_need(kind, name, value, needed):
    with pytest.raises(ValueError, match="needed") as error:
        kind(**{name: value})
    message = str(error.value)
    assert message.startswith(f"{kind.__name__}: {name}={value!r}; needed: ")
    assert needed in message.split("needed:")[1]


def test_replace_checks_as_the_constructor_does():
    with pytest.raises(ValueError, match=r"SGD: momentum=2; needed: .* below 1"):
        SGD().replace(momentum=2)


@pytest.mark.parametrize("optimizer", OURS)
def test_optimizer_is_a_value(optimizer):
    same = type(optimizer)(**optimizer.get_params())
    assert same == optimizer
    assert hash(same) == hash(optimizer)
    assert repr(same) == repr(optimizer)
    assert eval(repr(optimizer)) == optimizer
    assert clone(optimizer) == optimizer


def test_different_rules_and_different_settings_are_not_equal():
    assert Adam() != AdamW()
    assert SGD() != SGD(momentum=0.5)
    assert len({Adam(), Adam(), AdamW(), SGD()}) == 3


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(Adam()) == "Adam()"
    assert repr(SGD(momentum=0.9, nesterov=True)) == "SGD(momentum=0.9, nesterov=True)"
    assert repr(AdamW(weight_decay=0.05)) == "AdamW(weight_decay=0.05)"


def test_replace_changes_a_copy():
    before = RMSprop(rho=0.9)
    after = before.replace(momentum=0.5)
    assert after == RMSprop(rho=0.9, momentum=0.5)
    assert before == RMSprop(rho=0.9)
    assert before.get_params() == {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-8}


def test_hyperparameters_cannot_be_assigned():
    with pytest.raises(AttributeError):
        Adam().beta_1 = 0.5


def test_every_name_that_solver_takes_is_a_rule_with_default_settings_or_those_of_mlp():
    assert set(NAMED) == {"sgd", "adam", "adamw", "rmsprop", "adadelta", "adagrad"}
    for name, rule in NAMED.items():
        assert isinstance(rule, Optimizer)
        assert type(rule).__name__.lower() == name
        mlp = {"momentum": 0.9, "nesterov": True} if name == "sgd" else {}
        assert rule == type(rule)(**mlp)
