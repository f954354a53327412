"""Loaders of image data as uint8 arrays: well-known data sets, and images of your own."""

from sknpcnn.datasets.cifar import load_cifar10
from sknpcnn.datasets.folder import load_image_folder
from sknpcnn.datasets.idx import load_fashion_mnist, load_idx, load_mnist
from sknpcnn.datasets.loader import ImageLoader, load_images
from sknpcnn.datasets.openml import fetch_cifar10, fetch_fashion_mnist, fetch_mnist

__all__ = [
    "ImageLoader",
    "fetch_cifar10",
    "fetch_fashion_mnist",
    "fetch_mnist",
    "load_cifar10",
    "load_fashion_mnist",
    "load_idx",
    "load_image_folder",
    "load_images",
    "load_mnist",
]
