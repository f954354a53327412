"""Every layer, through the contract and against the naive reference."""

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sknpcnn._engine import parallel
from sknpcnn.layers import AvgPool2D, BatchNorm, Conv2D, MaxPool2D, dense
from sknpcnn.testing import check_layer
from tests import reference
from tests.layers.layer_cases import CASES, EXPORTED
from tests.layers.layer_runs import (
    assert_close,
    deterministic_case,
    every_case,
    example,
    naive,
    predict,
    random,
    run,
)

# The table


def test_every_exported_layer_is_in_the_table():
    assert {type(case.layer) for case in CASES} == EXPORTED


def test_every_option_of_every_layer_is_in_the_table():
    for kind in {type(case.layer) for case in CASES}:
        for field in fields(kind):
            values = {getattr(case.layer, field.name) for case in CASES if type(case.layer) is kind}
            assert len(values) > 1, f"the table has one {kind.__name__}.{field.name} only"


def test_the_names_in_the_table_are_unique():
    assert len({case.id for case in CASES}) == len(CASES)


# The contract


@every_case
def test_layer_keeps_its_promises(layer, shape):
    check_layer(layer, shape)


@pytest.mark.slow
@every_case
def test_layer_keeps_its_promises_in_the_smallest_chunks_and_tiles(layer, shape, monkeypatch):
    monkeypatch.setattr(parallel, "MAX_CHUNK_SIZE", 1)
    monkeypatch.setattr("sknpcnn._engine.context.MIN_TILE_SIZE", 1)
    monkeypatch.setattr(dense, "MIN_TILE_WIDTH", 1)
    check_layer(layer, shape)


@every_case
def test_chunks_and_tiles_do_not_change_the_result(layer, shape, monkeypatch):
    params, x, dy = example(layer, shape, n=5)
    whole = run(layer, params, x, dy)
    monkeypatch.setattr(parallel, "MAX_CHUNK_SIZE", 40)
    monkeypatch.setattr("sknpcnn._engine.context.MIN_TILE_SIZE", 40)
    monkeypatch.setattr(dense, "MIN_TILE_WIDTH", 1)
    assert_close(run(layer, params, x, dy), whole)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layer_is_immutable(case):
    before = repr(case.layer)
    for name in [*(field.name for field in fields(case.layer)), "anything"]:
        with pytest.raises(FrozenInstanceError):
            setattr(case.layer, name, None)
    assert repr(case.layer) == before


@pytest.mark.parametrize(
    ("with_list", "with_tuple"),
    [
        (Conv2D(2, [3, 1]), Conv2D(2, (3, 1))),
        (Conv2D(2, stride=[2, 1]), Conv2D(2, stride=(2, 1))),
        (Conv2D(2, padding=[0, 1]), Conv2D(2, padding=(0, 1))),
        (Conv2D(2, dilation=[1, 2]), Conv2D(2, dilation=(1, 2))),
        (MaxPool2D([2, 1]), MaxPool2D((2, 1))),
        (MaxPool2D(3, stride=[1, 2]), MaxPool2D(3, stride=(1, 2))),
        (AvgPool2D(3, padding=[1, 0]), AvgPool2D(3, padding=(1, 0))),
    ],
)
def test_a_pair_given_as_a_list_makes_the_same_hashable_layer(with_list, with_tuple):
    assert with_list == with_tuple
    assert hash(with_list) == hash(with_tuple)


# The reference


@deterministic_case
def test_layer_computes_what_the_reference_does(layer, shape):
    params, x, dy = example(layer, shape)
    assert_close(run(layer, params, x, dy), naive(layer, params, x, dy))


@deterministic_case
def test_layer_without_batch_statistics_predicts_what_it_trains_on(layer, shape):
    if any(p.running is not None for p in layer.parameters(shape).values()):
        pytest.skip("mean and variance of the mini-batch are not those of prediction")
    params, x, dy = example(layer, shape)
    np.testing.assert_array_equal(predict(layer, params, x), run(layer, params, x, dy)[0])


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.layer.whole_batch(True) and not random(c.layer)]
)
def test_weighted_layer_computes_what_the_reference_does(case):
    params, x, dy = example(case.layer, case.shape, n=4)
    weights = np.array([0.5, 2.0, 0.0, 1.3])
    found = run(case.layer, params, x, dy, weights)
    assert_close(found, naive(case.layer, params, x, dy, weights))


@pytest.mark.parametrize("shape", [(4, 3, 2), (5,)])
def test_batch_norm_predicts_with_its_running_averages(shape):
    layer = BatchNorm(epsilon=0.01)
    p, x, _ = example(layer, shape)
    expected = reference.batch_norm(x, p["gamma"], p["beta"], p["mean"], p["var"], 0.01)
    np.testing.assert_allclose(predict(layer, p, x), expected, rtol=1e-12)


