"""
Is it better, or was it luck?
=============================

Three values of a parameter, each with ten seeds: how far apart are the scores of the same network?
A search over seeds is many fits. joblib distributes them over cores, or with dask over the machines
of a cluster; the search is the same.
"""

import sys
from importlib.util import find_spec

import matplotlib.pyplot as plt
import numpy as np
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit

from sknpcnn import NumpyCNNClassifier

# %%
# ``Client("address:8786")`` would connect to a cluster; this one has threads as workers. Without
# dask, joblib starts processes.

if has_dask := bool(find_spec("distributed")):
    from distributed import Client

    client = Client(processes=False)

X, y = load_digits(return_X_y=True)
dropout, seeds = [0.0, 0.1, 0.2], list(range(10))
search = GridSearchCV(
    NumpyCNNClassifier(max_iter=30),
    {"dropout": dropout, "random_state": seeds},
    cv=StratifiedShuffleSplit(1, train_size=300, test_size=1000, random_state=0),
    refit=False,
)
with parallel_config(backend="dask" if has_dask else "loky", n_jobs=-1):
    search.fit(X.astype("float32"), y)
scores = search.cv_results_["mean_test_score"].reshape(len(dropout), len(seeds))

# %%
# A dot is a network. Its seed decides its initial weights, the order of images, and the dropout;
# the digits are the same. The standard error of a mean is much smaller than the spread.

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
error = scores.std(axis=1, ddof=1) / np.sqrt(len(seeds))
for row, (value, found) in enumerate(zip(dropout, scores, strict=True)):
    ax.plot(found, row + np.linspace(-0.2, 0.2, len(seeds)), "o", color="#0072b2", alpha=0.6)
    ax.errorbar(found.mean(), row, xerr=2 * error[row], fmt="D", color="#d55e00", capsize=5, lw=2)
    print(f"dropout {value}: {found.min():.3f} to {found.max():.3f}, mean {found.mean():.3f}")
ax.set_yticks(range(len(dropout)), [f"dropout={value}" for value in dropout])
ax.set(xlabel="accuracy on 1000 other digits", ylim=(-0.5, len(dropout) - 0.5))
ax.set_title("Ten seeds each, and their mean with two standard errors", fontsize=10)

if has_dask:
    client.close()
if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
