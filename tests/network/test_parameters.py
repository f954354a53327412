"""The flat vector: every parameter has its own slice, and layers see views of it."""

from itertools import pairwise

import numpy as np
import pytest

from sknpcnn._network.parameters import Layout, ParameterGroup
from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    ReLU,
    Residual,
    Sequential,
)
from sknpcnn.layers.parameter import Parameter
from sknpcnn.layers.steps import parameters
from sknpcnn.spec import named

STEPS = named(
    [
        Conv2D(4, lr_scale=0.5),
        BatchNorm(),
        ReLU(),
        Residual([Conv2D(4), BatchNorm(momentum=0.5)], shortcut=Conv2D(4, kernel_size=1)),
        Sequential([BatchNorm(lr_scale=0), Conv2D(3, bias="position")]),
        Flatten(),
        Dense(7, lr_scale=0),
        Dense(5),
    ]
)


@pytest.fixture
def layout():
    return Layout(parameters(STEPS, (6, 6, 2)))


def test_every_number_belongs_to_exactly_one_parameter(layout):
    count = np.zeros(layout.size, int)
    for _, array in layout.arrays(count):
        array += 1
    assert (count == 1).all()
    assert layout.size == sum(p.size for p in layout.parameters.values())


def test_arrays_and_views_share_memory_with_the_vector(layout):
    vector = np.zeros(layout.size)
    for name, array in layout.arrays(vector):
        assert np.shares_memory(array, vector)
        assert array.shape == layout.parameters[name].shape
    views = layout.views(vector)
    views["conv2d_1"]["W"][...] = 3
    views["residual_1"]["shortcut"]["b"][...] = 4
    place = layout.slices["conv2d_1.W"]
    assert (vector[place] == 3).all()
    assert (vector[layout.slices["residual_1.shortcut.b"]] == 4).all()
    assert np.count_nonzero(vector) == place.stop - place.start + 4
    vector[:] = 7
    assert (views["dense_2"]["b"] == 7).all()


def test_views_are_nested_as_the_layers_are(layout):
    views = layout.views(np.zeros(layout.size))
    assert list(views) == [
        "conv2d_1",
        "batchnorm_1",
        "residual_1",
        "sequential_1",
        "dense_1",
        "dense_2",
    ]
    assert list(views["residual_1"]) == ["conv2d_1", "batchnorm_1", "shortcut"]
    assert set(views["residual_1"]["batchnorm_1"]) == {"gamma", "beta", "mean", "var"}
    assert views["sequential_1"]["conv2d_1"]["b"].shape == (6, 6, 3)


def test_arrays_come_in_the_order_of_the_layers_with_dotted_names(layout):
    names = [name for name, _ in layout.arrays(np.zeros(layout.size))]
    assert names == list(parameters(STEPS, (6, 6, 2)))
    assert names[:2] == ["conv2d_1.W", "conv2d_1.b"]
    assert "residual_1.shortcut.W" in names


def test_segments_cover_what_is_trained_without_gap_or_overlap(layout):
    ends = [(segment.start, segment.stop) for segment in layout.groups]
    assert ends[0][0] == 0
    assert ends[-1][1] == layout.n_trained
    assert all(before[1] == after[0] for before, after in pairwise(ends))


def test_segments_hold_only_parameters_that_are_trained_alike(layout):
    for segment in layout.groups:
        inside = [
            p
            for name, p in layout.parameters.items()
            if segment.start <= layout.slices[name].start < segment.stop
        ]
        assert inside
        for p in inside:
            assert (p.lr_scale, p.decay) == (segment.lr_scale, segment.decay)
            assert p.running is None
    kinds = [(segment.lr_scale, segment.decay) for segment in layout.groups]
    assert len(set(kinds)) == len(kinds), "alike, but in two segments"
    assert set(kinds) == {(s, d) for s in (0.0, 0.5, 1.0) for d in (False, True)}


def test_running_averages_come_last_and_belong_to_no_segment(layout):
    running = {name for name, p in layout.parameters.items() if p.running is not None}
    assert len(running) == 6
    for name in layout.parameters:
        assert (layout.slices[name].start >= layout.n_trained) == (name in running)


