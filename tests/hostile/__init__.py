"""Hostile input: strategies that draw it, and what has to hold whatever is drawn.

A fit agrees with the naive loops, or a documented error comes before training. Never a hang, a
crash, a warning of NumPy or a broken estimator. Each test draws so many cases as its ``@cases``
says; with ``SKNPCNN_NIGHTLY=1`` ten times as many, other ones each time.
"""

import os

from hypothesis import HealthCheck, Phase, settings

NIGHTLY = os.environ.get("SKNPCNN_NIGHTLY") == "1"
PROFILE = "nightly" if NIGHTLY else "normal"
COMMON = {"deadline": None, "database": None, "print_blob": True}
COMMON["phases"] = [Phase.generate, Phase.shrink]
COMMON["suppress_health_check"] = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("normal", derandomize=True, **COMMON)
settings.register_profile("nightly", **COMMON)

DRAWN = []


def cases(number):
    """Draw so many cases, in the nightly profile ten times as many."""
    DRAWN.append(number * (10 if NIGHTLY else 1))
    return settings(settings.get_profile(PROFILE), max_examples=DRAWN[-1])
