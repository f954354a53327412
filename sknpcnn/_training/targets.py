"""How ``y`` becomes the targets of a loss, and how outputs become predictions.

There are three kinds: one class for each sample, several labels for each sample, and real values.
A target is derived from ``y`` in the first fit, and later from the fitted attributes.
"""

from typing import Any, ClassVar, Protocol

import numpy as np

from sknpcnn._network.balance import Counts
from sknpcnn._network.samples import Samples
from sknpcnn._training.classes import Classes, Labels
from sknpcnn._training.reals import Reals, mean_and_scale
from sknpcnn.losses import Loss

Array = np.ndarray


class Target(Protocol):
    """What the rest of the package needs to know about ``y``."""

    metric: ClassVar[str]
    """The name of the score."""
    guess: ClassVar[str]
    """The behavior of a model that ignores X, in words."""

    @property
    def n_outputs(self) -> int:
        """How many outputs the network needs."""
        ...

    def encode(self, y: Array, name: str = "y") -> Array:
        """Turn y into the targets of a loss; raise if it holds values that the first y did not."""
        ...

    def predict(self, outputs: Array, loss: Loss) -> Array:
        """Turn outputs into predictions, of the form and in the units of y."""
        ...

    def counts(self, targets: Array, weights: Array | None) -> Counts:
        """Compute the total weight of each class; empty if there are no classes."""
        ...

    def strata(self, targets: Array) -> Array:
        """Return the group of each sample, (n,); a split preserves their proportions."""
        ...

    def constant(self, samples: Samples, loss: Loss) -> Array:
        """Compute the outputs, (n_outputs,), of a model that ignores X."""
        ...

    def baseline_loss(self, samples: Samples, loss: Loss) -> float:
        """Compute the loss of such a model; for real values that takes many passes over them."""
        ...

    def baseline_score(self, samples: Samples) -> float:
        """Compute its score."""
        ...

    def sums(self, outputs: Array, targets: Array, weights: Array | None, loss: Loss) -> Array:
        """Compute the sums that the score is computed from; those of mini-batches may be added."""
        ...

    def score(self, sums: Array) -> float:
        """Compute the score from these sums."""
        ...

    def attributes(self) -> dict[str, Any]:
        """Return the fitted attributes that define the target."""
        ...


class Fitted(Protocol):
    """The attributes that define the target of a fitted estimator: classes, or mean and scale."""

    classes_: Array
    target_mean_: Array
    target_scale_: Array


def found(y: Array, weights: Array | None, loss: Loss) -> Target:
    """Return the target of y: its kind follows from the loss."""
    if loss.targets == "classes":
        return Classes(np.unique(y))
    if loss.targets == "labels":
        return Labels(y.shape[1])
    return Reals(*mean_and_scale(y, weights, loss.nonnegative))


def of_fitted(estimator: Fitted, loss: Loss) -> Target:
    """Return the target of a fitted estimator."""
    if loss.targets == "classes":
        return Classes(estimator.classes_)
    if loss.targets == "labels":
        return Labels(len(estimator.classes_))
    return Reals(estimator.target_mean_, estimator.target_scale_)
