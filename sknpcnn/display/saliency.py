"""SaliencyDisplay draws which parts of an image speak for a class."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import is_regressor

from sknpcnn._network.batches import Array
from sknpcnn._values.arrays import to_numpy
from sknpcnn.display import attribution
from sknpcnn.display.axes import make_grid, room, shorten, show_image
from sknpcnn.display.pictures import (
    as_images,
    check_count,
    drawable,
    images_seen,
    predicting,
    split_estimator,
)

N_IMAGES = 24
"""How many images are drawn if nothing else is said."""
BRIGHTNESS = 0.6
"""That of white in the images, so that the colors of the maps stand out."""
OPACITY = 0.9
"""That of the largest value of a map."""
AGAINST, NEITHER, FOR = "#56b4e9", "#333333", "#e69f00"
"""Colors of what speaks against a class and for it, if there is both."""

LABELS = {
    "grad_cam": "Grad-CAM",
    "gradient": "absolute gradient",
    "integrated_gradients": "integrated gradients",
    "occlusion": "fall of the score if hidden",
}


class SaliencyDisplay:
    """Images, and on top of them which parts speak for a class.

    It is made by :meth:`from_estimator`. Each map is drawn in fractions of its largest absolute
    value, over the image in dark gray: the closer to zero, the more transparent. The title is the
    class that is asked for.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, channels)
        The images.
    maps : ndarray of shape (n, rows, columns)
        One number for each part of the image. Where some are negative, a part that speaks against
        the class has another color.
    method : str, default=None
        What the maps show, for the color bar: the name of a method, or a text of your own.
    titles : sequence of str, default=None
        What is written above the images.

    Attributes
    ----------
    axes_ : ndarray of shape (rows, columns)
        The axes, one for each image; the last ones may be empty.
    bounding_ax_ : matplotlib Axes or None
        The axes that were given and divided.
    figure_ : matplotlib Figure
        The figure.
    images_, maps_ : list of matplotlib AxesImage
        The images and the maps that are drawn.
    texts_ : list of matplotlib Text
        What is written above them.
    colorbar_ : matplotlib Colorbar or None
        The color bar.

    See Also
    --------
    sknpcnn.NumpyCNNClassifier.input_gradient : The gradients themselves.
    ActivationDisplay : What the layers make of an image.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.display import SaliencyDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(conv_filters=8, max_iter=2, random_state=0).fit(X, y)
    >>> display = SaliencyDisplay.from_estimator(clf, X[:3], method="gradient", target=y[:3])
    >>> display.maps.shape
    (3, 8, 8)
    """

    def __init__(
        self,
        images: Array,
        maps: Array,
        *,
        method: str | None = None,
        titles: Sequence[str] | None = None,
    ) -> None:
        self.images = images
        self.maps = maps
        self.method = method
        self.titles = titles

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        target: Any = None,
        method: str = "grad_cam",
        layer: str | None = None,
        baseline: Any = None,
        steps: int | None = None,
        patch: Any = None,
        stride: Any = None,
        images: Any = None,
        label_names: Sequence[Any] | None = None,
        n_images: int | None = None,
        colorbar: bool = True,
        im_kw: dict[str, Any] | None = None,
        map_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
        ax: Any = None,
    ) -> Self:
        """Compute and draw the maps of images.

        Parameters
        ----------
        estimator : estimator
            A fitted NumpyCNNClassifier or NumpyCNNRegressor, a Pipeline that ends in one, or a
            fitted search for one.
        X : array-like
            What the estimator predicts: images, or rows.
        target : label, int or array-like of shape (n,), default=None
            The class that is asked for, or one for each image; None for the one that is predicted.
            Of a regressor or of several labels, the number of the output; None for the first one.
        method : {"grad_cam", "gradient", "integrated_gradients", "occlusion"}, default="grad_cam"
            "grad_cam" draws which places of the maps of a layer raise the score [1]_. "gradient"
            draws the largest absolute value of the gradient over the channels [2]_.
            "integrated_gradients" draws the share of each pixel in the difference of the scores of
            the image and of the baseline [3]_. "occlusion" draws how much the score falls if a
            patch is replaced by the baseline [4]_.
        layer : str, default=None
            Of Grad-CAM: name of a layer with maps, as in ``summary()``; None for the last one with
            more than one pixel, before its maps are pooled.
        baseline : float, ndarray or "mean", default=None
            Of integrated gradients and occlusion: a number, an image, or the mean of the training
            data; None for 0. It is on the scale of what the network sees.
        steps : int, default=None
            Of integrated gradients: the number of points at which the gradient is computed; None
            for 50.
        patch, stride : int or (rows, columns), default=None
            Of occlusion: the size of the patch, and the step from one to the next; None for a
            seventh of the shorter side of the image, but at least 1, and for half of the patch.
        images : array-like of shape (n, height, width[, channels]), default=None
            The images to draw; None for those that the network sees, after the steps of a Pipeline.
        label_names : sequence of str, default=None
            Names of the classes or outputs, in their order.
        n_images : int, default=None
            How many images to draw, the first ones; None for as many as there are axes in ``ax``,
            or for 24.
        colorbar : bool, default=True
            Whether to draw a color bar.
        im_kw, map_kw, text_kw : dict, default=None
            Keywords for ``Axes.imshow``, for the images and the maps, and ``Axes.set_title``.
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each image; None for a new figure.

        Returns
        -------
        display : SaliencyDisplay
            The display.

        References
        ----------
        .. [1] R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via
           gradient-based localization", ICCV 2017.
        .. [2] K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks:
           visualizing image classification models and saliency maps", ICLR 2014.
        .. [3] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks",
           ICML 2017.
        .. [4] M. D. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks",
           ECCV 2014.
        """
        given = {"layer": layer, "baseline": baseline, "steps": steps}
        given |= {"patch": patch, "stride": stride}
        options = attribution.options_of(method, given)
        network = predicting(split_estimator(estimator).network)
        seen = images_seen(estimator, X)
        shown = seen if images is None else as_images(images, len(seen))
        target = _checked_target(target, len(seen))
        n = room(ax, N_IMAGES) if n_images is None else check_count("n_images", n_images)
        seen, shown, target = seen[:n], shown[:n], target[:n] if np.ndim(target) else target
        targets, titles = _targets(network, seen, target, label_names)
        maps = attribution.compute(method, network, seen, targets, options)
        display = cls(shown, maps, method=method, titles=titles)
        return display.plot(ax, colorbar=colorbar, im_kw=im_kw, map_kw=map_kw, text_kw=text_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        colorbar: bool = True,
        im_kw: dict[str, Any] | None = None,
        map_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the maps over the images.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each image; None for a new figure.
        colorbar : bool, default=True
            Whether to draw a color bar.
        im_kw, map_kw, text_kw : dict, default=None
            Keywords for ``Axes.imshow``, for the images and the maps, and ``Axes.set_title``.

        Returns
        -------
        self : SaliencyDisplay
            The display.
        """
        n = len(self.maps)
        if not n:
            raise ValueError("There are no images to draw; needed: one or more.")
        axes = make_grid(self, ax, n, (1.65, 1.7))
        gray = drawable(self.images)
        gray = gray if gray.ndim == 3 else gray.mean(axis=3)
        signed = bool((self.maps < 0).any())
        colors = {"cmap": _diverging() if signed else "inferno", "vmin": -1.0 if signed else 0.0}
        dark = {"vmax": 1 / BRIGHTNESS, **(im_kw or {})}
        self.images_, self.maps_, self.texts_, self.colorbar_ = [], [], [], None
        for i, (panel, image, values) in enumerate(zip(axes, gray, self.maps, strict=True)):
            self.images_.append(show_image(panel, image, dark))
            shares = values / (float(np.abs(values).max()) or 1.0)
            alpha = OPACITY * np.sqrt(np.abs(shares))
            h, w = image.shape
            place = {"extent": (-0.5, w - 0.5, h - 0.5, -0.5), "aspect": panel.get_aspect()}
            style: dict[str, Any] = {**colors, **place, "alpha": alpha}
            self.maps_.append(show_image(panel, shares, {**style, **(map_kw or {})}))
            if self.titles is not None:
                text = {"fontsize": 8, **(text_kw or {})}
                self.texts_.append(panel.set_title(self.titles[i], **text))
        if colorbar:
            self._add_colorbar(axes)
        return self

    def _add_colorbar(self, axes: Array) -> None:
        """Add one for all images, whose colors are opaque."""
        from matplotlib.cm import ScalarMappable

        first = self.maps_[0]
        colors = ScalarMappable(first.norm, first.cmap)
        label = "fraction of the largest value"
        if self.method is not None:
            label = f"{LABELS.get(self.method, self.method)}\n{label}"
        figure, everywhere = axes[0].figure, axes.tolist()
        self.colorbar_ = figure.colorbar(colors, ax=everywhere, shrink=0.8, label=label)


