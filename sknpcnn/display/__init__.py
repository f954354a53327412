"""Pictures of networks, of what they see and of how they were trained; they need matplotlib."""

from sknpcnn.display.activations import ActivationDisplay
from sknpcnn.display.augmentations import AugmentationDisplay
from sknpcnn.display.embedding import EmbeddingDisplay
from sknpcnn.display.filters import FilterDisplay
from sknpcnn.display.history import HistoryDisplay
from sknpcnn.display.predictions import PredictionDisplay
from sknpcnn.display.saliency import SaliencyDisplay

__all__ = [
    "ActivationDisplay",
    "AugmentationDisplay",
    "EmbeddingDisplay",
    "FilterDisplay",
    "HistoryDisplay",
    "PredictionDisplay",
    "SaliencyDisplay",
]
