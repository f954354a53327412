"""A convolutional network that is an ordinary scikit-learn estimator, in NumPy."""

from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.features import NumpyCNNFeatures
from sknpcnn.saving import load, save
from sknpcnn.version import __version__ as __version__

__all__ = ["NumpyCNNClassifier", "NumpyCNNFeatures", "load", "save"]
