"""Photos that are not in a data set yet, prepared as those were that a network has learned from."""

from typing import Any, Self

from sklearn.base import BaseEstimator, TransformerMixin

from sknpcnn.datasets.images import Preparation
from sknpcnn.datasets.loading import Array
from sknpcnn.datasets.reading import preparation_of, read_all, sources_of


def load_images(
    images: Any,
    *,
    size: int | tuple[int, int] | None = None,
    color: bool = True,
    fit: str = "stretch",
    background: str | tuple[int, int, int] = "white",
    verbose: bool = True,
) -> Array:
    """Load images as one array: from files, from a folder, from Pillow, or from other arrays.

    Needs Pillow: ``pip install "sknpcnn[images]"``. Images are turned as their cameras were held
    (as EXIF has it). Gray ones, palettes, CMYK and 16 bits per channel all become what ``color``
    says. To ask a classifier about new images later, use :class:`ImageLoader`, which remembers
    the settings.

    Parameters
    ----------
    images : path, image of Pillow, or list or array of paths, images of Pillow or arrays
        What to load. A path may be that of a folder: then all images in it, in the order of their
        names. An array is uint8, (n, h, w) or (n, h, w, channels); in a list, (h, w) or (h, w,
        channels). A file is read as ``load_image_folder`` reads it.
    size : int, (height, width) or None, default=None
        What all images are resized to. With None they are not resized, and must be of one size.
    color : bool, default=True
        Whether to load three channels, red, green and blue, or one gray one.
    fit : {"stretch", "crop", "pad"}, default="stretch"
        How an image of other proportions is brought to ``size``: "stretch" changes its proportions,
        "crop" takes the largest part of the right proportions, from its middle, and "pad" shows
        all of it, between bars of the background.
    background : str or (red, green, blue), default="white"
        What is seen where an image is transparent, and in the bars: the name of a color, "#aabbcc",
        or three numbers from 0 to 255.
    verbose : bool, default=True
        Whether to show, from a thousand images on, how far loading has come.

    Returns
    -------
    images : ndarray of shape (n, h, w, 3), or (n, h, w) without color
        The images, uint8.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.datasets import load_images
    >>> wide, high = np.zeros((40, 60, 3), np.uint8), np.zeros((30, 20), np.uint8)
    >>> load_images([wide, high], size=32, fit="crop").shape
    (2, 32, 32, 3)
    """
    how = preparation_of(size, color, fit, background, verbose)
    return read_all(sources_of(images), how, verbose=verbose)[0]


class ImageLoader(TransformerMixin, BaseEstimator):
    """Load images as a step of a Pipeline, so that a model can be asked about files.

    It learns nothing: it holds the settings with which ``load_images`` loads every image, those
    that are trained on and new ones. ``load_image_folder`` returns the one that it has used.

    Parameters
    ----------
    size : int, (height, width) or None, default=None
        What all images are resized to; with None they must be of one size.
    color : bool, default=True
        Whether to load three channels, or one gray one.
    fit_mode : {"stretch", "crop", "pad"}, default="stretch"
        How an image of other proportions is brought to ``size``: what is ``fit`` in
        ``load_images``, and here the name of a method.
    background : str or (red, green, blue), default="white"
        What is seen where an image is transparent, and beside one that is padded.
    verbose : bool, default=False
        Whether to show, from a thousand images on, how far loading has come.

    See Also
    --------
    load_images : The same in one call.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.pipeline import make_pipeline
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.datasets import ImageLoader
    >>> folder = tempfile.TemporaryDirectory()
    >>> names = [str(Path(folder.name, f"{i}.ppm")) for i in range(20)]
    >>> for i, name in enumerate(names):  # ten red images and ten gray ones
    ...     pixel = [255, 0, 0] if i < 10 else [90, 90, 90]
    ...     _ = Path(name).write_bytes(b"P6 1 1 255 " + bytes(pixel))
    >>> model = make_pipeline(ImageLoader(8), NumpyCNNClassifier(max_iter=20, random_state=0))
    >>> model = model.fit(names, ["apple"] * 10 + ["stone"] * 10)
    >>> model.predict([names[0], names[19]])
    array(['apple', 'stone'], dtype='<U5')
    >>> folder.cleanup()
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        *,
        color: bool = True,
        fit_mode: str = "stretch",
        background: str | tuple[int, int, int] = "white",
        verbose: bool = False,
    ) -> None:
        self.size = size
        self.color = color
        self.fit_mode = fit_mode
        self.background = background
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters; there is nothing to learn.

        Parameters
        ----------
        X : list of paths, or what else ``load_images`` takes
            Not looked at.
        y : array-like, default=None
            Not looked at.

        Returns
        -------
        self : ImageLoader
            The loader.
        """
        self._preparation()
        return self

    def transform(self, X: Any) -> Array:
        """Load images.

        Parameters
        ----------
        X : list of paths, or what else ``load_images`` takes
            The images.

        Returns
        -------
        images : ndarray of shape (n, h, w, 3), or (n, h, w) without color
            The images, uint8.
        """
        return read_all(sources_of(X), self._preparation(), verbose=self.verbose)[0]

    def _preparation(self) -> Preparation:
        return preparation_of(
            self.size, self.color, self.fit_mode, self.background, self.verbose, "fit_mode"
        )

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.three_d_array = True
        return tags
