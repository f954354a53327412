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


def name_of(path: Path) -> str:
    """Return the name of the module in a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


SOURCES = {name_of(path): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = {name: ast.parse(source) for name, source in SOURCES.items()}


def imported(tree: ast.AST) -> set[str]:
    """Return every module that is imported anywhere in a file, inside functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import does not say where it points"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                found.add(inside if inside in MODULES else str(node.module))
    return found


def room_of(module: str) -> str:
    """Return the room of a module such as ``sknpcnn.layers.conv``."""
    name = module.split(".")[1]
    return next((room for room, names in ROOMS.items() if name in names), name)


def arrows() -> set[tuple[str, str]]:
    """Find out which rooms import which."""
    drawn = MODULES.keys() - {"sknpcnn", "sknpcnn.version"}
    pairs = [(module, name) for module in drawn for name in imported(MODULES[module]) & drawn]
    found = {(room_of(module), room_of(name)) for module, name in pairs}
    return {(a, b) for a, b in found if a != b}


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
