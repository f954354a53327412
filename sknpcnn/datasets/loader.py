"""Loading of new images, prepared in the same way as those that a network was trained on."""

from typing import Any, Self

from sklearn.base import BaseEstimator, TransformerMixin

from sknpcnn.datasets.images import Preparation
from sknpcnn.datasets.loading import Array
from sknpcnn.datasets.reading import preparation_of, read_all, sources_of
from sknpcnn.version import page_of


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

    Needs Pillow: ``pip install "sknpcnn[images]"``. Images are rotated according to their EXIF
    orientation. Gray images, palettes, CMYK and 16 bits per channel are all converted to what
    ``color`` says. To classify new images later, use :class:`ImageLoader`, which stores the
    settings.

    Parameters
    ----------
    images : path, image of Pillow, or list or array of paths, images of Pillow or arrays
        What to load. The path of a folder stands for all images in it, in the order of their names.
        An array is uint8, (n, h, w) or (n, h, w, channels); in a list, (h, w) or (h, w, channels).
        Files are read as by ``load_image_folder``.
    size : int, (height, width) or None, default=None
        Size to which all images are resized. With None they are not resized, and must all have the
        same size.
    color : bool, default=True
        Whether to load three channels, red, green and blue, or a single gray one.
    fit : {"stretch", "crop", "pad"}, default="stretch"
        How an image with another aspect ratio is resized to ``size``: "stretch" changes the ratio,
        "crop" takes the largest centered part with the right ratio, and "pad" keeps all of it and
        adds bars of the background.
    background : str or (red, green, blue), default="white"
        Color of transparent pixels and of the bars: the name of a color, "#aabbcc", or three
        numbers from 0 to 255.
    verbose : bool, default=True
        Whether to show the progress of loading, for a thousand images or more.

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
    """Load images as a step of a Pipeline, so that a model can predict from files.

    It learns nothing: it stores the settings of ``load_images`` for all images, in training and in
    prediction. ``load_image_folder`` returns a loader with its own settings.

    Parameters
    ----------
    size : int, (height, width) or None, default=None
        Size to which all images are resized; with None they must all have the same size.
    color : bool, default=True
        Whether to load three channels, or a single gray one.
    fit_mode : {"stretch", "crop", "pad"}, default="stretch"
        How an image with another aspect ratio is resized to ``size``: the ``fit`` of
        ``load_images``, which is the name of a method here.
    background : str or (red, green, blue), default="white"
        Color of transparent pixels, and of the bars around padded images.
    verbose : bool, default=False
        Whether to show the progress of loading, for a thousand images or more.

    See Also
    --------
    load_images : The same as a function.

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

    _doc_link_module = "sknpcnn"
    _doc_link_template = page_of("sknpcnn.datasets.{estimator_name}")

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
        X : list of paths, or anything else that ``load_images`` takes
            Ignored.
        y : array-like, default=None
            Ignored.

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
        X : list of paths, or anything else that ``load_images`` takes
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
