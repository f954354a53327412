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
from sknpcnn.display import ActivationDisplay, FilterDisplay

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
# A convolution is simple: lay the kernel over every place of the image, multiply, and add up; the
# ReLU after it makes negative sums zero. The classifier standardizes its images, so we do, too.

padded = np.pad((X[0] - X.mean()) / X.std(), 2)
patches = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
seen = np.maximum(np.einsum("hwij,ijf->hwf", patches, W[:, :, 0]) + b, 0)

# %%
# Red weights are positive, blue ones negative: red beside blue responds to edges in that direction.

fig = plt.figure(figsize=(10, 4.4), layout="constrained")
above, below = fig.subfigures(2, 1, height_ratios=(1, 1.8))
above.suptitle("The filters", weight="bold")
below.suptitle("A digit, and what each of them makes of it", weight="bold")
FilterDisplay.from_estimator(clf, ax=above.subplots(1, 8), colorbar=False)
display = ActivationDisplay.from_estimator(clf, X, layers=["relu_1"], ax=below.subplots(2, 8))
assert np.allclose(seen, display.activations["relu_1"], atol=0.01)  # there is no more to it

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
