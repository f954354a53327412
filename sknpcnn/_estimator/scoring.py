"""Scores the validation data after each epoch, with a scorer of scikit-learn or of the user."""

from copy import copy
from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import check_scoring

from sknpcnn._estimator import fitted, inputs
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._network.batches import Array
from sknpcnn._network.samples import Samples
from sknpcnn._training.fit import Fit

_SKLEARN_SCORES = ClassifierMixin.score, RegressorMixin.score
"""scikit-learn's own implementations, which compare predictions with y."""


def scorer_of(estimator: Estimator, scoring: Any) -> Any:
    """Return the scorer of the validation data; None to score them by their loss."""
    if isinstance(scoring, str) and scoring == "loss":  # others may not be comparable
        return None
    with inputs.naming("scoring"):
        return check_scoring(estimator, scoring)


def make_validation_score(scorer: Any, estimator: Estimator, fit: Fit, samples: Samples) -> Any:
    """Return a function that scores the model with given parameters on the validation data.

    scikit-learn's scorers only pass X on to the model, so they get a model that returns the outputs
    already computed for the loss, whatever X is. A custom scorer gets a temporary copy of the
    validation data.
    """
    index = samples.index
    y = None if samples.y is None else samples.y[index]
    weights = samples.weights_at(index)
    weighted = weights is not None and _accepts_sample_weight(scorer)
    extra = {"sample_weight": weights} if weighted else {}
    custom = callable(estimator.scoring) or type(estimator).score not in _SKLEARN_SCORES

    def score(theta: Array, outputs: Array) -> float:
        model: Any = copy(estimator)  # one of its methods is replaced below
        # the current epoch is not in the history yet
        row = {"train_loss": np.nan, "validation_score": np.nan}
        current = copy(fit)
        current.history = [*fit.history, row]
        for name, value in fitted.attributes_of(current, theta, resumable=False).items():
            setattr(model, name, value)
        vars(model).pop("feature_names_in_", None)  # X is an array here, without names
        if custom:
            return float(scorer(model, samples.X[index], y, **extra))

        model._model_and_outputs = lambda X: (model, outputs)
        return float(scorer(model, samples.X, y, **extra))

    return score


def _accepts_sample_weight(scorer: Any) -> bool:
    """Return whether a scorer can use sample weights."""
    if hasattr(scorer, "_accept_sample_weight"):  # scikit-learn's all have the parameter
        accepts: bool = scorer._accept_sample_weight()
        return accepts
    return "sample_weight" in signature(scorer).parameters
