"""
Layers that were trained on other classes
=========================================

A network is trained on seven classes, and exported as an ONNX model, as it might have come from
PyTorch. Its layers stay frozen, and a new output layer learns three other classes from what they
compute.

Run ``python examples/plot_transfer.py FOLDER``, where FOLDER holds CIFAR-10; it needs onnx.
"""

import sys
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sknpcnn import NumpyCNNClassifier
from sknpcnn.callbacks import TimeLimit
from sknpcnn.datasets import load_cifar10
from sknpcnn.onnx import from_onnx, to_onnx

if len(sys.argv) > 1 and sys.argv[1] != "--save":
    X, y = (a[:15_000] for a in load_cifar10(sys.argv[1], split="train", return_X_y=True))
    new, sizes = [2, 4, 6], (10, 30, 100, 300)  # birds, deer and frogs
else:
    print("No folder with CIFAR-10 is named, so here are scikit-learn's small digits.")
    (X, y), new, sizes = load_digits(return_X_y=True), [7, 8, 9], (5, 10, 30, 60)
is_new = np.isin(y, new)
body = NumpyCNNClassifier(max_iter=10, random_state=0, verbose=1).fit(X[~is_new], y[~is_new])
layers, weights = from_onnx(to_onnx(body), lr_scale=0)
name_of_last, _ = layers.pop()
weights = {name: w for name, w in weights.items() if not name.startswith(name_of_last)}

# A few images of each other class to learn from; the same network from scratch has as much time.
X, y = X[is_new].reshape(-1, *body.image_shape_), y[is_new]
n_test = len(X) // 3
accuracy = {"with the layers of the trained network": [], "from scratch, in the same time": []}
for size in sizes:
    few = n_test + np.concatenate([np.flatnonzero(y[n_test:] == c)[:size] for c in new])
    start = perf_counter()
    trained = NumpyCNNClassifier(layers=layers, standardize=False, random_state=0)
    trained.set_params(max_iter=0).fit(X[few], y[few]).set_weights(weights)
    trained.set_params(max_iter=20, warm_start=True, n_iter_no_change=np.inf).fit(X[few], y[few])
    scratch = NumpyCNNClassifier(max_iter=100, random_state=0)
    scratch.set_callbacks(TimeLimit(seconds=perf_counter() - start)).fit(X[few], y[few])
    for found, clf in zip(accuracy.values(), (trained, scratch), strict=True):
        found.append(clf.score(X[:n_test], y[:n_test]))
fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (how, found), color in zip(accuracy.items(), ("#2364aa", "#ec7505"), strict=True):
    ax.plot(sizes, found, "o-", color=color, label=how)
ax.set(xscale="log", ylim=(0.25, 1.02), ylabel="accuracy", xlabel="images of each new class")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.legend(loc="lower right", frameon=False)
if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
