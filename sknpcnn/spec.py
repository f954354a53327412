"""Frozen hyperparameters that answer ``get_params``, so that a grid search can reach into them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import inf, isfinite
from numbers import Integral
from typing import Any, Self, TypeGuard

import numpy as np


@dataclass(frozen=True, repr=False)
class Spec:
    """A value made of named hyperparameters: compared by value, hashable, never modified."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the hyperparameters, and with ``deep`` those of the specs inside, by nested names."""
        params = {field.name: getattr(self, field.name) for field in fields(self)}
        return params | nested_params(params) if deep else params

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some hyperparameters changed; nested names reach inside."""
        return replace(self, **resolve(self.get_params(deep=False), changes, type(self).__name__))

    def __sklearn_clone__(self) -> Self:
        return self  # it is immutable, so it is its own clone

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={_shown(value)!r}"
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


Steps = tuple[tuple[str, Any], ...]

_LAYER = "layer", "Conv2D(16)"
_THINGS = {"augment": ("augmentation", "Shift(2)")}
"""What the lists hold, by the name of the parameter; all others hold layers."""


def named(items: Iterable[Any], owner: str = "layers") -> Steps:
    """Give every plain spec of a list a name (``conv2d_1``, ``conv2d_2``, ...), as Pipelines do.

    Items may also be ``(name, spec)`` pairs; they keep their names.
    """
    thing, example = _THINGS.get(owner, _LAYER)
    if isinstance(items, (str, Spec)) or not isinstance(items, Iterable):
        raise TypeError(f"{owner} is given {items!r}; needed: a list of {thing}s.")
    steps: list[tuple[str, Any]] = []
    count: dict[str, int] = {}
    taken: set[str] = set()
    for item in items:
        is_pair = isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str)
        spec = item[1] if is_pair else item
        if isinstance(spec, type):
            raise TypeError(
                f"{owner} holds the class {spec.__name__}; give an instance, {spec.__name__}(...)."
            )
        if not isinstance(spec, Spec):
            raise TypeError(
                f"{owner} holds {item!r} of type {type(item).__name__}; each item must be "
                f"{_a(thing)}, such as {example}, or a (name, {thing}) pair."
            )
        kind = type(spec).__name__.lower()
        count[kind] = count.get(kind, 0) + 1
        name = item[0] if is_pair else f"{kind}_{count[kind]}"
        if not name.isidentifier() or "__" in name:
            raise ValueError(
                f"{owner} names {_a(thing)} {name!r}; a name must be a Python identifier without "
                "'__'."
            )
        if name in taken:
            raise ValueError(f"{owner} names two {thing}s {name!r}; every name must be unique.")
        taken.add(name)
        steps.append((name, spec))
    return tuple(steps)


def _a(thing: str) -> str:
    return f"an {thing}" if thing[0] in "aeiou" else f"a {thing}"


def check_free(names: Iterable[str], params: Iterable[str], owner: str) -> None:
    """Refuse a name in a list that would hide a parameter."""
    hidden = sorted(set(names) & set(params))
    if hidden:
        thing, _ = _THINGS.get(owner, _LAYER)
        raise ValueError(
            f"{owner} names {_a(thing)} {hidden[0]!r}, which is the name of a parameter. "
            "Choose another one."
        )


def holds_specs(value: Any) -> bool:
    """Tell whether a parameter's value is a list of specs or of ``(name, spec)`` pairs.

    One that could not be named is no such list: ``fit`` will refuse it.
    """
    if not isinstance(value, (list, tuple)) or not value:
        return False
    try:
        named(value)
    except (TypeError, ValueError):
        return False
    return True


def _shown(value: Any) -> Any:
    """Leave out the names of layers where they are the automatic ones."""
    plain = [spec for _, spec in value] if holds_specs(value) and _all_pairs(value) else []
    return plain if plain and named(plain) == tuple(value) else value


def _all_pairs(items: Iterable[Any]) -> bool:
    return not any(isinstance(item, Spec) for item in items)


def nested_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what lies inside the parameters: ``solver__momentum``, ``conv2d_1__filters``, ..."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        inside: Steps = ((key, value),) if isinstance(value, Spec) else ()
        if holds_specs(value):
            inside = named(value, key)
            found.update((name, spec) for name, spec in inside if name not in params)
        for name, spec in inside:
            found.update((f"{name}__{sub}", v) for sub, v in spec.get_params().items())
    return found


def resolve(params: Mapping[str, Any], changes: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Turn changes by nested names into changes of whole parameters.

    A list of layers one of whose layers is changed is spelled out as ``(name, layer)`` pairs, so
    that the names stay what they were.
    """
    whole = {key: value for key, value in changes.items() if key in params}
    current = {**params, **whole}
    layers: dict[str, Any] = {}
    # all changes within one spec at a time: none of them may be possible without the others
    inside: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        head, delimiter, rest = key.partition("__")
        if key in params:
            continue
        if bool(delimiter) != bool(rest) or not _known(head, current, bool(rest)):
            raise ValueError(
                f"Invalid parameter {key!r} for {owner}. Valid parameters are: "
                f"{sorted({**current, **nested_params(current)})}."
            )
        if rest:
            inside.setdefault(head, {})[rest] = value
        else:
            layers[head] = value
    for field, items in current.items():
        if isinstance(items, Spec) and field in inside:
            whole[field] = items.replace(**inside[field])
        elif holds_specs(items):
            steps = dict(named(items, field))
            new = {name: layers.get(name, spec) for name, spec in steps.items()}
            new |= {n: new[n].replace(**inside[n]) for n in new if n in inside and n not in params}
            if new != steps:
                whole[field] = type(items)(new.items())
    return whole


