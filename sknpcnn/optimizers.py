"""Optimizers: how a gradient becomes a step. Formulas and defaults are those of PyTorch.

An optimizer is a frozen rule; its state, such as momentum, is a dict of flat arrays of the length
of the parameters, which the caller keeps. ``step`` works in place on any slice of them, so that the
caller can process the parameters in blocks that fit into the cache.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sknpcnn.spec import Spec, check_flag, check_real, refuse

Array = np.ndarray
Memory = dict[str, Array]


@dataclass(frozen=True, repr=False)
class Optimizer(Spec, ABC):
    """The contract: the names of its state arrays, its default learning rate, and the rule itself.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.optimizers import Optimizer
    >>> @dataclass(frozen=True, repr=False)
    ... class SignDescent(Optimizer):
    ...     def state_names(self):
    ...         return ()
    ...     def step(self, theta, grad, memory, lr, t):
    ...         theta -= lr * np.sign(grad)
    >>> clf = NumpyCNNClassifier(solver=SignDescent(), max_iter=1).fit(np.eye(4), [0, 0, 1, 1])
    """

    learning_rate: ClassVar[float] = 0.001
    """What ``learning_rate_init="auto"`` stands for."""

    @abstractmethod
    def state_names(self) -> tuple[str, ...]:
        """Return the names of the arrays that the rule keeps from step to step."""

    @abstractmethod
    def step(self, theta: Array, grad: Array, memory: Memory, lr: float, t: int) -> None:
        """Update theta in place; ``t`` counts the steps from 1. ``grad`` may be overwritten."""

    def start(self, theta: Array) -> Memory:
        """Return the state arrays at the start of training."""
        return {name: np.zeros_like(theta) for name in self.state_names()}


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    Parameters
    ----------
    momentum : float
        Fraction of the last direction that is kept.
    nesterov : bool
        Whether to use Nesterov's momentum.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.optimizers import SGD
    >>> NumpyCNNClassifier(solver=SGD(momentum=0.9), learning_rate_init=0.01).solver
    SGD(momentum=0.9)
    """

    learning_rate: ClassVar[float] = 0.01

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        check_real(self, "momentum", 0.0, 1.0, open_="high")
        check_flag(self, "nesterov")
        if self.nesterov and self.momentum == 0:
            refuse(self, "nesterov", "a momentum above 0, or nesterov=False")

    def state_names(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def step(self, theta: Array, grad: Array, memory: Memory, lr: float, t: int) -> None:
        if self.momentum:
            velocity = memory["velocity"]
            velocity *= self.momentum
            velocity += grad
            grad = grad + self.momentum * velocity if self.nesterov else velocity
        theta -= lr * grad


@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Divide the mean of the gradients by the root of the mean of their squares.

    Parameters
    ----------
    beta_1, beta_2 : float
        Decay of the two running means.
    epsilon : float
        Added to the root.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.optimizers import Adam
    >>> NumpyCNNClassifier(solver=Adam(beta_1=0.8)).solver
    Adam(beta_1=0.8)
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_betas(self)

    def state_names(self) -> tuple[str, ...]:
        return "total", "squares"

    def step(self, theta: Array, grad: Array, memory: Memory, lr: float, t: int) -> None:
        adam_step(self, theta, grad, memory, lr, t)


@dataclass(frozen=True, repr=False)
class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019).

    Parameters
    ----------
    weight_decay : float
        Before each step, parameters shrink by this fraction times the learning rate.
    beta_1, beta_2 : float
        Decay of the two running means.
    epsilon : float
        Added to the root.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.optimizers import AdamW
    >>> NumpyCNNClassifier(solver=AdamW(weight_decay=0.05)).solver
    AdamW(weight_decay=0.05)
    """

    weight_decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_real(self, "weight_decay")
        check_betas(self)

    def state_names(self) -> tuple[str, ...]:
        return "total", "squares"

    def step(self, theta: Array, grad: Array, memory: Memory, lr: float, t: int) -> None:
        theta *= 1 - lr * self.weight_decay
        adam_step(self, theta, grad, memory, lr, t)


@dataclass(frozen=True, repr=False)
class RMSprop(Optimizer):
    """Divide the gradient by the root of the mean of its squares.

    Parameters
    ----------
    rho : float
        Decay of the running mean of squares.
    momentum : float
        Fraction of the last step that is kept.
    epsilon : float
        Added to the root.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.optimizers import RMSprop
    >>> NumpyCNNClassifier(solver=RMSprop(momentum=0.9)).solver
    RMSprop(momentum=0.9)
    """

    learning_rate: ClassVar[float] = 0.01

    rho: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_real(self, "rho", 0.0, 1.0, open_="high")
        check_real(self, "momentum", 0.0, 1.0, open_="high")
        check_real(self, "epsilon", 0.0, open_="low")

    def state_names(self) -> tuple[str, ...]:
        return ("square", "velocity") if self.momentum else ("square",)

    def step(self, theta: Array, grad: Array, memory: Memory, lr: float, t: int) -> None:
        square = memory["square"]
        square *= self.rho
        square += (1 - self.rho) * grad * grad
        grad = grad / (np.sqrt(square) + self.epsilon)
        if self.momentum:
            velocity = memory["velocity"]
            velocity *= self.momentum
            velocity += grad
            grad = velocity
        theta -= lr * grad


@dataclass(frozen=True, repr=False)
class Adadelta(Optimizer):
    """Step in the units of the parameters: by the ratio of past steps to past gradients.

    Parameters
    ----------
    rho : float
        Decay of both running means of squares.
    epsilon : float
        Added under both roots.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.optimizers import Adadelta
    >>> NumpyCNNClassifier(solver=Adadelta(rho=0.95)).solver
    Adadelta(rho=0.95)
    """

    learning_rate: ClassVar[float] = 1.0

    rho: float = 0.9
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_real(self, "rho", 0.0, 1.0, open_="high")
        check_real(self, "epsilon", 0.0, open_="low")

    def state_names(self) -> tuple[str, ...]:
        return "square", "moved"

    def step(self, theta: Array, grad: Array, memory: Memory, lr: float, t: int) -> None:
        square, moved = memory["square"], memory["moved"]
        square *= self.rho
        square += (1 - self.rho) * grad * grad
        delta = np.sqrt(moved + self.epsilon) / np.sqrt(square + self.epsilon) * grad
        moved *= self.rho
        moved += (1 - self.rho) * delta * delta
        theta -= lr * delta


@dataclass(frozen=True, repr=False)
class Adagrad(Optimizer):
    """Divide the gradient by the root of the sum of all its squares.

    Parameters
    ----------
    lr_decay : float
        The learning rate of step t is divided by ``1 + (t - 1) * lr_decay``.
    epsilon : float
        Added to the root.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.optimizers import Adagrad
    >>> NumpyCNNClassifier(solver=Adagrad(lr_decay=0.01)).solver
    Adagrad(lr_decay=0.01)
    """

    learning_rate: ClassVar[float] = 0.01

    lr_decay: float = 0.0
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        check_real(self, "lr_decay")
        check_real(self, "epsilon", 0.0, open_="low")

    def state_names(self) -> tuple[str, ...]:
        return ("square",)

    def step(self, theta: Array, grad: Array, memory: Memory, lr: float, t: int) -> None:
        square = memory["square"]
        square += grad * grad
        theta -= lr / (1 + (t - 1) * self.lr_decay) * grad / (np.sqrt(square) + self.epsilon)


def adam_step(
    rule: Adam | AdamW, theta: Array, grad: Array, memory: Memory, lr: float, t: int
) -> None:
    """Take one step of Adam, for Adam and AdamW; overwrites ``grad``.

    It keeps running sums; the running means of the textbook are these times ``1 - beta``.
    """
    total, squares = memory["total"], memory["squares"]
    total *= rule.beta_1
    total += grad
    squares *= rule.beta_2
    np.multiply(grad, grad, out=grad)
    squares += grad
    root = ((1 - rule.beta_2) / (1 - rule.beta_2**t)) ** 0.5
    np.sqrt(squares, out=grad)
    grad += rule.epsilon / root
    np.divide(total, grad, out=grad)
    grad *= lr * (1 - rule.beta_1) / (1 - rule.beta_1**t) / root
    theta -= grad


def check_betas(rule: Adam | AdamW) -> None:
    """Raise if a hyperparameter of Adam is out of range."""
    check_real(rule, "beta_1", 0.0, 1.0, open_="high")
    check_real(rule, "beta_2", 0.0, 1.0, open_="high")
    check_real(rule, "epsilon", 0.0, open_="low")


__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]

NAMED = {
    "sgd": SGD(momentum=0.9, nesterov=True),  # as in MLPClassifier
    "adam": Adam(),
    "adamw": AdamW(),
    "rmsprop": RMSprop(),
    "adadelta": Adadelta(),
    "adagrad": Adagrad(),
}
"""What the strings for ``solver`` stand for."""
