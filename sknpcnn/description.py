"""Describes any value so that equal descriptions mean equal behavior, the same in every process.

Plain values are spelled out with their types. Objects are taken apart as by pickle, together with
their classes. Of code that is neither of this package nor of an installed library it is the code
that counts: instructions, constants, defaults, closures, and every global that it reads. So a layer
or scorer that has been edited, or the numbers it works with, is another one.

A description is a hash. It is made in one pass over everything that can be reached; what is met
again is referred to by its number, so that shared and circular objects take no longer than others.
"""

import copyreg
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import islice
from types import (
    BuiltinFunctionType,
    CodeType,
    EllipsisType,
    FunctionType,
    MethodType,
    ModuleType,
    NoneType,
    NotImplementedType,
)
from typing import Any, TypeVar

import numpy as np

from sknpcnn.code import global_reads, is_another, version_of
from sknpcnn.spec import Spec

MAX_OBJECTS = 100_000
"""How many objects a value may consist of: a figure or a whole program is none of a fit's."""

_IMPORTS = {"import"}
# What lets a function read anything by a name that is not in its code.
_ANYTHING: set[tuple[str, ...]] = {("globals",), ("eval",), ("exec",), ("__import__",)}
_ANYTHING |= {("importlib", "import_module"), ("sys", "modules")}
_CACHED: Any = type(lru_cache(len))
_ATOMS = (NoneType, bool, int, float, complex, str, bytes, EllipsisType, NotImplementedType)
_OF_EVERY_CLASS = {
    *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "_abc_impl"),
    *("__firstlineno__", "__static_attributes__", "__annotations__", "__annotations_cache__"),
    *(
        "__slotnames__",
        "__annotate__",
        "__annotate_func__",
        "__abstractmethods__",
        "__dataclass_params__",
    ),
}
"""What a class has that follows from all else, or that only people read."""


class IndescribableError(ValueError):
    """Says what cannot be described faithfully."""


def described(value: Any) -> str:
    """Return a hash of a value and of all that its behavior depends on."""
    try:
        return _Description({}, []).of(value)
    except RecursionError:
        raise IndescribableError(f"{_short(value)}, which is nested too deep") from None


