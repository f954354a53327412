"""
The same network without Python
===============================

A fitted classifier is exported as an ONNX model, a file that programs in many languages and on many
devices can run. Here onnxruntime runs it, if it is installed, otherwise the reference
implementation of onnx. Are the probabilities the same, and how long does an image take?
"""

import sys
from functools import partial
from timeit import repeat

import matplotlib.pyplot as plt
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.onnx import to_onnx

X, y = load_digits(return_X_y=True)
X = zoom(X.reshape(-1, 8, 8).astype("float32"), (1, 3, 3), order=1)
X, X_test, y, y_test = train_test_split(X, y, test_size=512, stratify=y, random_state=0)
clf = NumpyCNNClassifier(max_iter=8, random_state=0, n_jobs=1).fit(X, y)
model = to_onnx(clf).SerializeToString()
print(f"The model has {len(model) / 1000:.0f} kB.")

# %%
# The model takes images as the classifier does: it standardizes them itself.

try:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    runtime, session = "onnxruntime", InferenceSession(model, options)
except ImportError:
    from onnx.reference import ReferenceEvaluator

    runtime, session = "onnx.reference", ReferenceEvaluator(model)


def run(images):
    return session.run(["probabilities"], {"X": images})[0]


proba, others = clf.predict_proba(X_test), run(X_test)
print(f"Largest difference: {abs(proba - others).max():.1g}")

# %%
# Left: every probability, by both. Right: onnxruntime has less to do besides the network itself,
# which matters most where images come one at a time.

fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
left.loglog(proba.ravel(), others.ravel(), ".", color="#0072b2", ms=4)
left.set(xlabel="NumpyCNNClassifier", ylabel=runtime)
left.set_title(f"Probabilities, at most {abs(proba - others).max():.0e} apart")
left.set_aspect("equal")
sizes = [1, 4, 16, 64, 256]
functions = {"NumpyCNNClassifier": clf.predict_proba, runtime: run}
for (name, function), color, style in zip(
    functions.items(), ("#0072b2", "#d55e00"), ("o-", "s--"), strict=True
):
    seconds = [min(repeat(partial(function, X_test[:n]), number=3, repeat=5)) / 3 for n in sizes]
    micro = [1e6 * total / n for total, n in zip(seconds, sizes, strict=True)]
    right.loglog(sizes, micro, style, color=color, lw=2, label=name)
    print(name, *(f"{time:.0f}" for time in micro), "microseconds per image")
right.set(xlabel="images at a time", ylabel="microseconds", title="Time for an image, on one core")
right.set_xticks(sizes, sizes)
right.set_yticks(ticks := [10, 30, 100, 300, 1000], ticks)
right.minorticks_off()
right.legend(frameon=False)

if "--save" in sys.argv:
    fig.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