def _diverging() -> Any:
    """Return a color map whose ends differ in hue, and are seen on dark gray."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("for and against", [AGAINST, NEITHER, FOR])


def _checked_target(target: Any, n: int) -> Any:
    """Return the target; raise unless it is one label, or one for each image."""
    given = to_numpy(target, "target")
    if np.ndim(given) == 0:
        return given
    given = np.asarray(given)
    if given.shape != (n,):
        raise ValueError(
            f"target has the shape {given.shape}; needed: one label, or one for each of the {n} "
            "images."
        )
    return given


def _targets(
    network: Any, images: Array, target: Any, label_names: Sequence[Any] | None
) -> tuple[Array, list[str]]:
    """Return the target of each image, and what to write for it."""
    y_pred = network.predict(images)
    numbered = is_regressor(network) or y_pred.ndim == 2
    labels = np.arange(y_pred.shape[-1] if y_pred.ndim == 2 else 1)
    labels = labels if numbered else network.classes_
    if label_names is not None and len(label_names) != len(labels):
        raise ValueError(
            f"label_names has {len(label_names)} names; needed: {len(labels)}, one for each class "
            "or output."
        )
    if target is None:
        target = 0 if numbered else y_pred
    targets = np.array([target] * len(images)) if np.ndim(target) == 0 else target
    if label_names is not None:
        names = dict(zip(labels.tolist(), label_names, strict=True))
        return targets, [shorten(names.get(one, one)) for one in targets.tolist()]
    if is_regressor(network) and len(labels) == 1:
        return targets, [f"predicted {value:.3g}" for value in y_pred.ravel()]
    before = "output " if numbered else ""
    return targets, [before + shorten(one) for one in targets.tolist()]
