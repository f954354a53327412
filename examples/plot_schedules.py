"""
Learning rates that change
==========================

The same network and number of epochs, and five schedules of the learning rate. With large steps to
the end, the loss on other digits does not settle. It does with the schedules that end with small
steps, and is lowest with ``OneCycle``, the default, which begins with small steps, too.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.schedules import Constant, CosineDecay, ExponentialDecay, OneCycle, StepDecay

# %%
# All of them begin with, or rise to, the same rate. With ``X_val``, ``history_`` also has the loss
# on these other digits, next to the learning rate.

rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
X = (X + rng.normal(0, 3, X.shape)).astype("float32")
X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
schedules = [
    Constant(),
    StepDecay(epochs=8, factor=0.2),
    ExponentialDecay(0.85),
    CosineDecay(),
    OneCycle(),
]
fig, axes = plt.subplots(1, 3, figsize=(11, 3.9), layout="constrained")
colors = ["#6b7280", "#d55e00", "#009e73", "#cc79a7", "#0072b2"]
for schedule, color in zip(schedules, colors, strict=True):
    clf = NumpyCNNClassifier(
        learning_rate=schedule, solver="sgd", learning_rate_init=0.05, max_iter=24, random_state=0
    )
    history = clf.fit(X, y, X_val=X_test, y_val=y_test).history_
    names = "learning_rate", "train_loss", "validation_loss"
    for ax, name in zip(axes, names, strict=True):
        ax.plot(history[name], color=color, lw=2, label=repr(schedule))
    accuracy, loss = history[["validation_score", "validation_loss"]].iloc[-1]
    print(f"{schedule}: accuracy {accuracy:.3f}, loss {loss:.3f}")
for ax, title in zip(axes, ("Learning rate", "Training loss", "Loss on other digits"), strict=True):
    ax.set(title=title, xlabel="epoch")
axes[1].set_yscale("log")
axes[2].set_yscale("log")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
