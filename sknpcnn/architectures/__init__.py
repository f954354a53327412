"""Well-known networks, each as a list for ``layers=``; fit adds the output layer.

Parameters are counted with an output layer of ten classes, on images of the size that a network
was designed for. ``docs/results.md`` lists their accuracies when trained as in their examples.

Some of the examples flip the images (``HorizontalFlip``). That is right for objects that look alike
when flipped, such as most animals and vehicles. Omit it for signs, letters, digits, and for left
and right hands: a flipped one means something else, or nothing, and flipping costs accuracy.
"""

from sknpcnn.architectures.projects import (
    convnet_5x5,
    keras_twin,
    lenet,
    network_1,
    network_2,
    network_3,
    network_4,
    network_4_improved,
    three_stage,
)
from sknpcnn.architectures.published import mobilenet_small, resnet20, squeezenet_small

__all__ = [
    "convnet_5x5",
    "keras_twin",
    "lenet",
    "mobilenet_small",
    "network_1",
    "network_2",
    "network_3",
    "network_4",
    "network_4_improved",
    "resnet20",
    "squeezenet_small",
    "three_stage",
]
