"""Checks for those who write layers of their own."""

from sknpcnn.testing.checks import check_layer

__all__ = ["check_layer"]