def _known(head: str, params: Mapping[str, Any], as_spec: bool) -> bool:
    """Tell whether a name stands for a spec among the parameters or in one of their lists."""
    if as_spec and isinstance(params.get(head), Spec):
        return True
    lists = [named(items, field) for field, items in params.items() if holds_specs(items)]
    return any(head == name for steps in lists for name, _ in steps)


def refuse(owner: Any, name: str, needed: str) -> None:
    """Raise the error for one hyperparameter: what was given and what is needed."""
    raise ValueError(f"{type(owner).__name__}: {name}={getattr(owner, name)!r}; needed: {needed}.")


def hold_tuples(spec: Spec) -> None:
    """Turn pairs that were given as lists into tuples, which compare and hash by value."""
    for field in fields(spec):
        if isinstance(value := getattr(spec, field.name), list):
            object.__setattr__(spec, field.name, tuple(value))


def check_integer(owner: Any, name: str, minimum: int = 1) -> None:
    """Refuse a hyperparameter that is not an integer of at least ``minimum``."""
    value = getattr(owner, name)
    if not is_integer(value) or value < minimum:
        refuse(owner, name, f"an integer of at least {minimum}")


def check_pair(owner: Any, name: str, minimum: int = 1) -> None:
    """Refuse a hyperparameter that is neither an integer nor a pair of integers."""
    value = getattr(owner, name)
    numbers = value if isinstance(value, Sequence) and len(value) == 2 else (value,)
    if not all(is_integer(number) and number >= minimum for number in numbers):
        refuse(owner, name, f"an integer of at least {minimum}, or a pair (rows, columns) of them")


def check_real(owner: Any, name: str, low: float = 0.0, high: float = inf, open_: str = "") -> None:
    """Refuse a number outside ``[low, high]``; ``open_`` may name ends that are not included."""
    value = getattr(owner, name)
    inside = (
        isinstance(value, (int, float, np.floating, np.integer))
        and not isinstance(value, bool)
        and is_finite(value)
        and low <= value <= high
        and not ("low" in open_ and value == low)
        and not ("high" in open_ and value == high)
    )
    if not inside:
        left = "above" if "low" in open_ else "of at least"
        right = "" if high == inf else f" and {'below' if 'high' in open_ else 'at most'} {high}"
        refuse(owner, name, f"a number {left} {low}{right}")


def is_finite(number: Any) -> bool:
    """Tell whether a floating-point number can hold it: not infinity, nor an enormous integer."""
    try:
        return isfinite(number)
    except OverflowError:
        return False


def check_flag(owner: Any, name: str) -> None:
    """Refuse a hyperparameter that is not a bool."""
    if not isinstance(getattr(owner, name), bool):
        refuse(owner, name, "True or False")


def is_integer(value: Any) -> TypeGuard[int]:
    """Tell whether a value is an integer, and not a bool."""
    # ints first: the question whether something is Integral takes long, and is asked often
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def as_pair(value: Any) -> tuple[int, int]:
    """Turn an integer or a pair into a pair (rows, columns)."""
    if is_integer(value):
        return int(value), int(value)
    rows, columns = value
    return int(rows), int(columns)
