"""Networks of well-known papers, in the versions that are small enough to be trained on a CPU."""

from sknpcnn.layers import (
    BatchNorm,
    Branches,
    Conv2D,
    Dense,
    Dropout,
    GlobalAvgPool2D,
    HardSwish,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    SqueezeExcite,
    ZeroPad2D,
)


def resnet20() -> list[Layer]:
    """A residual network of twenty layers, for 32x32 color images (He et al. 2015).

    The smallest of the networks that the paper trains on CIFAR-10: three stages of three residual
    blocks, of 16, 32 and 64 filters. Where a stage begins, the shortcut takes every other pixel and
    adds channels of zeros. 271,098 parameters, of which 1,376 are running means and variances; the
    paper counts 0.27 million, and reports an accuracy of 91.25 % after 182 epochs.

    Its example flips images, which is wrong for signs, letters, digits and hands.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import resnet20
    >>> from sknpcnn.augmentation import HorizontalFlip, RandomCrop
    >>> from sknpcnn.optimizers import SGD
    >>> from sknpcnn.schedules import OneCycle
    >>> clf = NumpyCNNClassifier(
    ...     layers=resnet20(), solver=SGD(momentum=0.9, nesterov=True), learning_rate_init=0.2,
    ...     learning_rate=OneCycle(), alpha=0.064, batch_size=128, max_iter=15,
    ...     augment=[RandomCrop(4), HorizontalFlip()],
    ... )
    """
    layers: list[Layer] = [*_convolution(16, 3), ReLU()]
    for filters in (16, 32, 64):
        for i in range(3):
            begins = filters > 16 and i == 0
            block = [
                *_convolution(filters, 3, stride=1 + begins),
                ReLU(),
                *_convolution(filters, 3),
            ]
            layers += [Residual(block, _every_other_pixel(filters) if begins else None), ReLU()]
    return [*layers, GlobalAvgPool2D()]


def mobilenet_small() -> list[Layer]:
    """MobileNetV3-Small (Howard et al. 2019), for 32x32 color images.

    Eleven blocks, each of which expands the channels, convolves each of them on its own, and
    projects them back; most of them weigh their channels (``SqueezeExcite``). As images are small,
    the first two of its five steps down are left out. 1,540,218 parameters, of which 12,112 are
    running means and variances. Without them and its two dense layers these are 927,008, as
    published, where 224x224 pixels and 1,000 classes make 2.5 million.

    Its example flips images, which is wrong for signs, letters, digits and hands.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import mobilenet_small
    >>> from sknpcnn.augmentation import HorizontalFlip, RandomCrop
    >>> from sknpcnn.schedules import OneCycle
    >>> clf = NumpyCNNClassifier(
    ...     layers=mobilenet_small(), learning_rate_init=0.003, learning_rate=OneCycle(),
    ...     batch_size=128, max_iter=12, augment=[RandomCrop(4), HorizontalFlip()],
    ... )
    """
    layers = [*_convolution(16, 3), HardSwish()]
    channels = 16
    for kernel_size, expanded, filters, stride, units, activation in (
        (3, 16, 16, 1, 8, ReLU()),
        (3, 72, 24, 2, None, ReLU()),
        (3, 88, 24, 1, None, ReLU()),
        (5, 96, 40, 2, 24, HardSwish()),
        (5, 240, 40, 1, 64, HardSwish()),
        (5, 240, 40, 1, 64, HardSwish()),
        (5, 120, 48, 1, 32, HardSwish()),
        (5, 144, 48, 1, 40, HardSwish()),
        (5, 288, 96, 2, 72, HardSwish()),
        (5, 576, 96, 1, 144, HardSwish()),
        (5, 576, 96, 1, 144, HardSwish()),
    ):
        expand = [*_convolution(expanded, 1), activation] if expanded > channels else []
        block = [
            *expand,
            *(*_convolution(expanded, kernel_size, stride, groups=expanded), activation),
            *([SqueezeExcite(units=units, hard=True)] if units else []),
            *_convolution(filters, 1),
        ]
        layers += [Residual(block)] if (stride, filters) == (1, channels) else block
        channels = filters
    layers += [*_convolution(576, 1), HardSwish(), GlobalAvgPool2D()]
    return [*layers, Dense(1024), HardSwish(), Dropout(0.2)]


def squeezenet_small() -> list[Layer]:
    """SqueezeNet 1.1 (Iandola et al. 2016), for 32x32 color images.

    Eight "fire" modules, each of which squeezes the channels with a convolution of 1x1, and expands
    them with others of 1x1 and 3x3 side by side; the mean of each filter is what is classified. As
    images are small, the first convolution takes every pixel instead of every other one. 727,626
    parameters; without the output layer 722,496, as published.

    Its example flips images, which is wrong for signs, letters, digits and hands.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import squeezenet_small
    >>> from sknpcnn.augmentation import HorizontalFlip, RandomCrop
    >>> from sknpcnn.schedules import OneCycle
    >>> clf = NumpyCNNClassifier(
    ...     layers=squeezenet_small(), learning_rate_init=0.001, learning_rate=OneCycle(),
    ...     batch_size=128, max_iter=15, augment=[RandomCrop(4), HorizontalFlip()],
    ... )
    """
    pool = MaxPool2D(3, stride=2, ceil_mode=True)
    return [
        *(Conv2D(64), ReLU(), pool),
        *(*_fire(16, 64), *_fire(16, 64), pool),
        *(*_fire(32, 128), *_fire(32, 128), pool),
        *(*_fire(48, 192), *_fire(48, 192), *_fire(64, 256), *_fire(64, 256)),
        *(Dropout(0.5), GlobalAvgPool2D()),
    ]


def _convolution(filters: int, kernel_size: int, stride: int = 1, groups: int = 1) -> list[Layer]:
    """Make a convolution and batch normalization, which makes its bias needless."""
    border = kernel_size // 2
    return [
        Conv2D(filters, kernel_size, stride, border, groups=groups, bias=False),
        BatchNorm(),
    ]


def _every_other_pixel(filters: int) -> Layer:
    """Make a shortcut to half as many rows and columns and twice as many channels."""
    return Sequential([MaxPool2D(1, stride=2), ZeroPad2D(0, channels=filters // 4)])


def _fire(squeezed: int, expanded: int) -> list[Layer]:
    """Make a module that squeezes the channels, and expands them to twice ``expanded`` again."""
    expand = Branches([Conv2D(expanded, 1), Conv2D(expanded, 3)])
    return [Conv2D(squeezed, 1), ReLU(), expand, ReLU()]
