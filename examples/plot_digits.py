"""
Learning to read digits
=======================

How the loss and the accuracy go, epoch by epoch, and what the network is least sure of in the end.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier

# %%
# Train on three quarters of the digits that come with scikit-learn, 8 x 8 pixels each. The others
# are given as validation data: they are only watched, they decide nothing.

X, y = load_digits(return_X_y=True)
X = X.astype("float32").reshape(-1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
clf = NumpyCNNClassifier(max_iter=30, random_state=0)
clf.fit(X_train, y_train, X_val=X_test, y_val=y_test)

# %%
# ``history_`` is a data frame with one row per epoch.

blue, orange, red, history = "#2364aa", "#ec7505", "#c81d25", clf.history_
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
fig = plt.figure(figsize=(10, 4.4), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1, 1.55), wspace=0.04)
top, bottom = left.subplots(2, 1, sharex=True)
for name, label, color in (("train", "training", blue), ("validation", "other", orange)):
    top.plot(history[f"{name}_loss"], color=color, lw=1.8)
    bottom.plot(history[f"{name}_score"], color=color, lw=1.8, label=f"{label} digits")
top.set(yscale="log", title="Loss", xlim=(1, len(history)))
bottom.set(title="Accuracy", xlabel="epoch", ylim=(0.9, 1.003))
bottom.legend(loc="lower right", frameon=False)

# %%
# Of the digits that it has not been trained on, draw those that it is least sure of.

proba, guesses = clf.predict_proba(X_test), clf.predict(X_test)
title = f"{clf.score(X_test, y_test):.1%} of the other digits are read correctly. Least sure of:"
right.suptitle(title, weight="bold", fontsize=10)
for ax, i in zip(right.subplots(4, 8).flat, np.argsort(proba.max(axis=1))[:32], strict=True):
    wrong = guesses[i] != y_test[i]
    ax.imshow(X_test[i], cmap="gray_r")
    ax.set(xticks=[], yticks=[], xlabel=f"{proba[i].max():.0%}")
    ax.spines[:].set(visible=True, color=red if wrong else "#d1d5db", lw=2.2 if wrong else 0.8)
    text = f"{guesses[i]}, is {y_test[i]}" if wrong else guesses[i]
    ax.set_title(text, color=red if wrong else "black", weight="bold", fontsize=9, pad=3)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
