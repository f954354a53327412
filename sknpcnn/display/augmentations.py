"""AugmentationDisplay draws an image as training sees it: changed at random, each time anew."""

from typing import Any, Self

import numpy as np

from sknpcnn._estimator.layout import flatten, infer_image_shape, is_table
from sknpcnn._network.batches import Array
from sknpcnn._values.brief import brief
from sknpcnn.augmentation import augment_images
from sknpcnn.display.axes import make_grid, room, show_image
from sknpcnn.display.pictures import (
    as_images,
    check_count,
    drawable,
    images_seen,
    limits_of,
    single,
    split_estimator,
)

N_DRAWS = 11


class AugmentationDisplay:
    """An image, and what augmentations make of it.

    It is made by :meth:`from_estimator` or :meth:`from_augmentations`.

    Parameters
    ----------
    original : ndarray of shape (height, width, channels)
        The image.
    draws : ndarray of shape (n, height, width, channels)
        The changed images.

    Attributes
    ----------
    axes_ : ndarray of shape (rows, columns)
        The axes, one for each image; the last ones may be empty.
    bounding_ax_ : matplotlib Axes or None
        The axes that were given and divided.
    figure_ : matplotlib Figure
        The figure.
    images_ : list of matplotlib AxesImage
        The images that are drawn, the original first.

    See Also
    --------
    sknpcnn.augmentation.augment_images : The changed images as arrays.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.augmentation import Affine
    >>> from sknpcnn.display import AugmentationDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(augment=[Affine(degrees=10)])
    >>> AugmentationDisplay.from_estimator(clf, X, random_state=0).axes_.shape
    (3, 4)
    """

    def __init__(self, original: Array, draws: Array) -> None:
        self.original = original
        self.draws = draws

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        index: int = 0,
        n_draws: int | None = None,
        random_state: Any = None,
        im_kw: dict[str, Any] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw an image as the augmentations of an estimator change it.

        Parameters
        ----------
        estimator : estimator
            A NumpyCNNClassifier or NumpyCNNRegressor, fitted or not; or a fitted Pipeline that
            ends in one, or a fitted search for one: then the image is what the network sees.
        X : array-like
            What the estimator is trained on: images, or rows.
        index : int, default=0
            Which of them to draw.
        n_draws : int, default=None
            How many changed images to draw; None for as many as there are axes left, or 11.
        random_state : int, numpy.random.Generator or None, default=None
            Seed or generator of the random numbers.
        im_kw : dict, default=None
            Keywords for ``Axes.imshow``.
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each image; None for a new figure.

        Returns
        -------
        display : AugmentationDisplay
            The display.
        """
        before, network = split_estimator(estimator)
        one = single(X, index)
        if before or hasattr(network, "image_shape_"):
            seen = images_seen(estimator, one)
        else:
            rows, shape = flatten(one)
            rows = np.asarray(rows)
            names = [str(name) for name in getattr(one, "columns", ())] or None
            table = is_table(rows.shape[1], shape, network.image_shape, names)
            image = infer_image_shape(rows.shape[1], shape, network.image_shape, table)
            seen = rows.reshape(1, *image)
        if not network.augment:
            raise ValueError(
                f"estimator has augment={brief(network.augment)}; needed: augmentations, such as "
                "augment=[Shift(2)], or from_augmentations, which takes them."
            )
        return cls.from_augmentations(
            network.augment,
            seen,
            n_draws=n_draws,
            random_state=random_state,
            im_kw=im_kw,
            ax=ax,
        )

    @classmethod
    def from_augmentations(
        cls,
        augment: Any,
        images: Any,
        *,
        index: int = 0,
        n_draws: int | None = None,
        random_state: Any = None,
        im_kw: dict[str, Any] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw an image as augmentations change it.

        Parameters
        ----------
        augment : list of augmentations or of (name, augmentation) pairs
            As the parameter ``augment`` of the estimators.
        images : array-like of shape (n, height, width) or (n, height, width, channels)
            The images.
        index : int, default=0
            Which of them to draw.
        n_draws : int, default=None
            How many changed images to draw; None for as many as there are axes left, or 11.
        random_state : int, numpy.random.Generator or None, default=None
            Seed or generator of the random numbers.
        im_kw : dict, default=None
            Keywords for ``Axes.imshow``.
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each image; None for a new figure.

        Returns
        -------
        display : AugmentationDisplay
            The display.
        """
        given = as_images(images)
        if n_draws is None:
            n_draws = room(ax, N_DRAWS + 1) - 1
        check_count("n_draws", n_draws, least=0)
        original = single(given, index)[0]
        copies = np.repeat(original[None], n_draws, axis=0)
        display = cls(original, augment_images(copies, augment, random_state))
        return display.plot(ax, im_kw=im_kw)

    def plot(self, ax: Any = None, *, im_kw: dict[str, Any] | None = None) -> Self:
        """Draw the images, all on the same scale.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each image; None for a new figure.
        im_kw : dict, default=None
            Keywords for ``Axes.imshow``.

        Returns
        -------
        self : AugmentationDisplay
            The display.
        """
        images = np.stack([self.original, *self.draws])
        limits = limits_of(self.original)
        shown = drawable(images, limits if limits in ((0, 255), (0, 1)) else None)
        axes = make_grid(self, ax, len(images), (1.4, 1.45))
        self.images_ = [show_image(*pair, im_kw) for pair in zip(axes, shown, strict=True)]
        first = axes[0]
        first.set_title("original", fontsize=8, pad=3)
        first.spines[:].set_linewidth(3)
        return self
