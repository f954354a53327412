"""Special functions: those of SciPy, and their replacements if it is not installed."""

import math
import sys

import numpy as np
import pytest
from scipy import special as scipy_special

from sknpcnn._kernels import special


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["erf", "expit"])
def test_what_scipy_computes_is_the_same_without_it(name, dtype, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    function = getattr(special, f"_{name}").__wrapped__()
    x = np.concatenate([np.linspace(-7, 7, 2001), [0.0, -0.0, 1e-30, 40.0, -40.0]]).astype(dtype)
    expected = getattr(scipy_special, name)(x)
    found = function(x, out=np.empty_like(x))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=8 * np.finfo(dtype).eps)
    with np.errstate(over="ignore"):
        ends = function(x := np.array([-math.inf, math.inf, math.nan], dtype), out=x.copy())
    np.testing.assert_array_equal(ends, getattr(scipy_special, name)(x))


def test_erf_without_scipy_works_in_place(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    x = np.linspace(-3, 3, 20_001, dtype=np.float32)
    expected = scipy_special.erf(x)
    np.testing.assert_allclose(special._erf.__wrapped__()(x, out=x), expected, rtol=1e-6)
