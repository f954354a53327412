"""Hyperparameters as JSON can hold them: numbers, strings, and layers and the like by name."""

from dataclasses import fields
from typing import Any

import numpy as np

from sknpcnn import augmentation, layers, losses, optimizers, schedules
from sknpcnn.brief import brief
from sknpcnn.spec import MAX_DEPTH, Spec

SPECS: dict[str, type[Spec]] = {
    thing.__name__: thing
    for module in (layers, losses, optimizers, schedules, augmentation)
    for thing in (getattr(module, name) for name in module.__all__)
    if isinstance(thing, type) and issubclass(thing, Spec)
}

# Beyond it Python gives many integers the same hash, so that a dict of them takes quadratic time.
MAX_KEY = 2**61 - 2


def to_plain(value: Any, name: str) -> Any:
    """Write a value as JSON can hold it; raise a TypeError that names it if there is no way."""
    given = value
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":  # not times: they have a unit
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
        f"{name} holds {brief(given)}, which cannot be written down without pickle; needed: "
        "numbers, strings, and layers, schedules and the like of this package. joblib can save it."
    )


def from_plain(plain: Any, depth: int = 0) -> Any:
    """Read what ``to_plain`` has written; raise a ValueError where it cannot have.

    ``depth`` counts the layers that it lies in.
    """
    if not isinstance(plain, dict):
        demand(not isinstance(plain, list), "a value is a list")
        return plain
    demand(bool(plain), "a value is of no kind")
    (kind, content), *rest = plain.items()
    if kind == "spec":
        demand([key for key, _ in rest] == ["fields"], "a layer is incomplete")
        demand(depth < MAX_DEPTH, f"layers lie in layers; needed: {MAX_DEPTH} deep at most")
        inside = {name: from_plain(item, depth + 1) for name, item in plain["fields"].items()}
        return SPECS[content](**inside)
    demand(not rest and kind in ("list", "tuple", "dict"), f"a value is a {kind}")
    demand(isinstance(content, list), f"a {kind} is none")
    if kind == "dict":
        return _dict(content, depth)
    items = [from_plain(item, depth) for item in content]
    return items if kind == "list" else tuple(items)


def count_specs(plain: Any) -> int:
    """Count the layers and the like in what ``to_plain`` has written, those within others too."""
    count, waiting = 0, [plain]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            count += "spec" in item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return count


def _dict(pairs: list[Any], depth: int) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for pair in pairs:
        demand(isinstance(pair, list) and len(pair) == 2, "a dict is none")
        key = from_plain(pair[0], depth)
        demand(type(key) in (str, int, float, bool), f"a key is a {type(key).__name__}")
        demand(type(key) is not int or abs(key) <= MAX_KEY, "a key is too large an integer")
        demand(key not in found, f"a dict has the key {brief(key)} twice")
        found[key] = from_plain(pair[1], depth)
    return found


def demand(holds: bool, otherwise: str) -> None:
    """Raise a ValueError unless something holds."""
    if not holds:
        raise ValueError(otherwise)
