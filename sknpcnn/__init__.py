"""A convolutional network that is an ordinary scikit-learn estimator, in NumPy."""

from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.features import NumpyCNNFeatures
from sknpcnn.saving import load, save

__all__ = ["NumpyCNNClassifier", "NumpyCNNFeatures", "load", "save"]
__version__ = "0.1.0"
