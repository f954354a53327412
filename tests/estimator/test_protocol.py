"""Estimators have what their protocol declares: mypy cannot tell, as scikit-learn has no types."""

from inspect import isfunction
from typing import get_type_hints

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, NumpyCNNRegressor
from sknpcnn._estimator.protocol import AnyEstimator, Estimator

X = np.random.default_rng(0).normal(size=(12, 8, 8))
y = np.arange(12) % 3
SCALES = {"target_mean_", "target_scale_"}


def declared(protocol):
    """The names of all attributes and methods that a protocol declares."""
    bases = [base for base in protocol.__mro__ if base.__module__ == protocol.__module__]
    found = {name for base in bases for name, value in vars(base).items() if isfunction(value)}
    return {*get_type_hints(protocol), *(name for name in found if not name.startswith("__"))}


@pytest.mark.parametrize(
    ("protocol", "kind", "of_another_kind"),
    [
        (Estimator, NumpyCNNClassifier, SCALES),
        (Estimator, NumpyCNNRegressor, {"classes_"}),
        (AnyEstimator, NumpyCNNFeatures, set()),
    ],
)
def test_a_fitted_estimator_has_what_its_protocol_declares(protocol, kind, of_another_kind):
    network = {} if kind is NumpyCNNFeatures else {"conv_filters": (2,), "max_iter": 1}
    estimator = kind(**network, random_state=0).fit(X, y)
    assert {"get_params", "_parameter_constraints"} <= declared(protocol)
    missing = {name for name in declared(protocol) if not hasattr(estimator, name)}
    assert missing == of_another_kind
