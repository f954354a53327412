"""
Where is the ring?
==================

A regressor predicts the center of a ring among squares; so do two of scikit-learn, from the pixels.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.neural_network import MLPRegressor

from sknpcnn import NumpyCNNRegressor

# %%
# Images of two squares and a ring, which is drawn last. The target is a pair: its row and column.


def draw(n, rng, size=24):
    images, centers = np.full((n, size, size), 60.0), np.empty((n, 2))
    places = np.mgrid[:size, :size]
    for i in range(n):
        for is_ring in (False, False, True):
            radius = rng.uniform(3, 5)
            centers[i] = rng.uniform(radius, size - 1 - radius, 2)
            down, right = abs(places - centers[i, :, None, None])
            ring = abs(np.hypot(down, right) - radius + 1) < 1
            inside = ring if is_ring else np.maximum(down, right) < 0.85 * radius
            images[i, inside] = rng.uniform(120, 250)
    return (images + rng.normal(0, 12, images.shape)).clip(0, 255).astype(np.uint8), centers


rng = np.random.default_rng(0)
(X, y), (X_test, y_test) = draw(1000, rng), draw(400, rng)
cnn = NumpyCNNRegressor((16, 32, 64), hidden_layer_sizes=(64,), random_state=0).fit(X, y)
apart = {"NumpyCNNRegressor": np.hypot(*(cnn.predict(X_test) - y_test).T)}
rows, rows_test = X.reshape(1000, -1) / 255, X_test.reshape(400, -1) / 255
for other in (RandomForestRegressor(30), MLPRegressor(early_stopping=True)):
    predicted = other.set_params(random_state=0).fit(rows, y).predict(rows_test)
    apart[type(other).__name__] = np.hypot(*(predicted - y_test).T)

# %%
# Left: where the rings are (dots), and predictions (crosses). Right: the distances.
left, right = plt.figure(figsize=(10, 4.2), layout="constrained").subfigures(1, 2, wspace=0.04)
left.suptitle("Centers of 18 rings, and predictions", weight="bold")
for ax, image, center in zip(left.subplots(3, 6).flat, X_test, y_test, strict=False):
    ax.imshow(image, cmap="gray")
    ax.plot(*center[::-1], "o", color="#3bb273", ms=5)
    ax.plot(*cnn.predict(image[None])[0, ::-1], "x", color="#e15554", ms=7, mew=2)
    ax.axis("off")
ax = right.subplots()
ax.set_title("Share of 400 test images that are as close", weight="bold")
for name, color in zip(apart, ("#2364aa", "#ec7505", "#6b7280"), strict=True):
    ax.ecdf(apart[name], color=color, lw=2, label=f"{name}: {apart[name].mean():.1f} on average")
ax.set(xlim=(0, 12), xlabel="distance in pixels")
ax.legend(loc="lower right", frameon=False)
plt.savefig(sys.argv[-1], dpi=120) if "--save" in sys.argv else plt.show()
