"""Where displays draw: rows and columns of axes, colors that most people can tell apart, labels."""

from math import ceil
from typing import Any

import numpy as np

from sknpcnn._estimator.private import check_matplotlib_support
from sknpcnn._network.batches import Array

COLORS = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"
"""Those of Okabe and Ito that are seen on white and on black."""
TEN_COLORS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Those of Petroff, arXiv:2107.02270, of which that is true as far as possible."""
MAX_COLUMNS = 10
MIN_SIZE = 2.6
"""The least width and height of a figure, in inches."""
MAX_ASPECT_RATIO = 8
"""The largest aspect ratio of an image that is drawn with square pixels."""
MAX_LABEL = 12
"""The most characters of a label that fit above a small picture."""


def grid_shape(n: int) -> tuple[int, int]:
    """Return rows and columns for n pictures, more columns than rows."""
    rows = ceil(n / min(MAX_COLUMNS, ceil((2 * n) ** 0.5)))
    return rows, ceil(n / rows)


def room(ax: Any, default: int) -> int:
    """Return how many pictures to draw: as many as there are axes, if an array of them is given."""
    return default if ax is None or hasattr(ax, "imshow") else np.size(ax)


def make_grid(display: Any, ax: Any, n: int, cell: tuple[float, float]) -> Array:
    """Return axes for n pictures, as ``make_axes`` does; in ``axes_`` there may be empty ones.

    ``cell`` are the width and height of each in inches, where the figure is new.
    """
    shape = rows, columns = grid_shape(n)
    if not (ax is None or hasattr(ax, "imshow")):
        given = np.atleast_2d(np.asarray(ax, dtype=object))
        if given.size < n:
            raise ValueError(f"ax has {given.size} axes; needed: {n}, or one that is divided.")
        shape = given.shape
    size = max(cell[0] * columns, MIN_SIZE), max(cell[1] * rows, MIN_SIZE)
    axes = make_axes(display, ax, shape, size).ravel()
    for unused in axes[n:]:
        unused.set_axis_off()
    return axes[:n]


def make_axes(
    display: Any, ax: Any, shape: tuple[int, int], figsize: tuple[float, float], **options: Any
) -> Array:
    """Return axes, (rows, columns), and set ``axes_``, ``bounding_ax_`` and ``figure_``.

    They are in a new figure of that size, or take the place of ``ax``; or ``ax`` is an array of
    them.
    """
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    display.bounding_ax_ = None
    axes: Array
    if ax is None:
        figure = plt.figure(figsize=figsize, layout="constrained")
        axes = figure.subplots(*shape, squeeze=False, **options)
    elif isinstance(ax, Axes):
        spec = ax.get_subplotspec()
        if spec is None:
            raise ValueError(
                "ax has no place in a grid, which could be divided; needed: one of plt.subplots, "
                f"an array of {shape[0]} x {shape[1]} axes, or None."
            )
        display.bounding_ax_ = ax
        ax.set_axis_off()
        grid = GridSpecFromSubplotSpec(*shape, subplot_spec=spec, **options)
        axes = grid.subplots(squeeze=False)
    else:
        axes = np.asarray(ax, dtype=object)
        if axes.size != shape[0] * shape[1]:
            raise ValueError(
                f"ax has {axes.size} axes; needed: {shape[0]} x {shape[1]}, one that is divided, "
                "or None."
            )
        axes = axes.reshape(shape)
    display.axes_, display.figure_ = axes, axes.flat[0].figure
    return axes


def one_axes(display: Any, ax: Any, figsize: tuple[float, float]) -> Any:
    """Return axes, in a new figure if none are given, and set ``ax_`` and ``figure_``."""
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def show_image(ax: Any, image: Array, options: dict[str, Any] | None = None) -> Any:
    """Draw an image, gray from 0 to 1 or in color, without ticks; return the artist."""
    defaults = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
    if max(image.shape[:2]) > MAX_ASPECT_RATIO * min(image.shape[:2]):
        defaults["aspect"] = "auto"  # a signal of one row would be a thin line
    shown = ax.imshow(image, **defaults | (options or {}))
    ax.set(xticks=[], yticks=[])
    return shown


def shorten(label: Any, length: int = MAX_LABEL) -> str:
    """Return a label as text of limited length: its start and its end, in which labels differ."""
    text = str(label)
    end = (length - 1) // 2
    return text if len(text) <= length else f"{text[: length - 1 - end]}…{text[-end:]}"


def colors_of(n: int) -> list[Any]:
    """Return n colors, as far as possible those that most people can tell apart."""
    if n <= len(TEN_COLORS):
        return list((COLORS if n <= len(COLORS) else TEN_COLORS)[:n])
    import matplotlib as mpl

    return list(mpl.colormaps["turbo"](np.linspace(0.1, 0.95, n)))


def text_color() -> Any:
    """Return the color of texts, which depends on the style: white on black."""
    import matplotlib as mpl

    return mpl.rcParams["text.color"]
