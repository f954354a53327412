"""
What the first convolution sees
===============================

The filters that the first convolution has learned, and what each of them makes of one digit.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sknpcnn import NumpyCNNClassifier

X, y = load_digits(return_X_y=True)
X = X.astype("float32").reshape(-1, 8, 8)
clf = NumpyCNNClassifier(conv_filters=(8, 32), kernel_size=[5, 3], max_iter=20, random_state=0)
clf.fit(X, y)

# %%
# ``get_weights`` returns a copy of everything that the network has learned, by name. The kernel of
# a convolution is an array (rows, columns, input channels, filters).

weights = clf.get_weights()
W, b, limit = weights["conv2d_1.W"], weights["conv2d_1.b"], abs(weights["conv2d_1.W"]).max()
print(clf.summary().to_string(index=False))

# %%
# A convolution is a small thing: lay the kernel over every place of the image, multiply, add up,
# cut off what is negative. The classifier has standardized its images, so we do it as well.

image = (X[0] - X.mean()) / X.std()
padded = np.pad(image, 2)
patches = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
seen = np.maximum(np.einsum("hwij,ijf->hwf", patches, W[:, :, 0]) + b, 0)

# %%
# Red pixels pull the sum up, blue ones pull it down: where a filter has a line of red beside a
# line of blue, it answers to strokes and edges in that direction.

fig, axes = plt.subplots(2, 9, figsize=(10, 3), layout="constrained")
axes[0, 0].axis("off")
axes[1, 0].imshow(X[0], cmap="gray_r")
for k, (above, below) in enumerate(axes.T[1:]):
    above.imshow(W[:, :, 0, k], cmap="RdBu_r", vmin=-limit, vmax=limit)
    below.imshow(seen[:, :, k], cmap="magma", vmin=0, vmax=seen.max())
titles = {(1, 0): "a digit", (0, 1): "the filters", (1, 1): "what each of them makes of it"}
for place, title in titles.items():
    text = axes[place].text(0, 1.08, title, weight="bold", transform=axes[place].transAxes)
    text.set_in_layout(False)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
