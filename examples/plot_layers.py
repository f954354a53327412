"""
A stack of layers of your own
=============================

A network of twenty convolutions in a row learns slowly. It learns fast if the input of each pair of
them is added to its output.
"""

import sys
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import BatchNorm, Conv2D, GlobalAvgPool2D, Layer, Residual, Sequential
from sknpcnn.testing import check_layer


@dataclass(frozen=True, repr=False)
class Mish(Layer):
    """A smooth rectifier: x * tanh(log(1 + exp(x))), from Misra 2019."""

    def forward(self, params, x, ctx):
        gate = np.tanh(np.logaddexp(0, x))
        return x * gate, (x, gate)

    def backward(self, params, cache, dy, grads, ctx):
        x, gate = cache
        return dy * (gate + x * (1 - gate**2) * expit(x))


check_layer(Mish(), (4, 4, 2))  # among other things: is backward the derivative of forward?

# %%
# Layers are values, as numbers are, and hold no weights: one block may be in a network ten times.

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X.astype("float32"), y, stratify=y, random_state=0)
block = [Mish(), Conv2D(12), BatchNorm(), Mish(), Conv2D(12)]
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for kind, color in ((Residual, "#2364aa"), (Sequential, "#ec7505")):
    layers = [Conv2D(12, stride=2), *[kind(block)] * 10, GlobalAvgPool2D()]
    clf = NumpyCNNClassifier(layers=layers, batch_size=64, max_iter=6, random_state=0)
    history = clf.fit(X, y, X_val=X_test, y_val=y_test).history_
    left.plot(history["train_loss"], "o-", color=color)
    right.plot(history["validation_score"], "o-", color=color, label=f"ten times {kind.__name__}")
left.set(title="Training loss", xlabel="epoch", ylim=0)
right.set(title="Accuracy on other digits", xlabel="epoch", ylim=(0, 1.03))
right.legend(loc="lower right", frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
