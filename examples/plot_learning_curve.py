"""
How many images does it take?
=============================

The accuracy on other digits, by the number of digits to learn from: a convolutional network next to
a support vector machine and ``MLPClassifier``, which see the pixels. Such a curve says whether more
images would help, before anyone collects them.

Run ``python examples/plot_learning_curve.py FOLDER``, where FOLDER holds MNIST, for larger digits.
That takes some minutes.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import LearningCurveDisplay, StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from sknpcnn import NumpyCNNClassifier
from sknpcnn.datasets import load_mnist

if len(sys.argv) > 1 and sys.argv[1] != "--save":
    X, y = load_mnist(sys.argv[1], split="train", return_X_y=True)
    X, y = X[:4000].reshape(4000, -1).astype("float32"), y[:4000]
else:
    print("No folder with MNIST is named, so here are scikit-learn's small digits.")
    X, y = load_digits(return_X_y=True)
    X = X.astype("float32")

# %%
# All three work as estimators of scikit-learn do, so one loop is enough. None is tuned.

models = {
    "NumpyCNNClassifier": NumpyCNNClassifier(random_state=0),
    "SVC on pixels": SVC(),
    "MLPClassifier on pixels": make_pipeline(
        MinMaxScaler(), MLPClassifier(random_state=0, max_iter=500)
    ),
}

# %%
# Lines are means over three random choices of training digits, bands their standard deviation.

sizes = [30, 100, 300, 1000]
cv = StratifiedShuffleSplit(3, train_size=1000, test_size=500, random_state=0)
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for (name, model), color in zip(models.items(), ("#0072b2", "#d55e00", "#6b7280"), strict=True):
    display = LearningCurveDisplay.from_estimator(
        model, X, y, train_sizes=sizes, cv=cv, score_type="test", ax=ax, line_kw={"color": color}
    )
    display.lines_[0].set(label=name, marker="o", lw=2)
    display.fill_between_[0].set(color=color, label=None)
    print(f"{name}: {display.test_scores[-1].mean():.3f} with {sizes[-1]} digits")
ax.set(xscale="log", xlabel="digits to learn from", yscale="logit")
ax.set_ylabel("accuracy on 500 other digits")
ax.set_xticks(sizes, sizes)
ax.set_yticks(shown := [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99], [f"{tick:.0%}" for tick in shown])
ax.minorticks_off()
ax.legend(loc="lower right", frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
