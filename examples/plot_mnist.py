"""
The hardest digits of MNIST
===========================

Run ``python examples/plot_mnist.py FOLDER``, where FOLDER holds the four files of MNIST. It takes
half a minute, and draws the test digits that are the hardest for the network.
"""

import sys

import matplotlib.pyplot as plt
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.architectures import lenet
from sknpcnn.datasets import load_mnist
from sknpcnn.display import PredictionDisplay

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
# nothing has to be scaled or converted first.

clf = NumpyCNNClassifier(layers=lenet(), batch_size=32, max_iter=5, random_state=0, verbose=1)
clf.fit(X, y)
accuracy = clf.score(X_test, y_test)

# %%
# Draw its most confident mistakes and, if there are few, right answers that it is least sure of.

fig = plt.figure(figsize=(10, 6), layout="constrained")
title = f"{accuracy:.1%} of {len(y_test):,} test digits are read correctly. The 32 hardest:"
fig.suptitle(title, weight="bold")
axes, style = fig.subplots(4, 8), {"cmap": "gray_r"}
PredictionDisplay.from_estimator(clf, X_test, y_test, ax=axes, im_kw=style)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
