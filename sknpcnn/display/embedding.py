"""EmbeddingDisplay draws the features of a layer in two dimensions: what is alike to a network."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import is_regressor
from sklearn.frozen import FrozenEstimator

from sknpcnn._estimator.labels import to_dense
from sknpcnn._network.batches import Array
from sknpcnn._values.arrays import to_numpy
from sknpcnn.display.axes import COLORS, MAX_LABEL, colors_of, one_axes, shorten
from sknpcnn.display.pictures import (
    as_images,
    check_count,
    drawable,
    images_seen,
    predicting,
    split_estimator,
)
from sknpcnn.display.places import choose_apart, classes_and_names, two_dimensions
from sknpcnn.display.ranking import are_continuous
from sknpcnn.features import NumpyCNNFeatures

MAX_LEGEND = 40
"""The most classes that are listed in a legend; more are numbered along a color bar."""
MAX_THUMBNAILS = 80
THUMBNAIL_SIZE = 22
"""The longer side of a thumbnail, in points."""
MARGIN = 0.06
"""Room for thumbnails beyond the points, as a fraction of the axes."""

_MARKERS = "o^sDvP*X"


class EmbeddingDisplay:
    """The features that a layer sees in images, in two dimensions: similar images are close.

    It is made by :meth:`from_estimator`.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        The places of the images.
    y : ndarray of shape (n,), default=None
        Classes, or real values, which decide on the colors.
    images : ndarray of shape (n, height, width, channels), default=None
        The images, for thumbnails.
    names : (str, str), default=("", "")
        Names of the two dimensions.
    continuous : bool, default=False
        Whether ``y`` are real values.
    label_names : dict, default=None
        Names to write, by class.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.
    scatters_ : list of matplotlib PathCollection
        The points: of each class, in sorted order, or all at once where there is a color bar.
    legend_ : matplotlib Legend or None
        The classes.
    colorbar_ : matplotlib Colorbar or None
        The values, or many classes.
    thumbnail_indices_ : ndarray
        Which images have thumbnails.
    thumbnails_ : list of matplotlib AnnotationBbox
        The thumbnails.

    See Also
    --------
    sknpcnn.NumpyCNNFeatures : The outputs of a layer as features.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.display import EmbeddingDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(conv_filters=8, max_iter=2, random_state=0).fit(X, y)
    >>> display = EmbeddingDisplay.from_estimator(clf, X[:300], y[:300], thumbnails=True)
    >>> display.points.shape, len(display.scatters_)
    ((300, 2), 10)
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        points: Array,
        *,
        y: Array | None = None,
        images: Array | None = None,
        names: tuple[str, str] = ("", ""),
        continuous: bool = False,
        label_names: Mapping[Any, Any] | None = None,
    ) -> None:
        self.points = points
        self.y = y
        self.images = images
        self.names = names
        self.continuous = continuous
        self.label_names = label_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        layer: str | None = None,
        transformer: Any = "pca",
        random_state: int | None = 0,
        label_names: Sequence[Any] | None = None,
        images: Any = None,
        thumbnails: bool | int = False,
        scatter_kw: dict[str, Any] | None = None,
        ax: Any = None,
    ) -> Self:
        """Compute the features of images, and draw them.

        Parameters
        ----------
        estimator : estimator
            A fitted NumpyCNNClassifier or NumpyCNNRegressor, a Pipeline that ends in one, or a
            fitted search for one.
        X : array-like
            What the estimator predicts: images, or rows.
        y : array-like of shape (n,) or (n, n_labels), default=None
            Classes, an indicator matrix, whose combinations of labels are drawn as classes, or real
            values.
        layer : str, default=None
            Name of the layer, as in ``summary()``; None for the last one before the first dense
            layer.
        transformer : {"pca", "tsne"} or transformer, default="pca"
            What makes two dimensions of the features: an estimator with ``fit_transform``. t-SNE
            shows neighbors, and takes long for thousands of images.
        random_state : int, default=0
            Seed for "pca" and "tsne".
        label_names : sequence of str, default=None
            Names to write, of the sorted classes or of the columns of an indicator matrix.
        images : array-like of shape (n, height, width[, channels]), default=None
            The images of the thumbnails; None for those that the network sees.
        thumbnails : bool or int, default=False
            Whether to draw some of the images, or how many at most; True for up to 80.
        scatter_kw : dict, default=None
            Keywords for ``Axes.scatter``.
        ax : matplotlib Axes, default=None
            Where to draw; None for a new figure.

        Returns
        -------
        display : EmbeddingDisplay
            The display.
        """
        seen = images_seen(estimator, X)
        network = predicting(split_estimator(estimator).network)
        maker = NumpyCNNFeatures(FrozenEstimator(network), layer=layer).fit(seen)
        features = maker.transform(seen)
        points, name = two_dimensions(features, transformer, random_state)
        continuous, known = False, None
        if y is not None:
            y = np.asarray(to_dense(to_numpy(y, "y")))
            y = y[:, 0] if y.shape == (len(seen), 1) else y
            continuous = is_regressor(network) or are_continuous(y)
            if len(y) != len(seen) or y.ndim > 2 or (y.ndim == 2 and continuous):
                raise ValueError(
                    f"y has the shape {y.shape}; needed: ({len(seen)},), or an indicator matrix "
                    "with as many rows."
                )
            if not continuous:
                y, known = classes_and_names(y, label_names)
        if label_names is not None and (y is None or continuous):
            raise ValueError("label_names is given, but y holds no classes; needed: None.")
        display = cls(
            points,
            y=y,
            images=seen if images is None else as_images(images, len(seen)),
            names=(f"{maker.layer_}, {name} 1", f"{maker.layer_}, {name} 2"),
            continuous=continuous,
            label_names=known,
        )
        return display.plot(ax, thumbnails=thumbnails, scatter_kw=scatter_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        thumbnails: bool | int = False,
        scatter_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the points, with a legend of up to 40 classes, and a color bar of more.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None for a new figure.
        thumbnails : bool or int, default=False
            Whether to draw some of the images, or how many at most; True for up to 80. They do not
            overlap.
        scatter_kw : dict, default=None
            Keywords for ``Axes.scatter``.

        Returns
        -------
        self : EmbeddingDisplay
            The display.
        """
        ax = one_axes(self, ax, (7, 5))
        self.scatters_: list[Any] = []
        self.legend_: Any = None
        self.colorbar_: Any = None
        n = len(self.points)
        style = {"s": 18 if n < 3000 else 6, "lw": 0, "alpha": 0.8} | (scatter_kw or {})
        if self.y is None:
            self.scatters_.append(ax.scatter(*self.points.T, **{"color": COLORS[0], **style}))
        elif self.continuous or len(np.unique(self.y)) > MAX_LEGEND:
            self._draw_colors(style)
        else:
            self._draw_classes(style)
        ax.set(xlabel=self.names[0], ylabel=self.names[1], xticks=[], yticks=[])
        self.thumbnail_indices_ = np.empty(0, int)
        self.thumbnails_: list[Any] = []
        if thumbnails:
            most = MAX_THUMBNAILS if thumbnails is True else check_count("thumbnails", thumbnails)
            self._draw_thumbnails(most)
        return self

    def _name(self, label: Any) -> str:
        return shorten((self.label_names or {}).get(label, label), 2 * MAX_LABEL)

    def _draw_classes(self, style: dict[str, Any]) -> None:
        """Draw each class in a color of its own, and with a marker of its own if there are many."""
        y: Any = self.y
        classes = np.unique(y).tolist()
        self._colors: dict[Any, Any] = dict(zip(classes, colors_of(len(classes)), strict=True))
        for k, (label, color) in enumerate(self._colors.items()):
            marker = _MARKERS[k % len(_MARKERS)]
            points = self.points[y == label]
            drawn = {"color": color, "marker": marker, "label": self._name(label), **style}
            self.scatters_.append(self.ax_.scatter(*points.T, **drawn))
        columns = 1 + (len(classes) - 1) // 20
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.02)}
        self.legend_ = self.ax_.legend(ncols=columns, frameon=False, fontsize=8, **place)
        for handle in self.legend_.legend_handles:
            handle.set(alpha=1, sizes=[30])

    def _draw_colors(self, style: dict[str, Any]) -> None:
        """Draw real values, or the numbers of many classes, in the colors of a color bar."""
        y: Any = self.y
        classes, values = (None, y) if self.continuous else np.unique(y, return_inverse=True)
        cmap = "viridis" if classes is None else "turbo"
        drawn = self.ax_.scatter(*self.points.T, **{"c": values, "cmap": cmap, **style})
        self.scatters_.append(drawn)
        self.colorbar_ = self.figure_.colorbar(drawn, ax=self.ax_)
        if classes is not None:
            ticks = np.linspace(0, len(classes) - 1, 9).round().astype(int)
            self.colorbar_.set_ticks(ticks, labels=[self._name(classes[k]) for k in ticks])

    def _draw_thumbnails(self, most: int) -> None:
        """Draw images at their points, as many as fit side by side."""
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        if self.images is None:
            raise ValueError("thumbnails need images; give them when the display is made.")
        self.ax_.margins(MARGIN)
        whole = self.figure_.figure  # of a part of a figure, the figure
        whole.draw_without_rendering()  # so that the axes have their final size
        positions = self.ax_.transData.transform(self.points) * 72 / whole.dpi
        self.thumbnail_indices_ = choose_apart(positions, THUMBNAIL_SIZE + 5, most)
        shown = drawable(self.images[self.thumbnail_indices_])
        zoom = THUMBNAIL_SIZE / max(shown.shape[1:3])
        for i, image in zip(self.thumbnail_indices_, shown, strict=True):
            picture = OffsetImage(image, zoom=zoom, cmap="gray", resample=True)
            picture.image.set_clim(0, 1)
            frame = {"fc": "none", "ec": self._color(i), "lw": 1.5, "boxstyle": "square,pad=0.1"}
            box = AnnotationBbox(picture, self.points[i], bboxprops=frame)
            box.set_in_layout(False)
            self.thumbnails_.append(self.ax_.add_artist(box))

    def _color(self, i: int) -> Any:
        """Return the color of a point."""
        y: Any = self.y
        if self.legend_ is not None:
            return self._colors[y[i].item() if isinstance(y[i], np.generic) else y[i]]
        [scatter] = self.scatters_
        return scatter.get_facecolors()[0] if y is None else scatter.to_rgba(scatter.get_array()[i])
