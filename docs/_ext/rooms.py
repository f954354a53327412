"""Draws the diagram of the packages, which is text in Mermaid's language, as a picture.

A code host draws it by itself. Mermaid in a page needs a large script, mostly from the network, and
this diagram is a simple one: boxes in rows, and arrows down.
"""

import re
from html import escape
from typing import NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform

BOX = re.compile(r'^\s*(\w+)\["([^"]+)"\]$')
ARROW = re.compile(r"^\s*(\w+) --> (\w+)$")
LETTER, LINE, PADDING, GAP, STEP = 7.6, 17, 12, 26, 56
"""Width of a letter, height of a line, space inside and between boxes, and between rows."""


class Diagram(NamedTuple):
    """Boxes by key, and arrows between keys."""

    boxes: dict[str, str]
    arrows: list[tuple[str, str]]


def read(text: str) -> Diagram:
    """Read a diagram that consists of boxes and arrows alone."""
    first, *lines = text.strip().splitlines()
    if first != "flowchart TD":
        raise ExtensionError(f"a diagram begins with {first!r}; needed: 'flowchart TD'")
    boxes, arrows = {}, []
    for line in lines:
        if box := BOX.match(line):
            boxes[box[1]] = box[2]
        elif arrow := ARROW.match(line):
            arrows.append((arrow[1], arrow[2]))
        else:
            raise ExtensionError(f"a diagram contains {line!r}; needed: a box or an arrow")
    return Diagram(boxes, arrows)


def rows_of(diagram: Diagram) -> list[list[str]]:
    """Return the keys from top to bottom: every arrow leads to a lower row.

    In its row a box is below the middle of those that point to it.
    """
    depth = dict.fromkeys(diagram.boxes, 0)
    for _ in diagram.boxes:  # a way has at most as many arrows as there are boxes
        for above, below in diagram.arrows:
            depth[below] = max(depth[below], depth[above] + 1)
    if any(depth[above] >= depth[below] for above, below in diagram.arrows):
        raise ExtensionError("the arrows of a diagram lead in a circle")
    for key in diagram.boxes:  # what nothing points to is placed right above what it points to
        targets = [depth[below] for above, below in diagram.arrows if above == key]
        if targets and all(below != key for _, below in diagram.arrows):
            depth[key] = min(targets) - 1
    rows: list[list[str]] = [[] for _ in range(1 + max(depth.values()))]
    place: dict[str, float] = {}
    for level, row in enumerate(rows):
        inside = [key for key in diagram.boxes if depth[key] == level]
        above = {k: [place[a] for a, b in diagram.arrows if b == k and a in place] for k in inside}
        row += sorted(inside, key=lambda k: sum(above[k]) / len(above[k]) if above[k] else 0.5)
        place |= {key: (i + 0.5) / len(row) for i, key in enumerate(row)}
    return rows


def lines_of(name: str) -> list[str]:
    """Break a long list of names into lines."""
    words, lines = name.split(", "), [""]
    for i, word in enumerate(words):
        piece = word + ("," if i < len(words) - 1 else "")
        if lines[-1] and len(lines[-1]) + len(piece) > 30:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + piece
    return lines


def svg(diagram: Diagram) -> str:
    """Return the picture; its colors are those of the page."""
    rows, texts = rows_of(diagram), {k: lines_of(name) for k, name in diagram.boxes.items()}
    width = {k: max(map(len, text)) * LETTER + 2 * PADDING for k, text in texts.items()}
    total = max(sum(width[k] for k in row) + GAP * (len(row) - 1) for row in rows) + 4
    parts, corner, y = [], {}, 2.0
    for row in rows:
        height = max(len(texts[k]) for k in row) * LINE + 2 * PADDING
        x = (total - sum(width[k] for k in row) - GAP * (len(row) - 1)) / 2
        for key in row:
            corner[key] = x, y, height
            x += width[key] + GAP
        y += height + STEP
    for above, below in diagram.arrows:
        x1, y1 = corner[above][0] + width[above] / 2, corner[above][1] + corner[above][2]
        x2, y2 = corner[below][0] + width[below] / 2, corner[below][1] - 6
        bend = STEP * 0.6
        parts.append(
            f'<path d="M{x1:.0f},{y1:.0f} C{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f}'
            f' {x2:.0f},{y2:.0f}" fill="none" stroke="currentColor" marker-end="url(#tip)"/>'
        )
    for key, (x, top, height) in corner.items():
        parts.append(
            f'<rect x="{x:.0f}" y="{top:.0f}" width="{width[key]:.0f}" height="{height}" rx="6"/>'
        )
        first = top + (height - len(texts[key]) * LINE) / 2 + 13
        middle = x + width[key] / 2
        for i, line in enumerate(texts[key]):
            place = f'x="{middle:.0f}" y="{first + i * LINE:.0f}"'
            parts.append(f"<text {place}>{escape(line)}</text>")
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="currentColor"/>'
        "</marker></defs>"
    )
    label = "Which package imports which: " + "; ".join(
        f"{diagram.boxes[a]} imports {diagram.boxes[b]}" for a, b in diagram.arrows
    )
    size = f'viewBox="0 0 {total:.0f} {y - STEP + 2:.0f}"'
    return (
        f'<div class="rooms"><svg xmlns="http://www.w3.org/2000/svg" {size} role="img"'
        f' aria-label="{escape(label)}">{tip}{"".join(parts)}</svg></div>'
    )


class Diagrams(SphinxTransform):
    """Look for code blocks in Mermaid's language."""

    default_priority = 5

    def apply(self) -> None:
        """Put pictures in their places."""
        for block in list(self.document.findall(nodes.literal_block)):
            if block.get("language") == "mermaid":
                block.replace_self(nodes.raw("", svg(read(block.astext())), format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(Diagrams)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
