"""
How often is it right when it is 90 percent sure?
=================================================

Networks tend to be surer than they should be. ``CalibratedClassifierCV`` compares their
probabilities with the labels of images that were held out, and corrects them.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier

# %%
# Digits with so much noise that nobody reads all of them.

rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
X = (X + rng.normal(0, 6, X.shape)).reshape(-1, 8, 8)
X_train, X_rest, y_train, y_rest = train_test_split(
    X, y, train_size=300, stratify=y, random_state=0
)
X_kept, X_test, y_kept, y_test = train_test_split(
    X_rest, y_rest, train_size=400, stratify=y_rest, random_state=0
)
clf = NumpyCNNClassifier(dropout=0, random_state=0).fit(X_train, y_train)

# %%
# ``FrozenEstimator`` says that the network is trained already. Temperature scaling divides the
# logits by one number, which leaves the order of the classes, and so every prediction, as it was.
# Isotonic regression fits a curve for each class instead of the one number. With only 400 digits to
# fit these, its log loss is worse than that of the network.

models = {"the network": clf}
for method in ("temperature", "isotonic"):
    calibrated = CalibratedClassifierCV(FrozenEstimator(clf), method=method)
    models[f"calibrated, {method}"] = calibrated.fit(X_kept, y_kept)

# %%
# Of the predictions with about the same probability, how many are right? Above the dotted line a
# model is right more often than its probabilities say, below it less often.

fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
for (name, model), color in zip(models.items(), ("#d55e00", "#0072b2", "#6b7280"), strict=True):
    proba = model.predict_proba(X_test)
    right, sure = proba.argmax(axis=1) == y_test, proba.max(axis=1)
    options = {"n_bins": 8, "strategy": "quantile", "name": name, "ax": axes[0]}
    CalibrationDisplay.from_predictions(right, sure, color=color, **options)
    axes[1].hist(sure, np.linspace(0.2, 1, 17), histtype="step", color=color, lw=2)
    title = f"{name}: {sure.mean():.1%} sure, {right.mean():.1%} right"
    print(f"{title}, log loss {log_loss(y_test, proba):.3f}")
axes[0].set(xlabel="probability of the predicted class", ylabel="how often it is right")
axes[0].set(xlim=(0.3, 1.02), ylim=(0.3, 1.02))
axes[0].legend(frameon=False)
axes[1].set(xlabel="probability of the predicted class", ylabel=f"of {len(y_test)} test digits")

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
