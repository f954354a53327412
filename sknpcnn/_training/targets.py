"""How ``y`` becomes what a loss compares outputs with, and how outputs become predictions.

There are three kinds: one class for each sample, several labels for each sample, and real numbers.
A target is found in ``y`` by the first fit; afterwards it follows from the fitted attributes.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from sknpcnn._network.balance import Counts, class_counts
from sknpcnn._network.samples import Samples
from sknpcnn._values.brief import brief
from sknpcnn.losses import Loss, measure

Array = np.ndarray

SPREAD = 0.01
"""The fraction of the frequencies that training starts from which is spread evenly: what has not
been seen yet may still come. It raises the first loss by less than this fraction."""
DOUBLINGS, HALVINGS = 5, 40
"""How often the range that is searched for the best constant output is doubled, and then halved."""
TINY = 1e-300
"""A frequency of zero, where its logarithm is needed."""
CONSTANT = 8 * float(np.finfo(np.float64).eps)
"""Values that deviate less from their mean, in proportion to it, differ by rounding alone."""
UNEXPLAINED = 1e-12
"""A smaller part of the sum of squares is no variation: it is what rounding has left."""


class Target(Protocol):
    """What the rest of the package needs to know about ``y``."""

    metric: ClassVar[str]
    """The name of the score."""
    guess: ClassVar[str]
    """What a model does that knows nothing of X, in words."""

    @property
    def n_outputs(self) -> int:
        """How many outputs the network needs."""
        ...

    def encode(self, y: Array, name: str = "y") -> Array:
        """Turn y into the targets of a loss; raise if it holds what the first y did not."""
        ...

    def predict(self, outputs: Array, loss: Loss) -> Array:
        """Turn outputs into predictions, of the form and in the units of y."""
        ...

    def counts(self, targets: Array, weights: Array | None) -> Counts:
        """Compute how much weight each class has; empty where there are no classes."""
        ...

    def strata(self, targets: Array) -> Array:
        """Return the group of each sample, (n,), of which a split keeps the proportions."""
        ...

    def constant(self, samples: Samples, loss: Loss) -> Array:
        """Compute the outputs, (n_outputs,), of a model that knows nothing of X."""
        ...

    def baseline(self, samples: Samples, loss: Loss) -> tuple[float, float]:
        """Compute the loss and the score of such a model."""
        ...

    def sums(self, outputs: Array, targets: Array, weights: Array | None, loss: Loss) -> Array:
        """Compute what the score follows from; the sums of mini-batches may be added up."""
        ...

    def score(self, sums: Array) -> float:
        """Compute the score from these sums."""
        ...

    def attributes(self) -> dict[str, Any]:
        """Return the fitted attributes that the target follows from."""
        ...


@dataclass(frozen=True, eq=False)
class Classes:
    """One class for each sample; the targets are the numbers of the classes, (n,)."""

    classes: Array
    """(k,), sorted."""

    metric: ClassVar[str] = "accuracy"
    guess: ClassVar[str] = "always naming the most frequent class"

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def encode(self, y: Array, name: str = "y") -> Array:
        classes = self.classes
        try:
            place = np.searchsorted(classes, y)
            place[place == len(classes)] = 0
            unknown = classes[place] != y
        except TypeError:  # such as labels that are numbers, and classes that are dates
            unknown = np.ones(len(y), bool)
        if unknown.any():
            raise ValueError(
                f"{name} holds {brief(np.unique(y[unknown])[:5].tolist())}, which is not among the "
                f"classes {brief(classes.tolist())}."
            )
        return place

    def predict(self, outputs: Array, loss: Loss) -> Array:
        return self.classes[outputs.argmax(axis=1)]

    def counts(self, targets: Array, weights: Array | None) -> Counts:
        return class_counts(targets, weights, self.n_outputs)

    def strata(self, targets: Array) -> Array:
        return targets

    def constant(self, samples: Samples, loss: Loss) -> Array:
        spread = (1 - SPREAD) * self._frequencies(samples) + SPREAD / self.n_outputs
        return np.log(spread)

    def baseline(self, samples: Samples, loss: Loss) -> tuple[float, float]:
        p = self._frequencies(samples)
        known = np.flatnonzero(p)  # one row for each class does, weighed by its frequency
        outputs = np.tile(np.log(np.maximum(p, TINY)), (len(known), 1))
        return measure(loss, outputs, known, p[known]).total, float(p.max())

    def sums(self, outputs: Array, targets: Array, weights: Array | None, loss: Loss) -> Array:
        return _hits(outputs.argmax(axis=1) == targets, weights)

    def score(self, sums: Array) -> float:
        return _accuracy(sums)

    def attributes(self) -> dict[str, Any]:
        return {"classes_": self.classes}

    def _frequencies(self, samples: Samples) -> Array:
        """Compute the fraction of the weight that each class has."""
        index = samples.index
        counts = np.bincount(samples.targets[index], samples.weights_at(index), self.n_outputs)
        return counts / counts.sum()


@dataclass(frozen=True, eq=False)
class Labels:
    """Any number of labels for each sample; the targets are an indicator matrix, (n, labels)."""

    n_outputs: int

    metric: ClassVar[str] = "accuracy"
    guess: ClassVar[str] = "always naming the labels that most samples have"

    def encode(self, y: Array, name: str = "y") -> Array:
        if y.ndim != 2 or y.shape[1] != self.n_outputs:
            raise ValueError(
                f"{name} has the shape {y.shape}; needed: an indicator matrix (n, "
                f"{self.n_outputs}) of zeros and ones, a column for each label."
            )
        if not ((y == 0) | (y == 1)).all():
            raise ValueError(
                f"{name} holds other values than 0 and 1; needed: an indicator matrix."
            )
        return y.astype(np.uint8)

    def predict(self, outputs: Array, loss: Loss) -> Array:
        return (loss.link(outputs) > 0.5).astype(np.int64)

    def counts(self, targets: Array, weights: Array | None) -> Counts:
        return ()

    def strata(self, targets: Array) -> Array:
        return np.zeros(len(targets), int)

    def constant(self, samples: Samples, loss: Loss) -> Array:
        p = (1 - SPREAD) * self._frequencies(samples) + SPREAD / 2
        return np.log(p) - np.log1p(-p)

    def baseline(self, samples: Samples, loss: Loss) -> tuple[float, float]:
        p = self._frequencies(samples)
        outputs = np.log(np.maximum(p, TINY)) - np.log(np.maximum(1 - p, TINY))
        targets, weights = samples.targets[samples.index], samples.weights_at(samples.index)
        total = measure(loss, np.tile(outputs, (len(targets), 1)), targets, weights).total
        right = _hits((targets == (p > 0.5)).all(axis=1), weights)
        return total / float(right[1]), _accuracy(right)

    def sums(self, outputs: Array, targets: Array, weights: Array | None, loss: Loss) -> Array:
        return _hits((self.predict(outputs, loss) == targets).all(axis=1), weights)

    def score(self, sums: Array) -> float:
        return _accuracy(sums)

    def attributes(self) -> dict[str, Any]:
        return {"classes_": np.arange(self.n_outputs)}

    def _frequencies(self, samples: Samples) -> Array:
        """Compute the fraction of the weight that has each label."""
        index = samples.index
        return np.average(samples.targets[index], axis=0, weights=samples.weights_at(index))


@dataclass(frozen=True, eq=False)
class Reals:
    """One or several real numbers for each sample; the targets are standardized, (n, k).

    So numbers in thousands are learned as well as numbers near zero, with the same learning rate
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
        # divided first: the difference of large numbers may be infinite
        return (y / self.scale - self.mean / self.scale).reshape(len(y), -1)

    @np.errstate(all="ignore")  # whoever predicts looks whether values are finite
    def predict(self, outputs: Array, loss: Loss) -> Array:
        values = loss.link(outputs.astype(np.float64))
        return self.mean + self.scale * values.reshape(-1, *self.mean.shape)

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

    def baseline(self, samples: Samples, loss: Loss) -> tuple[float, float]:
        outputs = np.tile(self.constant(samples, loss), (len(samples), 1))
        weights = samples.weights_at(samples.index)
        total = measure(loss, outputs, samples.targets[samples.index], weights).total
        return total / (len(samples) if weights is None else float(weights.sum())), 0.0

    def sums(self, outputs: Array, targets: Array, weights: Array | None, loss: Loss) -> Array:
        """Add up weights, targets, their squares, and the squares of the errors: (4, k)."""
        w = np.ones((len(targets), 1)) if weights is None else weights[:, None]
        errors = loss.link(outputs) - targets
        terms = (np.ones_like(targets), targets, targets**2, errors**2)
        return np.stack([(w * term).sum(axis=0) for term in terms])

    def score(self, sums: Array) -> float:
        """Compute the coefficient of determination, in the mean over the columns of y."""
        weight, total, squares, unexplained = sums
        variation = squares - total**2 / weight
        varies = variation > UNEXPLAINED * squares
        # as scikit-learn has it where nothing varies: right is 1, wrong is 0
        r2 = np.where(unexplained > 0, 0.0, 1.0)
        np.divide(variation - unexplained, variation, out=r2, where=varies)
        return float(r2.mean())

    def attributes(self) -> dict[str, Any]:
        return {"target_mean_": self.mean, "target_scale_": self.scale}


