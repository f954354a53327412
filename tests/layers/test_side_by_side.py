"""Layers side by side and in groups: what they are made of, and what is refused."""

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn._training.initialization import MEAN_SQUARE
from sknpcnn.layers import (
    Add,
    BatchNorm,
    Branches,
    Conv2D,
    Flatten,
    GlobalAvgPool2D,
    GroupNorm,
    Identity,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    SqueezeExcite,
)
from tests.layers.layer_runs import assert_close, example, run


@pytest.mark.parametrize("kind", [Branches, Add])
def test_a_branch_may_be_a_layer_or_a_list_named_or_not(kind):
    branches = kind([Conv2D(4), [ReLU(), Conv2D(4)], ("wide", [Conv2D(4, 5)]), ["tall", ReLU()]])
    assert [name for name, _ in branches.layers] == ["conv2d_1", "sequential_1", "wide", "tall"]
    assert branches == kind(branches.layers)
    assert branches.get_params()["wide__conv2d_1__kernel_size"] == 5
    assert branches.replace(wide__conv2d_1__filters=8).layers[2][1] == Sequential([Conv2D(8, 5)])


@pytest.mark.parametrize("kind", [Branches, Add])
def test_what_makes_no_branches_is_refused(kind):
    name = kind.__name__
    with pytest.raises(ValueError, match=rf"{name}: layers=\[\]; needed: at least one branch"):
        kind([])
    with pytest.raises(TypeError, match="layers"):
        kind()
    with pytest.raises(TypeError, match=f"{name}: layers holds 3 of type int"):
        kind([Conv2D(2), 3])
    with pytest.raises(TypeError, match=f"{name}: layers is given Conv2D"):
        kind(Conv2D(2))
    with pytest.raises(ValueError, match="which is the name of a parameter"):
        kind([("layers", Conv2D(2))])
    with pytest.raises(ValueError, match="names two layers 'a'"):
        kind([("a", Conv2D(2)), ("a", Conv2D(3))])


def test_branches_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 4, 2\) and \(2, 2, 3\); needed: the same height"):
        Branches([Conv2D(2), Conv2D(3, stride=2)]).output_shape((4, 4, 1))
    with pytest.raises(ValueError, match=r"\(4, 4, 2\), \(4, 4, 2\) and \(4, 4, 3\); needed: the"):
        Add([Conv2D(2), Conv2D(2), Conv2D(3)]).output_shape((4, 4, 1))
    with pytest.raises(ValueError, match=r"\(16,\) and \(4, 4, 1\)"):
        Branches([Flatten(), Identity()]).output_shape((4, 4, 1))


def test_adding_the_input_is_a_residual_block():
    inside = [Conv2D(3), BatchNorm(), ReLU()]
    one, other = Residual(inside), Add([("through", inside), Identity()])
    params, x, dy = example(one, (5, 4, 3), n=4)
    y, dx, grads = run(one, params, x, dy)
    assert_close(run(other, {"through": params}, x, dy), (y, dx, {"through": grads}))


@pytest.mark.parametrize(
    ("layer", "error"),
    [
        (lambda: Conv2D(6, groups=4), "groups=4; needed: a number that divides filters=6"),
        (lambda: Conv2D(6, groups=0), "groups=0; needed: an integer of at least 1"),
        (lambda: Conv2D(6, groups=2.0), "groups=2.0; needed: an integer"),
        (lambda: Conv2D(6, groups=3).output_shape((4, 4, 4)), "4 channels, .* into 3 equal groups"),
        (lambda: GroupNorm(3).output_shape((4, 4, 4)), "4 channels, .* into 3 equal groups"),
        (lambda: SqueezeExcite(units=0), "units=0; needed: None or an integer of at least 1"),
        (lambda: SqueezeExcite().output_shape((4,)), "needs images"),
        (lambda: Conv2D(2, padding=(1, 2, 3)), r"padding=\(1, 2, 3\); needed: .*bottom, left"),
        (lambda: Conv2D(2, padding=(1, 2, 3, -1)), "needed: 'same', 'valid', an integer of at"),
        (lambda: MaxPool2D(2, padding=(0, 0, 0, 2)), "a border smaller than the window"),
    ],
)
def test_what_does_not_fit_is_refused(layer, error):
    with pytest.raises(ValueError, match=error):
        layer()


def test_signals_keep_their_size_through_branches_groups_and_gates():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8, 8, 4))
    block = [
        Branches([Conv2D(8, 1), [Conv2D(8, groups=4), ReLU()]]),
        Add([Conv2D(16, groups=16), Conv2D(16, 1), Identity()]),
        Residual([Conv2D(16), GroupNorm(4), ReLU(), Conv2D(16), SqueezeExcite(4)]),
        ReLU(),
    ]
    net = NumpyCNNClassifier(layers=[*block, *block, *block, GlobalAvgPool2D()])
    for n in (1, 2, 3):
        for name in (f"branches_{n}", f"add_{n}", f"residual_{n}"):
            features = NumpyCNNFeatures(net, layer=name, random_state=0).fit(X)
            size = np.sqrt(np.mean(features.transform(X) ** 2) / MEAN_SQUARE)
            assert 0.5 < size < 2, name
