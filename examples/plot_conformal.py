"""
Sets of digits that hold the true one
=====================================

Where one answer is not safe enough, let the network name several. Split conformal prediction makes
such sets from the probabilities of any classifier, and guarantees how often, on average, they hold
the true class, however good or bad the probabilities are.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier

rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
X = (X + rng.normal(0, 5, X.shape)).astype("float32").reshape(-1, 8, 8)  # not easy to read
X, X_rest, y, y_rest = train_test_split(X, y, train_size=400, stratify=y, random_state=0)
clf = NumpyCNNClassifier(random_state=0).fit(X, y)
proba = clf.predict_proba(X_rest)

# %%
# The method: for 400 digits with known classes, how far is the probability of the true class below
# 1? A set holds each class that is not further below 1 than, say, 95 percent of these were.


def sets(proba, y_known, proba_known, promised):
    missing = np.sort(1 - proba_known[np.arange(len(y_known)), y_known])
    rank = int(np.ceil(promised * (len(missing) + 1)))
    return 1 - proba <= missing[min(rank, len(missing)) - 1]


# %%
# Is the promise kept? We choose at random, 200 times, which of the digits are the known ones, and
# draw means and standard deviations. The more is promised, the larger are the sets; where little is
# promised, some are empty.

levels = np.array([0.8, 0.85, 0.9, 0.95, 0.98, 0.99])
covered, size = np.empty((2, 200, len(levels)))
for i in range(200):
    known, other = np.split(rng.permutation(len(y_rest)), [400])
    for j, level in enumerate(levels):
        chosen = sets(proba[other], y_rest[known], proba[known], level)
        covered[i, j] = chosen[np.arange(len(other)), y_rest[other]].mean()
        size[i, j] = chosen.sum(axis=1).mean()
for level, how_often, mean in zip(levels, covered.mean(axis=0), size.mean(axis=0), strict=True):
    print(f"promised {level:.2f}, covered {how_often:.3f}, {mean:.2f} classes in a set")

fig = plt.figure(figsize=(10, 4.4), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1.3, 1))
left.suptitle("Sets that hold the true digit 95 times of 100", weight="bold")
chosen = sets(proba[400:], y_rest[:400], proba[:400], 0.95)
for ax, image, row, truth in zip(
    left.subplots(4, 7).flat, X_rest[400:], chosen, y_rest[400:], strict=False
):
    ax.imshow(image, cmap="gray_r")
    names = " ".join(map(str, np.flatnonzero(row)))
    ax.set_title(f"{{{names}}}", fontsize=10, color="black" if row[truth] else "#d55e00")
    ax.set(xticks=[], yticks=[])
ax = right.subplots()
ax.plot([0.77, 1], [0.77, 1], ":", color="#6b7280")
ax.errorbar(levels, covered.mean(axis=0), covered.std(axis=0), fmt="o", color="#0072b2", capsize=3)
ax.set(xlabel="promised", ylabel="sets that hold the true digit", xlim=(0.78, 1.02))
ax.set_title("Measured, and how many digits a set has")
for x, share, mean in zip(levels, covered.mean(axis=0), size.mean(axis=0), strict=True):
    ax.annotate(f"{mean:.2f}", (x, share), (8, -10), textcoords="offset points", fontsize=9)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