def found(y: Array, weights: Array | None, loss: Loss) -> Target:
    """Find out what kind of target y is, from the loss that is to be trained, and its values."""
    if loss.targets == "classes":
        return Classes(np.unique(y))
    if loss.targets == "labels":
        return Labels(y.shape[1])
    return Reals(*_mean_and_scale(y, weights, loss.nonnegative))


def of_fitted(estimator: Any, loss: Loss) -> Target:
    """Return the target of a fitted estimator."""
    if loss.targets == "classes":
        return Classes(estimator.classes_)
    if loss.targets == "labels":
        return Labels(len(estimator.classes_))
    return Reals(estimator.target_mean_, estimator.target_scale_)


@np.errstate(all="ignore")
def _mean_and_scale(y: Array, weights: Array | None, nonnegative: bool) -> tuple[Array, Array]:
    """Compute the weighted mean and deviation of each column of y, whatever its size.

    What must not fall below zero is not shifted, and scaled by its mean.
    """
    if weights is not None:  # a weight of zero counts for nothing, in no digit
        y, weights = y[weights > 0], weights[weights > 0]
    _, exponent = np.frexp(np.abs(y).max(axis=0))
    y = np.ldexp(y, -exponent)  # by a power of two: squares are finite, and no digit changes
    mean = np.average(y, axis=0, weights=weights)
    if nonnegative:
        scale = np.ldexp(np.where(mean > 0, mean, 1.0), exponent)
        return np.zeros(np.shape(mean)), np.asarray(scale)
    deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
    # a constant has no deviation: its own size is what errors are compared with
    varies = deviation > CONSTANT * np.abs(mean)
    scale = np.where(varies, deviation, np.where(mean == 0, 1.0, np.abs(mean)))
    return np.asarray(np.ldexp(mean, exponent)), np.asarray(np.ldexp(scale, exponent))


def _hits(right: Array, weights: Array | None) -> Array:
    """Add up the weight of what is right, and all weight."""
    hits = right.astype(np.float64)
    if weights is None:
        return np.array([hits.sum(), float(len(hits))])
    return np.array([hits @ weights, weights.sum()])


def _accuracy(sums: Array) -> float:
    hits, weight = sums
    return float(hits / weight)
