"""
Learning from a stream that changes
===================================

Images come in small batches and are not kept. ``partial_fit`` learns from each batch once.
"""

import sys
from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.utils import shuffle

from sknpcnn import NumpyCNNClassifier

# %%
# A stream of 120 batches of 25 digits. In its second half they are turned by 90 degrees.

X, y = shuffle(*load_digits(return_X_y=True), n_samples=1500, random_state=0)
X, y = X.astype("float32").reshape(60, 25, 8, 8), y.reshape(60, 25)
stream = [*zip(X, y, strict=True), *zip(np.rot90(X, axes=(2, 3)), y, strict=True)]

# %%
# Each batch is a test first, and only then something to learn from. The first call has to be told
# all classes that may ever come. In the middle we keep a copy, which learns no more.

clf = NumpyCNNClassifier(batch_size=5, random_state=0)
clf.partial_fit(*stream[0], classes=np.unique(y))
scores = pd.DataFrame(index=range(1, 120), columns=["goes on learning", "has stopped"], dtype=float)
for i in scores.index:
    if i == 60:
        stopped = deepcopy(clf)
    scores.loc[i, "goes on learning"] = clf.score(*stream[i])
    clf.partial_fit(*stream[i])
scores.loc[60:, "has stopped"] = [stopped.score(*batch) for batch in stream[60:]]

# %%
# Dots are batches, lines are means of five. Above them, one digit out of every tenth batch.

places = [[*range(12)], ["scores"] * 12]
fig, axes = plt.subplot_mosaic(places, figsize=(9, 4.4), height_ratios=(1, 4), layout="constrained")
for k in range(12):
    axes[k].imshow(stream[10 * k + 5][0][0], cmap="gray_r")
    axes[k].set_axis_off()
ax = axes["scores"]
for (name, score), color in zip(scores.items(), ("#2364aa", "#ec7505"), strict=True):
    ax.plot(score, ".", color=color, alpha=0.4)
    ax.plot(score.rolling(5, min_periods=1).mean(), color=color, lw=2, label=name)
ax.axvline(59.5, color="#6b7280", ls=":", label="the camera is turned")
ax.set(xlabel="batch", ylabel="accuracy, before learning from it", xlim=(0, 120), ylim=(0, 1.03))
ax.legend(loc=(0.75, 0.5), frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
