"""Converts hyperparameters to and from JSON: layers and other specs are stored by name."""

from dataclasses import fields
from typing import Any

import numpy as np

from sknpcnn import augmentation, layers, losses, optimizers, schedules
from sknpcnn._values.brief import brief
from sknpcnn.spec import MAX_DEPTH, Spec

SPECS: dict[str, type[Spec]] = {
    thing.__name__: thing
    for module in (layers, losses, optimizers, schedules, augmentation)
    for thing in (getattr(module, name) for name in module.__all__)
    if isinstance(thing, type) and issubclass(thing, Spec)
}

# Larger integers may all have the same hash, so that a dict of them takes quadratic time.
MAX_KEY = 2**61 - 2


def to_plain(value: Any, name: str) -> Any:
    """Convert a value to JSON types; raise a TypeError that names it if that is impossible."""
    given = value
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":  # times would lose their unit
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufUO":
        value = value.tolist()
    if type(value) in (list, tuple):
        return {type(value).__name__: [to_plain(item, name) for item in value]}
    if type(value) is dict:
        return {"dict": [[to_plain(k, name), to_plain(item, name)] for k, item in value.items()]}
    kind = type(value)
    if SPECS.get(kind.__name__) is kind:
        inside = {field.name: to_plain(getattr(value, field.name), name) for field in fields(value)}
        return {"spec": kind.__name__, "fields": inside}
    raise TypeError(
        f"{name} holds {brief(given)}, which cannot be saved without pickle; needed: "
        "numbers, strings, and layers, schedules and the like of this package. joblib can save it."
    )


def from_plain(plain: Any, depth: int = 0) -> Any:
    """Convert the result of ``to_plain`` back; raise a ValueError if it is invalid.

    ``depth`` is the number of enclosing layers.
    """
    if not isinstance(plain, dict):
        require(not isinstance(plain, list), "a value is a bare list")
        return plain
    require(bool(plain), "a value has no kind")
    (kind, content), *rest = plain.items()
    if kind == "spec":
        require([key for key, _ in rest] == ["fields"], "a layer is incomplete")
        require(
            depth < MAX_DEPTH, f"layers are nested too deeply; needed: {MAX_DEPTH} levels at most"
        )
        inside = {name: from_plain(item, depth + 1) for name, item in plain["fields"].items()}
        return SPECS[content](**inside)
    require(
        not rest and kind in ("list", "tuple", "dict"), f"a value is of the unknown kind {kind}"
    )
    require(isinstance(content, list), f"a {kind} is invalid")
    if kind == "dict":
        return _dict(content, depth)
    items = [from_plain(item, depth) for item in content]
    return items if kind == "list" else tuple(items)


def count_specs(plain: Any) -> int:
    """Count the layers and other specs in the result of ``to_plain``, nested ones included."""
    count, stack = 0, [plain]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            count += "spec" in item
            stack += item.values()
        elif isinstance(item, list):
            stack += item
    return count


def _dict(pairs: list[Any], depth: int) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for pair in pairs:
        require(isinstance(pair, list) and len(pair) == 2, "a dict is invalid")
        key = from_plain(pair[0], depth)
        require(type(key) in (str, int, float, bool), f"a key is a {type(key).__name__}")
        require(type(key) is not int or abs(key) <= MAX_KEY, "a key is too large an integer")
        require(key not in found, f"a dict has the key {brief(key)} twice")
        found[key] = from_plain(pair[1], depth)
    return found


def require(condition: bool, message: str) -> None:
    """Raise a ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)
