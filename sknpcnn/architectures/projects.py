"""The networks of the NumPy projects that this package grew out of."""

from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
)


def network_1() -> list[Layer]:
    """One small convolution and a dense layer, for 28x28 gray images.

    The smallest network of the NumPy projects that this package grew out of: four filters of 3x3
    without bias, max pooling, 128 dense units. 101,806 parameters. Its author trained it on MNIST
    by SGD with a learning rate of 0.1, a running mean of gradients as momentum and batches of 40,
    and reported an accuracy of 96.05 % after 25 epochs.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import network_1
    >>> from sknpcnn.optimizers import SGD
    >>> from sknpcnn.schedules import CosineDecay
    >>> clf = NumpyCNNClassifier(
    ...     layers=network_1(), solver=SGD(momentum=0.9), learning_rate_init=0.01,
    ...     learning_rate=CosineDecay(), batch_size=40, max_iter=25,
    ... )
    """
    return [
        *(Conv2D(4, bias=False), ReLU(), MaxPool2D()),
        *(Flatten(), Dense(128), ReLU()),
    ]


def network_2() -> list[Layer]:
    """Two convolutions of 16 filters and a dense layer, for 28x28 gray images.

    The second network of the same family: conv, ReLU, pool twice, 200 dense units. 161,490
    parameters. Its pooling pads images whose size is not a multiple of the window. Its author
    trained the convolutions at a learning rate of 0.1 and the dense layers at 0.05, here
    ``learning_rate_init=0.05`` and ``lr_scale=2`` for the convolutions, and reported 97.78 % on
    MNIST after 30 epochs.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import network_2
    >>> from sknpcnn.augmentation import Shift
    >>> from sknpcnn.optimizers import SGD
    >>> from sknpcnn.schedules import CosineDecay
    >>> clf = NumpyCNNClassifier(
    ...     layers=network_2(), solver=SGD(), learning_rate_init=0.05,
    ...     learning_rate=CosineDecay(), batch_size=64, augment=[Shift(1)], max_iter=30,
    ... )
    """
    return [
        *(Conv2D(16, lr_scale=2), ReLU(), MaxPool2D(padding="same")),
        *(Conv2D(16, lr_scale=2), ReLU(), MaxPool2D(padding="same")),
        *(Flatten(), Dense(200), ReLU()),
    ]


def network_3() -> list[Layer]:
    """Three small convolutions and a dense layer, for 32x32 color images.

    The same family's network for CIFAR-10: 8 filters, pool, 16 and 32 filters, pool, 256 dense
    units. 533,146 parameters. Its author reported 60.04 % after 25 epochs.

    Its example flips images, which is wrong for signs, letters, digits and hands.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import network_3
    >>> from sknpcnn.augmentation import HorizontalFlip, RandomCrop
    >>> from sknpcnn.schedules import OneCycle
    >>> clf = NumpyCNNClassifier(
    ...     layers=network_3(), learning_rate_init=0.003, learning_rate=OneCycle(),
    ...     batch_size=128, augment=[RandomCrop(3), HorizontalFlip()], max_iter=25,
    ... )
    """
    return [
        *(Conv2D(8), ReLU(), MaxPool2D()),
        *(Conv2D(16), ReLU(), Conv2D(32), ReLU(), MaxPool2D()),
        *(Flatten(), Dense(256), ReLU()),
    ]


def network_4() -> list[Layer]:
    """Four convolutions and a dense layer, for 32x32 color images.

    A network that the same author designed but could not afford to train: 32 and 32 filters, pool,
    64 and 64 filters, pool, 256 dense units. 1,116,970 parameters. It was to be improved by batch
    normalization and augmentation "towards 80 %": see ``network_4_improved``.

    Its example flips images, which is wrong for signs, letters, digits and hands.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import network_4
    >>> from sknpcnn.augmentation import HorizontalFlip, RandomCrop
    >>> from sknpcnn.schedules import OneCycle
    >>> clf = NumpyCNNClassifier(
    ...     layers=network_4(), learning_rate_init=0.002, learning_rate=OneCycle(),
    ...     batch_size=128, augment=[RandomCrop(4), HorizontalFlip()], max_iter=20,
    ... )
    """
    return [
        *(Conv2D(32), ReLU(), Conv2D(32), ReLU(), MaxPool2D()),
        *(Conv2D(64), ReLU(), Conv2D(64), ReLU(), MaxPool2D()),
        *(Flatten(), Dense(256), ReLU()),
    ]


def network_4_improved() -> list[Layer]:
    """Seven convolutions with batch normalization, for 32x32 color images.

    Developed from ``network_4``: batch normalization after each convolution, more filters where
    images are small, and global average pooling instead of the large dense layer, in the style of
    VGG (Simonyan and Zisserman 2014) and Network in Network (Lin et al. 2013). Images are pooled
    right after a convolution, so that the following layers have fewer pixels to process. 1,168,362
    parameters, of which 1,856 are running means and variances.

    Its example flips images, which is wrong for signs, letters, digits and hands.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import network_4_improved
    >>> from sknpcnn.augmentation import Cutout, HorizontalFlip, RandomCrop
    >>> from sknpcnn.losses import CrossEntropy
    >>> from sknpcnn.optimizers import SGD
    >>> from sknpcnn.schedules import OneCycle
    >>> clf = NumpyCNNClassifier(
    ...     layers=network_4_improved(), solver=SGD(momentum=0.9, nesterov=True),
    ...     learning_rate_init=0.1, learning_rate=OneCycle(), alpha=0.064, loss=CrossEntropy(0.1),
    ...     batch_size=128, max_iter=18,
    ...     augment=[RandomCrop(4), HorizontalFlip(), Cutout(8, fill=120)],
    ... )
    """
    layers: list[Layer] = []
    for filters in (32, 64, 128):
        layers += [Conv2D(filters, bias=False), BatchNorm(), ReLU()]
        layers += [Conv2D(2 * filters, bias=False), MaxPool2D(), BatchNorm(), ReLU()]
    return [*layers, Conv2D(256, bias=False), BatchNorm(), ReLU(), GlobalAvgPool2D()]


