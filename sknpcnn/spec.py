"""Frozen hyperparameters that answer ``get_params``, so that a grid search can reach into them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, fields, replace
from inspect import isfunction
from typing import Any, Self

from sknpcnn.brief import brief
from sknpcnn.checks import (
    as_pair,
    check_flag,
    check_integer,
    check_pair,
    check_real,
    is_finite,
    is_integer,
    plain_items,
    refuse,
)
from sknpcnn.suggestions import KnownKeywords, elsewhere, instance_of, meant

MAX_DEPTH = 32
"""How deep layers may lie inside each other: copying takes about twelve Python frames per level,
of which there are a thousand, and the caller needs some."""
MAX_SPECS = 2**16
"""How many layers may lie inside one; a few that are used again and again are soon many."""


@dataclass(frozen=True, repr=False)
class Spec(KnownKeywords):
    """A value made of named hyperparameters: compared by value, hashable, never modified.

    What the ``check_`` functions have accepted is kept as Python's own numbers and tuples. A
    number of lower precision stands for what it holds: np.float32(0.1) for 0.10000000149011612.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the hyperparameters, and with ``deep`` those of the specs inside, by nested names."""
        params = {field.name: getattr(self, field.name) for field in fields(self)}
        return params | nested_params(params) if deep else params

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some hyperparameters changed; nested names reach inside."""
        return replace(self, **resolve(self.get_params(deep=False), changes, self))

    def __sklearn_clone__(self) -> Self:
        return self  # it is immutable, so it is its own clone

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={_shown(value)!r}"
            for field in fields(self)
            if not _is_default(value := getattr(self, field.name), field)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


def _is_default(value: Any, field: Field) -> bool:
    """Return whether a value is its default; what cannot be compared, such as an array, is not."""
    try:
        return type(value) is type(field.default) and bool(value == field.default)
    except Exception:  # a comparison may raise whatever it likes
        return False


Steps = tuple[tuple[str, Any], ...]

_LAYER = "layer", "Conv2D(16)"
_THINGS = {"augment": ("augmentation", "Shift(2)")}
"""What the lists hold, by the name of the parameter; all others hold layers."""


def named(items: Any, owner: str = "layers", kind: type | None = None) -> Steps:
    """Give every plain spec of a list a name (``conv2d_1``, ``conv2d_2``, ...), as Pipelines do.

    Items may also be ``(name, spec)`` pairs; they keep their names. ``kind`` is what they have to
    be instances of, by default any Spec.
    """
    thing, example = _THINGS.get(owner, _LAYER)
    if (given := plain_items(items)) is None:
        raise TypeError(f"{owner} is given {brief(items)}; needed: a list of {thing}s.")
    steps: dict[str, Any] = {}
    count: dict[str, int] = {}
    for item in given:
        pair = plain_items(item) or []
        is_pair = len(pair) == 2 and isinstance(pair[0], str)
        spec = pair[1] if is_pair else item
        if isinstance(spec, type):
            raise TypeError(
                f"{owner} holds the class {spec.__name__}; give an instance, {spec.__name__}(...)."
            )
        if not isinstance(spec, kind or Spec):
            raise TypeError(
                f"{owner} holds {brief(item)} of type {type(item).__name__}; each item must be "
                f"{_a(thing)}, such as {example}, or a (name, {thing}) pair.{_instead(spec, thing)}"
            )
        word = type(spec).__name__.lower()
        count[word] = count.get(word, 0) + 1
        name = str.__str__(pair[0]) if is_pair else f"{word}_{count[word]}"
        if not name.isidentifier() or "__" in name:
            raise ValueError(
                f"{owner} names {_a(thing)} {brief(name)}; a name must be a Python identifier "
                "without '__'."
            )
        if name in steps:
            raise ValueError(
                f"{owner} names two {thing}s {brief(name)}; every name must be unique."
            )
        steps[name] = spec
    return tuple(steps.items())


