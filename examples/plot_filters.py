"""
What the first convolution sees
===============================

The filters that the first convolution has learned, and what each of them makes of one digit. Run
``python examples/plot_filters.py FOLDER``, where FOLDER holds the four files of MNIST.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

from sknpcnn import NumpyCNNClassifier
from sknpcnn.datasets import load_mnist

if len(sys.argv) > 1 and sys.argv[1] != "--save":
    X, y = (a[:10_000] for a in load_mnist(sys.argv[1], split="train", return_X_y=True))
else:
    print("No folder with MNIST is named, so here are scikit-learn's small digits, enlarged.")
    X, y = load_digits(return_X_y=True)
    X = zoom(X.reshape(-1, 8, 8).astype("float32"), (1, 3.5, 3.5), order=1)
clf = NumpyCNNClassifier((8, 32), kernel_size=5, batch_norm=False, alpha=0.1, max_iter=5).fit(X, y)

# %%
# The kernel of a convolution is an array (rows, columns, input channels, filters).

weights = clf.get_weights()
W, b = weights["conv2d_1.W"], weights["conv2d_1.b"]

# %%
# A convolution is a small thing: lay the kernel over every place of the image, multiply, add up,
# cut off what is negative. The classifier has standardized its images, so we do it as well.

padded = np.pad((X[0] - X.mean()) / X.std(), 2)
patches = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
seen = np.maximum(np.einsum("hwij,ijf->hwf", patches, W[:, :, 0]) + b, 0)

# %%
# Red pixels pull the sum up, blue ones down: red beside blue answers to edges in that direction.

fig, axes = plt.subplots(2, 9, figsize=(10, 3), layout="constrained")
axes[1, 0].imshow(X[0], cmap="gray_r")
for k, (above, below) in enumerate(axes.T[1:]):
    above.imshow(W[:, :, 0, k], cmap="RdBu_r", vmin=-abs(W).max(), vmax=abs(W).max())
    below.imshow(seen[:, :, k], cmap="magma", vmin=0, vmax=seen.max())
titles = {(1, 0): "a digit", (0, 1): "the filters", (1, 1): "what each of them makes of it"}
for place, title in titles.items():
    ax = axes[place]
    ax.text(0, 1.08, title, weight="bold", transform=ax.transAxes, in_layout=False)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[], frame_on=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
