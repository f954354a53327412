"""Strategies for layers and networks, sound or not."""

from hypothesis import strategies as st

from sknpcnn.layers import (
    ELU,
    GELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Identity,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)
from tests.hostile.numbers import GIANT, TOO_LARGE_FOR_A_FLOAT
from tests.hostile.values import VALUES

size = st.integers(1, 3)
sizes = st.one_of(size, st.tuples(size, size))
border = st.integers(0, 2)
paddings = st.one_of(st.sampled_from(["same", "same", "valid"]), border, st.tuples(border, border))

activations = st.one_of(
    st.sampled_from([Identity(), ReLU(), GELU(), SiLU(), Tanh(), Sigmoid()]),
    st.builds(LeakyReLU, st.floats(0, 1)),
    st.builds(ELU, st.floats(0.1, 2)),
)
anywhere = st.one_of(
    activations,
    st.builds(BatchNorm, st.sampled_from([0.0, 0.9]), lr_scale=st.sampled_from([0.0, 1.0])),
    st.builds(Dropout, st.sampled_from([0.0, 0.3, 0.9])),
)
convolutions = st.builds(
    Conv2D,
    st.sampled_from([1, 2, 3, 3, 16]),
    sizes,
    stride=sizes,
    padding=paddings,
    dilation=sizes,
    bias=st.sampled_from([True, False, "position"]),
    lr_scale=st.sampled_from([1.0, 1.0, 0.0, 0.5]),
)


@st.composite
def poolings(draw):
    """A pooling whose border is smaller than its window; another one is refused when it is made."""
    window, padding = draw(sizes), draw(paddings)
    if not isinstance(padding, str):
        padding = 0
    kind = draw(st.sampled_from([MaxPool2D, AvgPool2D]))
    return kind(window, draw(st.none() | sizes), padding)


@st.composite
def residuals(draw):
    """Layers with a skip connection that fits, in most cases."""
    filters = draw(size)
    if draw(st.booleans()):
        return Residual([Conv2D(filters), draw(anywhere)], shortcut=Conv2D(filters, 1))
    return Residual([draw(anywhere)])


image_layers = st.one_of(convolutions, anywhere, poolings(), residuals())
dense_layers = st.builds(Dense, st.integers(1, 5), st.booleans())
vector_layers = st.one_of(dense_layers, anywhere)
bridges = st.sampled_from([Flatten(), GlobalAvgPool2D()])


def nested(items):
    """Put some of the layers into a sequence of their own."""
    return st.one_of(st.just(items), st.just([Sequential(items)]))


@st.composite
def sensible_stacks(draw):
    """Image layers, then perhaps a bridge and vector layers; windows may still be too large."""
    stack = draw(st.lists(image_layers, max_size=4).flatmap(nested))
    if draw(st.booleans()):
        stack += [draw(bridges), *draw(st.lists(vector_layers, max_size=3).flatmap(nested))]
    return stack


senseless_stacks = st.lists(st.one_of(image_layers, bridges, dense_layers), max_size=5)
stacks = st.one_of(sensible_stacks(), sensible_stacks(), sensible_stacks(), senseless_stacks)

# What a layer may be given, by its argument's name or by any name.
ARGUMENTS = {
    "filters": [1, 4, GIANT],
    "units": [1, 4, GIANT],
    "kernel_size": [3, (1, 2), [2, 2], (1, 2, 3), ((1, 2), 3)],
    "size": [2, (1, 2), [2, 2], (1, 2, 3)],
    "stride": [1, (2, 1), (2,)],
    "dilation": [1, (2, 1), GIANT],
    "padding": ["same", "valid", 1, (0, 1), "full", (1, 2, 3), ("same", 1)],
    "bias": [True, False, "position", "none", 2],
    "lr_scale": [0.0, 0.5, 1e300, TOO_LARGE_FOR_A_FLOAT],
    "momentum": [0.0, 0.9, 1.0, 2.0],
    "epsilon": [1e-5, 5e-324, 1e300],
    "rate": [0.0, 0.5, 1.0, 1.5],
    "slope": [0.0, 0.5, 2.0],
    "scale": [1.0, 1e300, 5e-324],
    "layers": [[], [ReLU()], [("a", ReLU())], [ReLU], [("a", ReLU()), ("a", Tanh())], ReLU()],
    "shortcut": [None, Conv2D(2), [Conv2D(2)], Conv2D],
}
anything = st.sampled_from([k for k in VALUES if k != "open file"]).map(lambda k: VALUES[k]())
NAMED_ARGUMENTS = {
    Conv2D: ("filters", "kernel_size", "stride", "padding", "dilation", "bias", "lr_scale"),
    MaxPool2D: ("size", "stride", "padding"),
    AvgPool2D: ("size", "stride", "padding"),
    Dense: ("units", "bias", "lr_scale"),
    BatchNorm: ("momentum", "epsilon", "lr_scale"),
    Dropout: ("rate",),
    LeakyReLU: ("slope",),
    ELU: ("scale",),
    Sequential: ("layers",),
    Residual: ("layers", "shortcut"),
}


@st.composite
def layers_to_make(draw):
    """A kind of layer and its arguments: some fit it, some do not."""
    kind = draw(st.sampled_from(list(NAMED_ARGUMENTS)))
    given = {}
    for name in NAMED_ARGUMENTS[kind]:
        if name in ("filters", "units") or draw(st.booleans()):
            known = st.sampled_from(ARGUMENTS[name])
            given[name] = draw(st.one_of(known, known, known, anything))
    return kind, given
