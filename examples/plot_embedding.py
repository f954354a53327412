"""
What looks alike to a network
=============================

A network turns an image into features, layer by layer. Drawn in two dimensions, digits of the same
class are scattered in the first layer, and close together in the last hidden one.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.display import EmbeddingDisplay

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X.astype("float32"), y, stratify=y, random_state=0)
clf = NumpyCNNClassifier(hidden_layer_sizes=(64,), max_iter=4, random_state=0).fit(X, y)

# %%
# The first convolution and the last hidden layer, for digits that the network was not trained on.
# Principal components do not depend on the labels, which only give the colors here.

fig = plt.figure(figsize=(11, 5), layout="constrained")
places = fig.subfigures(1, 2, width_ratios=(1, 1.1))
for layer, part in zip(("conv2d_1", "relu_3"), places, strict=True):
    options = {"layer": layer, "thumbnails": 60}
    display = EmbeddingDisplay.from_estimator(clf, X_test, y_test, ax=part.subplots(), **options)
    if layer == "conv2d_1":
        display.legend_.remove()
    display.ax_.set(title=f"Features of {layer}", xlabel="", ylabel="")

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