def _instead(item: Any, thing: str) -> str:
    """Return what to write in place of an item of a list that is no spec, if that is known."""
    if isfunction(item):
        return f" Call the function: {item.__name__}()."
    inner = plain_items(item)
    if inner and all(isinstance(spec, Spec) for spec in inner):
        return " Take it out of its list: a network is one list, *inner unpacks another."
    example = instance_of(item) if thing == "layer" else ""
    return f" Did you mean {example}?" if example else ""


def _a(thing: str) -> str:
    return f"an {thing}" if thing[0] in "aeiou" else f"a {thing}"


def check_free(names: Iterable[str], params: Iterable[str], owner: str) -> None:
    """Refuse a name in a list that would hide a parameter."""
    hidden = sorted(set(names) & set(params))
    if hidden:
        thing, _ = _THINGS.get(owner, _LAYER)
        raise ValueError(
            f"{owner} names {_a(thing)} {brief(hidden[0])}, which is the name of a parameter. "
            "Choose another one."
        )


def check_nesting(value: Any, owner: str) -> None:
    """Raise if specs lie too deep inside each other, or are too many in all.

    What walks through them, in this package and outside, calls itself once or more for each level.
    """
    level = list(_specs_in(value))
    depth = count = 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > MAX_DEPTH:
            raise ValueError(
                f"{owner}: more than {MAX_DEPTH} levels, one inside the other; needed: fewer. A "
                "network may be long without being nested: put its layers one after the other into "
                "one list."
            )
        if count > MAX_SPECS:
            raise ValueError(f"{owner}: more than {MAX_SPECS} parts; needed: fewer.")
        level = [
            spec
            for above in level
            for field in fields(above)
            for spec in _specs_in(getattr(above, field.name))
        ]


def _specs_in(value: Any) -> Iterator["Spec"]:
    """Go through the specs that a value is, or holds directly, with names or without."""
    if isinstance(value, Spec):
        yield value
    for item in plain_items(value) or ():
        pair = plain_items(item)
        yield from (spec for spec in (pair or [item]) if isinstance(spec, Spec))


def holds_specs(value: Any) -> bool:
    """Tell whether a parameter's value is a list of specs or of ``(name, spec)`` pairs.

    One that could not be named is no such list: ``fit`` will refuse it.
    """
    if not plain_items(value):
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


def resolve(params: Mapping[str, Any], changes: Mapping[str, Any], owner: Any) -> dict[str, Any]:
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
            instead = _valid(key, value, current, type(owner))
            raise ValueError(f"Invalid parameter {brief(key)} for {type(owner).__name__}{instead}")
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
            for name in new.keys() & inside.keys() - params.keys():
                if not isinstance(new[name], Spec):
                    raise TypeError(
                        f"{name} is set to {brief(new[name])}, which has no parameters."
                    )
                new[name] = new[name].replace(**inside[name])
            if any(new[name] is not steps[name] for name in steps):  # 1 is equal to True
                whole[field] = type(items)(new.items())
    return whole


def _valid(key: str, value: Any, params: Mapping[str, Any], owner: type) -> str:
    """Return the end of the error about an invalid name: what was probably meant."""
    head, _, rest = key.partition("__")
    if rest and head in params:
        word = params[head]
        example = instance_of(word)
        instead = f" Give an instance, such as {example}." if example else ""
        return f": {head}={brief(word)} has no parameters.{instead}"
    return meant(key, value, [*params, *nested_params(params)], elsewhere(owner))


def _known(head: str, params: Mapping[str, Any], as_spec: bool) -> bool:
    """Tell whether a name stands for a spec among the parameters or in one of their lists."""
    if as_spec and isinstance(params.get(head), Spec):
        return True
    lists = [named(items, field) for field, items in params.items() if holds_specs(items)]
    return any(head == name for steps in lists for name, _ in steps)


__all__ = [
    "Spec",
    "as_pair",
    "check_flag",
    "check_free",
    "check_integer",
    "check_nesting",
    "check_pair",
    "check_real",
    "holds_specs",
    "is_finite",
    "is_integer",
    "named",
    "nested_params",
    "refuse",
    "resolve",
]
