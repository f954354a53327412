"""One table of layers: every layer and every option, on the shapes that are easy to get wrong.

Adding a layer is one line here; the tests in this folder run on every line.
"""

from typing import NamedTuple

from sknpcnn import layers
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
    Layer,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)

EXPORTED = {
    thing
    for thing in (getattr(layers, name) for name in layers.__all__)
    if isinstance(thing, type) and issubclass(thing, Layer) and thing is not Layer
}
"""The layers among the things that the author of one needs."""


class Case(NamedTuple):
    id: str
    layer: Layer
    shape: tuple[int, ...]


CASES = [
    Case("conv", Conv2D(4), (6, 6, 3)),
    Case("conv at Winograd's points", Conv2D(16), (7, 4, 16)),
    Case("conv on odd sizes", Conv2D(2), (7, 5, 1)),
    Case("conv on one pixel", Conv2D(3), (1, 1, 2)),
    Case("conv on one row", Conv2D(3, (1, 3)), (1, 9, 1)),
    Case("conv with one filter", Conv2D(1), (4, 5, 3)),
    Case("conv valid", Conv2D(3, padding="valid"), (5, 4, 2)),
    Case("conv to one pixel", Conv2D(3, (5, 4), padding="valid"), (5, 4, 2)),
    Case("conv with an even kernel", Conv2D(2, 2), (5, 4, 3)),
    Case("conv with an asymmetric kernel", Conv2D(2, (2, 5)), (6, 5, 2)),
    Case("conv stride 2", Conv2D(3, stride=2), (7, 6, 3)),
    Case("conv stride 3", Conv2D(2, stride=3), (8, 7, 1)),
    Case("conv stride (2, 1)", Conv2D(2, stride=(2, 1)), (5, 6, 2)),
    Case("conv stride (1, 3)", Conv2D(2, stride=(1, 3), padding="valid"), (5, 7, 2)),
    Case("conv stride beyond the kernel", Conv2D(2, 2, stride=3), (8, 7, 2)),
    Case("conv stride leaves pixels out", Conv2D(2, 2, stride=3, padding="valid"), (7, 7, 1)),
    Case("conv kernel larger than the image", Conv2D(2, 5), (3, 2, 2)),
    Case("conv large kernel, stride 2", Conv2D(2, 7, stride=2), (3, 4, 1)),
    Case("conv dilation 2", Conv2D(2, dilation=2), (6, 7, 2)),
    Case("conv dilation (1, 3), valid", Conv2D(2, dilation=(1, 3), padding="valid"), (4, 8, 1)),
    Case("conv dilation 2, stride 2", Conv2D(2, dilation=2, stride=2), (7, 8, 2)),
    Case("conv padding 1", Conv2D(2, padding=1), (4, 5, 2)),
    Case("conv padding 0", Conv2D(2, padding=0), (4, 5, 2)),
    Case("conv padding (2, 0)", Conv2D(2, padding=(2, 0)), (4, 5, 2)),
    Case("conv padding beyond the kernel", Conv2D(2, 2, padding=3, stride=2), (4, 3, 1)),
    Case("conv without bias", Conv2D(3, bias=False), (4, 4, 2)),
    Case("conv bias by position", Conv2D(3, bias="position"), (4, 5, 2)),
    Case("conv bias by position, stride 2", Conv2D(3, bias="position", stride=2), (5, 5, 1)),
    Case("conv 1x1", Conv2D(3, 1), (4, 5, 2)),
    Case("conv 1x1, stride 2", Conv2D(3, 1, stride=2), (5, 6, 2)),
    Case("conv 1x1, stride (2, 1)", Conv2D(3, 1, stride=(2, 1)), (5, 4, 2)),
    Case("conv 1x1, padding 1", Conv2D(3, 1, padding=1), (3, 4, 2)),
    Case("conv 3x1", Conv2D(3, (3, 1), padding="valid"), (5, 4, 2)),
    Case("conv frozen", Conv2D(2, lr_scale=0), (4, 4, 1)),
    Case("dense", Dense(4), (7,)),
    Case("dense of one", Dense(1), (1,)),
    Case("dense without bias", Dense(5, bias=False), (3,)),
    Case("dense frozen", Dense(3, lr_scale=0), (4,)),
    Case("max pool", MaxPool2D(), (6, 4, 3)),
    Case("max pool leaves pixels out", MaxPool2D(2), (7, 5, 1)),
    Case("max pool same", MaxPool2D(2, padding="same"), (5, 7, 2)),
    Case("max pool of one pixel", MaxPool2D(1), (3, 4, 2)),
    Case("max pool on one pixel", MaxPool2D(2, padding="same"), (1, 1, 3)),
    Case("max pool 3x3, stride 2, same", MaxPool2D(3, stride=2, padding="same"), (8, 7, 2)),
    Case("max pool 3x3, stride 1, same", MaxPool2D(3, stride=1, padding="same"), (4, 5, 2)),
    Case("max pool 3x3, stride 2, valid", MaxPool2D(3, stride=2), (7, 8, 1)),
    Case("max pool (2, 3)", MaxPool2D((2, 3)), (5, 7, 2)),
    Case("max pool (3, 1), stride (1, 2)", MaxPool2D((3, 1), stride=(1, 2)), (5, 4, 2)),
    Case("max pool stride beyond the window", MaxPool2D(2, stride=3), (8, 7, 2)),
    Case("max pool padding 1", MaxPool2D(3, stride=2, padding=1), (5, 6, 2)),
    Case("max pool padding (1, 0)", MaxPool2D(2, padding=(1, 0)), (4, 5, 2)),
    Case("max pool window larger than the image", MaxPool2D(5, padding="same"), (3, 2, 1)),
    Case("max pool of more than 256 pixels", MaxPool2D(17, stride=3), (20, 17, 1)),
    Case("avg pool", AvgPool2D(), (6, 4, 3)),
    Case("avg pool leaves pixels out", AvgPool2D(2), (7, 5, 1)),
    Case("avg pool same", AvgPool2D(2, padding="same"), (5, 7, 2)),
    Case("avg pool on one pixel", AvgPool2D(2, padding="same"), (1, 1, 3)),
    Case("avg pool 3x3, stride 2, same", AvgPool2D(3, stride=2, padding="same"), (8, 7, 2)),
    Case("avg pool (3, 2), stride (1, 2)", AvgPool2D((3, 2), stride=(1, 2)), (5, 6, 2)),
    Case("avg pool stride beyond the window", AvgPool2D(2, stride=3), (8, 7, 1)),
    Case("avg pool padding 1", AvgPool2D(3, stride=2, padding=1), (5, 6, 2)),
    Case("avg pool padding (0, 1)", AvgPool2D(2, padding=(0, 1)), (4, 5, 2)),
    Case("global avg pool", GlobalAvgPool2D(), (5, 4, 3)),
    Case("global avg pool on one pixel", GlobalAvgPool2D(), (1, 1, 2)),
    Case("flatten", Flatten(), (3, 4, 2)),
    Case("flatten one pixel", Flatten(), (1, 1, 1)),
    Case("batch norm of images", BatchNorm(), (4, 5, 3)),
    Case("batch norm of one channel", BatchNorm(momentum=0.5), (3, 2, 1)),
    Case("batch norm of one pixel", BatchNorm(), (1, 1, 4)),
    Case("batch norm of vectors", BatchNorm(epsilon=0.1), (6,)),
    Case("batch norm frozen", BatchNorm(lr_scale=0), (4, 3, 2)),
    Case("batch norm of vectors, frozen", BatchNorm(lr_scale=0), (5,)),
    Case("dropout of images", Dropout(), (4, 5, 2)),
    Case("dropout of vectors", Dropout(0.2), (20,)),
    Case("dropout of nothing", Dropout(0), (4, 3, 2)),
    Case("identity", Identity(), (3, 4, 2)),
    Case("relu", ReLU(), (3, 4, 2)),
    Case("relu of vectors", ReLU(), (7,)),
    Case("leaky relu", LeakyReLU(), (3, 4, 2)),
    Case("leaky relu, slope 0.3", LeakyReLU(0.3), (7,)),
    Case("elu", ELU(), (3, 4, 2)),
    Case("elu, scale 0.5", ELU(0.5), (7,)),
    Case("gelu", GELU(), (3, 4, 2)),
    Case("silu", SiLU(), (3, 4, 2)),
    Case("tanh", Tanh(), (3, 4, 2)),
    Case("sigmoid", Sigmoid(), (7,)),
    Case("empty sequence", Sequential(), (4,)),
    Case(
        "sequence",
        Sequential([Conv2D(4), ReLU(), MaxPool2D(2), Flatten(), Dense(3)]),
        (7, 6, 2),
    ),
    Case(
        "sequence with batch norm",
        Sequential([Conv2D(3, bias=False), BatchNorm(), ReLU(), AvgPool2D(2)]),
        (5, 6, 2),
    ),
    Case(
        "sequence of sequences",
        Sequential(
            [
                Sequential([Conv2D(3), BatchNorm(), Tanh()]),
                ("body", Sequential([Conv2D(2, stride=2), ReLU()])),
                GlobalAvgPool2D(),
                Sequential([Dense(4), BatchNorm(), SiLU()]),
            ]
        ),
        (6, 5, 1),
    ),
    Case(
        "sequence with dropout",
        Sequential([Conv2D(2), ReLU(), Dropout(0.3), Flatten(), Dense(4), BatchNorm(), Dropout()]),
        (4, 4, 1),
    ),
    Case("sequence that begins with batch norm", Sequential([BatchNorm(), Conv2D(2)]), (4, 3, 2)),
    Case("residual", Residual([Conv2D(2), Tanh(), Conv2D(2)]), (4, 5, 2)),
    Case("residual of vectors", Residual([Dense(6), ReLU(), Dense(6)]), (6,)),
    Case(
        "residual with a projection",
        Residual([Conv2D(4, stride=2), ReLU(), Conv2D(4)], shortcut=Conv2D(4, 1, stride=2)),
        (5, 6, 2),
    ),
    Case(
        "residual with batch norm",
        Residual(
            [Conv2D(3, stride=2, bias=False), BatchNorm(), ReLU(), Conv2D(3), BatchNorm()],
            shortcut=Sequential([Conv2D(3, 1, stride=2, bias=False), BatchNorm()]),
        ),
        (6, 5, 2),
    ),
    Case(
        "residuals in a sequence",
        Sequential(
            [
                Conv2D(3),
                Residual([Conv2D(3), BatchNorm(), ReLU()]),
                ReLU(),
                Residual([Conv2D(3), ReLU()]),
                MaxPool2D(2, padding="same"),
            ]
        ),
        (5, 4, 1),
    ),
    Case("residual of nothing", Residual(), (3, 3, 1)),
]
