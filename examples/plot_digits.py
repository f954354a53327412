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
X_train, X_test, y_train, y_test = train_test_split(
    X.astype("float32").reshape(-1, 8, 8), y, stratify=y, random_state=0
)
clf = NumpyCNNClassifier(conv_filters=(32, 64), batch_norm=True, max_iter=30, random_state=0)
clf.fit(X_train, y_train, X_val=X_test, y_val=y_test)

# %%
# ``history_`` is a data frame with one row per epoch.

history = clf.history_
blue, orange, red, gray = "#2364aa", "#ec7505", "#c81d25", "#6b7280"
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
fig = plt.figure(figsize=(10, 4.4), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1, 1.55), wspace=0.04)

top, bottom = left.subplots(2, 1, sharex=True)
for name, color in (("train", blue), ("validation", orange)):
    top.plot(history.index, history[f"{name}_loss"], color=color, lw=1.8)
    bottom.plot(history.index, history[f"{name}_score"], color=color, lw=1.8)
top.set(yscale="log", title="Loss", xlim=(1, len(history)))
bottom.set(title="Accuracy", xlabel="epoch", ylim=(0.9, 1.003))
bottom.text(len(history), 0.94, "training digits", color=blue, ha="right", weight="bold")
bottom.text(len(history), 0.925, "other digits", color=orange, ha="right", weight="bold")
for ax in (top, bottom):
    ax.title.set(weight="bold", ha="left", position=(0, 1))
    ax.grid(color="#e5e7eb", lw=0.7)
    ax.set_axisbelow(True)

# %%
# Of the digits that it has not been trained on, draw those that it is least sure of.

proba = clf.predict_proba(X_test)
doubtful = np.argsort(proba.max(axis=1))[:32]
right.suptitle(
    f"{clf.score(X_test, y_test):.1%} of the other digits are read correctly. "
    f"Least sure of these {len(doubtful)}:",
    weight="bold",
    fontsize=10,
)
for ax, i in zip(right.subplots(4, 8).flat, doubtful, strict=True):
    guess, sure = clf.classes_[proba[i].argmax()], proba[i].max()
    wrong = guess != y_test[i]
    ax.imshow(X_test[i], cmap="gray_r", interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color=red if wrong else "#d1d5db", lw=2.2 if wrong else 0.8)
    ax.set_title(
        f"{guess}, is {y_test[i]}" if wrong else f"{guess}",
        color=red if wrong else "#111827",
        weight="bold",
        fontsize=9,
        pad=3,
    )
    ax.set_xlabel(f"{sure:.0%}", color=gray, fontsize=8, labelpad=2)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
