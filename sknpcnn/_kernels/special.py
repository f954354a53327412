"""The special functions that layers need: SciPy's, or slower ones if it is not installed."""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

Array = np.ndarray


def erf(x: Array, out: Array) -> Array:
    """Compute the error function of each element."""
    result: np.ndarray = _erf()(x, out=out)
    return result


def expit(x: Array, out: Array) -> Array:
    """Compute the logistic function of each element, ``1 / (1 + exp(-x))``."""
    result: np.ndarray = _expit()(x, out=out)
    return result


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
    result: np.ndarray = np.reciprocal(out, out=out)
    return result
