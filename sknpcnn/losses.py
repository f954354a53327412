"""What training minimizes: how far outputs are from targets, and the gradient of that.

A loss is a value, as an optimizer is. It looks at each sample by itself; sample weights, the mean
over a mini-batch and the penalty are the same for all losses, and are added elsewhere. It also
knows what outputs mean: its ``link`` turns them into predictions.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from sknpcnn._kernels.special import expit
from sknpcnn._values.checks import check_real
from sknpcnn.spec import Spec

Array = np.ndarray


@dataclass(frozen=True, repr=False)
class Loss(Spec, ABC):
    """The contract: ``compute`` is required; ``link`` is for outputs that are not predictions.

    ``targets`` says what outputs are compared with: real values ("reals"), the indices of the true
    classes ("classes"), or an indicator matrix ("labels"). Real targets are standardized: the loss
    receives deviations from their mean, in standard deviations. Those that are ``nonnegative`` are
    divided by their mean instead.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from sknpcnn.losses import Loss
    >>> @dataclass(frozen=True, repr=False)
    ... class FourthPower(Loss):
    ...     def compute(self, outputs, targets):
    ...         error = outputs - targets.astype(outputs.dtype)
    ...         return (error.astype(np.float64) ** 4).sum(axis=1), 4 * error**3
    >>> FourthPower().compute(np.array([[3.0]]), np.array([[1.0]]))
    (array([16.]), array([[32.]]))
    """

    targets: ClassVar[Literal["reals", "classes", "labels"]] = "reals"
    nonnegative: ClassVar[bool] = False
    out_activation: ClassVar[str] = "identity"
    """The name of the link, as it is shown in ``out_activation_``."""

    @abstractmethod
    def compute(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Compute the loss of each sample, (n,) in double precision, and its gradient, (n, k).

        ``outputs`` are those of the network, (n, k). ``targets`` are (n, k) as well; indices of
        classes are (n,). The gradient is with respect to the outputs, in their precision.
        """

    def link(self, outputs: Array) -> Array:
        """Turn outputs, (n, k), into predictions: real values, or probabilities."""
        return outputs

    def log_link(self, outputs: Array) -> Array:
        """Compute the logarithm of the predictions."""
        log_p: Array = np.log(self.link(outputs))
        return log_p


class Measured(NamedTuple):
    """The loss of a mini-batch."""

    total: float
    """Sum over the samples, each times its weight."""
    gradient: Array
    """Of the weighted mean, with respect to the outputs."""


@np.errstate(all="ignore")  # a probability may underflow, whatever the caller's settings
def measure(loss: Loss, outputs: Array, targets: Array, weights: Array | None = None) -> Measured:
    """Compute the loss of a mini-batch and the gradient of its weighted mean."""
    losses, gradient = loss.compute(outputs, targets)
    if losses.shape != outputs.shape[:1] or gradient.shape != outputs.shape:
        raise ValueError(
            f"{loss!r} computes losses of shape {losses.shape} and a gradient of shape "
            f"{gradient.shape} of outputs of shape {outputs.shape}; needed: one loss for each "
            "sample, and a gradient of the shape of the outputs. sknpcnn.testing.check_loss tells "
            "more."
        )
    if weights is None:
        gradient /= len(outputs)
        return Measured(float(losses.sum()), gradient)
    gradient *= (weights / weights.sum()).astype(outputs.dtype)[:, None]
    return Measured(float(losses @ weights), gradient)


