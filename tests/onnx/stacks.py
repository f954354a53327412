"""Strategies for networks of all kinds of layers."""

from hypothesis import strategies as st

from sknpcnn.layers import (
    GELU,
    Add,
    AvgPool2D,
    Branches,
    Conv2D,
    Flatten,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GroupNorm,
    HardSwish,
    LayerNorm,
    MaxPool2D,
    PReLU,
    ReLU6,
    Scale,
    Sequential,
    Softplus,
    SqueezeExcite,
    ZeroPad2D,
)
from tests.hostile import layers as known

anywhere = st.one_of(
    known.anywhere,
    st.sampled_from([ReLU6(), HardSwish(), Softplus(), PReLU(), GELU(approximate=True), Scale()]),
    st.sampled_from([GroupNorm(1), LayerNorm()]),
)
grouped_convolutions = st.builds(
    lambda groups, **options: Sequential([Conv2D(4), Conv2D(4, groups=groups, **options)]),
    st.sampled_from([2, 4]),
    stride=known.sizes,
    padding=known.paddings | st.tuples(*4 * [known.border]),
)
poolings = st.one_of(
    st.builds(MaxPool2D, known.sizes, known.sizes, ceil_mode=st.booleans()),
    st.builds(
        AvgPool2D, st.just(3), known.sizes, padding=st.integers(0, 2), count_padding=st.booleans()
    ),
)


@st.composite
def branches(draw):
    """Layers side by side, whose outputs have the same size."""
    filters, kind = draw(known.size), draw(st.sampled_from([Branches, Add]))
    return kind([Conv2D(filters), [draw(anywhere), Conv2D(filters, 1), draw(anywhere)]])


image_layers = st.one_of(
    known.image_layers,
    anywhere,
    grouped_convolutions,
    poolings,
    branches(),
    st.sampled_from([SqueezeExcite(1), SqueezeExcite(units=2, hard=True)]),
    st.builds(ZeroPad2D, known.border, st.tuples(known.border, known.border)),
)
bridges = st.sampled_from([Flatten(), GlobalAvgPool2D(), GlobalMaxPool2D()])


@st.composite
def stacks(draw):
    """Image layers, then perhaps a bridge and vector layers; windows may still be too large."""
    stack = draw(st.lists(image_layers, min_size=1, max_size=5).flatmap(known.nested))
    if draw(st.booleans()):
        vector_layers = st.one_of(known.dense_layers, anywhere)
        stack += [draw(bridges), *draw(st.lists(vector_layers, max_size=3).flatmap(known.nested))]
    return stack
