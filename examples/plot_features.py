"""
Convolutions as features for an SVM
===================================

Even convolutions with random weights, which nobody has trained, respond to strokes and edges. A
linear support vector machine learns more from their outputs than from pixels.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedShuffleSplit, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures

# %%
# ``NumpyCNNFeatures`` is a transformer: it runs the network up to the last layer before the dense
# ones, here the pooling. With ``train=True`` it would first train the network.

X, y = load_digits(return_X_y=True)
clf = NumpyCNNClassifier(conv_filters=(64,), kernel_size=5)
features = NumpyCNNFeatures(clf, random_state=0)
svm = SVC(kernel="linear")
models = {"pixels": svm, "random convolutions": make_pipeline(features, svm)}

# %%
# How many of 500 other digits are misread, after training on more and more digits? On the right are
# the outputs of convolutions: any layer can be chosen, here the activation, before the pooling.

fig = plt.figure(figsize=(9.5, 3.7), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1, 1.1))
ax = left.subplots()
sizes = [40, 80, 160, 320, 640, 1280]
cv = StratifiedShuffleSplit(5, test_size=500, random_state=0)
for (name, model), color in zip(models.items(), ("#ec7505", "#2364aa"), strict=True):
    _, _, scores = learning_curve(model, X, y, train_sizes=sizes, cv=cv)
    ax.loglog(sizes, 1 - scores.mean(axis=1), "o-", color=color, label=f"SVM on {name}")
ax.set(xlabel="training digits", ylabel="misread digits")
ax.set_xticks(sizes, sizes)
ax.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2], ["1%", "2%", "5%", "10%", "20%"])
ax.minorticks_off()
ax.legend(frameon=False)

seen = features.set_params(layer="relu_1").fit_transform(X[:4]).reshape(4, 8, 8, 64)
right.suptitle("Four digits, and what six of the convolutions see")
for i, row in enumerate(right.subplots(4, 7, subplot_kw={"xticks": [], "yticks": []})):
    row[0].imshow(X[i].reshape(8, 8), cmap="gray_r")
    for k in range(6):
        row[k + 1].imshow(seen[i, :, :, k], cmap="magma")

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
