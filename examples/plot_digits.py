"""
Learning to read digits
=======================

Loss and accuracy, epoch by epoch, and in the end the digits that are the hardest for the network.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.display import HistoryDisplay, PredictionDisplay

# %%
# Train on three quarters of the digits that come with scikit-learn, 8 x 8 pixels each. The others
# are given as validation data: they are scored after every epoch, and decide nothing.

X, y = load_digits(return_X_y=True)
X = X.astype("float32").reshape(-1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
clf = NumpyCNNClassifier(max_iter=30, random_state=0)
clf.fit(X_train, y_train, X_val=X_test, y_val=y_test)

# %%
# Left, loss and accuracy of each epoch, as they are in ``history_``. Right, the digits that it has
# not been trained on: first its mistakes, then those that it is least sure of.

fig = plt.figure(figsize=(10, 5), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1, 1.7), wspace=0.04)
HistoryDisplay.from_estimator(clf, ax=left.subplots(2, 1, sharex=True))
title = f"{clf.score(X_test, y_test):.1%} of the other digits are read correctly."
right.suptitle(f"{title} The hardest:", weight="bold", fontsize=10)
axes, style = right.subplots(4, 8), {"cmap": "gray_r"}
PredictionDisplay.from_estimator(clf, X_test, y_test, ax=axes, im_kw=style)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
