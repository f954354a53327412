"""The fast kernels agree with their predecessors; how fast either is, is no matter of a test."""

import pytest

from benchmarks import kernels
from benchmarks.kernels import adam, planes, pooling, tape, winograd

pytestmark = pytest.mark.thread_unsafe(reason="kernels are exchanged for their predecessors")

MODULES = pytest.mark.parametrize(
    "module", [winograd, planes, pooling, adam, tape], ids=lambda module: module.__name__
)


@MODULES
def test_fast_kernel_agrees_with_its_predecessor(module):
    module.check()


@pytest.mark.slow
@MODULES
def test_measurement_has_positive_times_for_every_case(module, monkeypatch):
    monkeypatch.setattr(kernels, "TURN", 0.0)  # one call each
    measured = module.measure(rounds=1)
    assert measured
    for case, before, now in measured:
        assert case
        assert min(before, now) > 0
