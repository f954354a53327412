"""
Killed, and resumed
===================

A fit with ``checkpoint_dir`` saves its complete state after every epoch. Here such a fit runs in a
process of its own, and is killed without warning. The same call resumes it, and ends in the same
weights, bit by bit, as a fit that was not interrupted. So a long fit survives a restart of the
machine, or the time limit of a cluster.
"""

import re
import subprocess
import sys
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sknpcnn import NumpyCNNClassifier

# %%
# What the other Python process is to run. It prints a line for each epoch; at the thirteenth line
# it is killed.

job = """
from sklearn.datasets import load_digits
from sknpcnn import NumpyCNNClassifier
X, y = load_digits(return_X_y=True)
NumpyCNNClassifier(max_iter=30, random_state=0, verbose=1, checkpoint_dir=".").fit(X, y)
"""
killed = []
X, y = load_digits(return_X_y=True)
with TemporaryDirectory() as folder:
    command = [sys.executable, "-u", "-c", job]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            killed.append(float(re.search(r"loss (\S+)", line)[1]))
            if len(killed) == 13:
                process.kill()
                break
    resumed = NumpyCNNClassifier(max_iter=30, random_state=0, verbose=1, checkpoint_dir=folder)
    resumed.fit(X, y)
alone = NumpyCNNClassifier(max_iter=30, random_state=0).fit(X, y)

pairs = zip(resumed.get_weights().values(), alone.get_weights().values(), strict=True)
same = all(np.array_equal(*pair) for pair in pairs)
print("All weights are equal, bit by bit." if same else "Some weights differ.")

# %%
# The line is the fit that was not interrupted. An epoch that was killed before it was saved runs
# again.

fig, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")
ax.plot(alone.history_["train_loss"], color="#9ca3af", lw=5, label="left alone")
ax.plot(range(1, len(killed) + 1), killed, "X", color="#d55e00", ms=9, label="killed")
after = resumed.history_["train_loss"].iloc[len(killed) - 1 :]
ax.plot(after, "o", color="#0072b2", ms=5, label="resumed")
ax.axvline(len(killed), color="#d55e00", ls=":")
ax.set(yscale="log", xlabel="epoch", ylabel="training loss", xlim=(0, 31))
ax.legend(frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
