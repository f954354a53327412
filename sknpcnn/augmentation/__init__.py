"""Augmentation: random changes of the training images, different in every epoch."""

from sknpcnn.augmentation.base import Augmentation, augment_images
from sknpcnn.augmentation.geometry import Affine, HorizontalFlip, RandomCrop, Shift
from sknpcnn.augmentation.values import Brightness, Contrast, Cutout

__all__ = [
    "Affine",
    "Augmentation",
    "Brightness",
    "Contrast",
    "Cutout",
    "HorizontalFlip",
    "RandomCrop",
    "Shift",
    "augment_images",
]