def test_batch_norm_is_exact_far_from_zero():
    layer = BatchNorm()
    params, x, dy = example(layer, (3, 3, 2))
    near, far = (run(layer, params, x + shift, dy) for shift in (0.0, 1e6))
    assert_close(near[:2], far[:2], 1e-5)


def paddings(smaller_than=4):
    pixels = st.integers(0, smaller_than - 1)
    return st.sampled_from(["same", "valid"]) | pixels | st.tuples(pixels, pixels)


def sizes(largest):
    return st.integers(1, largest) | st.tuples(st.integers(1, largest), st.integers(1, largest))


images = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3))


def fits(layer, shape):
    try:
        layer.output_shape(shape)
    except ValueError:
        return False
    return True


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    layer=st.builds(
        Conv2D,
        st.integers(1, 3),
        kernel_size=sizes(4),
        stride=sizes(3),
        padding=paddings(),
        dilation=sizes(3),
        bias=st.sampled_from([True, False, "position"]),
    ),
    shape=images,
    n=st.integers(1, 3),
)
def test_any_convolution_computes_what_the_reference_does(layer, shape, n):
    assume(fits(layer, shape))
    params, x, dy = example(layer, shape, n)
    assert_close(run(layer, params, x, dy), naive(layer, params, x, dy))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    groups=st.integers(2, 4),
    channels=st.integers(1, 2),
    filters=st.integers(1, 2),
    kernel_size=sizes(3),
    stride=sizes(3),
    padding=paddings() | st.tuples(*[st.integers(0, 2)] * 4),
    dilation=sizes(2),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    n=st.integers(1, 3),
)
def test_any_convolution_in_groups_computes_what_the_reference_does(
    groups, channels, filters, size, n, **places
):
    layer, shape = Conv2D(groups * filters, groups=groups, **places), (*size, groups * channels)
    assume(fits(layer, shape))
    params, x, dy = example(layer, shape, n)
    assert_close(run(layer, params, x, dy), naive(layer, params, x, dy))


@pytest.mark.parametrize("stride", [1, 2])
def test_groups_are_computed_a_few_rows_at_a_time(stride, monkeypatch):
    layer = Conv2D(6, stride=stride, groups=3)
    params, x, dy = example(layer, (9, 7, 6))
    whole = run(layer, params, x, dy)
    for block in (1, 200, 400):
        monkeypatch.setattr("sknpcnn._kernels.rows.BLOCK", block)
        y, *gradients = run(layer, params, x, dy)
        np.testing.assert_array_equal(y, whole[0])
        assert_close(gradients, whole[1:], 1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from([MaxPool2D, AvgPool2D]),
    size=sizes(4),
    stride=st.none() | sizes(4),
    padding=paddings(3) | st.tuples(*[st.integers(0, 2)] * 4),
    option=st.booleans(),
    shape=images,
    n=st.integers(1, 3),
    ties=st.booleans(),
)
def test_any_pooling_computes_what_the_reference_does(
    kind, size, stride, padding, option, shape, n, ties
):
    border = ((0,), (0,)) if isinstance(padding, str) else reference.border(padding)
    assume(all(max(p) < k for p, k in zip(border, reference.pair(size), strict=True)))
    layer = kind(size, stride, padding, option and padding != "same")
    assume(fits(layer, shape))
    params, x, dy = example(layer, shape, n)
    if ties:
        x = np.round(x)
    assert_close(run(layer, params, x, dy), naive(layer, params, x, dy))


def test_max_pool_gives_a_tie_to_the_first_pixel_in_row_major_order():
    x = np.zeros((1, 4, 4, 1))
    x[0, 2:, 2:, 0] = [[1, 5], [5, 5]]
    _, dx, _ = run(MaxPool2D(2), {}, x, np.ones((1, 2, 2, 1)))
    expected = [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(dx[0, :, :, 0], expected)


@pytest.mark.parametrize("padding", ["same", 1])
def test_padding_never_wins_a_maximum(padding):
    x = np.full((1, 3, 3, 1), -7.0)
    y, dx, _ = run(MaxPool2D(3, stride=2, padding=padding), {}, x, np.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(y, -7.0)
    assert dx.sum() == 4


def test_padding_does_not_count_in_an_average():
    x = np.full((1, 3, 3, 1), 6.0)
    y, _, _ = run(AvgPool2D(3, stride=2, padding=1), {}, x, np.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(y, 6.0)
