"""Inspection of code for descriptions: which library it is from, and which globals it reads."""

import dis
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np


def global_reads(code: CodeType) -> Iterator[tuple[str, ...]]:
    """Iterate over the globals that code reads, each with the attributes that are read from it."""
    path: tuple[str, ...] = ()
    module = ""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            module, alone = step.argval, True
        elif step.opname == "IMPORT_FROM":
            alone = False
            yield "import", module, step.argval
        elif module and step.opname != "CACHE":
            if alone:
                yield "import", module
            module = ""
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            if path:
                yield path
            path = (step.argval,)
        elif path and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            path = (*path, step.argval)
        elif path and step.opname not in ("CACHE", "PUSH_NULL"):
            yield path
            path = ()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from global_reads(constant)


@lru_cache
def _library_folders() -> set[Path]:
    """Return the folders into which packages are installed, that of NumPy included."""
    paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return {Path(str(path)).resolve() for path in (*paths, Path(str(np.__file__)).parents[1])}


@lru_cache
def version_of(module: str) -> str | None:
    """Return the version of the library of a module; None for code of the user."""
    top = module.partition(".")[0]
    if top == "sknpcnn":
        return ""  # it is part of every fingerprint
    if top in sys.stdlib_module_names and top != "__main__":
        return "{}.{}".format(*sys.version_info)
    file = getattr(sys.modules.get(top), "__file__", None)
    if not isinstance(file, str) or _library_folders().isdisjoint(Path(file).resolve().parents):
        return None
    version = getattr(sys.modules[top], "__version__", None)
    if version is None:
        for name in metadata.packages_distributions().get(top, ())[:1]:
            version = metadata.version(name)
    return None if version is None else str(version)


def is_replaced(value: Any, module: str, name: str) -> bool:
    """Return whether the library has another object of that name than this function."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return isinstance(value, FunctionType) and found is not value
