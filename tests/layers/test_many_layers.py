"""Networks of many layers: what is done with them takes time in proportion to their number."""

import pytest

from sknpcnn.layers import Conv2D, Identity, Layer, MaxPool2D, ReLU
from sknpcnn.layers.base import Hints
from sknpcnn.layers.rewriting import pool_first
from sknpcnn.spec import named


class Counted(str):
    """A name that counts how often it is looked for."""

    looked = 0

    def __hash__(self):
        Counted.looked += 1
        return super().__hash__()

    __eq__ = str.__eq__


class Asked(Layer):
    """A layer that counts how often it is asked what it is."""

    count = 0

    @property
    def hints(self):
        Asked.count += 1
        return Hints(monotonic=True)

    def forward(self, params, x, ctx):
        return x, None

    def backward(self, params, cache, dy, grads, ctx):
        return dy


@pytest.mark.thread_unsafe(reason="what is counted is counted for all threads")
def test_twice_as_many_layers_take_twice_as_long():
    n = 500
    Counted.looked = Asked.count = 0
    named([(Counted(f"a{i}"), ReLU()) for i in range(n)])
    assert Counted.looked <= 3 * n
    steps = [(f"a{i}", Asked()) for i in range(n)]
    pool_first(steps + [(f"p{i}", MaxPool2D(1)) for i in range(n)])
    assert Asked.count <= n


def test_poolings_move_before_all_that_never_falls_in_their_order():
    steps = named([Conv2D(2), ReLU(), MaxPool2D(2), ReLU(), MaxPool2D(1), Identity(), MaxPool2D(1)])
    assert [(name, type(layer).__name__) for name, layer in pool_first(steps)] == [
        ("conv2d_1", "Conv2D"),
        ("maxpool2d_1", "MaxPool2D"),
        ("maxpool2d_2", "MaxPool2D"),
        ("conv2d_1", "Bias"),
        ("relu_1", "ReLU"),
        ("relu_2", "ReLU"),
        ("identity_1", "Identity"),
        ("maxpool2d_3", "MaxPool2D"),
    ]
