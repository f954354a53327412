"""A convolutional network that is an ordinary scikit-learn estimator, in NumPy."""

from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.features import NumpyCNNFeatures

__all__ = ["NumpyCNNClassifier", "NumpyCNNFeatures"]
__version__ = "0.1.0"
