"""
A loss of your own, for labels that are wrong
=============================================

Three of ten training labels are wrong. Cross-entropy has a large gradient for each of them, so that
the network memorizes them in the end. The generalized cross-entropy of Zhang and Sabuncu (2018),
``(1 - p**q) / q``, has hardly any gradient for labels that the network finds very unlikely. A loss
is a class with two methods.
"""

import sys
from dataclasses import dataclass
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.losses import Loss
from sknpcnn.testing import check_loss


@dataclass(frozen=True, repr=False)
class GeneralizedCrossEntropy(Loss):
    q: float = 0.7
    targets: ClassVar[str] = "classes"

    def compute(self, outputs, targets):
        rows, p = np.arange(len(outputs)), softmax(outputs, axis=1)
        power = p[rows, targets, None] ** self.q
        losses = (1 - power[:, 0].astype("float64")) / self.q
        p[rows, targets] -= 1
        return losses, power * p

    def link(self, outputs):
        return softmax(outputs, axis=1)


check_loss(GeneralizedCrossEntropy())  # among other things: is that the gradient?

# %%
# Only training labels are wrong. The labels of the test digits are right.

rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X.astype("float32"), y, stratify=y, random_state=0)
wrong = rng.random(len(y)) < 0.3
noisy = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)

fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.9), layout="constrained")
p = np.linspace(0.005, 1, 200)
left.plot(p, -np.log(p), "--", color="#d55e00", lw=2)
left.plot(p, (1 - p**0.7) / 0.7, color="#0072b2", lw=2)
left.set(xlabel="probability of the label", xlim=(0, 1), ylim=(0, 5), title="Loss")
losses = {"ordinary": "cross_entropy", "generalized": GeneralizedCrossEntropy()}
for (name, loss), color, style in zip(
    losses.items(), ("#d55e00", "#0072b2"), ("--", "-"), strict=True
):
    clf = NumpyCNNClassifier(loss=loss, dropout=0, max_iter=40, random_state=0)
    history = clf.fit(X, noisy, X_val=X_test, y_val=y_test).history_
    right.plot(history["validation_score"], style, color=color, lw=2, label=f"{name} cross-entropy")
    believed = (clf.predict(X[wrong]) == noisy[wrong]).mean()
    print(
        f"{name}: {clf.score(X_test, y_test):.3f} of the test digits are right, "
        f"{believed:.3f} of the wrong labels learned"
    )
right.set(xlabel="epoch", ylim=(0.5, 1.01), title="Accuracy on digits with true labels")
right.legend(loc="lower right", frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
