"""Frozen hyperparameters with ``get_params``, so that a grid search can set nested ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, fields, replace
from functools import wraps
from inspect import isfunction
from typing import Any, Self

from sknpcnn._values.brief import brief, unshowable
from sknpcnn._values.checks import (
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
from sknpcnn._values.suggestions import (
    KnownKeywords,
    foreign_keywords,
    instance_of,
    suggest_keyword,
)

MAX_DEPTH = 32
"""Maximum nesting of layers: copying takes about twelve Python frames per level, and Python's limit
is a thousand, of which the caller needs some."""
MAX_SPECS = 2**16
"""Maximum number of nested layers, counted as often as they are used."""


@dataclass(frozen=True, repr=False)
class Spec(KnownKeywords):
    """An immutable value made of named hyperparameters: compared by value and hashable.

    The ``check_`` functions convert hyperparameters to plain Python types. A number of lower
    precision keeps its exact value: np.float32(0.1) becomes 0.10000000149011612.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = vars(cls).get("__repr__")
        if own is not None:  # of the user, and part of what every estimator around it shows
            type.__setattr__(cls, "__repr__", _never_raising(own))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the hyperparameters, with ``deep`` also those of nested specs, by nested names."""
        params = {field.name: getattr(self, field.name) for field in fields(self)}
        return params | nested_params(params) if deep else params

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some hyperparameters changed, also by nested names."""
        return replace(self, **resolve(self.get_params(deep=False), changes, self))

    def __sklearn_clone__(self) -> Self:
        return self  # it is immutable, so it is its own clone

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={_safe_repr(unnamed(value))}"
            for field in fields(self)
            if not is_default(value := getattr(self, field.name, None), field)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


def is_default(value: Any, field: Field[Any]) -> bool:
    """Return whether a value is its default; False if it cannot be compared, as an array."""
    try:
        return type(value) is type(field.default) and bool(value == field.default)
    except Exception:  # a comparison may raise anything
        return False


def _never_raising(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """Return a repr that describes what it cannot show, instead of raising."""

    @wraps(show)
    def shown(self: Any) -> str:
        try:
            return str.__str__(show(self))
        except Exception:  # it may raise anything
            return unshowable(self)

    return shown


_safe_repr = _never_raising(repr)


Steps = tuple[tuple[str, Any], ...]

_LAYER = "layer", "Conv2D(16)"
_KINDS = {"augment": ("augmentation", "Shift(2)")}
"""The kind of items by name of the parameter; other lists hold layers."""


def named(items: Any, owner: str = "layers", kind: type | None = None) -> Steps:
    """Name every plain spec of a list (``conv2d_1``, ``conv2d_2``, ...), as pipelines do.

    Items may also be ``(name, spec)`` pairs, which keep their names. ``kind`` is the class of which
    they must be instances, by default Spec.
    """
    word, example = _KINDS.get(owner, _LAYER)
    if (given := plain_items(items)) is None:
        raise TypeError(f"{owner} is given {brief(items)}; needed: a list of {word}s.")
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
                f"{_a(word)}, such as {example}, or a (name, {word}) pair.{_instead(spec, word)}"
            )
        lower = type(spec).__name__.lower()
        count[lower] = count.get(lower, 0) + 1
        name = str.__str__(pair[0]) if is_pair else f"{lower}_{count[lower]}"
        if not name.isidentifier() or "__" in name:
            raise ValueError(
                f"{owner} names {_a(word)} {brief(name)}; a name must be a Python identifier "
                "without '__'."
            )
        if name in steps:
            raise ValueError(f"{owner} names two {word}s {brief(name)}; every name must be unique.")
        steps[name] = spec
    return tuple(steps.items())


def _instead(item: Any, word: str) -> str:
    """Return a hint what to write instead of an item that is not a spec, if there is one."""
    if isfunction(item):
        return f" Call the function: {item.__name__}()."
    inner = plain_items(item)
    if inner and all(isinstance(spec, Spec) for spec in inner):
        return " Take it out of its list: a network is one list, *inner unpacks another."
    example = instance_of(item) if word == "layer" else ""
    return f" Did you mean {example}?" if example else ""


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def check_reserved(names: Iterable[str], params: Iterable[str], owner: str) -> None:
    """Raise if a name in a list is that of a parameter, which it would hide."""
    hidden = sorted(set(names) & set(params))
    if hidden:
        word, _ = _KINDS.get(owner, _LAYER)
        raise ValueError(
            f"{owner} names {_a(word)} {brief(hidden[0])}, which is the name of a parameter. "
            "Choose another one."
        )


def check_nesting(value: Any, owner: str) -> None:
    """Raise if specs are nested too deeply, or are too many.

    Code that walks through them, in this package and elsewhere, is recursive.
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
    """Iterate over the specs that a value is or directly holds, named or not."""
    if isinstance(value, Spec):
        yield value
    for item in plain_items(value) or ():
        pair = plain_items(item)
        yield from (spec for spec in (pair or [item]) if isinstance(spec, Spec))


def holds_specs(value: Any) -> bool:
    """Return whether a parameter's value is a list of specs or of ``(name, spec)`` pairs.

    False for a list that cannot be named, which ``fit`` will reject.
    """
    if not plain_items(value):
        return False
    try:
        named(value)
    except (TypeError, ValueError):
        return False
    return True


def unnamed(value: Any) -> Any:
    """Omit the names of layers if they are the automatic ones."""
    plain = [spec for _, spec in value] if holds_specs(value) and _all_pairs(value) else []
    return plain if plain and named(plain) == tuple(value) else value


def _all_pairs(items: Iterable[Any]) -> bool:
    return not any(isinstance(item, Spec) for item in items)


def nested_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested parameters by name: ``solver__momentum``, ``conv2d_1__filters``, ..."""
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
    """Convert changes by nested names into changes of whole parameters.

    A list of layers in which a layer changes becomes ``(name, layer)`` pairs, so that the names
    stay the same.
    """
    whole = {key: value for key, value in changes.items() if key in params}
    current = {**params, **whole}
    layers: dict[str, Any] = {}
    # all changes within one spec at once: one may be valid only together with another
    inside: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        head, delimiter, rest = key.partition("__")
        if key in params:
            continue
        if bool(delimiter) != bool(rest) or not _names_spec(head, current, bool(rest)):
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
    """Return the end of the error about an invalid name: a suggestion."""
    head, _, rest = key.partition("__")
    if rest and head in params:
        word = params[head]
        example = instance_of(word)
        instead = f" Give an instance, such as {example}." if example else ""
        return f": {head}={brief(word)} has no parameters.{instead}"
    return suggest_keyword(key, value, [*params, *nested_params(params)], foreign_keywords(owner))


def _names_spec(head: str, params: Mapping[str, Any], as_spec: bool) -> bool:
    """Return whether a name is that of a spec among the parameters or in one of their lists."""
    if as_spec and isinstance(params.get(head), Spec):
        return True
    lists = [named(items, field) for field, items in params.items() if holds_specs(items)]
    return any(head == name for steps in lists for name, _ in steps)


__all__ = [
    "Spec",
    "as_pair",
    "check_flag",
    "check_integer",
    "check_nesting",
    "check_pair",
    "check_real",
    "check_reserved",
    "holds_specs",
    "is_default",
    "is_finite",
    "is_integer",
    "named",
    "nested_params",
    "refuse",
    "resolve",
    "unnamed",
]
