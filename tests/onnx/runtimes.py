"""Exported models in the runtimes of others."""

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")
reference = pytest.importorskip("onnx.reference")


def in_onnxruntime(model, X):
    """Run a model in onnxruntime; return its outputs by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": _single(X)}), strict=True))


def in_reference(model, X):
    """Run a model in the reference implementation of ONNX; return its outputs by name."""
    evaluator = reference.ReferenceEvaluator(model)
    with np.errstate(all="ignore"):
        found = evaluator.run(None, {"X": _single(X)})
    return dict(zip(evaluator.output_names, found, strict=True))


def _single(X):
    return np.ascontiguousarray(X, np.float32)


RUNTIMES = (in_onnxruntime, in_reference)


def with_random_weights(estimator, seed=0):
    """Replace the weights, running averages included, by others of a usual size."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, array in estimator.get_weights().items():
        low, high = (0.5, 1.5) if name.endswith((".var", ".gamma")) else (-0.5, 0.5)
        weights[name] = array + rng.uniform(low, high, array.shape) / np.sqrt(_fan_in(name, array))
    return estimator.set_weights(weights)


def _fan_in(name, array):
    return np.prod(array.shape[:-1]) if name.endswith(".W") else 1


def assert_predicts_the_same(model, estimator, X, runtimes=RUNTIMES, tolerance=1e-5):
    """Compare predictions of a classifier with those of its exported model."""
    p, labels = estimator.predict_proba(X), estimator.predict(X)
    for run in runtimes:
        found = run(model, X)
        assert found["probabilities"].dtype == np.float32
        np.testing.assert_allclose(found["probabilities"], p, atol=tolerance, rtol=0)
        clear = np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2] > tolerance
        np.testing.assert_array_equal(found["label"][clear], labels[clear])
