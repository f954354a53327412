"""The special functions that layers need: SciPy's, or slower ones if it is not installed."""

import math
from collections.abc import Callable
from functools import cache
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
        return _numpy_erf
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


# The coefficients of x, x**3, ... and of 1, x**2, ..., from Eigen's fast_erf: in single precision
# their ratio is the error function to 4e-7; beyond 4 it is 1 anyway.
_NUMERATOR = (
    *(-1.60960333262415e-02, -2.95459980854025e-03, -7.34990630326855e-04, -5.69250639462346e-05),
    *(-2.10102402082508e-06, 2.77068142495902e-08, -2.72614225801306e-10),
)
_DENOMINATOR = (
    *(-1.42647390514189e-02, -7.37332916720468e-03, -1.68282697438203e-03, -2.13374055278905e-04),
    -1.45660718464996e-05,
)
_BLOCK = 2**14
"""How many elements are computed at once, so that they stay in the cache."""


def _numpy_erf(x: Array, out: Array) -> Array:
    if x.dtype != np.float32 or not (x.flags.c_contiguous and out.flags.c_contiguous):
        exact: np.ndarray = np.frompyfunc(math.erf, 1, 1)(x, out=out, casting="unsafe")
        return exact
    values, results = x.reshape(-1), out.reshape(-1)
    for start in range(0, values.size, _BLOCK):
        part = np.clip(values[start : start + _BLOCK], -4, 4)
        square = part * part
        above, below = (
            _polynomial(square, coefficients) for coefficients in (_NUMERATOR, _DENOMINATOR)
        )
        above *= part
        np.divide(above, below, out=results[start : start + _BLOCK])
    return out


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Compute a polynomial by Horner's rule, in single precision."""
    y = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        y *= x
        y += np.float32(coefficient)
    return y
