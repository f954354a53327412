"""ActivationDisplay draws what each layer of a network makes of one image."""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, Self

import numpy as np

from sknpcnn._estimator import fitted
from sknpcnn._network.batches import Array
from sknpcnn._values.brief import brief
from sknpcnn.display.axes import COLORS, make_axes, shorten, show_image
from sknpcnn.display.pictures import (
    as_images,
    check_count,
    drawable,
    images_seen,
    predicting,
    single,
    split_estimator,
)

MAX_LAYERS = 12
"""The most layers that are drawn if none are named."""
N_MAPS = 8
MAX_BARS = 20
"""The most values that are drawn as bars; more are a strip."""
MAX_LABELS = 60
"""How many characters fit below all bars together; more are turned."""
MIN_BARS = 5
"""For how many bars there is room at least: a single one is not as wide as the picture."""

_SAME = "Dropout", "Flatten", "Identity"
"""Layers whose outputs are their inputs."""


class ActivationDisplay:
    """What each layer of a network makes of one image, from the image down to the output.

    It is made by :meth:`from_estimator`. Outputs that are images are drawn as maps, one for each
    channel, the most active ones first; those that are vectors as a strip, or as bars if there are
    few. Colors are those of one scale in each layer.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels)
        The image.
    activations : dict of str to ndarray
        The output of each layer, (height, width, channels) or (units,), by the name of the layer.
    output_names : sequence of str, default=None
        What the outputs of the network stand for.

    Attributes
    ----------
    maps_ : dict of str to ndarray
        Which channels of each layer are drawn.
    axes_ : ndarray of shape (1 + n_layers, n_columns)
        The axes, the first row for the image; where there is nothing to draw, they are empty. A
        vector has one that is as wide as its row.
    bounding_ax_ : matplotlib Axes or None
        The axes that were given and divided.
    figure_ : matplotlib Figure
        The figure.
    artists_ : dict of str to list
        What is drawn of each layer: matplotlib AxesImage, or a BarContainer. The image is
        ``artists_["image"]``.

    See Also
    --------
    FilterDisplay : The kernels of a convolution.
    sknpcnn.NumpyCNNFeatures : The outputs of a layer as features.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.display import ActivationDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(conv_filters=8, max_iter=1, random_state=0).fit(X, y)
    >>> display = ActivationDisplay.from_estimator(clf, X[:1])
    >>> list(display.maps_)
    ['conv2d_1', 'batchnorm_1', 'relu_1', 'maxpool2d_1', 'output']
    """

    def __init__(
        self,
        image: Array,
        activations: Mapping[str, Array],
        *,
        output_names: Sequence[Any] | None = None,
    ) -> None:
        self.image = image
        self.activations = activations
        self.output_names = output_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        index: int = 0,
        layers: Iterable[str] | None = None,
        images: Any = None,
        n_maps: int = N_MAPS,
        im_kw: dict[str, Any] | None = None,
        bar_kw: dict[str, Any] | None = None,
        ax: Any = None,
    ) -> Self:
        """Run a fitted network on an image, and draw the outputs of its layers.

        Parameters
        ----------
        estimator : estimator
            A fitted NumpyCNNClassifier or NumpyCNNRegressor, a Pipeline that ends in one, or a
            fitted search for one.
        X : array-like
            What the estimator predicts: images, or rows.
        index : int, default=0
            Which of them to draw.
        layers : list of str, default=None
            Names of layers, as in ``summary()``; None for all of them, but for flattening and
            dropout, or of more than 12 for as many, at equal distances.
        images : array-like of shape (n, height, width[, channels]), default=None
            The images to draw; None for those that the network sees, after the steps of a Pipeline.
        n_maps : int, default=8
            The most maps to draw of a layer.
        im_kw, bar_kw : dict, default=None
            Keywords for ``Axes.imshow``, of maps and strips, and for ``Axes.bar``.
        ax : matplotlib Axes, default=None
            Axes that are divided; None for a new figure.

        Returns
        -------
        display : ActivationDisplay
            The display.
        """
        seen = images_seen(estimator, single(X, index))
        model = predicting(split_estimator(estimator).network)
        table = {row.name: row for row in fitted.network_of(model).summary()}
        activations = {}
        rows = seen.reshape(1, prod(seen.shape[1:]))
        for name in _chosen(table, layers):
            outputs = fitted.outputs_of(model, rows, name)
            activations[name] = outputs.reshape(table[name].output_shape)
        image = seen[0] if images is None else as_images(images, len(X))[index]
        names = getattr(model, "classes_", None)
        display = cls(image, activations, output_names=names)
        return display.plot(ax, n_maps=n_maps, im_kw=im_kw, bar_kw=bar_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        n_maps: int = N_MAPS,
        im_kw: dict[str, Any] | None = None,
        bar_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the image and, below it, the outputs of the layers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes that are divided; None for a new figure.
        n_maps : int, default=8
            The most maps to draw of a layer: those with the largest mean absolute value.
        im_kw, bar_kw : dict, default=None
            Keywords for ``Axes.imshow``, of maps and strips, and for ``Axes.bar``.

        Returns
        -------
        self : ActivationDisplay
            The display.
        """
        n_rows = 1 + len(self.activations)
        maps = [one.shape[2] for one in self.activations.values() if one.ndim == 3]
        n_maps = min(check_count("n_maps", n_maps), max(maps, default=n_maps))
        axes = make_axes(self, ax, (n_rows, n_maps), (max(n_maps, 3) + 1.6, 1.05 * n_rows))
        for panel in axes.flat:
            panel.set_axis_off()
        axes[0, 0].set_axis_on()
        self.artists_: dict[str, list[Any]] = {}
        self.artists_["image"] = [show_image(axes[0, 0], drawable(self.image[None])[0])]
        _name(axes[0, 0], "image", self.image.shape)
        self.maps_: dict[str, Array] = {}
        for row, (name, values) in zip(axes[1:], self.activations.items(), strict=True):
            shown = {"vmin": float(values.min()), "vmax": float(values.max()), "cmap": "viridis"}
            shown |= im_kw or {}
            if values.ndim == 3:
                self._draw_maps(row, name, values, shown)
            else:
                self._draw_vector(row, name, values, shown, bar_kw or {})
            _name(row[0], name, values.shape)
        return self

    def _draw_maps(self, row: Array, name: str, values: Array, shown: dict[str, Any]) -> None:
        activity = np.abs(values, dtype=np.float64).mean(axis=(0, 1))
        self.maps_[name] = np.argsort(-activity, kind="stable")[: len(row)]
        self.artists_[name] = []
        for panel, channel in zip(row, self.maps_[name], strict=False):
            panel.set_axis_on()
            self.artists_[name].append(show_image(panel, values[:, :, channel], shown))
            panel.set_title(str(channel), fontsize=6, pad=2)

    def _draw_vector(
        self,
        row: Array,
        name: str,
        values: Array,
        shown: dict[str, Any],
        bar_kw: dict[str, Any],
    ) -> None:
        """Draw a vector over the whole width of its row."""
        self.maps_[name] = np.arange(len(values))
        first = row[0]
        for panel in row[1:]:
            panel.remove()
        row[1:] = first
        spec = first.get_subplotspec()
        first.set_subplotspec(spec.get_gridspec()[spec.rowspan.start, :])
        first.set_axis_on()
        if len(values) > MAX_BARS:
            artist = show_image(first, values[None], shown)
            first.set_aspect("auto")
        else:
            artist = first.bar(range(len(values)), values, **{"color": COLORS[0], **bar_kw})
            names = self.output_names if name == "output" else None
            labels = [shorten(one) for one in (range(len(values)) if names is None else names)]
            long = sum(map(len, labels)) > MAX_LABELS
            turned = {"rotation": 30, "ha": "right"} if long else {}
            first.set_xticks(range(len(values)), labels, fontsize=7, **turned)
            first.set_xlim(-0.6, max(len(values), MIN_BARS) - 0.4)
            first.tick_params(axis="y", labelsize=6)
            first.spines[["top", "right"]].set_visible(False)
        self.artists_[name] = [artist]


def _name(ax: Any, name: str, shape: tuple[int, ...]) -> None:
    """Write the name of a layer, and the shape of its output, to the left."""
    size = " x ".join(map(str, shape))
    text = f"{shorten(name, 22)}\n{size}"
    ax.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8)


def _chosen(table: Mapping[str, Any], layers: Iterable[str] | None) -> list[str]:
    """Return the names of the layers to draw."""
    if layers is not None:
        names = [layers] if isinstance(layers, str) else list(layers)
        for name in names:
            if name not in [*table]:  # it may be anything
                raise ValueError(
                    f"layers holds {brief(name)}; needed: names of layers: {', '.join(table)}."
                )
        return names
    names = [name for name, row in table.items() if row.kind not in _SAME]
    if len(names) > MAX_LAYERS:
        return [names[i] for i in np.linspace(0, len(names) - 1, MAX_LAYERS).round().astype(int)]
    return names
