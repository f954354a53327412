"""The fuzzers of data sets work, and find nothing in a few hundred inputs.

For as many as one likes: ``python -m tests.fuzz.fuzz_cifar -runs=1000000``, and so on.
"""

import pytest

from tests.fuzz import fuzz_cifar, fuzz_idx
from tests.fuzz.datasets import cases

pytestmark = pytest.mark.thread_unsafe(reason="all write the same files, and measure memory")
N_CASES = 300


@pytest.mark.parametrize("fuzzer", [fuzz_cifar, fuzz_idx], ids=["cifar", "idx"])
def test_seeds_are_loaded_and_changed_ones_are_loaded_or_refused(fuzzer):
    try_seeds_and_cases(fuzzer)


def test_images_are_loaded_and_changed_ones_are_loaded_or_refused():
    pytest.importorskip("PIL")
    pytest.importorskip("resource")
    from tests.fuzz import fuzz_images

    try_seeds_and_cases(fuzz_images)


def try_seeds_and_cases(fuzzer):
    assert all(fuzzer.check(data) for data in fuzzer.SEEDS)
    assert not fuzzer.check(b"")
    loaded = [fuzzer.check(data) for data in cases(fuzzer.SEEDS, fuzzer.mutate, N_CASES)]
    assert 10 < sum(loaded) < N_CASES - 10
