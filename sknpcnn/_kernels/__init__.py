"""Stateless functions on arrays; ``tests/reference.py`` defines what they compute."""
