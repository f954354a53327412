"""The contract of augmentations, and the functions that apply them to images."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from sknpcnn._values.arrays import to_numpy
from sknpcnn._values.brief import brief
from sknpcnn.spec import Spec, Steps, named

Array = np.ndarray
Image = tuple[int, int, int]


@dataclass(frozen=True, repr=False)
class Augmentation(Spec, ABC):
    """A random change of training images, applied to several images of a mini-batch at once.

    It sees the pixels as the user passed them, before ``standardize``. The random numbers of an
    image depend on the seed, the step and the content of the image alone, so that the same seed
    gives the same images for any ``n_jobs``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from sknpcnn.augmentation import Augmentation
    >>> @dataclass(frozen=True, repr=False)
    ... class VerticalFlip(Augmentation):
    ...     draws = 1
    ...     def apply(self, images, random):
    ...         return np.where(random[:, :, None, None] < 0.5, images[:, ::-1], images)
    >>> VerticalFlip().apply(np.arange(4.0).reshape(1, 2, 2, 1), np.array([[0.3]])).ravel()
    array([2., 3., 0., 1.])
    """

    draws: ClassVar[int] = 1
    """How many random numbers it uses per image."""

    @abstractmethod
    def apply(self, images: Array, random: Array) -> Array:
        """Return changed images, without modifying ``images``.

        ``images`` are floats (n, h, w, c), ``random`` uniform numbers in [0, 1) (n, draws); the
        result has the shape of the images.
        """

    def check(self, image: Image) -> None:
        """Raise ValueError if it cannot be applied to images of that shape, (h, w, c)."""


def steps_of(augment: Any, image: Image) -> Steps:
    """Return the augmentations by name; raise if one does not apply to images of that shape."""
    steps = named(() if augment is None else augment, "augment", Augmentation)
    for name, step in steps:
        try:
            step.check(image)
        except ValueError as error:
            raise ValueError(f"augment {brief(name)}: {error}") from None
    return steps


@np.errstate(all="ignore")
def augment_images(images: Any, augment: Any, random_state: Any = None) -> Array:
    """Augment some images as in training, to look at them.

    Parameters
    ----------
    images : array-like of shape (n, height, width) or (n, height, width, channels)
        The images.
    augment : list of augmentations or of (name, augmentation) pairs
        As the parameter ``augment`` of the classifier.
    random_state : int, numpy.random.Generator or None, default=None
        Seed or generator of the random numbers.

    Returns
    -------
    changed : ndarray of the shape of the images
        The augmented images, in floating point.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.augmentation import HorizontalFlip, augment_images
    >>> images = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    >>> augment_images(images, [HorizontalFlip(rate=1.0)])
    array([[[1., 0.],
            [3., 2.]]], dtype=float32)
    """
    given = np.asarray(to_numpy(images, "images"))
    if given.ndim not in (3, 4) or 0 in given.shape[1:]:
        raise ValueError(
            f"images has the shape {given.shape}; needed: (n, h, w) or (n, h, w, channels)."
        )
    if given.dtype.kind not in "biuf":
        raise ValueError(f"images has the dtype {given.dtype}; needed: numbers.")
    floats = given.astype(np.result_type(given.dtype, np.float32), copy=False)
    floats = floats.reshape(*given.shape[:3], prod(given.shape[3:]))
    try:
        rng = np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"random_state={brief(random_state)}; needed: an integer of at least 0, a "
            "numpy.random.Generator or None."
        ) from error
    steps = steps_of(augment, floats.shape[1:])
    changed = augmented(floats, steps, lambda name, count: rng.random((len(floats), count)))
    return changed.reshape(given.shape)


def augmented(images: Array, steps: Steps, random: Callable[[str, int], Array]) -> Array:
    """Apply all steps to images (n, h, w, c); ``random(name, count)`` draws their numbers."""
    for name, step in steps:
        changed = step.apply(images, random(name, step.draws))
        if np.shape(changed) != images.shape:
            raise ValueError(
                f"augment {brief(name)}: {brief(step)} turns images of shape {images.shape} into "
                f"{np.shape(changed)}; needed: the same shape."
            )
        images = changed
    return images
