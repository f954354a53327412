"""Rows of the user's data become images a few at a time; the data stay as they are."""

import numpy as np
import pytest

from sknpcnn._engine.context import MiniBatch, RunningContext, Workspace
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.parallel import ThreadedRunner
from sknpcnn._kernels.randomness import row_ids
from sknpcnn._network.batches import Rows
from sknpcnn._network.samples import Samples, content_ids
from sknpcnn._network.standard import Standard, measure_standard

IMAGE = (2, 3, 2)
N = 10
KINDS = [np.uint8, np.int8, np.bool_, np.int64, np.float16, np.float32, np.float64]


def data(dtype=np.float64, n=N, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == np.bool_:
        return rng.integers(0, 2, (n, 12)).astype(bool)
    return (100 * rng.random((n, 12))).astype(dtype)


def samples(X, weights=None, index=None):
    index = np.arange(len(X)) if index is None else index
    return Samples(X, np.zeros(len(X), int), weights, index)


def load(rows, lo, hi, dtype=np.float32):
    with Engine(1, dtype) as engine:
        batch = MiniBatch(len(rows), training=True)
        ctx = RunningContext(Workspace(engine, batch, ThreadedRunner, (lo, hi)))
        return rows.load(ctx, lo, hi).copy()


@pytest.mark.parametrize("compute", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", KINDS)
def test_rows_become_images_height_first_in_the_compute_type(dtype, compute):
    X = data(dtype)
    rows = Rows(X, IMAGE)
    assert len(rows) == N
    assert rows.shape == (2, 3, N, 2)
    images = load(rows, 3, 7, compute)
    assert images.dtype == compute
    expected = X.astype(compute).reshape(N, 2, 3, 2).transpose(1, 2, 0, 3)[:, :, 3:7]
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("compute", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", KINDS)
def test_rows_are_standardised_while_they_are_loaded(dtype, compute):
    X = data(dtype)
    standard = Standard(np.array([3.0, 50.0], compute), np.array([0.5, 2.0], compute))
    images = load(Rows(X, IMAGE, standard), 0, N, compute)
    assert images.dtype == compute
    channels_last = X.astype(np.float64).reshape(N, 2, 3, 2)
    expected = (channels_last - standard.mean) * standard.scale
    np.testing.assert_allclose(images.transpose(2, 0, 1, 3), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "index",
    [
        np.array([7, 0, 0, 9, 3]),
        np.array([4]),
        slice(None),
        slice(2, 8),
        slice(None, 6),
        slice(5, None),
        slice(-4, None),
        slice(8, 100),
    ],
)
def test_index_selects_the_rows(index):
    X = data()
    rows = Rows(X, IMAGE, index=index)
    expected = X[index].reshape(-1, *IMAGE).transpose(1, 2, 0, 3)
    assert len(rows) == expected.shape[2]
    assert rows.shape == expected.shape
    images = load(rows, 0, len(rows), np.float64)
    np.testing.assert_array_equal(images, expected)
    last = load(rows, len(rows) - 1, len(rows), np.float64)
    np.testing.assert_array_equal(last, expected[:, :, -1:])


def test_memory_map_stays_on_disk_and_untouched(tmp_path):
    X = data(np.uint8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    rows = Rows(mapped, IMAGE, index=np.array([8, 1]))
    assert rows.X is mapped
    np.testing.assert_array_equal(load(rows, 0, 2), load(Rows(X[[8, 1]], IMAGE), 0, 2))
    standard = measure_standard(samples(mapped), IMAGE[2], np.float64)
    np.testing.assert_array_equal(
        standard.mean, measure_standard(samples(X), IMAGE[2], np.float64).mean
    )
    np.testing.assert_array_equal(content_ids(samples(mapped)), content_ids(samples(X)))
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)


@pytest.mark.parametrize("order", ["C", "F"])
def test_data_of_any_order_are_read_and_never_written(order):
    X = np.array(data(), order=order)
    before = X.copy()
    X.flags.writeable = False
    standard = measure_standard(samples(X), IMAGE[2], np.float64)
    images = load(Rows(X, IMAGE, standard, np.arange(N)), 0, N, np.float64)
    images += 1
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("block", [1, 24, 36, 10**6])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", KINDS)
def test_standard_is_the_weighted_mean_and_deviation_of_each_channel(
    dtype, weighted, block, monkeypatch
):
    monkeypatch.setattr("sknpcnn._network.standard.BLOCK", block)
    X = data(dtype)
    weights = np.random.default_rng(1).uniform(0.1, 5, N) if weighted else None
    index = np.array([0, 2, 3, 4, 5, 7, 9])
    standard = measure_standard(samples(X, weights, index), IMAGE[2], np.float64)

    pixels = X[index].astype(np.float64).reshape(-1, 2)
    w = np.repeat(np.ones(7) if weights is None else weights[index], 6)
    mean = np.average(pixels, axis=0, weights=w)
    variance = np.average((pixels - mean) ** 2, axis=0, weights=w)
    np.testing.assert_allclose(standard.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(standard.scale, 1 / np.sqrt(variance), rtol=1e-12)


@pytest.mark.parametrize("block", [1, 36, 10**6])
def test_sample_of_weight_two_is_a_sample_given_twice(block, monkeypatch):
    monkeypatch.setattr("sknpcnn._network.standard.BLOCK", block)
    X = data()
    weighted = measure_standard(samples(X, np.r_[2.0, np.ones(9)]), IMAGE[2], np.float64)
    twice = measure_standard(samples(np.r_[X[:1], X]), IMAGE[2], np.float64)
    np.testing.assert_allclose(weighted.mean, twice.mean, rtol=1e-13)
    np.testing.assert_allclose(weighted.scale, twice.scale, rtol=1e-13)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_size_of_all_weights_together_does_not_matter(size):
    X, weights = data(), np.random.default_rng(2).uniform(0.1, 1, N)
    expected = measure_standard(samples(X, weights), IMAGE[2], np.float64)
    found = measure_standard(samples(X, weights * size), IMAGE[2], np.float64)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3, 1e-200, 1e9])
@pytest.mark.parametrize("block", [1, 24, 10**6])
def test_constant_channel_is_shifted_to_zero_and_not_scaled(constant, block, monkeypatch):
    monkeypatch.setattr("sknpcnn._network.standard.BLOCK", block)
    X = data()
    X[:, 1::2] = constant
    standard = measure_standard(samples(X, np.linspace(0.3, 2, N)), IMAGE[2], np.float64)
    assert standard.scale[1] == 1
    assert standard.mean[1] == pytest.approx(constant, rel=1e-14)
    assert 0 < standard.scale[0] < 1


@pytest.mark.parametrize("n", [1, 2])
def test_few_equal_samples_are_standardised_without_a_warning(n):
    X = np.full((n, 12), 3.0)
    standard = measure_standard(samples(X), IMAGE[2], np.float64)
    np.testing.assert_array_equal(standard.mean, [3, 3])
    np.testing.assert_array_equal(standard.scale, [1, 1])


@pytest.mark.parametrize("block", [12, 60, 10**6])
def test_huge_mean_does_not_cancel_the_deviation(block, monkeypatch):
    """The difference of the mean square and the squared mean would hold nothing but rounding."""
    monkeypatch.setattr("sknpcnn._network.standard.BLOCK", block)
    X = np.random.default_rng(3).normal(size=(200, 12))
    standard = measure_standard(samples(X + 1e9), IMAGE[2], np.float64)
    expected = 1 / X.reshape(-1, 2).std(axis=0)
    np.testing.assert_allclose(standard.scale, expected, rtol=1e-6)


def test_small_integers_do_not_overflow():
    X = np.full((300, 12), 255, np.uint8)
    X[::2] = 253
    standard = measure_standard(samples(X), IMAGE[2], np.float64)
    np.testing.assert_allclose(standard.mean, 254, rtol=1e-15)
    np.testing.assert_allclose(standard.scale, 1, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_has_the_compute_type(dtype):
    standard = measure_standard(samples(data(np.uint8)), IMAGE[2], dtype)
    assert standard.mean.dtype == dtype
    assert standard.scale.dtype == dtype


def test_range_of_the_data_does_not_matter_after_standardization():
    X = data(np.uint8)
    loaded = []
    for values in (X, X.astype(np.float32), X / 255):
        standard = measure_standard(samples(values), IMAGE[2], np.float32)
        loaded.append(load(Rows(values, IMAGE, standard), 0, N))
    np.testing.assert_array_equal(loaded[0], loaded[1])
    np.testing.assert_allclose(loaded[0], loaded[2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", [1, 36, 10**6])
def test_content_ids_are_those_of_the_rows_that_take_part(block, monkeypatch):
    monkeypatch.setattr("sknpcnn._network.standard.BLOCK", block)
    X = data(np.float32)
    X[4] = X[1]
    index = np.array([9, 4, 1, 6, 0])
    ids = content_ids(samples(X, index=index))
    np.testing.assert_array_equal(ids, row_ids(X)[index])
    assert ids[1] == ids[2]
    assert len(np.unique(ids)) == 4


def test_samples_may_be_selected_from_without_a_copy():
    X = data()
    weights = np.arange(1.0, N + 1)
    some = samples(X, weights).at(np.array([3, 1]))
    assert len(some) == 2
    assert some.X is X
    np.testing.assert_array_equal(some.weights_at(some.index), [4, 2])
    assert samples(X).weights_at(np.array([3, 1])) is None
