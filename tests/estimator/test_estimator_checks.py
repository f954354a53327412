"""scikit-learn's own checks: every one, in every configuration, and none expected to fail."""

import os
import subprocess
import sys

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknpcnn import NumpyCNNClassifier, NumpyCNNRegressor
from sknpcnn.layers import Conv2D, Dense, Flatten, MaxPool2D, ReLU
from sknpcnn.losses import Focal
from sknpcnn.optimizers import SGD

pytestmark = pytest.mark.thread_unsafe(reason="scikit-learn's checks record warnings")

CLASSIFIERS = [
    NumpyCNNClassifier(early_stopping=True),
    NumpyCNNClassifier(class_weight={0: 1.5, 1: 1.0}),
    NumpyCNNClassifier(class_weight="balanced"),
    NumpyCNNClassifier(batch_norm=True, dropout=0.2),
    NumpyCNNClassifier(conv_filters=(4, 8, 8), kernel_size=[(1, 3), 3, [1, 1]]),
    NumpyCNNClassifier(conv_filters=(), hidden_layer_sizes=(64,)),
    NumpyCNNClassifier(
        layers=[Conv2D(8), ReLU(), MaxPool2D(2, padding="same"), Flatten(), Dense(32), ReLU()]
    ),
    NumpyCNNClassifier(batch_norm=False, learning_rate="constant"),
    NumpyCNNClassifier(solver="sgd"),
    NumpyCNNClassifier(solver=SGD(momentum=0.5), learning_rate_init=0.1),
    NumpyCNNClassifier(loss=Focal(1.0)),
]
REGRESSORS = [
    NumpyCNNRegressor(early_stopping=True),
    NumpyCNNRegressor(loss="huber", conv_filters=(8,), hidden_layer_sizes=(32,)),
    NumpyCNNRegressor(loss="absolute_error", solver="sgd"),
    NumpyCNNRegressor(loss="quantile", batch_norm=False, learning_rate="constant"),
    NumpyCNNRegressor(conv_filters=(), hidden_layer_sizes=(64,), dropout=0.2),
    NumpyCNNRegressor(layers=[Conv2D(8), ReLU(), MaxPool2D(2, padding="same"), Flatten()]),
]


@parametrize_with_checks([NumpyCNNClassifier(), NumpyCNNRegressor()], xfail_strict=True)
def test_scikit_learn_check(estimator, check):
    check(estimator)


# In the checks the labels are not always 0 and 1, which the classifier would mention.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:class_weight names:UserWarning")
@parametrize_with_checks([*CLASSIFIERS, *REGRESSORS], xfail_strict=True)
def test_scikit_learn_check_in_another_configuration(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.skipif("SCIPY_ARRAY_API" in os.environ, reason="this is the inner run")
@pytest.mark.parametrize("kind", [NumpyCNNClassifier, NumpyCNNRegressor])
def test_all_checks_pass_with_scipy_array_api(kind):
    """The variable must be set before SciPy is imported, hence a process of its own."""
    program = (
        "from sklearn.utils.estimator_checks import check_estimator;"
        f"from sknpcnn import {kind.__name__};"
        f"results = check_estimator({kind.__name__}());"
        "print(sorted({r['status'] for r in results}), len(results) > 50)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['passed'] True"
