"""
What a network has learned of other things
==========================================

A network is trained on seven classes of CIFAR-10, and leaves as an ONNX model, as one might have
come from PyTorch. Its layers then learn to tell the other three classes apart, of which there are
few images: frozen, but for a new output layer. The same network from scratch is given as much time.

Run ``python examples/plot_transfer.py FOLDER``, where FOLDER holds the files of CIFAR-10; it takes
two minutes. It needs ``pip install "sknpcnn[onnx]"``.
"""

import sys
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

from sknpcnn import NumpyCNNClassifier
from sknpcnn.callbacks import TimeLimit
from sknpcnn.datasets import load_cifar10
from sknpcnn.onnx import from_onnx, to_onnx

NEW = ["bird", "deer", "frog"]
if len(sys.argv) > 1 and sys.argv[1] != "--save":
    data = load_cifar10(sys.argv[1], split="train")
    X, names = data.data[:15_000], np.array(data.target_names)[data.target[:15_000]]
    sizes = 10, 30, 100, 300
else:
    print("No folder with CIFAR-10 is named, so here are made-up shapes.")
    rng, n = np.random.default_rng(0), 1500
    labels = rng.integers(6, size=n)
    row, column = (abs(axis - rng.uniform(10, 22, (n, 1, 1))) for axis in np.mgrid[:32, :32])
    ring, square = np.hypot(row, column), np.maximum(row, column)
    shapes = (ring < 8, square < 7, row + column < 10, abs(ring - 7) < 2, abs(square - 6) < 2)
    masks = np.choose(labels[:, None, None], (*shapes, np.minimum(row, column) < 2))
    front, back = rng.uniform(90, 255, (n, 1, 1, 3)), rng.uniform(0, 150, (n, 1, 1, 3))
    X = np.where(masks[..., None], front, back).astype("uint8")
    names = np.array(["disc", "square", "diamond", *NEW])[labels]
    sizes = 5, 10, 20
new = np.isin(names, NEW)

# %%
# The body: what all layers but the last one have learned of the known classes.

body = NumpyCNNClassifier(max_iter=10, random_state=0, verbose=1).fit(X[~new], names[~new])
layers, weights = from_onnx(to_onnx(body), lr_scale=0)
output_layer, _ = layers.pop()
weights = {name: w for name, w in weights.items() if not name.startswith(output_layer + ".")}

# %%
# The other classes: a few images of each to learn from, and all the others to test.

X, names = X[new], names[new]
n_test = len(X) // 3
accuracy = {"with the layers of the trained network": [], "from scratch, in the same time": []}
for size in sizes:
    few = np.concatenate([np.flatnonzero(names[n_test:] == name)[:size] for name in NEW]) + n_test
    start = perf_counter()
    trained = NumpyCNNClassifier(layers=layers, standardize=False, random_state=0)
    trained.set_params(max_iter=0).fit(X[few], names[few]).set_weights(weights)
    trained.set_params(max_iter=20, warm_start=True, n_iter_no_change=np.inf).fit(
        X[few], names[few]
    )
    limit = TimeLimit(seconds=perf_counter() - start)
    scratch = NumpyCNNClassifier(max_iter=100, random_state=0).set_callbacks(limit)
    scratch.fit(X[few], names[few])
    for how, clf in zip(accuracy, (trained, scratch), strict=True):
        accuracy[how].append(clf.score(X[:n_test], names[:n_test]))
    print(f"{size} images of each class: {accuracy}", flush=True)

fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (how, found), color in zip(accuracy.items(), ("#2364aa", "#ec7505"), strict=True):
    ax.plot(sizes, found, "o-", color=color, label=how)
ax.axhline(1 / 3, color="0.6", ls=":", label="chance")
ax.set(
    xscale="log", xticks=sizes, xticklabels=sizes, ylim=(0.25, 1), xlabel="images of each new class"
)
ax.set(ylabel="accuracy", title="Three new classes")
ax.minorticks_off()
ax.legend(loc="upper left", frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
