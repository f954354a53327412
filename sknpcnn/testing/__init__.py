"""Checks for those who write layers or losses of their own."""

from sknpcnn.testing.checks import check_layer
from sknpcnn.testing.losses import check_loss

__all__ = ["check_layer", "check_loss"]
