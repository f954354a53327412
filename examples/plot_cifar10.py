"""
Few images, seen in many ways: CIFAR-10
=======================================

Run ``python examples/plot_cifar10.py FOLDER``, where FOLDER holds the files of CIFAR-10. It trains
on a fifth of them, with and without augmentation, which takes two or three minutes.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

from sknpcnn import NumpyCNNClassifier
from sknpcnn.architectures import network_3
from sknpcnn.augmentation import HorizontalFlip, RandomCrop, augment_images
from sknpcnn.datasets import load_cifar10

rng = np.random.default_rng(0)
if len(sys.argv) > 1 and sys.argv[1] != "--save":
    X, y = load_cifar10(sys.argv[1], split="train", return_X_y=True)
    X_test, y_test = load_cifar10(sys.argv[1], split="test", return_X_y=True)
    X, y, X_test, y_test = X[:10_000], y[:10_000], X_test[:2000], y_test[:2000]
else:
    print("No folder with CIFAR-10 is named, so here are made-up discs, squares and diamonds.")
    y = rng.integers(3, size=600)
    row, column = (abs(axis - rng.uniform(10, 22, (600, 1, 1))) for axis in np.mgrid[:32, :32])
    shapes = np.hypot(row, column) < 8, np.maximum(row, column) < 7, row + column < 10
    front, back = rng.uniform(90, 255, (600, 1, 1, 3)), rng.uniform(0, 150, (600, 1, 1, 3))
    X = np.where(np.choose(y[:, None, None], shapes)[..., None], front, back).astype("uint8")
    X, X_test, y, y_test = X[:200], X[200:], y[:200], y[200:]

# %%
# Training images are moved by up to four pixels, and half of them flipped, anew in every epoch.

augment = [RandomCrop(4), HorizontalFlip()]
seen = augment_images(X[:4].repeat(5, axis=0), augment, random_state=0)
seen[::5] = X[:4]
fig = plt.figure(figsize=(9.5, 4.2), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1.25, 1))
left.suptitle("An image, and four ways to see it")
for ax, image in zip(left.subplots(4, 5).flat, seen, strict=True):
    ax.imshow(image.astype("uint8"))
    ax.set_axis_off()
clf = NumpyCNNClassifier(layers=network_3(), batch_size=32, max_iter=20, random_state=0)
clf.set_params(verbose=1)  # a line for each epoch, as this takes a while
ax = right.subplots()
for steps, color, how in ((None, "#2364aa", "as they are"), (augment, "#ec7505", "augmented")):
    history = clf.set_params(augment=steps).fit(X, y, X_val=X_test, y_val=y_test).history_
    ax.plot(history["train_score"], ":", color=color, label=f"training images, {how}")
    ax.plot(history["validation_score"], color=color, label=f"other images, trained {how}")
ax.set(xlabel="epoch", ylim=(0, 1.03), xticks=range(0, 21, 5), title="Accuracy")
ax.legend(loc="lower right", frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
