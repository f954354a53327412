"""Random numbers as a function of key, content and position: equal for equal ones, else random."""

import numpy as np
import pytest

from sknpcnn._kernels.randomness import keyed, row_ids, sample_bits

KINDS = [np.uint8, np.int8, np.bool_, np.int64, np.uint16, np.float16, np.float32, np.float64]


def some_rows(dtype, n=200, width=7, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=(n, width)).astype(dtype)
    return rng.integers(0, 2 if dtype == np.bool_ else 100, (n, width)).astype(dtype)


def ones_among(bits):
    """How often each of the 32 bits is set."""
    return np.array([np.mean(bits >> np.uint32(i) & np.uint32(1)) for i in range(32)])


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 64])
@pytest.mark.parametrize("dtype", KINDS)
def test_rows_have_equal_ids_exactly_where_they_are_equal(dtype, width):
    rows = some_rows(dtype, 100, width)
    rows = np.concatenate([rows, rows[::-1]])
    ids = row_ids(rows)
    assert ids.dtype == np.uint32
    assert ids.shape == (200,)
    _, of_rows = np.unique(rows, axis=0, return_inverse=True)
    np.testing.assert_array_equal(of_rows.reshape(-1, 1) == of_rows, ids[:, None] == ids)


@pytest.mark.parametrize("dtype", KINDS)
def test_id_depends_on_the_row_alone(dtype):
    rows = some_rows(dtype)
    ids = row_ids(rows)
    order = np.random.default_rng(1).permutation(len(rows))
    np.testing.assert_array_equal(row_ids(rows[order]), ids[order])
    parts = [row_ids(rows[lo:hi]) for lo, hi in ((0, 1), (1, 13), (13, 200))]
    np.testing.assert_array_equal(np.concatenate(parts), ids)
    np.testing.assert_array_equal(row_ids(np.asfortranarray(rows)), ids)
    np.testing.assert_array_equal(row_ids(np.repeat(rows, 2, axis=1)[:, ::2]), ids)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_minus_zero_is_zero(dtype):
    rows = np.array([[0.0, 1.0], [-0.0, 1.0]], dtype)
    before = rows.copy()
    assert row_ids(rows)[0] == row_ids(rows)[1]
    np.testing.assert_array_equal(np.signbit(rows), np.signbit(before))


def test_ids_of_long_doubles_do_not_depend_on_padding_bytes():
    rows = np.full((2, 3), 0.1, np.longdouble)
    raw = rows.view(np.uint8).reshape(2, 3, -1)
    if raw.shape[2] == 16 and np.finfo(np.longdouble).nmant == 63:
        raw[1, :, 10:] = 255
    assert row_ids(rows)[0] == row_ids(rows)[1]


def test_read_only_rows_are_hashed_and_left_alone():
    rows = some_rows(np.float32)
    before = rows.copy()
    rows.flags.writeable = False
    row_ids(rows)
    np.testing.assert_array_equal(rows, before)


def test_order_of_the_numbers_in_a_row_counts():
    rows = np.array([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [2, 1, 3, 4, 5]])
    assert len(set(row_ids(rows).tolist())) == 3


@pytest.mark.parametrize(
    ("dtype", "width"), [(np.uint8, 16), (np.float32, 4), (np.float64, 1), (np.float64, 20)]
)
def test_ids_of_many_rows_rarely_collide(dtype, width):
    """By chance about n**2 / 2**33 = 1.2 of 100,000 rows share the id of another."""
    rng = np.random.default_rng(0)
    random = (
        rng.integers(0, 256, (100_000, width))
        if dtype == np.uint8
        else rng.random((100_000, width))
    )
    assert 100_000 - len(np.unique(row_ids(random.astype(dtype)))) <= 8


def test_ids_of_rows_that_differ_little_rarely_collide():
    """Images that are nearly black, counters and small integers are all but random."""
    pairs = np.zeros((79_800, 400), np.uint8)  # two white pixels, at all positions
    first, second = np.triu_indices(400, 1)
    pairs[np.arange(len(pairs)), first] = pairs[np.arange(len(pairs)), second] = 255
    counter = np.arange(100_000).reshape(-1, 1)
    grid = np.stack(np.meshgrid(np.arange(300.0), np.arange(300.0)), -1).reshape(-1, 2)
    for rows in (pairs, counter, counter.astype(np.float32), grid, grid.astype(np.float32)):
        assert len(rows) - len(np.unique(row_ids(rows))) <= 8


