"""Targets that are real values: one or several for each sample."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn._network.balance import Counts
from sknpcnn._network.samples import Samples
from sknpcnn._training.classes import mean_loss
from sknpcnn.losses import Loss

Array = np.ndarray

DOUBLINGS, HALVINGS = 5, 40
"""How often the search range for the best constant output is doubled, and then halved."""
CONSTANT = 8 * float(np.finfo(np.float64).eps)
"""Values that deviate less from their mean, relative to it, differ only by rounding."""
UNEXPLAINED = 1e-12
"""A smaller fraction of the sum of squares is not variation, but rounding error."""


@dataclass(frozen=True, eq=False)
class Reals:
    """One or several real values for each sample; the targets are standardized, (n, k).

    So values in thousands are learned as well as values near zero, with the same learning rate
    and the same thresholds.
    """

    mean: Array
    """(k,), or () where y has the shape (n,)."""
    scale: Array
    """Of the same shape: ``y = mean + scale * target``."""

    metric: ClassVar[str] = "R2"
    guess: ClassVar[str] = "always predicting the same value"

    @property
    def n_outputs(self) -> int:
        return self.mean.size

    def encode(self, y: Array, name: str = "y") -> Array:
        if y.shape[1:] != self.mean.shape:
            wanted = "(n,)" if self.mean.ndim == 0 else f"(n, {self.mean.size})"
            raise ValueError(f"{name} has the shape {y.shape}; needed: {wanted}.")
        # divided first: the difference of large values may be infinite
        targets: Array = (y / self.scale - self.mean / self.scale).reshape(len(y), -1)
        return targets

    @np.errstate(all="ignore")  # the caller checks that predictions are finite
    def predict(self, outputs: Array, loss: Loss) -> Array:
        values = loss.link(outputs.astype(np.float64))
        predicted: Array = self.mean + self.scale * values.reshape(-1, *self.mean.shape)
        return predicted

    def counts(self, targets: Array, weights: Array | None) -> Counts:
        return ()

    def strata(self, targets: Array) -> Array:
        return np.zeros(len(targets), int)

    @np.errstate(all="ignore")
    def constant(self, samples: Samples, loss: Loss) -> Array:
        """Find where the mean gradient changes its sign, by bisection.

        Outputs need not be on the scale of the targets: the loss may have a link.
        """
        targets = samples.targets[samples.index]
        weights = samples.weights_at(samples.index)

        def slope(outputs: Array) -> Array:
            _, gradient = loss.compute(np.tile(outputs, (len(targets), 1)), targets)
            return np.average(gradient, axis=0, weights=weights)

        low, high = -np.ones(self.n_outputs), np.ones(self.n_outputs)
        for _ in range(DOUBLINGS):
            low = np.where(slope(low) > 0, 2 * low, low)
            high = np.where(slope(high) < 0, 2 * high, high)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            falls = slope(middle) < 0
            low, high = np.where(falls, middle, low), np.where(falls, high, middle)
        return (low + high) / 2

    def baseline_loss(self, samples: Samples, loss: Loss) -> float:
        return mean_loss(self.constant(samples, loss), samples, loss)

    def baseline_score(self, samples: Samples) -> float:
        return 0.0

    def sums(self, outputs: Array, targets: Array, weights: Array | None, loss: Loss) -> Array:
        """Add up weights, targets, their squares, and the squares of the errors: (4, k)."""
        w = np.ones((len(targets), 1)) if weights is None else weights[:, None]
        errors = loss.link(outputs) - targets
        terms = (np.ones_like(targets), targets, targets**2, errors**2)
        return np.stack([(w * term).sum(axis=0) for term in terms])

    def score(self, sums: Array) -> float:
        """Compute the coefficient of determination, averaged over the columns of y."""
        weight, total, squares, unexplained = sums
        variation = squares - total**2 / weight
        varies = variation > UNEXPLAINED * squares
        # as in scikit-learn if nothing varies: right is 1, wrong is 0
        r2 = np.where(unexplained > 0, 0.0, 1.0)
        np.divide(variation - unexplained, variation, out=r2, where=varies)
        return float(r2.mean())

    def attributes(self) -> dict[str, Any]:
        return {"target_mean_": self.mean, "target_scale_": self.scale}


@np.errstate(all="ignore")
def mean_and_scale(y: Array, weights: Array | None, nonnegative: bool) -> tuple[Array, Array]:
    """Compute the weighted mean and standard deviation of each column of y, of any magnitude.

    Nonnegative values are not shifted, and are scaled by their mean.
    """
    if weights is not None:  # samples of weight zero must not change a single bit
        y, weights = y[weights > 0], weights[weights > 0]
    _, exponent = np.frexp(np.abs(y).max(axis=0))
    y = np.ldexp(y, -exponent)  # by a power of two: squares are finite, and no digit changes
    mean = np.average(y, axis=0, weights=weights)
    if nonnegative:
        scale = np.ldexp(np.where(mean > 0, mean, 1.0), exponent)
        return np.zeros(np.shape(mean)), np.asarray(scale)
    deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
    # a constant has no deviation: errors are then relative to its magnitude
    varies = deviation > CONSTANT * np.abs(mean)
    scale = np.where(varies, deviation, np.where(mean == 0, 1.0, np.abs(mean)))
    return np.asarray(np.ldexp(mean, exponent)), np.asarray(np.ldexp(scale, exponent))
