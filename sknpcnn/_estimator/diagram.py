"""Shows estimators in notebooks: what this package adds to scikit-learn's diagram of them.

Whatever cannot be shown, because an attribute was changed or a layer of the user fails, is left
out: scikit-learn's own diagram remains.
"""

from copy import copy
from functools import lru_cache, partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sknpcnn._estimator.outline import Row, outline
from sknpcnn._estimator.private import VisualBlock
from sknpcnn._estimator.writing import written
from sknpcnn._values.brief import shortened
from sknpcnn.layers.base import Shape
from sknpcnn.spec import Spec

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

MAX_OPEN = 40
"""Composite layers are shown open in networks of at most this many rows."""
MAX_TEXT = 1000
"""How many characters of a parameter are shown."""


def with_network(table: Any, estimator: Any, last: str | None = None) -> Any:
    """Add the network of an estimator to a table of parameters; up to a layer if it is named."""
    table._html_repr = partial(_parameters_and_network, copy(table), estimator, last)
    return table


def _parameters_and_network(table: Any, estimator: Any, last: str | None) -> str:
    try:
        drawn = _network(outline(estimator), last)
    except Exception:  # the attributes or layers may be anything
        drawn = ""
    return f"<style>{_style()}</style>{_with_written_values(table)}{drawn}"


@lru_cache
def _style() -> str:
    return Path(__file__).with_suffix(".css").read_text("utf-8")


def block_around(features: Any) -> Any:
    """Return the diagram of NumpyCNNFeatures: its own box, and in it that of its estimator."""
    inner = getattr(features, "estimator_", features.estimator)
    if inner is None:
        name = type(features).__name__
        return VisualBlock("single", features, names=name, name_details=str(features))
    name = f"estimator: {type(inner).__name__}"  # the prefix of its parameters
    return VisualBlock("parallel", [inner], names=[name], name_details=[str(inner)])


class _Text:
    """A text in a table that scikit-learn makes of representations."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _with_written_values(table: Any) -> str:
    """Return the table with values in full that scikit-learn would cut off after a few characters.

    Those are lists and tuples, of which it shows two items or one, and layers and the like.
    """
    full = {name: v for name, v in table.items() if isinstance(v, (Spec, list, tuple))}
    marks = {name: f"\ue000{name}\ue000" for name in full}  # which no repr of a string contains
    shown = copy(table)
    shown.data = {**table.data, **{name: _Text(mark) for name, mark in marks.items()}}
    page: str = type(table)._html_repr(shown)
    for name, value in full.items():
        text = escape(shortened(written(value), MAX_TEXT))
        page = page.replace(marks[name], f'<span class="sknpcnn-written">{text}</span>')
    return page


def readable(table: Any) -> Any:
    """Shorten what is long in scikit-learn's table of fitted attributes: lists and data frames."""
    for attribute in table.values():
        value = attribute["value"]
        if type(value) is list and value and all(type(item) is float for item in value):
            attribute["type_name"] = f"list of {len(value):,}"
            attribute["value"] = _in_full(f"[{_first_and_last(value)}]")
        elif type(value) is str:
            attribute["value"] = _in_full(repr(value))
        elif hasattr(value, "columns") and hasattr(value, "index"):
            attribute["type_name"] = "DataFrame of {:,} x {}".format(*value.shape)
            attribute["value"] = _in_full(", ".join(map(str, value.columns)))
    table._html_repr = partial(_or_nothing, copy(table))
    return table


def _first_and_last(values: list[float]) -> str:
    numbers = [f"{value:.3g}" for value in values]
    return ", ".join(numbers if len(numbers) <= 6 else [*numbers[:3], "...", *numbers[-3:]])


def _in_full(text: str) -> Any:
    """Return what scikit-learn's table shows as this text; of other than arrays it shows little."""
    return np.array(_Text(text), dtype=object)


def _or_nothing(table: Any) -> str:
    try:
        return str(type(table)._html_repr(table))
    except Exception:  # attributes that were changed may be anything
        return ""


COLORS = {"parameters": "#56b4e999", "multiply_adds": "#e69f0099"}
"""Colors of the bars in a summary: half transparent, for white text on black as well."""


