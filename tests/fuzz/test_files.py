"""The fuzzing harnesses of files, on a few inputs that are the same in every run."""

import random

import pytest

from tests.fuzz import fuzz_checkpoint, fuzz_load

pytestmark = pytest.mark.thread_unsafe(reason="a process has one file that it tries")


def inputs(n):
    rng = random.Random(0)
    return [rng.randbytes(rng.choice((4, 8, 16, 32))) for _ in range(n)]


@pytest.mark.parametrize("harness", [fuzz_load, fuzz_checkpoint])
def test_files_that_are_made_up_are_refused_or_sound(harness):
    results = [harness.check(data) for data in inputs(300)]
    assert True in results
    assert results.count(False) > 150


def nothing(*args):
    return []


@pytest.mark.parametrize(
    ("harness", "place", "instead"),
    [
        (fuzz_load, "sknpcnn.saving.network.floats", lambda arrays, name, size: arrays[name]),
        (fuzz_checkpoint, "sknpcnn._training.checkpoints.Checkpoint._wrong_values", nothing),
        (fuzz_checkpoint, "sknpcnn._training.checkpoints.Checkpoint._wrong_arrays", nothing),
    ],
)
def test_the_harness_sees_that_a_check_is_missing(harness, place, instead, monkeypatch):
    """Else it could have stopped looking, and nobody would know."""
    monkeypatch.setattr(place, instead)
    with pytest.raises((AssertionError, KeyError, TypeError), match=r"."):
        check_all(harness, inputs(3000))


def check_all(harness, inputs):
    for data in inputs:
        harness.check(data)
