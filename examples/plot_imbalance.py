"""
When one class is rare
======================

One of fifty training digits is an 8, so "no 8" is right for 98 of 100 of them. To find more of the
rare ones, give them more weight in training, or lower the probability from which on a digit is
called an 8. Both cause more false alarms; how many are acceptable depends on what they cost.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay, balanced_accuracy_score
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split

from sknpcnn import NumpyCNNClassifier

# %%
# Noisy digits. Only 25 eights are left to train on.

rng = np.random.default_rng(0)
X, digit = load_digits(return_X_y=True)
X = (X + rng.normal(0, 5, X.shape)).astype("float32").reshape(-1, 8, 8)
X, X_test, y, y_test = train_test_split(X, digit == 8, stratify=digit, random_state=0)
kept = ~y | (np.cumsum(y) <= 25)
X, y = X[kept], y[kept]
print(f"{y.sum()} of {len(y)} training digits are eights, {y_test.sum()} of {len(y_test)} others.")

# %%
# The threshold is chosen by cross-validation, for the metric that is named.

plain = NumpyCNNClassifier(max_iter=15, random_state=0)
weighted = NumpyCNNClassifier(max_iter=15, random_state=0, class_weight="balanced")
models = {
    "as it is": plain,
    'class_weight="balanced"': weighted,
    "threshold tuned": TunedThresholdClassifierCV(plain, scoring="balanced_accuracy", cv=5),
}
fig, axes = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    predicted = model.fit(X, y).predict(X_test)
    score = balanced_accuracy_score(y_test, predicted)
    ConfusionMatrixDisplay.from_predictions(
        y_test,
        predicted,
        display_labels=["other", "8"],
        normalize="true",
        ax=ax,
        values_format=".0%",
        cmap="Blues",
        colorbar=False,
        im_kw={"vmin": 0, "vmax": 1},
    )
    ax.set_title(f"{name}\nbalanced accuracy {score:.3f}")
    ax.set(xlabel="predicted", ylabel="")
    print(f"{name}: balanced accuracy {score:.3f}, accuracy {(predicted == y_test).mean():.3f}")
axes[0].set_ylabel("true")
print(f"tuned threshold: {models['threshold tuned'].best_threshold_:.3f}")

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