def test_averages_tell_the_momentum_and_leave_out_what_is_frozen(layout):
    expected = {
        (layout.slices[f"{layer}.{name}"].start, momentum)
        for layer, momentum in (("batchnorm_1", 0.9), ("residual_1.batchnorm_1", 0.5))
        for name in ("mean", "var")
    }
    assert {(place.start, momentum) for place, momentum in layout.averages} == expected
    assert len(layout.averages) == 4  # sequential_1.batchnorm_1 is frozen


def test_weights_and_biases_form_one_segment_each():
    W, b = Parameter((2, 3), (2, 3), decay=True), Parameter((3,))
    layout = Layout({"a.W": W, "a.b": b, "c.W": W, "c.b": b})
    assert layout.groups == [ParameterGroup(0, 12, 1.0, True), ParameterGroup(12, 18, 1.0, False)]
    assert layout.n_trained == layout.size == 18


def test_layout_of_nothing_is_empty():
    layout = Layout({})
    assert layout.size == layout.n_trained == 0
    assert layout.groups == []
    assert layout.views(layout.start(0, np.float32)) == {}


def test_layout_of_running_averages_alone_trains_nothing():
    layout = Layout({"a.mean": Parameter((4,), running=0.9)})
    assert (layout.size, layout.n_trained, layout.groups) == (4, 0, [])
    assert layout.averages == [(slice(0, 4), 0.9)]


def test_a_vector_is_carried_to_a_layout_that_trains_the_same_arrays_otherwise(layout):
    frozen = [
        (name, layer.replace(lr_scale=0.0) if name == "conv2d_1" else layer)
        for name, layer in STEPS
    ]
    other = Layout(parameters(frozen, (6, 6, 2)))
    assert other.shapes() == layout.shapes()
    assert other.slices != layout.slices
    theta = layout.start(0, np.float64)
    carried = other.reorder(theta, layout)
    before = dict(layout.arrays(theta))
    for name, array in other.arrays(carried):
        np.testing.assert_array_equal(array, before[name])
    memory = np.arange(layout.n_trained, dtype=np.float64)
    assert sorted(other.reorder(memory, layout)) == list(memory)


def test_start_is_the_same_whatever_the_dtype(layout):
    double, single = layout.start(3, np.float64), layout.start(3, np.float32)
    assert double.dtype == np.float64
    assert single.dtype == np.float32
    np.testing.assert_array_equal(double.astype(np.float32), single)


def test_start_depends_on_the_seed_alone(layout):
    np.testing.assert_array_equal(layout.start(3, np.float32), layout.start(3, np.float32))
    assert (layout.start(3, np.float32) != layout.start(4, np.float32)).any()


def test_start_of_a_layer_does_not_depend_on_how_it_is_trained():
    """Freezing a layer moves it within the vector, but does not change its values."""

    def start(lr_scale):
        steps = named([Conv2D(4, lr_scale=lr_scale), Flatten(), Dense(3)])
        layout = Layout(parameters(steps, (5, 5, 1)))
        return layout.slices, dict(layout.arrays(layout.start(0, np.float64)))

    (places, arrays), (places_frozen, arrays_frozen) = start(1.0), start(0.0)
    assert places != places_frozen
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, arrays_frozen[name])


def test_start_is_uniform_within_the_bounds_of_he():
    layout = Layout(
        {
            "W": Parameter((100, 50), 100),
            "b": Parameter((50,)),
            "gamma": Parameter((50,), start=1.0),
        }
    )
    arrays = dict(layout.arrays(layout.start(0, np.float64)))
    bound = np.sqrt(6 / 100)
    assert np.abs(arrays["W"]).max() <= bound
    assert np.abs(arrays["W"]).max() > 0.99 * bound
    assert arrays["W"].std() == pytest.approx(bound / np.sqrt(3), rel=0.03)
    assert abs(arrays["W"].mean()) < 0.03 * bound
    assert (arrays["b"] == 0).all()
    assert (arrays["gamma"] == 1).all()
