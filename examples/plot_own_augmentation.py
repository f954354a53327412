"""
An augmentation of your own
===========================

New images have shadows, and the training images have none. So we draw shadows on them: a network
has to see what it is to ignore. An augmentation is a class with one method.
"""

import sys
from dataclasses import dataclass
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import Augmentation, Brightness, augment_images


@dataclass(frozen=True, repr=False)
class Shadow(Augmentation):
    """Darken all that is on one side of a random line, by up to a fraction."""

    draws: ClassVar[int] = 3  # random numbers for each image, between 0 and 1
    darkness: float = 0.8

    def apply(self, images, random):
        angle, place, strength = random.T[:, :, None, None]
        rows, columns = np.mgrid[-1 : 1 : images.shape[1] * 1j, -1 : 1 : images.shape[2] * 1j]
        side = np.cos(2 * np.pi * angle) * rows + np.sin(2 * np.pi * angle) * columns
        light = np.where(side < place - 0.5, 1 - self.darkness * strength, 1)
        return images * light[..., None].astype(images.dtype)


# %%
# Black ink on white paper. The network with ``Brightness``, which comes with the package, sees
# images that are darker or brighter as a whole.

X, y = load_digits(return_X_y=True)
X = 255 - 255 / 16 * X.astype("float32").reshape(-1, 8, 8)
X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
ways = {"as they are": None, "with Brightness": [Brightness(0.8)], "with Shadow": [Shadow()]}
darkness = np.linspace(0, 1, 6)
shadowed = [augment_images(X_test, [Shadow(d)], random_state=1) for d in darkness]

fig = plt.figure(figsize=(9.5, 3.8), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1, 1.3))
left.suptitle("Test digits, in ever darker shadows")
for row, images in zip(left.subplots(5, 6).T, shadowed, strict=True):
    for ax, image in zip(row, images[:5], strict=True):
        ax.imshow(image, cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[])
ax = right.subplots()
for (way, augment), color, style in zip(
    ways.items(), ("#6b7280", "#d55e00", "#0072b2"), ("D:", "s--", "o-"), strict=True
):
    clf = NumpyCNNClassifier(augment=augment, max_iter=25, random_state=0).fit(X, y)
    scores = [clf.score(images, y_test) for images in shadowed]
    ax.plot(darkness, scores, style, color=color, lw=2, label=f"trained {way}")
    print(f"trained {way}:", *(f"{score:.3f}" for score in scores))
ax.set(xlabel="greatest darkness of the shadows", ylabel="accuracy", ylim=(0.7, 1.02))
ax.legend(loc="lower left", frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