def keras_twin() -> list[Layer]:
    """The network of the old Keras example for MNIST, for 28x28 gray images.

    ``mnist_cnn.py``, the model for thousands of tutorials, without its dropout: 32 and 64 filters
    without padding, pool, 128 dense units. 1,199,882 parameters. Trained by Adadelta with a
    learning rate of 1, it reached about 99 % in 12 epochs.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import keras_twin
    >>> from sknpcnn.augmentation import Shift
    >>> from sknpcnn.optimizers import Adadelta
    >>> from sknpcnn.schedules import CosineDecay
    >>> clf = NumpyCNNClassifier(
    ...     layers=keras_twin(), solver=Adadelta(), learning_rate_init=1.0,
    ...     learning_rate=CosineDecay(), batch_size=128, augment=[Shift(1)], max_iter=12,
    ... )
    """
    return [
        *(Conv2D(32, padding="valid"), ReLU()),
        *(Conv2D(64, padding="valid"), ReLU(), MaxPool2D()),
        *(Flatten(), Dense(128), ReLU()),
    ]


def convnet_5x5() -> list[Layer]:
    """Two convolutions of 5x5 and a large dense layer, for 28x28 gray images.

    The network of TensorFlow's first tutorial for experts, reimplemented in NumPy by one of the
    projects: 32 and 64 filters with a padding of two, pooled, 1024 dense units. 3,274,634
    parameters. Its author trained it by Adam at a learning rate of 0.001, divided by ten after 10
    and 20 epochs, which is ``StepDecay(epochs=(10, 20))``, and reported 99 % on MNIST after 25.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import convnet_5x5
    >>> from sknpcnn.augmentation import Shift
    >>> from sknpcnn.schedules import OneCycle
    >>> clf = NumpyCNNClassifier(
    ...     layers=convnet_5x5(), learning_rate_init=0.002, learning_rate=OneCycle(),
    ...     batch_size=128, augment=[Shift(2)], max_iter=25,
    ... )
    """
    return [
        *(Conv2D(32, 5, padding=2), ReLU(), MaxPool2D()),
        *(Conv2D(64, 5, padding=2), ReLU(), MaxPool2D()),
        *(Flatten(), Dense(1024), ReLU()),
    ]


def lenet() -> list[Layer]:
    """Two convolutions of 5x5 without padding, in the style of LeNet-5, for 28x28 gray images.

    After LeCun et al. 1998, with ReLU and max pooling as is usual today: 6 filters, pool, 16
    filters, pool, 128 dense units. 36,758 parameters. Its author trained it by Adam in batches of
    32 for 5 epochs, and also used its untrained convolutions as feature extractors for other
    classifiers: see ``sknpcnn.NumpyCNNFeatures``.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import lenet
    >>> from sknpcnn.schedules import OneCycle
    >>> clf = NumpyCNNClassifier(
    ...     layers=lenet(), learning_rate_init=0.003, learning_rate=OneCycle(), batch_size=32,
    ...     max_iter=5,
    ... )
    """
    return [
        *(Conv2D(6, 5, padding="valid"), ReLU(), MaxPool2D()),
        *(Conv2D(16, 5, padding="valid"), ReLU(), MaxPool2D()),
        *(Flatten(), Dense(128), ReLU()),
    ]


def three_stage() -> list[Layer]:
    """Three convolutions, the first two with a separate bias for every pixel, for 28x28 images.

    16, 32 and 64 filters; max pooling of overlapping windows, 3x3 with a stride of two, padded on
    one side; 100 dense units. 356,774 parameters. Its author divided the images by 255 and trained
    by plain SGD in 3782 minutes, at a learning rate that rises from 1e-5 to 1e-3 in three epochs
    and falls along a cosine in six. Here the rate follows the same curve, with momentum.

    Returns
    -------
    layers : list of Layer
        For ``NumpyCNNClassifier(layers=...)``.

    Examples
    --------
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.architectures import three_stage
    >>> from sknpcnn.optimizers import SGD
    >>> from sknpcnn.schedules import OneCycle
    >>> clf = NumpyCNNClassifier(
    ...     layers=three_stage(), solver=SGD(momentum=0.9), learning_rate_init=0.05,
    ...     learning_rate=OneCycle(rise=1 / 3), batch_size=128, max_iter=9,
    ... )
    """
    return [
        *(Conv2D(16, bias="position"), ReLU(), MaxPool2D(3, stride=2, padding="same")),
        *(Conv2D(32, bias="position"), ReLU(), MaxPool2D(3, stride=2, padding="same")),
        *(Conv2D(64), ReLU()),
        *(Flatten(), Dense(100), ReLU()),
    ]
