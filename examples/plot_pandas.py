"""
A pipeline on a data frame of pixels
====================================

One row per image, one column per pixel, and some of the pixels are missing: an imputer of
scikit-learn fills them in before the network sees them.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sknpcnn import NumpyCNNClassifier

# %%
# A data frame with the columns ``pixel_0_0``, ``pixel_0_1``, ... A tenth of the training pixels is
# missing.

X, y = load_digits(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
rng = np.random.default_rng(0)
X_train = X_train.mask(rng.random(X_train.shape) < 0.1)
lost = rng.random(X_test.shape)

# %%
# ``image_shape`` says how a row becomes an image. With ``set_output``, the columns keep their names
# through the pipeline, and the network refuses a data frame that has them in another order.

half = X_test.mask(lost < 0.5)
digits = {"Half of the pixels are missing": half}
scores = pd.DataFrame(index=np.arange(0, 0.9, 0.2))
imputers = {"Filled with means": SimpleImputer(), "Filled from similar digits": KNNImputer()}
for name, imputer in imputers.items():
    clf = NumpyCNNClassifier(image_shape=(8, 8), max_iter=15, random_state=0)
    pipeline = make_pipeline(imputer, clf).set_output(transform="pandas").fit(X_train, y_train)
    digits[name] = pipeline[:-1].transform(half)
    scores[name] = [pipeline.score(X_test.mask(lost < part), y_test) for part in scores.index]

fig = plt.figure(figsize=(9.5, 3.7), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1.5, 1))
colors = ["#6b7280", "#ec7505", "#2364aa"]
for row, name, color in zip(left.subfigures(3), digits, colors, strict=True):
    row.suptitle(name, color=color, weight="bold")
    for ax, pixels in zip(row.subplots(1, 8), digits[name].to_numpy()[:8], strict=True):
        ax.imshow(pixels.reshape(8, 8), cmap="gray_r")
        ax.set(xticks=[], yticks=[], facecolor="#f0e442")
ax = scores.plot(ax=right.subplots(), style="o-", color=colors[1:], ylim=(0, 1.03), legend=False)
ax.set(xlabel="missing pixels", ylabel="test accuracy")

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
