"""
A network that looks at the wrong thing
=======================================

All eights of the training images have a stamp in a corner, and no three has one. A network that is
trained on them looks at the stamp. Its score on other images with stamps does not show
that, but ``SaliencyDisplay`` does.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.display import SaliencyDisplay

X, y = load_digits(return_X_y=True)
X, y = X[np.isin(y, (3, 8))].reshape(-1, 8, 8), y[np.isin(y, (3, 8))]
X = np.pad(zoom(X.astype("float32"), (1, 3, 3), order=1), ((0, 0), (4, 4), (4, 4)))
stamped = X.copy()
stamped[y == 8, 2:6, 2:6] = 16
train, test = train_test_split(np.arange(len(y)), stratify=y, random_state=0)

# %%
# Two networks: one is trained on images with stamps, one on the same images without them.

networks = {"with stamps": stamped, "without stamps": X}
for name, images in networks.items():
    clf = NumpyCNNClassifier((8, 16, 32), global_pooling=True, max_iter=30, random_state=0).fit(
        images[train], y[train]
    )
    scores = [clf.score(some[test], y[test]) for some in (stamped, X)]
    print(f"Trained {name}: accuracy {scores[0]:.1%} with stamps, {scores[1]:.1%} without.")
    networks[name] = clf, scores[1]

# %%
# Which parts matter for an eight, in three eights with stamps that neither network has seen. In the
# lower two rows, orange parts speak for it, and blue ones against it.

eights = stamped[test][y[test] == 8][:3]
methods = "grad_cam", "gradient", "integrated_gradients", "occlusion"
fig = plt.figure(figsize=(9, 7), layout="constrained")
for part, (name, (clf, score)) in zip(fig.subfigures(1, 2), networks.items(), strict=True):
    part.suptitle(f"Trained {name}:\n{score:.0%} right without stamps", weight="bold")
    for axes, method in zip(part.subplots(4, 3), methods, strict=True):
        SaliencyDisplay.from_estimator(
            clf, eights, target=8, method=method, ax=axes, colorbar=False
        )
        axes[0].set_ylabel(method)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
