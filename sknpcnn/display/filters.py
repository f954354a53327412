"""FilterDisplay draws the kernels of a convolution."""

from typing import Any, Self

import numpy as np

from sknpcnn._network.batches import Array
from sknpcnn._values.brief import brief
from sknpcnn.display.axes import make_grid, room, show_image
from sknpcnn.display.pictures import check_count, split_estimator

N_KERNELS = 64
"""How many kernels are drawn if nothing else is said."""


class FilterDisplay:
    """The kernels of a convolution: what its filters look for.

    It is made by :meth:`from_estimator`. Filters for three colors are drawn in color, gray where
    they are zero; all others have a picture for each channel that they read, red where they are
    positive and blue where they are negative.

    Parameters
    ----------
    kernels : ndarray of shape (rows, columns, channels, filters)
        The weights. Where a convolution has groups, the channels are those of a group.
    layer : str
        Name of the layer.
    color : bool, default=False
        Whether the three channels are red, green and blue.

    Attributes
    ----------
    indices_ : ndarray of shape (n_drawn, 2)
        The filter and the channel of each picture; the channel is -1 in color.
    axes_ : ndarray of shape (rows, columns)
        The axes, one for each kernel; the last ones may be empty.
    bounding_ax_ : matplotlib Axes or None
        The axes that were given and divided.
    figure_ : matplotlib Figure
        The figure.
    images_ : list of matplotlib AxesImage
        The kernels that are drawn.
    colorbar_ : matplotlib Colorbar or None
        The color bar; None in color.

    See Also
    --------
    ActivationDisplay : What the filters make of an image.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.display import FilterDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(conv_filters=8, max_iter=2, random_state=0).fit(X, y)
    >>> FilterDisplay.from_estimator(clf).axes_.shape
    (2, 4)
    """

    def __init__(self, kernels: Array, layer: str, *, color: bool = False) -> None:
        self.kernels = kernels
        self.layer = layer
        self.color = color

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        layer: str | None = None,
        *,
        n_kernels: int | None = None,
        colorbar: bool = True,
        im_kw: dict[str, Any] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the kernels of a fitted network.

        Parameters
        ----------
        estimator : estimator
            A fitted NumpyCNNClassifier or NumpyCNNRegressor, a Pipeline that ends in one, or a
            fitted search for one.
        layer : str, default=None
            Name of a convolution, such as "conv2d_1" or, inside of another layer,
            "residual_1.conv2d_1"; None for the first one.
        n_kernels : int, default=None
            How many kernels to draw; None for as many as there are axes, or up to 64.
        colorbar : bool, default=True
            Whether to draw a color bar.
        im_kw : dict, default=None
            Keywords for ``Axes.imshow``.
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each kernel; None for a new figure.

        Returns
        -------
        display : FilterDisplay
            The display.
        """
        network = split_estimator(estimator).network
        arrays = network.get_weights()
        known = {k.removesuffix(".W"): W for k, W in arrays.items() if W.ndim == 4}
        if not known:
            raise ValueError("The network has no convolution; needed: one whose kernels to draw.")
        first = next(iter(known))
        layer = first if layer is None else layer
        if layer not in [*known]:  # it may be anything
            raise ValueError(f"layer={brief(layer)}; needed: one of {', '.join(known)}, or None.")
        color = layer == first and network.image_shape_[2] == known[layer].shape[2] == 3
        display = cls(known[layer], layer, color=color)
        return display.plot(ax, n_kernels=n_kernels, colorbar=colorbar, im_kw=im_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        n_kernels: int | None = None,
        colorbar: bool = True,
        im_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the kernels, those with the largest weights first unless there is room for all.

        Filters with a single picture each are drawn in their order if all are drawn. Otherwise the
        pictures with the largest sum of squares come first.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each kernel; None for a new figure.
        n_kernels : int, default=None
            How many kernels to draw; None for as many as there are axes, or up to 64.
        colorbar : bool, default=True
            Whether to draw a color bar.
        im_kw : dict, default=None
            Keywords for ``Axes.imshow``.

        Returns
        -------
        self : FilterDisplay
            The display.
        """
        largest = float(np.abs(self.kernels).max()) or 1.0
        pictures, places = self._pictures()
        most = room(ax, N_KERNELS) if n_kernels is None else check_count("n_kernels", n_kernels)
        n = min(len(pictures), most)
        self.indices_ = places[:n]
        axes = make_grid(self, ax, n, (1.1, 1.25))
        self.images_ = []
        self.colorbar_ = None
        defaults = {} if self.color else {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
        for panel, picture, (k, channel) in zip(axes, pictures[:n], places[:n], strict=True):
            values = 0.5 + picture / (2 * largest) if self.color else picture
            self.images_.append(show_image(panel, values, defaults | (im_kw or {})))
            name = str(k) if self.kernels.shape[2] == 1 or self.color else f"{k}, {channel}"
            panel.set_title(name, fontsize=7, pad=2)
        if colorbar and not self.color:
            titles = "filter" if self.kernels.shape[2] == 1 else "filter, channel"
            label = f"weights of {self.layer}\nabove: {titles}"
            everywhere = axes.ravel().tolist()
            figure = axes.flat[0].figure
            self.colorbar_ = figure.colorbar(
                self.images_[0], ax=everywhere, shrink=0.8, label=label
            )
        return self

    def _pictures(self) -> tuple[Array, Array]:
        """Return the pictures, (n, rows, columns[, 3]), and the filter and channel of each."""
        W = self.kernels
        rows, columns, channels, filters = W.shape
        if self.color:
            pictures = W.transpose(3, 0, 1, 2)
            return self._sorted(pictures, np.stack([np.arange(filters), np.full(filters, -1)], 1))
        pictures = W.transpose(3, 2, 0, 1).reshape(-1, rows, columns)
        places = np.stack(np.divmod(np.arange(len(pictures)), channels), axis=1)
        return self._sorted(pictures, places)

    def _sorted(self, pictures: Array, places: Array) -> tuple[Array, Array]:
        if len(pictures) == self.kernels.shape[3] <= N_KERNELS:
            return pictures, places
        energy = np.square(pictures, dtype=np.float64).reshape(len(pictures), -1).sum(axis=1)
        order = np.argsort(-energy, kind="stable")
        return pictures[order], places[order]
