"""The version of this package, which is part of what the result of a fit depends on."""

__version__ = "0.1.0"
