"""HistoryDisplay draws how training went, epoch by epoch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknpcnn._estimator import fitted
from sknpcnn._network.batches import Array
from sknpcnn._values.brief import brief
from sknpcnn.display.axes import COLORS, colors_of, make_axes, text_color
from sknpcnn.display.pictures import split_estimator

if TYPE_CHECKING:
    import pandas as pd

MAX_MARKED = 30
"""The most epochs that are marked by points; more are lines."""
MAX_RATIO = 30
"""The largest ratio of losses that is drawn on a linear scale."""
MAX_INSIDE = 5
"""The most entries of a legend that is drawn inside of the axes."""

_PARTS = {"train": "training", "validation": "validation"}


class HistoryDisplay:
    """How training went: loss and score of each epoch, on training and validation data.

    It is made by :meth:`from_estimator`.

    Parameters
    ----------
    histories : dict of str to DataFrame
        The ``history_`` of each estimator, by its name.
    best_epochs : dict of str to int, default=None
        The epoch to mark for each estimator, if any.
    score_names : (str, str), default=("score", "score")
        Names of the training and the validation score.

    Attributes
    ----------
    axes_ : ndarray of shape (1, 2) or (1, 3)
        The axes of loss, score and, if it is drawn, learning rate.
    bounding_ax_ : matplotlib Axes or None
        The axes that were given and divided.
    figure_ : matplotlib Figure
        The figure.
    lines_ : dict of (str, str) to matplotlib Line2D
        The lines, by estimator and column of its ``history_``.
    best_ : list of matplotlib Line2D
        The marks of the best epochs.
    legend_ : matplotlib Legend
        The legend.

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Scores for more and more samples.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.display import HistoryDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(early_stopping=True, max_iter=3, random_state=0).fit(X, y)
    >>> display = HistoryDisplay.from_estimator(clf)
    >>> sorted(display.lines_)[:2]
    [('NumpyCNNClassifier', 'train_loss'), ('NumpyCNNClassifier', 'train_score')]
    """

    def __init__(
        self,
        histories: "Mapping[str, pd.DataFrame]",
        *,
        best_epochs: Mapping[str, int] | None = None,
        score_names: tuple[str, str] = ("score", "score"),
    ) -> None:
        self.histories = histories
        self.best_epochs = best_epochs
        self.score_names = score_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        learning_rate: bool = False,
        line_kw: dict[str, Any] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the history of a fitted estimator, or of several.

        Parameters
        ----------
        estimator : estimator, list of estimators or dict of str to estimator
            One or more of: a fitted NumpyCNNClassifier or NumpyCNNRegressor, a Pipeline that ends
            in one, a fitted search for one. The names of a dict are those in the legend.
        learning_rate : bool, default=False
            Whether to draw the learning rate as well.
        line_kw : dict, default=None
            Keywords for ``Axes.plot``.
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each part; None for a new figure.

        Returns
        -------
        display : HistoryDisplay
            The display. Marked is the epoch with the best value of what ``scoring`` names on the
            validation data; with ``early_stopping`` the model is the one of that epoch.
        """
        networks = {name: split_estimator(given).network for name, given in _named(estimator)}
        histories, best, names = {}, {}, set()
        for name, network in networks.items():
            check_is_fitted(network)
            history = network.history_
            if history.empty:
                raise ValueError(
                    f"{brief(name)} has been trained for no epoch; needed: one or more."
                )
            histories[name] = history
            by_loss = isinstance(network.scoring, str) and network.scoring == "loss"
            monitored = -history["validation_loss"] if by_loss else history["validation_score"]
            if monitored.notna().any():
                best[name] = int(history.index[int(monitored.argmax())])
            names.add(_score_names(network))
        score_names = names.pop() if len(names) == 1 else ("score", "score")
        display = cls(histories, best_epochs=best, score_names=score_names)
        return display.plot(ax, learning_rate=learning_rate, line_kw=line_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        learning_rate: bool = False,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the histories.

        The scale of the loss is logarithmic if the largest is many times the smallest.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each part; None for a new figure.
        learning_rate : bool, default=False
            Whether to draw the learning rate as well.
        line_kw : dict, default=None
            Keywords for ``Axes.plot``.

        Returns
        -------
        self : HistoryDisplay
            The display.
        """
        n_columns = 3 if learning_rate else 2
        axes = make_axes(self, ax, (1, n_columns), (4.2 * n_columns, 3.4))
        from matplotlib.ticker import MaxNLocator

        self.lines_: dict[tuple[str, str], Any] = {}
        self.best_: list[Any] = []
        columns = ("loss", "score", "learning_rate")[:n_columns]
        for panel, column in zip(axes.flat, columns, strict=True):
            for name, color in zip(self.histories, colors_of(len(self.histories)), strict=True):
                self._draw(panel, column, name, color, line_kw or {})
            panel.set(xlabel="epoch", ylabel=column.replace("_", " "))
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        if learning_rate:
            axes[0, 2].set_ylim(bottom=0)
        train, validation = self.score_names
        if train != validation:
            axes[0, 1].set_ylabel(f"{train} (training), {validation} (validation)")
        else:
            axes[0, 1].set_ylabel(train)
        values = np.concatenate([line.get_ydata() for line in axes[0, 0].lines])
        values = values[np.isfinite(values)]
        if values.size and values.min() > 0 and values.max() > MAX_RATIO * values.min():
            axes[0, 0].set_yscale("log")
        self._draw_legend(axes)
        return self

    def _draw(self, ax: Any, column: str, name: str, color: Any, line_kw: dict[str, Any]) -> None:
        history = self.histories[name]
        parts = (
            ["learning_rate"] if column == "learning_rate" else [f"{p}_{column}" for p in _PARTS]
        )
        for part in parts:
            values = history[part]
            if values.isna().all():
                continue
            style = self._style(name, part, color) | line_kw
            self.lines_[name, part] = ax.plot(history.index, values, **style)[0]
        best = (self.best_epochs or {}).get(name)
        if best is not None and f"validation_{column}" in history:
            value = history[f"validation_{column}"][best]
            style = {"marker": "D", "ls": "", "ms": 7, "mew": 1.5, "zorder": 3}
            style |= {"color": self.lines_[name, f"validation_{column}"].get_color()}
            self.best_ += ax.plot([best], [value], mec=text_color(), **style)

    def _style(self, name: str, part: str, color: Any) -> dict[str, Any]:
        """Return the style of a line: estimators differ in color, training lines are dashed."""
        validated = any(one["validation_loss"].notna().any() for one in self.histories.values())
        dashed = part.startswith("train") and validated
        if len(self.histories) == 1 and part.startswith("validation"):
            color = COLORS[1]
        few = len(self.histories[name]) <= MAX_MARKED
        marker = {"marker": "o", "ms": 4} if few else {}
        return {"color": color, "ls": "--" if dashed else "-", "lw": 1.6, **marker}

    def _draw_legend(self, axes: Array) -> None:
        from matplotlib.lines import Line2D

        entries = {}
        if len(self.histories) == 1:
            lines = {part.split("_")[0]: line for (_, part), line in self.lines_.items()}
            entries = {_PARTS[part]: line for part, line in lines.items() if part in _PARTS}
        else:
            for name, color in zip(self.histories, colors_of(len(self.histories)), strict=True):
                entries[name] = Line2D([], [], color=color, lw=3)
            if any(part.startswith("validation") for _, part in self.lines_):
                gray = {"color": text_color(), "lw": 1.6}
                entries["training"] = Line2D([], [], ls="--", **gray)
                entries["validation"] = Line2D([], [], ls="-", **gray)
        if self.best_:
            [*epochs] = (self.best_epochs or {}).values()
            label = f"best epoch: {epochs[0]:,}" if len(self.histories) == 1 else "best epoch"
            line = Line2D([], [], marker="D", ls="", ms=7, mec=text_color(), mfc="none", mew=1.5)
            entries[label] = line
        inside = len(entries) <= MAX_INSIDE
        place = {} if inside else {"loc": "upper left", "bbox_to_anchor": (1.02, 1.02)}
        ax = axes[0, 0] if inside else axes[0, -1]
        columns = 1 + (len(entries) - 1) // 20
        labels = [str(label) for label in entries]
        self.legend_ = ax.legend([*entries.values()], labels, frameon=False, ncols=columns, **place)


def _named(estimator: Any) -> list[tuple[str, Any]]:
    """Return estimators and their names; those of a list are numbered."""
    if isinstance(estimator, Mapping):
        if not estimator:
            raise ValueError("estimator is an empty dict; needed: one estimator or more.")
        return list(estimator.items())
    if not isinstance(estimator, (list, tuple)):
        return [(type(split_estimator(estimator).network).__name__, estimator)]
    if not estimator:
        raise ValueError("estimator is an empty list; needed: one estimator or more.")
    kinds = [type(split_estimator(one).network).__name__ for one in estimator]
    return [
        (f"{kind} {i}", one) for i, (kind, one) in enumerate(zip(kinds, estimator, strict=True), 1)
    ]


def _score_names(network: Any) -> tuple[str, str]:
    """Return the names of the training and the validation score."""
    metric = fitted.target_of(network).metric
    scoring = network.scoring
    if scoring is None or (isinstance(scoring, str) and scoring == "loss"):
        return metric, metric
    return metric, scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "scoring")
