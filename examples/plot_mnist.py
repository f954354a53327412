"""
The hardest digits of MNIST
===========================

Run ``python examples/plot_mnist.py FOLDER``, where FOLDER holds the four files of MNIST. It takes
half a minute, and ends with the test digits that the network finds the hardest to read.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.architectures import lenet
from sknpcnn.datasets import load_mnist

if len(sys.argv) > 1 and sys.argv[1] != "--save":
    X, y = load_mnist(sys.argv[1], split="train", return_X_y=True)
    X_test, y_test = load_mnist(sys.argv[1], split="test", return_X_y=True)
else:
    print("No folder with MNIST is named, so here are scikit-learn's small digits, enlarged.")
    digits, y = load_digits(return_X_y=True)
    X = zoom(digits.reshape(-1, 8, 8).astype("float32"), (1, 3.5, 3.5), order=1)
    X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# A network in the manner of LeNet-5. The pixels of MNIST are bytes from 0 to 255, and may stay so:
# nothing has to be scaled or converted before.

clf = NumpyCNNClassifier(layers=lenet(), batch_size=32, max_iter=5, random_state=0, verbose=1)
clf.fit(X, y)
accuracy = clf.score(X_test, y_test)

# %%
# How likely did the network find the true class of each test digit? Draw those where it found it
# the least likely.

proba, guesses = clf.predict_proba(X_test), clf.predict(X_test)
hardest = proba[np.arange(len(y_test)), y_test].argsort()[:32]

fig, axes = plt.subplots(4, 8, figsize=(9, 5.3), layout="constrained")
title = f"{accuracy:.1%} of {len(y_test):,} test digits are read correctly. The 32 hardest:"
fig.suptitle(title, weight="bold")
for ax, i in zip(axes.flat, hardest, strict=True):
    color = "black" if guesses[i] == y_test[i] else "#d55e00"
    ax.imshow(X_test[i], cmap="gray_r")
    ax.set_title(f"{y_test[i]}, read as {guesses[i]}", color=color, fontsize=11)
    ax.set_axis_off()

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
