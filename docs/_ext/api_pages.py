"""Writes a page for each public module, with a table of its names, from which autosummary goes on.

Public modules are found in the package, and described by the first paragraph of their docstrings,
so that a new one needs nothing here.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import sknpcnn
from sknpcnn.spec import Spec

CONTRACTS = {"Augmentation", "Layer", "Loss", "Optimizer", "Schedule", "Spec"}
"""Values of which users write their own, so that their methods are documented."""


def public_modules() -> list[str]:
    """Return the names of all public modules but those whose names are imported from sknpcnn."""
    homes = {getattr(sknpcnn, name).__module__.split(".")[1] for name in sknpcnn.__all__}
    inside = [n for n in dir(sknpcnn) if isinstance(getattr(sknpcnn, n), ModuleType)]
    public = {n for n in inside if not n.startswith("_")} - homes - {"version"}
    return ["sknpcnn", *(f"sknpcnn.{name}" for name in sorted(public))]


def public_names(module: ModuleType) -> list[str]:
    """Return the names of a module that have pages: not those of NumPy's types."""
    if module.__name__ == "sknpcnn.spec":
        return ["Spec"]  # the others serve those who write a package, not a network
    homes = {name: getattr(getattr(module, name), "__module__", "") for name in module.__all__}
    return [name for name, home in homes.items() if home.startswith("sknpcnn")]


def objects() -> dict[str, Any]:
    """Return every public object by its full name."""
    modules = [import_module(name) for name in public_modules()]
    return {f"{m.__name__}.{name}": getattr(m, name) for m in modules for name in public_names(m)}


def with_members() -> list[str]:
    """Return the classes whose methods have a place on their page.

    Layers, losses and the like have the methods of their contract, which documents them.
    """
    return [
        name
        for name, value in objects().items()
        if isinstance(value, type)
        and (not issubclass(value, Spec) or name.rpartition(".")[2] in CONTRACTS)
    ]


def page(name: str) -> str:
    """Return the text of a module's page."""
    module = import_module(name)
    about = (module.__doc__ or "").split("\n\n")[0]
    parts = [name, "=" * len(name), "", about, "", f".. currentmodule:: {name}", ""]
    names = sorted(public_names(module), key=str.lower)
    classes = [n for n in names if isinstance(getattr(module, n), type)]
    for kind, chosen in (
        ("Classes", classes),
        ("Functions", [n for n in names if n not in classes]),
    ):
        if chosen:
            parts += [f".. rubric:: {kind}", "", ".. autosummary::", "   :toctree: .."]
            parts += ["   :nosignatures:", "", *(f"   {n}" for n in chosen), ""]
    return "\n".join(parts)


def write(folder: Path) -> list[str]:
    """Write the pages, unless they are as they should be, and return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in public_modules():
        file, text = folder / f"{name}.rst", page(name)
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
        files.append(str(file))
    return files
