"""An epoch of a network without convolutions, next to scikit-learn's MLPClassifier."""

import warnings
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from sknpcnn import NumpyCNNClassifier

from . import networks, timing

SAMPLES, FEATURES, HIDDEN, BATCH, EPOCHS = 10_000, 784, (100,), 128, 3
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def measure(dtype: str, threads: int, rounds: int) -> dict[str, Any]:
    """Check that both compute the same with the same weights, then time their epochs."""
    X, y = networks.data((FEATURES, 1, 1), SAMPLES, np.dtype(dtype).type)
    X = X.reshape(SAMPLES, FEATURES)
    common = {"batch_size": BATCH, "n_iter_no_change": np.inf, "alpha": 0.0, "random_state": 0}
    common |= {"hidden_layer_sizes": HIDDEN, "max_iter": EPOCHS}
    common["learning_rate"] = "constant"
    theirs = MLPClassifier(solver="adam", **common)
    ours = NumpyCNNClassifier(
        conv_filters=(),
        batch_norm=False,
        dropout=0.0,
        image_shape=(28, 28),
        standardize=False,
        n_jobs=threads,
        **common,
    )
    with warnings.catch_warnings(), threadpool_limits(threads):
        warnings.simplefilter("ignore")  # so few epochs do not converge
        error = _difference(ours.fit(X, y), theirs.fit(X, y), X, dtype)
        turns = {
            "ours": lambda: timing.seconds(lambda: ours.fit(X, y)) / EPOCHS,
            "MLPClassifier": lambda: timing.seconds(lambda: theirs.fit(X, y)) / EPOCHS,
        }
        found = timing.alternate(turns, rounds)
    return timing.summary(found, SAMPLES) | {"largest_error": error}


def _difference(ours: Any, theirs: Any, X: np.ndarray, dtype: str) -> float:
    """Give ours the weights of theirs; return how far apart the predictions are."""
    pairs = zip(theirs.coefs_, theirs.intercepts_, strict=True)
    arrays = [array for pair in pairs for array in pair]
    ours.set_weights(dict(zip(ours.get_weights(), arrays, strict=True)))
    found, expected = ours.predict_proba(X), theirs.predict_proba(X)
    if found.dtype != expected.dtype:
        raise AssertionError(f"Ours computes in {found.dtype}, MLPClassifier in {expected.dtype}.")
    error = float(np.abs(found - expected).max())
    if not error <= TOLERANCE[dtype]:
        raise AssertionError(f"Ours predicts otherwise than MLPClassifier, by {error:.2g}.")
    return error
