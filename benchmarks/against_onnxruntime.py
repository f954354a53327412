"""Prediction next to onnxruntime, which runs the exported model of the same classifier."""

from importlib.util import find_spec
from typing import Any

import numpy as np

from sknpcnn import NumpyCNNClassifier

from . import networks, ours, timing

PREDICTED_TOGETHER = (128, 512)
TOLERANCE = 1e-4


def measure(name: str, threads: int, rounds: int, n: int) -> dict[str, Any]:
    """Check that both predict the same, then time both; or tell what is missing."""
    missing = [package for package in ("onnx", "onnxruntime") if find_spec(package) is None]
    if missing:
        return {"skipped": f"not installed: {', '.join(missing)}"}
    network = networks.network(name)
    theta = networks.parameters(network)
    X, _ = networks.data(network.image, n)
    clf = ours.fitted(name, threads, theta)
    session = session_of(clf, threads)

    def predict(size: int, stop: int = n) -> np.ndarray:
        parts = [slice(lo, min(lo + size, stop)) for lo in range(0, stop, size)]
        return np.concatenate([session.run(["probabilities"], {"X": X[part]})[0] for part in parts])

    few = min(n, 2 * max(PREDICTED_TOGETHER))
    error = float(np.abs(clf.predict_proba(X[:few]) - predict(512, few)).max())
    if not error <= TOLERANCE:
        raise AssertionError(f"Network {name} predicts otherwise than onnxruntime, by {error:.2g}.")
    taken = {
        size: min(timing.seconds(lambda s=size: predict(s, few)) for _ in range(3))
        for size in PREDICTED_TOGETHER
    }
    fastest = min(taken, key=lambda size: taken[size])
    times = timing.repeats(lambda: predict(fastest))
    turns = {
        "ours": timing.repeated(lambda: clf.predict_proba(X), times),
        f"{fastest} together": timing.repeated(lambda: predict(fastest), times),
    }
    return timing.summary(timing.alternate(turns, rounds), n) | {"largest_error": error}


def session_of(clf: NumpyCNNClassifier, threads: int) -> Any:
    """Make the exported model of a classifier ready to run in onnxruntime."""
    import onnxruntime

    from sknpcnn.onnx import to_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = to_onnx(clf).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