def test_ids_are_spread_evenly():
    ids = row_ids(np.arange(60_000.0).reshape(-1, 1))
    assert np.abs(ones_among(ids) - 0.5).max() < 0.02


@pytest.mark.parametrize(
    "ids", [np.arange(512, dtype=np.uint32), row_ids(some_rows(np.float64, 512))]
)
def test_every_bit_is_set_half_of_the_time(ids):
    bits = sample_bits(ids, (512, 400), key=3)
    assert bits.dtype == np.uint32
    deviation = 0.5 / np.sqrt(bits.size)
    assert np.abs(ones_among(bits) - 0.5).max() < 5 * deviation
    for axis in (0, 1):
        mean = (bits / 2**32).mean(axis=axis)
        assert np.abs(mean - 0.5).max() < 5.5 * np.sqrt(1 / 12 / bits.shape[axis])


def test_numbers_are_uniform():
    """The chi-square of 256 equal bins lies near its 255 degrees of freedom."""
    bits = sample_bits(np.arange(300, dtype=np.uint32), (20, 300, 20, 1), key=11)
    for part in (bits >> np.uint32(24), bits & np.uint32(255)):
        seen = np.bincount(part.ravel().astype(np.int64), minlength=256)
        chi_square = ((seen - bits.size / 256) ** 2 / (bits.size / 256)).sum()
        assert 255 - 5 * np.sqrt(2 * 255) < chi_square < 255 + 5 * np.sqrt(2 * 255)


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_and_places_are_not_correlated(axis):
    bits = sample_bits(np.arange(200, dtype=np.uint32), (200, 200), key=1) / 2**32
    bits = bits if axis == 0 else bits.T
    off_diagonal = np.corrcoef(bits)[np.triu_indices(200, 1)]
    assert np.abs(off_diagonal).max() < 5.5 / np.sqrt(200)
    assert off_diagonal.std() == pytest.approx(1 / np.sqrt(200), rel=0.05)
    assert abs(off_diagonal.mean()) < 0.005


@pytest.mark.parametrize("other", [1, 2, 3, 2**16, 2**31, 0xFFFFFFFF])
def test_keys_give_numbers_that_have_nothing_in_common(other):
    ids = np.arange(300, dtype=np.uint32)
    first, second = (sample_bits(ids, (300, 300), key).ravel() for key in (0, other))
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(first.size)
    assert np.mean(first == second) < 1e-3
    agreeing = 1 - ones_among(first ^ second)
    assert np.abs(agreeing - 0.5).max() < 5 * 0.5 / np.sqrt(first.size)


@pytest.mark.parametrize("key", [0, 5])
@pytest.mark.parametrize("shape", [(3, 4, 40, 2), (40, 24)])
def test_numbers_of_a_part_of_the_batch_are_part_of_the_numbers(shape, key):
    axis = 2 if len(shape) == 4 else 0
    ids = row_ids(some_rows(np.float32, 40))
    whole = sample_bits(ids, shape, key)
    assert whole.shape == shape
    for lo, hi in ((0, 40), (0, 1), (7, 20), (39, 40)):
        part = (*shape[:axis], hi - lo, *shape[axis + 1 :])
        expected = whole.take(range(lo, hi), axis=axis)
        np.testing.assert_array_equal(sample_bits(ids[lo:hi], part, key), expected)


def test_equal_samples_draw_equal_numbers_wherever_they_stand():
    ids = np.array([7, 9, 7, 4, 9], np.uint32)
    bits = sample_bits(ids, (5, 50), key=2)
    np.testing.assert_array_equal(bits[0], bits[2])
    np.testing.assert_array_equal(bits[1], bits[4])
    assert (bits[0] != bits[1]).mean() > 0.9


def test_drawing_does_not_change_the_ids():
    ids = np.arange(10, dtype=np.uint32)
    sample_bits(ids, (10, 3), 1)
    keyed(ids, 1)
    np.testing.assert_array_equal(ids, np.arange(10))


def test_another_key_is_another_order():
    ids = np.arange(1000, dtype=np.uint32)
    orders = [tuple(np.argsort(keyed(ids, key))) for key in (0, 1, 2)]
    assert len(set(orders)) == 3
    for key in (0, 1, 2**40 + 1):
        assert len(np.unique(keyed(ids, key))) == 1000