class _Description:
    """One description that is being made.

    ``values`` holds the hashes of specs, which are equal where their content is, so that it makes
    no difference whether two layers are one object; and those of what lies in sets. ``met`` counts
    what has been met, in the descriptions of parts too.
    """

    def __init__(self, values: dict[int, tuple[Any, str]], met: list[None]) -> None:
        self._values = values
        self._met = met
        self._digest = blake2b(digest_size=16)
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # else another object could get the same id

    def of(self, value: Any) -> str:
        """Describe a value: what it is, then what it consists of, one after the other."""
        waiting = [value]
        while waiting:
            self._met.append(None)
            if len(self._met) > MAX_OBJECTS:
                raise IndescribableError(f"more than {MAX_OBJECTS:,} objects ({_short(value)})")
            waiting.extend(reversed(self._parts_of(waiting.pop())))
        return self._digest.hexdigest()

    def _say(self, *words: Any) -> None:
        for word in words:
            text = str(word).encode("utf-8", "surrogatepass")
            self._digest.update(len(text).to_bytes(8, "little") + text)

    def _parts_of(self, value: Any) -> list[Any]:
        """Say what a value is; return what it consists of, which comes next."""
        if type(value) in _ATOMS:
            self._say(type(value).__name__, hex(value) if type(value) is int else repr(value))
            return []
        if type(value) is tuple and all(type(item) in _ATOMS for item in value):
            self._say("tuple", len(value))
            return list(value)
        if isinstance(value, Spec):
            self._say("spec", self._hash_of(value, _content_of))
            return []
        if (number := self._numbers.get(id(value))) is not None:
            self._say("again", number)
            return []
        self._numbers[id(value)] = len(self._numbers)
        self._alive.append(value)
        parts = self._plain(value)
        if parts is None:
            parts = self._code(value)
        return self._object(value) if parts is None else parts

    def _hash_of(self, value: Any, content: Callable[[Any], Any] = lambda value: value) -> str:
        known = self._values.get(id(value))
        if known is None:
            self._values[id(value)] = value, "itself"  # until it is known
            inside = _Description(self._values, self._met).of(content(value))
            known = self._values[id(value)] = value, inside
        return known[1]

    def _plain(self, value: Any) -> list[Any] | None:
        """Describe containers and arrays of NumPy."""
        kind = type(value)
        if kind in (tuple, list):
            self._say(kind.__name__, len(value))
            return list(value)
        if kind is dict:
            self._say("dict", len(value))
            return [part for item in value.items() for part in item]
        if kind in (set, frozenset):  # in an order that does not depend on their hashes
            self._say(kind.__name__, *sorted(map(self._hash_of, value)))
            return []
        if kind is bytearray:
            self._say("bytearray")
            return [bytes(value)]
        if isinstance(value, np.generic):
            self._say("scalar", value.dtype.str, value.tobytes().hex())
            return []
        if kind in (np.ndarray, np.memmap):
            self._say("array", value.dtype.str, value.dtype.descr, value.shape)
            if value.dtype.hasobject:
                return value.ravel().tolist()
            self._digest.update(blake2b(value.tobytes()).digest())
            return []
        return None

    def _code(self, value: Any) -> list[Any] | None:
        """Describe functions, classes and what else holds code."""
        kind = type(value)
        if isinstance(value, ModuleType):
            if (version := version_of(value.__name__)) is None:
                raise IndescribableError(f"the whole module {value.__name__}")
            self._say("module", value.__name__, version)
            return []
        if kind is MethodType:
            self._say("method")
            return [value.__func__, value.__self__]
        if kind is CodeType:
            self._say("code", value.co_code.hex(), value.co_exceptiontable.hex())
            self._say(value.co_flags, value.co_argcount, value.co_kwonlyargcount)
            names = value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars
            return [*names, value.co_consts]
        if kind is property:
            self._say("property")
            return [value.fget, value.fset, value.fdel]
        if kind in (staticmethod, classmethod):
            self._say(kind.__name__)
            return [value.__func__]
        if kind is cached_property:
            self._say("cached_property")
            return [value.func]
        if kind is BuiltinFunctionType and not isinstance(value.__self__, (ModuleType, NoneType)):
            self._say("builtin method", value.__name__)
            return [value.__self__]
        if isinstance(value, np.ufunc):
            homes = [m for n in ("numpy", "scipy.special") if (m := sys.modules.get(n)) is not None]
            home = next((m for m in homes if getattr(m, value.__name__, None) is value), None)
            if home is None:
                raise IndescribableError(f"the ufunc {value.__name__}, whose code nobody can see")
            self._say("ufunc", value.__name__)
            return [home]
        compiled = kind.__name__ == "cython_function_or_method"
        if compiled or isinstance(value, (type, FunctionType, BuiltinFunctionType)):
            return self._named(value)
        if kind is _CACHED:
            self._say("lru_cache")
            return [value.__wrapped__, value.cache_parameters()]
        if kind is TypeVar:
            self._say("type variable", value.__name__)
            return []
        return None

    def _named(self, value: Any) -> list[Any]:
        """Describe what has a name by that, and by its code where it is nobody's library."""
        module = str(getattr(value, "__module__", None) or "builtins")
        name = getattr(value, "__qualname__", value.__name__)
        self._say("named", type(value).__name__, module, name)
        version = version_of(module)
        inner = "<locals>" in name  # one of many that a function has made
        if version is not None and is_another(value, module, name):
            version = None  # code of the user's in the name of a library
        if version is not None and not inner:
            self._say(version)
            return []
        if isinstance(value, type):
            return [*self._class(value), version]
        if isinstance(value, FunctionType):
            if version is None:
                return [*self._function(value), *self._read_by(value)]
            return [*self._function(value), version]
        raise IndescribableError(f"{module}.{name}, of a library whose version nobody knows")

    def _class(self, value: type) -> list[Any]:
        own = {name: vars(value)[name] for name in sorted(vars(value))}
        slots = [n for n, thing in own.items() if type(thing).__name__ == "member_descriptor"]
        fields = own.pop("__dataclass_fields__", {})
        kept = {n: t for n, t in own.items() if n not in {*_OF_EVERY_CLASS, *slots}}
        spelled = [
            (f.name, f.default, f.default_factory, f.init, f.kw_only, dict(f.metadata))
            for f in fields.values()
        ]
        return [kept, slots, spelled, list(value.__bases__), type(value)]

    def _function(self, value: FunctionType) -> list[Any]:
        cells = []
        for cell in value.__closure__ or ():
            try:
                cells.append([cell.cell_contents])
            except ValueError:  # still empty
                cells.append([])
        parts = [value.__code__, value.__defaults__, value.__kwdefaults__, cells]
        return [*parts, dict(sorted(vars(value).items()))]

    def _read_by(self, value: FunctionType) -> list[Any]:
        """Collect the globals that a function reads; of a module, what is read of it."""
        found: list[Any] = []
        for name, *attributes in sorted(set(global_reads(value.__code__))):
            if (name, *attributes[:1]) in _ANYTHING or (name,) in _ANYTHING:
                raise IndescribableError(f"{value.__qualname__}, which reads what only it knows")
            if name in _IMPORTS:  # inside of the function
                found += self._imported(attributes)
                continue
            if name not in value.__globals__:
                found.append(name)  # a builtin, or not there yet
                continue
            thing = value.__globals__[name]
            path = [name]
            while (
                isinstance(thing, ModuleType) and attributes and version_of(thing.__name__) is None
            ):
                path.append(attributes.pop(0))
                if not hasattr(thing, path[-1]):
                    break
                thing = getattr(thing, path[-1])
            found += [".".join(path), thing]
        return found

    def _imported(self, names: list[str]) -> list[Any]:
        """Describe what a function imports when it runs: a module, and what it takes of it."""
        module, *taken = names
        version = version_of(module)
        if version is not None:
            return [module, version, taken]
        if not taken or module not in sys.modules:
            raise IndescribableError(f"a function that imports {module} when it runs")
        return [getattr(sys.modules[module], name, "missing") for name in taken]

    def _object(self, value: Any) -> list[Any]:
        """Describe an object by its class and by what pickle would make it from."""
        kind = type(value)
        try:
            special = copyreg.dispatch_table.get(kind)
            made: Any = value.__reduce_ex__(4) if special is None else special(value)
        except Exception as error:  # what cannot be pickled raises whatever it likes
            raise IndescribableError(f"{_short(value)}, which cannot be copied") from error
        if isinstance(made, str):
            if version_of(str(getattr(value, "__module__", None) or kind.__module__)) is None:
                raise IndescribableError(f"{_short(value)}, of which only the name is known")
            self._say("global", kind.__qualname__, made)
            return [kind]
        parts = [
            list(islice(part, MAX_OBJECTS + 1)) if hasattr(part, "__next__") else part
            for part in made
        ]
        if len(parts) > 2 and type(parts[2]) is dict and all(type(n) is str for n in parts[2]):
            parts[2] = dict(sorted(parts[2].items()))
        if isinstance(value, np.ndarray):  # whose pickle leaves out what a subclass keeps beside it
            parts.append(dict(sorted(getattr(value, "__dict__", {}).items())))
        self._say("object", len(parts))
        self._alive.append(parts)
        return [kind, *parts]


def _content_of(spec: Spec) -> list[Any]:
    """Return the class and hyperparameters of a spec, and what it was given beside them."""
    cached = {
        n for k in type(spec).__mro__ for n, v in vars(k).items() if type(v) is cached_property
    }
    found = {field.name: getattr(spec, field.name) for field in fields(spec)}
    beside = getattr(spec, "__dict__", {}).items()
    return [type(spec), {**found, **{n: v for n, v in beside if n not in cached}}]


def _short(value: Any) -> str:
    kind = type(value)
    return f"an object of {kind.__module__}.{kind.__qualname__}"
