"""
Several things in one image
===========================

Each image holds some of four shapes, or none. With a matrix of zeros and ones as ``y`` the network
has one probability for each shape, which do not have to add up to one.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import f1_score

from sknpcnn import NumpyCNNClassifier

NAMES = ["disc", "square", "cross", "ring"]


def draw(n, rng, size=32):
    """Draw each shape with a probability of one half, anywhere; later ones cover earlier ones."""
    images, y = np.full((n, size, size), 50.0), rng.random((n, 4)) < 0.5
    places = np.mgrid[:size, :size]
    for i in range(n):
        for kind in rng.permutation(np.flatnonzero(y[i])):
            radius = rng.uniform(4, 6)
            center = rng.uniform(radius, size - 1 - radius, 2)
            down, right = abs(places - center[:, None, None])
            inside = (
                np.hypot(down, right) < radius,
                np.maximum(down, right) < 0.85 * radius,
                (np.minimum(down, right) < 1.5) & (np.maximum(down, right) < radius),
                abs(np.hypot(down, right) - radius + 1) < 1,
            )
            images[i, inside[kind]] = rng.uniform(110, 250)
    return (images + rng.normal(0, 15, images.shape)).clip(0, 255).astype("uint8"), y.astype(int)


rng = np.random.default_rng(0)
(X, y), (X_test, y_test) = draw(1200, rng), draw(400, rng)
clf = NumpyCNNClassifier(max_iter=15, random_state=0).fit(X, y)
proba = clf.predict_proba(X_test)
print(f"All four right: {clf.score(X_test, y_test):.3f}")
for name, score in zip(NAMES, f1_score(y_test, proba > 0.5, average=None), strict=True):
    print(f"F1 of {name}: {score:.3f}")

# %%
# Each image with the probabilities of the shapes: blue bars are shapes that it does hold.
# Shapes that others cover often have lower probabilities.

fig = plt.figure(figsize=(10, 4.6), layout="constrained")
axes = fig.subplots(3, 10, width_ratios=[1.3, 0.7] * 5)
for i, (ax, bars) in enumerate(axes.reshape(-1, 2)):
    ax.imshow(X_test[i], cmap="gray", vmin=0, vmax=255)
    ax.set_axis_off()
    colors = np.where(y_test[i], "#0072b2", "#d55e00")
    bars.barh(NAMES, proba[i], color=np.where(y_test[i], colors, "none"), edgecolor=colors)
    bars.axvline(0.5, color="#6b7280", ls=":", lw=1)
    bars.set(xlim=(0, 1), xticks=[])
    bars.invert_yaxis()
    bars.tick_params(length=0, labelsize=8)
    bars.spines[["top", "right", "bottom"]].set_visible(False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
