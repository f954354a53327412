"""Weights from PyTorch and Keras, neither of which has to be installed to import this."""

from sknpcnn.weights.keras import from_keras
from sknpcnn.weights.pytorch import from_torch, to_torch_state_dict

__all__ = ["from_keras", "from_torch", "to_torch_state_dict"]
