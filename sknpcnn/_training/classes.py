"""Targets that are classes: one for each sample, or several labels."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sknpcnn._network.balance import Counts, class_counts
from sknpcnn._network.samples import Samples
from sknpcnn._values.brief import brief
from sknpcnn.losses import Loss, measure

Array = np.ndarray

SPREAD = 0.01
"""The fraction of the initial frequencies that is spread evenly: a class or label that has not been
seen yet may still occur. It raises the first loss by less than this fraction."""
TINY = 1e-300
"""A frequency of zero, where its logarithm is needed."""


@dataclass(frozen=True, eq=False)
class Classes:
    """One class for each sample; the targets are the indices of the classes, (n,)."""

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
        labels: Array = self.classes[outputs.argmax(axis=1)]
        return labels

    def counts(self, targets: Array, weights: Array | None) -> Counts:
        return class_counts(targets, weights, self.n_outputs)

    def strata(self, targets: Array) -> Array:
        return targets

    def constant(self, samples: Samples, loss: Loss) -> Array:
        spread = (1 - SPREAD) * self._frequencies(samples) + SPREAD / self.n_outputs
        return np.log(spread)

    def baseline_loss(self, samples: Samples, loss: Loss) -> float:
        p = self._frequencies(samples)
        known = np.flatnonzero(p)  # one row for each class does, weighed by its frequency
        outputs = np.tile(np.log(np.maximum(p, TINY)), (len(known), 1))
        return measure(loss, outputs, known, p[known]).total

    def baseline_score(self, samples: Samples) -> float:
        return float(self._frequencies(samples).max())

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
        frequencies: Array = counts / counts.sum()
        return frequencies


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

    def baseline_loss(self, samples: Samples, loss: Loss) -> float:
        p = self._frequencies(samples)
        outputs = np.log(np.maximum(p, TINY)) - np.log(np.maximum(1 - p, TINY))
        return mean_loss(outputs, samples, loss)

    def baseline_score(self, samples: Samples) -> float:
        right = samples.targets[samples.index] == (self._frequencies(samples) > 0.5)
        return _accuracy(_hits(right.all(axis=1), samples.weights_at(samples.index)))

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


def mean_loss(outputs: Array, samples: Samples, loss: Loss) -> float:
    """Compute the mean loss if the outputs, (n_outputs,), are the same for all samples."""
    targets, weights = samples.targets[samples.index], samples.weights_at(samples.index)
    total = measure(loss, np.tile(outputs, (len(targets), 1)), targets, weights).total
    return total / (len(targets) if weights is None else float(weights.sum()))


def _hits(right: Array, weights: Array | None) -> Array:
    """Add up the weight of what is right, and all weight."""
    hits = right.astype(np.float64)
    if weights is None:
        return np.array([hits.sum(), float(len(hits))])
    return np.array([hits @ weights, weights.sum()])


def _accuracy(sums: Array) -> float:
    hits, weight = sums
    return float(hits / weight)
