"""The special functions that layers need: SciPy's, or slower ones if it is not installed."""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

Array = np.ndarray


def erf(x: Array, out: Array) -> Array:
    """Compute the error function of each element."""
    return _erf()(x, out=out)


def expit(x: Array, out: Array) -> Array:
    """Compute the logistic function of each element, ``1 / (1 + exp(-x))``."""
    return _expit()(x, out=out)


@cache
def _erf() -> Callable[..., Any]:
    try:
        from scipy.special import erf
    except ModuleNotFoundError:
        return partial(np.frompyfunc(math.erf, 1, 1), casting="unsafe")
    return erf


@cache
def _expit() -> Callable[..., Any]:
    try:
        from scipy.special import expit
    except ModuleNotFoundError:
        return _numpy_expit
    return expit


def _numpy_expit(x: Array, out: Array) -> Array:
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += x.dtype.type(1)
    return np.reciprocal(out, out=out)
