"""
Searching for an architecture
=============================

The layers of the network are parameters like any other, so ``GridSearchCV`` can vary them.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import Conv2D, Dense, Flatten, MaxPool2D, ReLU

X, y = load_digits(return_X_y=True)
X, y = X.astype("float32").reshape(-1, 8, 8)[:900], y[:900]

# %%
# Layers without a name are given one: ``conv2d_1``, ``relu_1``, ``maxpool2d_1``, ..., ``dense_1``.

clf = NumpyCNNClassifier(
    layers=[Conv2D(8), ReLU(), MaxPool2D(2), Flatten(), Dense(100), ReLU()],
    batch_size=32,
    max_iter=10,
    random_state=0,
)
filters, sizes = [1, 2, 4, 8, 16], [1, 3, 5, 7]
grid = {"conv2d_1__filters": filters, "conv2d_1__kernel_size": sizes}
search = GridSearchCV(clf, grid, cv=3).fit(X, y)
print(search.best_params_, f"{search.best_score_:.3f}")

# %%
# Each cell of the table is a combination of the two.

scores = search.cv_results_["mean_test_score"].reshape(len(filters), len(sizes)).T
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
shown = ax.imshow(scores, cmap="viridis", origin="lower", aspect="auto")
middle = (scores.min() + scores.max()) / 2
for row, line in enumerate(scores):
    for column, score in enumerate(line):
        color = "white" if score < middle else "black"
        weight = "bold" if score == scores.max() else "normal"
        ax.text(column, row, f"{score:.3f}", ha="center", va="center", color=color, weight=weight)
ax.set_title("Cross-validated accuracy", loc="left", weight="bold")
ax.set_xlabel("conv2d_1__filters")
ax.set_ylabel("conv2d_1__kernel_size")
ax.set_xticks(range(len(filters)), filters)
ax.set_yticks(range(len(sizes)), sizes)
ax.tick_params(length=0)
ax.spines[:].set_visible(False)
fig.colorbar(shown, ax=ax).outline.set_visible(False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
