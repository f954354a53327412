"""What all chapters share: one digit, one small network, and figures that look alike.

Figures have no background. Their lines and letters are of a gray that can be read on white and on
black, so that one picture serves the light and the dark version of a page.
"""

import sys
from functools import cache
from importlib import import_module
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import Conv2D, Flatten, MaxPool2D, ReLU

# The colors of Okabe and Ito, which the color-blind can tell apart, and a gray for lines and text.
BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, YELLOW, GRAY = "#cc79a7", "#56b4e9", "#f0e442", "#7b7b7b"
CYCLE = [BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY]

INK = LinearSegmentedColormap.from_list("ink", ["#ffffff", "#1a1a1a"])
"""For pixels: white paper, dark ink."""
SIGNED = LinearSegmentedColormap.from_list("signed", [BLUE, "#ffffff", VERMILION])
"""For values of both signs: blue is negative, white is zero, orange is positive."""

WIDTH = 5.6
"""Inches; wider figures could not be read on a phone."""

DIGIT = 13
"""The number of the digit of all chapters in scikit-learn's data set."""


def use() -> None:
    """Set the looks of all figures that follow."""
    mpl.rcParams.update(
        {
            "figure.figsize": (WIDTH, 2.8),
            "figure.facecolor": "none",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "none",
            "axes.facecolor": "none",
            "axes.edgecolor": GRAY,
            "axes.labelcolor": GRAY,
            "axes.titlecolor": GRAY,
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": mpl.cycler(color=CYCLE),
            "font.size": 10,
            "legend.frameon": False,
            "legend.labelcolor": GRAY,
            "lines.linewidth": 2,
            "text.color": GRAY,
            "xtick.color": GRAY,
            "ytick.color": GRAY,
        }
    )
    if "ipykernel" in sys.modules:  # in a notebook, whatever MPLBACKEND says
        mpl.use("module://matplotlib_inline.backend_inline")
        import_module("matplotlib_inline.backend_inline").set_matplotlib_formats("svg")


class Digits(NamedTuple):
    """Images of 8 x 8 pixels between 0 and 1, and what they show; for training, and others."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


@cache
def the_digits() -> Digits:
    """Return scikit-learn's digits: three quarters to train on, one quarter to test with."""
    X, y = load_digits(return_X_y=True)
    X = X.reshape(-1, 8, 8) / 16
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    return Digits(X_train, y_train, X_test, y_test)


def the_digit() -> np.ndarray:
    """Return the digit of all chapters, a 3 of 8 x 8 pixels between 0 and 16; it is trained on."""
    return load_digits().images[DIGIT]


@cache
def the_network(epochs: int = 30) -> NumpyCNNClassifier:
    """Train the small network of all chapters: four filters, ReLU, a pooling, ten scores.

    Its images are between 0 and 1, and it computes in double precision. With this seed, its filters
    are of different kinds.
    """
    layers = [Conv2D(4), ReLU(), MaxPool2D(2), Flatten()]
    clf = NumpyCNNClassifier(
        layers=layers, standardize=False, learning_rate_init=0.01, max_iter=epochs, random_state=6
    )
    digits = the_digits()
    return clf.fit(digits.X_train, digits.y_train)


def draw_numbers(
    values,
    ax=None,
    *,
    title="",
    fmt=None,
    signed=None,
    limit=None,
    mark=None,
    mark_color=GREEN,
    size=None,
    numbers=True,
):
    """Draw a matrix as colored cells with its numbers in them; return the axes.

    ``fmt`` is the format of the numbers: by default whole numbers, or two digits after the point.
    ``signed`` values are blue below zero and orange above it; by default if any is below zero.
    ``limit`` is the value of the full color, and ``size`` that of the letters, in points.
    ``mark`` is a (row, column, height, width), or a list of these, to put a frame around.
    """
    values = np.atleast_2d(np.asarray(values, float))
    rows, columns = values.shape
    if ax is None:
        ax = plt.figure(figsize=(0.42 * columns + 0.1, 0.42 * rows + 0.35)).add_subplot()
    signed = bool((values < 0).any()) if signed is None else signed
    limit = limit or float(np.abs(values).max()) or 1.0
    cmap, norm = (SIGNED, Normalize(-limit, limit)) if signed else (INK, Normalize(0, limit))
    edge = {"edgecolors": GRAY, "linewidth": 0.4} if numbers or rows <= 8 else {}
    ax.pcolormesh(values, cmap=cmap, norm=norm, **edge)
    ax.add_patch(plt.Rectangle((0, 0), columns, rows, fill=False, ec=GRAY, lw=0.8))
    ax.set(xlim=(-0.03, columns + 0.03), ylim=(rows + 0.03, -0.03), aspect="equal", title=title)
    ax.set_axis_off()
    if fmt is None:
        fmt = "{:.0f}" if np.array_equal(values, values.round()) else "{:.2f}"
    for (i, j), value in np.ndenumerate(values if numbers else np.empty((0, 0))):
        red, green, blue, _ = cmap(norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        text = fmt.format(value).replace("-", "\N{MINUS SIGN}")
        if not text.strip("0.\N{MINUS SIGN}"):
            text = text.removeprefix("\N{MINUS SIGN}")
        color = "white" if dark else "black"
        ax.text(j + 0.5, i + 0.52, text, ha="center", va="center", color=color, fontsize=size or 9)
    for frame in [mark] if isinstance(mark, tuple) else mark or []:
        draw_frame(ax, *frame, color=mark_color)
    return ax


def draw_frame(ax, row, column, height=1, width=1, color=GREEN):
    """Put a frame around cells that ``draw_numbers`` has drawn."""
    box = plt.Rectangle((column, row), width, height, fill=False, ec=color, lw=2.5, clip_on=False)
    ax.add_patch(box)
    return box


def draw_maps(maps, titles=(), *, signed=None, limit=None, numbers=False, columns=5, **options):
    """Draw several images, (n, rows, columns), side by side, in the same colors; return the axes.

    ``columns`` is how many stand in one row of the figure.
    """
    maps = np.asarray(maps, float)
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    side = WIDTH / max(columns, 3)
    shape = maps.shape[1] / maps.shape[2]
    height = rows * (side * shape + (0.28 if len(titles) else 0.08))
    _, axes = plt.subplots(rows, columns, figsize=(side * columns, height), squeeze=False)
    signed = bool((maps < 0).any()) if signed is None else signed
    limit = limit or float(np.abs(maps).max()) or 1.0
    for ax in axes.flat:
        ax.set_axis_off()
    for k, image in enumerate(maps):
        draw_numbers(
            image,
            axes.flat[k],
            title=titles[k] if len(titles) else "",
            signed=signed,
            limit=limit,
            numbers=numbers,
            **options,
        )
    return axes.ravel()[: len(maps)]


def draw_arrow(fig, start, end, label="", color=GRAY):
    """Draw an arrow from the right side of one axes to the left side of another one."""
    arrow = mpl.patches.ConnectionPatch(
        (1.02, 0.5),
        (-0.02, 0.5),
        "axes fraction",
        "axes fraction",
        axesA=start,
        axesB=end,
        arrowstyle="-|>",
        mutation_scale=14,
        color=color,
        lw=1.5,
    )
    arrow.set_in_layout(False)
    fig.add_artist(arrow)
    if label:
        fig.draw_without_rendering()  # so that the axes are where they will be
        (_, y), (left, _) = start.get_position().get_points().mean(0), end.get_position().p0
        middle = (start.get_position().x1 + left) / 2
        fig.text(middle, y + 0.03, label, ha="center", va="bottom", color=color)
    return arrow


use()
