"""Draws the figures of the guide again: ``python docs/guide/figures.py`` writes docs/images."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures

IMAGES = Path(__file__).parents[1] / "images"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
MARKERS = ("o", "s", "^", "D")


def draw_learning_rates() -> None:
    """The loss of each epoch at three learning rates."""
    digits, labels = load_digits(return_X_y=True)
    images = digits.astype("float32").reshape(-1, 8, 8)
    X, _, y, _ = train_test_split(
        images, labels, train_size=500, test_size=500, stratify=labels, random_state=0
    )
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    words = {0.00001: "0.00001: too small", 0.003: "0.003: right", 1.0: "1.0: too large"}
    for (rate, label), color, marker in zip(words.items(), COLORS, MARKERS, strict=False):
        clf = NumpyCNNClassifier(
            (8, 16),
            learning_rate="constant",
            learning_rate_init=rate,
            max_iter=8,
            n_jobs=1,
            random_state=0,
        ).fit(X, y)
        axes.semilogy(range(1, 9), clf.loss_curve_, color=color, marker=marker, label=label)
    axes.axhline(np.log(10), color="gray", linestyle=":", label="log(10): knows nothing")
    axes.set(xlabel="epoch", ylabel="training loss")
    axes.set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.legend(title="learning rate", fontsize=9)
    figure.savefig(IMAGES / "learning_rates.png", dpi=90)


def draw_numbers_of_images() -> None:
    """The accuracy of four models by the number of training images."""
    digits, labels = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        digits.astype("float32"), labels, train_size=800, stratify=labels, random_state=0
    )
    features = NumpyCNNFeatures(NumpyCNNClassifier((32,), n_jobs=1), random_state=0)
    models = {
        "NumpyCNNClassifier": NumpyCNNClassifier(n_jobs=1, random_state=0),
        "random features, linear": make_pipeline(
            features, StandardScaler(), LogisticRegression(max_iter=1000)
        ),
        "SVC on pixels": make_pipeline(StandardScaler(), SVC()),
        "MLPClassifier": make_pipeline(
            StandardScaler(), MLPClassifier(max_iter=1000, random_state=0)
        ),
    }
    numbers = (30, 100, 300, 800)
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for (label, model), color, marker in zip(models.items(), COLORS, MARKERS, strict=True):
        scores = [model.fit(X[:n], y[:n]).score(X_test, y_test) for n in numbers]
        print(label, np.round(scores, 3))
        axes.semilogx(numbers, scores, color=color, marker=marker, label=label)
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.minorticks_off()
    axes.set(xlabel="training images", ylabel="test accuracy")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    figure.savefig(IMAGES / "numbers_of_images.png", dpi=90)


if __name__ == "__main__":
    draw_learning_rates()
    draw_numbers_of_images()
