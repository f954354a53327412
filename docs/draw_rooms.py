"""Draw which rooms import which, from the code: ``python docs/draw_rooms.py``.

The drawing is text, which many readers of Markdown draw as a picture (Mermaid). An arrow that
follows from two others is left out.
"""

import ast
from itertools import product
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "sknpcnn"
VALUES = "layers", "losses", "optimizers", "schedules", "augmentation", "architectures", "spec"
ROOMS = {
    "classifier, regressor": ("classifier", "regressor"),
    "features, saving": ("features", "saving"),
    "datasets, testing, callbacks": ("datasets", "testing", "callbacks"),
    "layers, losses, optimizers, schedules, augmentation, architectures, spec": VALUES,
}
"""What users import, by what belongs together; every other folder is a room of its own."""


def room_of(module: str) -> str:
    """Return the room of a module such as ``sknpcnn.layers.conv``."""
    name = module.split(".")[1]
    return next((room for room, names in ROOMS.items() if name in names), name)


def arrows() -> set[tuple[str, str]]:
    """Find out which rooms import which, inside functions too."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        if module in ("sknpcnn.__init__", "sknpcnn.version"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            inside = [name for name in names if name.startswith("sknpcnn.")]
            found |= {(room_of(module), room_of(name)) for name in inside}
    return {(a, b) for a, b in found if a != b and b != "version"}


def without_detours(found: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out each arrow whose ends are joined by a longer way."""
    rooms = {room for arrow in found for room in arrow}
    reached = set(found)
    for middle, a, b in product(sorted(rooms), repeat=3):
        if {(a, middle), (middle, b)} <= reached:
            reached.add((a, b))
    return sorted(
        (a, b)
        for a, b in found
        if not any((a, c) in reached and (c, b) in reached for c in rooms - {a, b})
    )


def drawing() -> str:
    """Lay the rooms out in Mermaid's language."""
    kept = without_detours(arrows())
    rooms = sorted({room for arrow in kept for room in arrow})
    keys = {room: f"r{i}" for i, room in enumerate(rooms)}
    lines = [f'    {key}["{room}"]' for room, key in keys.items()]
    lines += [f"    {keys[a]} --> {keys[b]}" for a, b in kept]
    return "\n".join(["flowchart TD", *lines])


if __name__ == "__main__":
    print(drawing())
