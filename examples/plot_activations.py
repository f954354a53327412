"""
A digit on its way through a network
====================================

The outputs of each layer for one digit: maps of edges first, then coarser maps, and in the end one
number for each class.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import Affine
from sknpcnn.display import ActivationDisplay, AugmentationDisplay, FilterDisplay
from sknpcnn.layers import BatchNorm, Conv2D, GlobalAvgPool2D, MaxPool2D, ReLU, Residual

X, y = load_digits(return_X_y=True)
X = X.astype("float32")
layers = [
    *[Conv2D(16), BatchNorm(), ReLU(), MaxPool2D()],
    Residual([Conv2D(16), BatchNorm(), ReLU(), Conv2D(16), BatchNorm()]),
    *[ReLU(), GlobalAvgPool2D()],
]
augment = [Affine(degrees=10, zoom=0.1, shift=0.5)]
clf = NumpyCNNClassifier(layers=layers, augment=augment, max_iter=20, random_state=0).fit(X, y)

# %%
# Left, the kernels of the first convolution, and one digit as training sees it, each time a little
# different. Right, the outputs of the layers; the most active maps of each come first.

fig = plt.figure(figsize=(11.5, 6.5), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1, 2))
above, below = left.subfigures(2)
above.suptitle("Kernels of conv2d_1", weight="bold")
below.suptitle("A digit as training sees it", weight="bold")
right.suptitle("The digit on its way", weight="bold")
FilterDisplay.from_estimator(clf, ax=above.subplots(4, 4), colorbar=False)
AugmentationDisplay.from_estimator(clf, X, index=7, random_state=0, ax=below.subplots(3, 4))
ActivationDisplay.from_estimator(clf, X, index=7, ax=right.subplots())

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
