"""
When there are only few images
==============================

If there are five or ten images of each class, a network memorizes them. Augmentation rotates, zooms
and moves them a little, differently each time they are seen. That helps more, the fewer images
there are; with fifty of each class it does not help here.

Run ``python examples/plot_few_images.py FOLDER``, where FOLDER holds MNIST. That takes longer.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import shuffle

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import Affine, Shift, augment_images
from sknpcnn.datasets import load_mnist

if len(sys.argv) > 1 and sys.argv[1] != "--save":
    X, y = (a[:4000] for a in load_mnist(sys.argv[1], split="train", return_X_y=True))
else:
    print("No folder with MNIST is named, so here are scikit-learn's small digits.")
    X, y = load_digits(return_X_y=True)
    X = np.pad(X.astype("float32").reshape(-1, 8, 8), ((0, 0), (2, 2), (2, 2)))
    X = augment_images(X, [Shift(2)], random_state=0)  # anywhere in an image of 12 x 12 pixels

# %%
# Every network takes 300 steps, however many images there are. Each pair of networks is trained on
# the same images, the first of each class in a random order, and tested on 500 others.

augment = [Affine(degrees=10, zoom=0.1, shift=2)]
sizes, seeds, ways = [5, 10, 20, 50], range(2), {"as they are": None, "augmented": augment}
scores = {way: np.empty((len(sizes), len(seeds))) for way in ways}
for seed in seeds:
    images, labels = shuffle(X, y, random_state=seed)
    for i, size in enumerate(sizes):
        few = np.concatenate([np.flatnonzero(labels == c)[:size] for c in np.unique(y)])
        test = np.setdiff1d(np.arange(len(labels)), few)[:500]
        clf = NumpyCNNClassifier((16, 32), batch_size=25, random_state=seed)
        clf.set_params(max_iter=7500 // len(few))
        for way, steps in ways.items():
            clf.set_params(augment=steps).fit(images[few], labels[few])
            scores[way][i, seed] = clf.score(images[test], labels[test])

# %%
# Small dots are networks, lines are means.

fig, ax = plt.subplots(figsize=(6.6, 4.2), layout="constrained")
for way, color, marker in zip(ways, ("#d55e00", "#0072b2"), ("s--", "o-"), strict=True):
    means = scores[way].mean(axis=1)
    ax.plot(sizes, means, marker, color=color, lw=2, label=way)
    ax.plot(sizes, scores[way], ".", color=color, alpha=0.5)
    print(f"{way}:", *(f"{mean:.3f}" for mean in means))
ax.set(xscale="log", xlabel="training images of each class", ylabel="accuracy on other images")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.legend(loc="lower right", frameon=False, title="training images")

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
