"""``evaluate``: how good a saved model is on labeled data."""

from argparse import Namespace

import numpy as np
from sklearn.metrics import confusion_matrix, log_loss

import sknpcnn
from sknpcnn import NumpyCNNClassifier
from sknpcnn._commands.data import CommandError, Data, read_data

MAX_SHOWN = 20
"""The most classes for which a confusion matrix is printed."""


def load_classifier(path: str) -> NumpyCNNClassifier:
    """Load a model; raise if it is no classifier of one class for each image."""
    model = sknpcnn.load(path)
    if not isinstance(model, NumpyCNNClassifier) or model.classes_.ndim != 1:
        raise CommandError(f"{path} is a {type(model).__name__}; needed: a classifier.")
    return model


def evaluate(options: Namespace) -> int:
    """Print accuracy, log-loss and confusion matrix of a saved model."""
    clf = load_classifier(options.model)
    h, w, channels = clf.image_shape_
    options.size, options.color = (h, w), channels == 3
    print(describe(clf, read_data(options.data, options)))
    return 0


def describe(clf: NumpyCNNClassifier, data: Data) -> str:
    """Describe in a few lines how good a classifier is."""
    unknown = sorted(set(data.y.tolist()) - set(clf.classes_.tolist()))
    if unknown:
        raise CommandError(f"The data have the labels {unknown}, which the model does not know.")
    p = clf.predict_proba(data.X)
    predicted = clf.classes_[p.argmax(axis=1)]
    right = int((predicted == data.y).sum())
    lines = [
        f"Accuracy {right / len(data.y):.4f} ({right} of {len(data.y)}), "
        f"log-loss {log_loss(data.y, p, labels=clf.classes_):.4f}"
    ]
    if len(clf.classes_) <= MAX_SHOWN:
        matrix = confusion_matrix(data.y, predicted, labels=clf.classes_)
        lines += ["", *_table([str(c) for c in clf.classes_], matrix)]
    return "\n".join(lines)


def _table(names: list[str], matrix: np.ndarray) -> list[str]:
    """Write a confusion matrix, a row for each true class."""
    first = max(len("true \\ predicted"), *map(len, names))
    widths = [max(len(name), len(str(matrix.max()))) for name in names]
    head = "true \\ predicted".ljust(first)
    lines = ["  ".join([head, *(n.rjust(w) for n, w in zip(names, widths, strict=True))])]
    for name, row in zip(names, matrix, strict=True):
        numbers = (str(n).rjust(w) for n, w in zip(row, widths, strict=True))
        lines.append("  ".join([name.ljust(first), *numbers]))
    return lines