def styled(table: "pd.DataFrame") -> "Styler":
    """Return a data frame of layers as a table for notebooks, with bars and totals."""
    totals = table[[*COLORS]].sum()
    total = table.iloc[:1].assign(name="total", kind="", output_shape="", **totals)
    texts = table.assign(output_shape=[" \u00d7 ".join(map(str, s)) for s in table["output_shape"]])
    try:
        from pandas.io.formats.style import Styler
    except ImportError as error:
        raise ImportError(
            "summary(style=True) needs Jinja2: pip install 'sknpcnn[notebook]'."
        ) from error
    style, last = (_readable(Styler(frame)) for frame in (texts, total))
    for column, color in COLORS.items():
        style.bar(subset=[column], color=color, vmin=0, vmax=max(totals[column], 1))
    return style.concat(last.map(lambda _: "font-weight: bold"))


def _readable(style: "Styler") -> "Styler":
    return style.format(thousands=",", escape="html").hide(axis="index")


def _network(rows: list[Row], last: str | None) -> str:
    """Return the section of the diagram that shows the network."""
    names = [row.name for row in rows]
    if last in names:
        rows = rows[: names.index(last) + 1]
    total = sum(row.multiply_adds or 0 for row in rows)
    facts = head = ""
    if any(row.shape is not None for row in rows):
        n_parameters = sum(row.parameters or 0 for row in rows)
        whole = "" if rows[-1].shape is not None else ", without the output layer"
        facts = f": {n_parameters:,} parameters, {total:,} multiply-adds per image{whole}"
        cells = _cells("layer", "output shape", "parameters", "multiply-adds")
        head = f'<div class="sknpcnn-row sknpcnn-head">{cells}</div>'
    is_open = sum(map(len, rows)) <= MAX_OPEN
    return (
        '<div class="estimator-table sknpcnn"><details open>'
        f"<summary>Network{facts}</summary>"
        '<div class="sknpcnn-inside">'
        + head
        + "".join(_row(row, total, is_open) for row in rows)
        + "</div></details></div>"
    )


def _row(row: Row, total: int, is_open: bool) -> str:
    """Return the HTML of a layer: a line, or a box that opens if there are layers in it."""
    line = _cells(_layer(row), _shape(row.shape), _count(row.parameters), _share(row, total))
    if not row.branches:
        return f'<div class="sknpcnn-row">{line}</div>'
    several = len(row.branches) > 1
    inside = ""
    for branch in row.branches:
        content = "".join(_row(each, total, is_open) for each in branch)
        if not branch:  # as in a residual block
            content = f'<div class="sknpcnn-row">{_cells(_note("the input itself"))}</div>'
        inside += f'<div class="sknpcnn-branch">{content}</div>' if several else content
    return (
        f'<details class="sknpcnn-box"{" open" * is_open}>'
        f'<summary class="sknpcnn-row">{line}</summary>'
        f'<div class="sknpcnn-inside">{inside}</div></details>'
    )


def _cells(layer: str, shape: str = "", count: str = "", share: str = "") -> str:
    found = [f'<span class="sknpcnn-layer">{layer}</span>']
    if shape or count or share:
        found += [
            f'<span class="sknpcnn-shape">{shape}</span>',
            f'<span class="sknpcnn-count">{count}</span>',
            f'<span class="sknpcnn-share">{share}</span>',
        ]
    return "".join(found)


def _layer(row: Row) -> str:
    note = f" {_note(row.note)}" if row.note else ""
    return (
        f'<span class="sknpcnn-name">{escape(row.name)}</span> '
        f'<span class="sknpcnn-kind">{escape(row.kind)}</span>{escape(row.arguments)}{note}'
    )


def _note(text: str) -> str:
    return f'<span class="sknpcnn-note">{escape(text)}</span>'


def _shape(shape: Shape | None) -> str:
    return "" if shape is None else " &times; ".join(map(str, shape))


def _count(number: int | None) -> str:
    return f"{number:,}" if number else ""


def _share(row: Row, total: int) -> str:
    """Return the share of all multiply-adds, as a bar and a number."""
    if not row.multiply_adds or not total:
        return ""
    percent = 100 * row.multiply_adds / total
    shown = "&lt; 1" if percent < 1 else f"{percent:.0f}"
    return (
        f'<span class="sknpcnn-track" title="{row.multiply_adds:,} multiply-adds per image">'
        f'<span class="sknpcnn-bar" style="width: {percent:.2f}%"></span></span>'
        f'<span class="sknpcnn-percent">{shown} %</span>'
    )
