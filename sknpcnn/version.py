"""The version of this package, which is part of what a fit depends on, and where its pages are."""

__version__ = "0.1.0"

DOCUMENTATION = ""
"""The address of the documentation, without a slash at its end; while it is empty nothing links."""


def page_of(name: str) -> str:
    """Return the address of the page about a public name, or an empty string."""
    return f"{DOCUMENTATION}/api/{name}.html" if DOCUMENTATION else ""
