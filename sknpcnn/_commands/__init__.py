"""The commands of ``python -m sknpcnn``, one module for each kind."""
