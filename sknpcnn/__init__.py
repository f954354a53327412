"""A convolutional network that is an ordinary scikit-learn estimator, in NumPy."""

from sknpcnn.classifier import NumpyCNNClassifier

__all__ = ["NumpyCNNClassifier"]
__version__ = "0.1.0"