@np.errstate(all="ignore")
def log_softmax(logits: Array) -> Array:
    """Compute the logarithms of the probabilities, (n, classes); exact even if these underflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_p


@np.errstate(all="ignore")
def softmax(logits: Array) -> Array:
    """Compute the probabilities of the classes, (n, classes)."""
    p: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


@np.errstate(all="ignore")
def sigmoid(logits: Array) -> Array:
    """Compute the logistic function of each value."""
    return expit(logits, np.empty_like(logits))


@dataclass(frozen=True, repr=False)
class CrossEntropy(Loss):
    """Softmax and cross-entropy in one step, which no logit can make overflow; for classes.

    Parameters
    ----------
    label_smoothing : float
        The fraction of the target that is spread evenly over all classes (Szegedy et al. 2016).

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.losses import CrossEntropy
    >>> losses, _ = CrossEntropy().compute(np.zeros((1, 10)), np.array([3]))
    >>> losses.round(3)  # knowing nothing: ln 10
    array([2.303])
    """

    label_smoothing: float = 0.0

    targets: ClassVar[Literal["classes"]] = "classes"
    out_activation: ClassVar[str] = "softmax"

    def __post_init__(self) -> None:
        check_real(self, "label_smoothing", 0.0, 1.0, open_="high")

    def compute(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        n, n_classes = outputs.shape
        rows, smooth = np.arange(n), self.label_smoothing
        log_p = log_softmax(outputs)
        losses = -(1 - smooth) * log_p[rows, targets].astype(np.float64)
        if smooth:
            losses -= smooth * log_p.mean(axis=1, dtype=np.float64)
        gradient = np.exp(log_p)  # p - target
        gradient[rows, targets] -= outputs.dtype.type(1 - smooth)
        if smooth:
            gradient -= outputs.dtype.type(smooth / n_classes)
        return losses, gradient

    def link(self, outputs: Array) -> Array:
        return softmax(outputs)

    def log_link(self, outputs: Array) -> Array:
        return log_softmax(outputs)


@dataclass(frozen=True, repr=False)
class Focal(Loss):
    """Cross-entropy with less weight on well-classified samples: ``-(1 - p)^g log p``.

    See Lin et al. 2017.

    Parameters
    ----------
    gamma : float
        The exponent; 0 is cross-entropy.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.losses import Focal
    >>> losses, _ = Focal(2).compute(np.array([[4.0, 0.0]]), np.array([0]))
    >>> losses.round(8)
    array([5.87e-06])
    """

    gamma: float = 2.0

    targets: ClassVar[Literal["classes"]] = "classes"
    out_activation: ClassVar[str] = "softmax"

    def __post_init__(self) -> None:
        check_real(self, "gamma", 0.0)

    def compute(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        rows = np.arange(len(outputs))
        log_p = log_softmax(outputs).astype(np.float64)
        p, log_true = np.exp(log_p), log_p[rows, targets]
        # 1 - p of the true class is the sum of the others: exact where p is nearly one
        others = p.copy()
        others[rows, targets] = 0
        missing = others.sum(axis=1)
        log_true = np.where(missing < 0.5, np.log1p(-np.minimum(missing, 0.5)), log_true)
        losses = -(missing**self.gamma) * log_true
        # d loss / d log p of the true class, times d log p / d logits = (one-hot - p)
        slope = -(missing**self.gamma)
        if self.gamma:
            with_p = p[rows, targets] * log_true
            rest = np.where(missing > 0, missing, 1) ** (self.gamma - 1) * (missing > 0)
            slope = slope + self.gamma * rest * with_p
        gradient = -slope[:, None] * p
        gradient[rows, targets] = slope * missing
        return losses, gradient.astype(outputs.dtype)

    def link(self, outputs: Array) -> Array:
        return softmax(outputs)

    def log_link(self, outputs: Array) -> Array:
        return log_softmax(outputs)


@dataclass(frozen=True, repr=False)
class BinaryCrossEntropy(Loss):
    """Logistic function and cross-entropy of each output on its own; for several labels per sample.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.losses import BinaryCrossEntropy
    >>> losses, _ = BinaryCrossEntropy().compute(np.array([[0.0, 100.0]]), np.array([[1.0, 1.0]]))
    >>> losses.round(3)
    array([0.693])
    """

    targets: ClassVar[Literal["labels"]] = "labels"
    out_activation: ClassVar[str] = "logistic"

    def compute(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        z, t = outputs.astype(np.float64), targets
        losses = np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))
        return losses.sum(axis=1), sigmoid(outputs) - t.astype(outputs.dtype)

    def link(self, outputs: Array) -> Array:
        return sigmoid(outputs)

    @np.errstate(all="ignore")
    def log_link(self, outputs: Array) -> Array:
        log_p: Array = np.minimum(outputs, 0) - np.log1p(np.exp(-np.abs(outputs)))
        return log_p


@dataclass(frozen=True, repr=False)
class SquaredError(Loss):
    """Half the square of the error, so that its gradient is the error; predicts means.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.losses import SquaredError
    >>> SquaredError().compute(np.array([[3.0]]), np.array([[1.0]]))
    (array([2.]), array([[2.]]))
    """

    def compute(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        error = outputs - targets.astype(outputs.dtype)
        return 0.5 * np.square(error, dtype=np.float64).sum(axis=1), error


@dataclass(frozen=True, repr=False)
class AbsoluteError(Loss):
    """The absolute value of the error; predicts medians.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.losses import AbsoluteError
    >>> AbsoluteError().compute(np.array([[3.0]]), np.array([[1.0]]))
    (array([2.]), array([[1.]]))
    """

    def compute(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        error = outputs - targets.astype(outputs.dtype)
        return np.abs(error, dtype=np.float64).sum(axis=1), np.sign(error)


@dataclass(frozen=True, repr=False)
class Huber(Loss):
    """Squared error near the target, absolute error far from it (Huber 1964).

    Parameters
    ----------
    delta : float
        The largest error that is squared, in standard deviations of ``y``.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.losses import Huber
    >>> Huber(1.0).compute(np.array([[3.0]]), np.array([[1.0]]))
    (array([1.5]), array([[1.]]))
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_real(self, "delta", 0.0, open_="low")

    def compute(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        error = outputs - targets.astype(outputs.dtype)
        gradient = np.clip(error, -self.delta, self.delta).astype(outputs.dtype)
        near, far = np.square(gradient, dtype=np.float64), np.abs(error, dtype=np.float64)
        return (0.5 * near + self.delta * np.maximum(far - self.delta, 0)).sum(axis=1), gradient


@dataclass(frozen=True, repr=False)
class Quantile(Loss):
    """Absolute error with different weights for its two signs; predicts a quantile (Koenker 1978).

    Parameters
    ----------
    level : float
        The quantile to predict: 0.5 is the median.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.losses import Quantile
    >>> losses, _ = Quantile(0.9).compute(np.array([[3.0]]), np.array([[4.0]]))
    >>> losses
    array([0.9])
    """

    level: float = 0.5

    def __post_init__(self) -> None:
        check_real(self, "level", 0.0, 1.0, open_="low high")

    def compute(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        error = outputs - targets.astype(outputs.dtype)
        above, below = 1 - self.level, -self.level
        slope = np.where(error > 0, above, np.where(error < 0, below, 0)).astype(outputs.dtype)
        return (error.astype(np.float64) * np.where(error > 0, above, below)).sum(axis=1), slope


@dataclass(frozen=True, repr=False)
class Poisson(Loss):
    """Half the deviance of counts; outputs are logarithms of the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.losses import Poisson
    >>> Poisson().link(np.array([[0.0]]))
    array([[1.]])
    """

    nonnegative: ClassVar[bool] = True
    out_activation: ClassVar[str] = "exp"

    def compute(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        z, t = outputs.astype(np.float64), targets.astype(np.float64)
        mean = np.exp(z)
        log_t = np.log(np.where(t > 0, t, 1))
        losses = mean - t + t * (log_t - z)
        return losses.sum(axis=1), (mean - t).astype(outputs.dtype)

    @np.errstate(all="ignore")
    def link(self, outputs: Array) -> Array:
        mean: Array = np.exp(outputs)
        return mean


NAMED: dict[str, Loss] = {
    "cross_entropy": CrossEntropy(),
    "binary_cross_entropy": BinaryCrossEntropy(),
    "focal": Focal(),
    "squared_error": SquaredError(),
    "absolute_error": AbsoluteError(),
    "huber": Huber(),
    "quantile": Quantile(),
    "poisson": Poisson(),
}


def takes(loss: Any, kind: str) -> bool:
    """Return whether a loss, given by value or name, supports targets of a kind."""
    if isinstance(loss, str):
        loss = NAMED.get(loss, loss)
    if isinstance(loss, str):
        return loss == "auto"
    return getattr(loss, "targets", None) == kind


def named_or_own(loss: Any) -> Loss:
    """Return the loss that a name stands for, or the one that is given."""
    return NAMED[loss] if isinstance(loss, str) else loss


__all__ = [
    "AbsoluteError",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Focal",
    "Huber",
    "Loss",
    "Poisson",
    "Quantile",
    "SquaredError",
]
