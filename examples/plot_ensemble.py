"""
Five networks vote
==================

Five networks from five seeds make different mistakes. ``VotingClassifier`` averages their
probabilities. The average is right a little more often than any of them, and where they disagree,
it is less sure. To train it and to predict with it takes five times as long.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier

# %%
# Few digits to learn from, and noise, so that there are mistakes.

rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
X = (X + rng.normal(0, 5, X.shape)).astype("float32").reshape(-1, 8, 8)
X, X_test, y, y_test = train_test_split(X, y, train_size=400, stratify=y, random_state=0)
members = [(f"seed {i}", NumpyCNNClassifier(max_iter=40, random_state=i)) for i in range(5)]
vote = VotingClassifier(members, voting="soft").fit(X, y)

# %%
# Left: where the vote is least sure, and what the five predict. Right: if each network answers only
# where it is surest, how many of its answers are wrong?

fig = plt.figure(figsize=(10, 4.2), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1, 1))
left.suptitle("Five opinions where the vote is least sure")
hardest = vote.predict_proba(X_test).max(axis=1).argsort()[:15]
for ax, i in zip(left.subplots(3, 5).flat, hardest, strict=True):
    opinions = [int(model.predict(X_test[i : i + 1])[0]) for model in vote.estimators_]
    ax.imshow(X_test[i], cmap="gray_r")
    ax.set_title(" ".join(map(str, opinions)), fontsize=10)
    ax.set(xticks=[], yticks=[], xlabel=f"is {y_test[i]}")
ax = right.subplots()
answered = np.arange(1, len(y_test) + 1)
for model in (*vote.estimators_, vote):
    proba = model.predict_proba(X_test)
    sure, wrong = proba.max(axis=1), proba.argmax(axis=1) != y_test
    share = wrong[np.argsort(-sure)].cumsum() / answered
    look = {"color": "#d55e00", "lw": 1, "label": "each of the five"}
    if model is vote:
        look = {"color": "#0072b2", "lw": 2.5, "label": "their vote"}
    ax.plot(answered / len(y_test), share, **look)
    who = "The vote" if model is vote else "One of five"
    print(f"{who}: {1 - wrong.mean():.3f} right, {sure.mean():.3f} sure")
ax.set(xlabel="answered, the surest first", ylabel="wrong answers", xlim=(0.2, 1), ylim=0)
for axis in (ax.xaxis, ax.yaxis):
    axis.set_major_formatter("{x:.0%}")
ax.legend(*(lines[-2:] for lines in ax.get_legend_handles_labels()), frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
