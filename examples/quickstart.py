"""
Quickstart: train, test, save, load, predict
============================================

The first lines to try, on the digits that come with scikit-learn.
"""

import time

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier

# 1797 gray images of 8 x 8 pixels. A quarter of them is kept for the test at the end.
digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images.astype("float32"), digits.target, stratify=digits.target, random_state=0
)

# What is not said here is chosen by the size of the images and their number: two convolutions, and
# a learning rate that rises and then falls. verbose=1 prints a line per epoch.
clf = NumpyCNNClassifier(random_state=0, verbose=1)
start = time.perf_counter()
clf.fit(X_train, y_train)
print(f"\nTrained on {len(X_train)} images in {time.perf_counter() - start:.1f} seconds.")
print(clf.summary().to_string(index=False))
print(f"\nTest accuracy: {clf.score(X_test, y_test):.4f} on {len(X_test)} other images.")

# The model is an ordinary Python object: joblib saves it and loads it again.
joblib.dump(clf, "digits.joblib")
loaded = joblib.load("digits.joblib")
predicted = loaded.predict(X_test)
if not np.array_equal(predicted, clf.predict(X_test)):
    raise SystemExit("The loaded model predicts something else.")
print("Saved as digits.joblib, loaded again, and the predictions are the same. The first ten:")
print("  predicted", *predicted[:10])
print("  true     ", *y_test[:10])
