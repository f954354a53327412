"""Hashes of arbitrary values that are equal only for equal behavior, and stable across processes.

Plain values are hashed with their types. Objects are reduced as by pickle, together with their
classes. Code that belongs neither to this package nor to an installed library is hashed itself:
instructions, constants, defaults, closures, and every global that it reads. So a layer or scorer
that has been edited, or whose constants have changed, has another hash.

The hash is computed in one pass over all reachable objects; an object that is reached again is
replaced by its number, so that shared and circular references are cheap.
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

from sknpcnn._training.code import global_reads, is_replaced, version_of
from sknpcnn.spec import Spec

MAX_OBJECTS = 100_000
"""Maximum number of objects in a value; more than any parameter of a fit should hold."""

_IMPORTS = {"import"}
# Names that let a function read globals that its code does not name.
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
"""Attributes of a class that are derived from the others, or are only documentation."""


class IndescribableError(ValueError):
    """Raised for values that cannot be described faithfully."""


def described(value: Any) -> str:
    """Return a hash of a value and of everything that its behavior depends on."""
    try:
        return _Description({}, []).of(value)
    except RecursionError:
        raise IndescribableError(f"{_short(value)}, which is nested too deeply") from None


class _Description:
    """The state of one hash.

    ``values`` caches the hashes of specs, which depend on their content, so that it makes no
    difference whether two layers are the same object; and of members of sets. ``visited`` counts
    all objects, those of nested hashes included.
    """

    def __init__(self, values: dict[int, tuple[Any, str]], visited: list[None]) -> None:
        self._values = values
        self._visited = visited
        self._digest = blake2b(digest_size=16)
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # else another object could reuse an id

    def of(self, value: Any) -> str:
        """Hash a value and then its parts, depth first."""
        waiting = [value]
        while waiting:
            self._visited.append(None)
            if len(self._visited) > MAX_OBJECTS:
                raise IndescribableError(f"more than {MAX_OBJECTS:,} objects ({_short(value)})")
            waiting.extend(reversed(self._parts_of(waiting.pop())))
        return self._digest.hexdigest()

    def _update(self, *words: Any) -> None:
        for word in words:
            text = str(word).encode("utf-8", "surrogatepass")
            self._digest.update(len(text).to_bytes(8, "little") + text)

    def _parts_of(self, value: Any) -> list[Any]:
        """Hash the kind of a value; return its parts, which are hashed next."""
        if type(value) in _ATOMS:
            self._update(type(value).__name__, hex(value) if type(value) is int else repr(value))
            return []
        if type(value) is tuple and all(type(item) in _ATOMS for item in value):
            self._update("tuple", len(value))
            return list(value)
        if isinstance(value, Spec):
            self._update("spec", self._hash_of(value, _content_of))
            return []
        if (number := self._numbers.get(id(value))) is not None:
            self._update("again", number)
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
            self._values[id(value)] = value, "itself"  # until its hash is known
            inside = _Description(self._values, self._visited).of(content(value))
            known = self._values[id(value)] = value, inside
        return known[1]

    def _plain(self, value: Any) -> list[Any] | None:
        """Hash containers and NumPy arrays; return None for other values."""
        kind = type(value)
        if kind in (tuple, list):
            self._update(kind.__name__, len(value))
            return list(value)
        if kind is dict:
            self._update("dict", len(value))
            return [part for item in value.items() for part in item]
        if kind in (set, frozenset):  # in an order that does not depend on their hashes
            self._update(kind.__name__, *sorted(map(self._hash_of, value)))
            return []
        if kind is bytearray:
            self._update("bytearray")
            return [bytes(value)]
        if isinstance(value, np.generic):
            self._update("scalar", value.dtype.str, value.tobytes().hex())
            return []
        if kind in (np.ndarray, np.memmap):
            self._update("array", value.dtype.str, value.dtype.descr, value.shape)
            if value.dtype.hasobject:
                items: list[Any] = value.ravel().tolist()
                return items
            self._digest.update(blake2b(value.tobytes()).digest())
            return []
        return None

    def _code(self, value: Any) -> list[Any] | None:
        """Hash functions, classes and other objects with code; return None for other values."""
        kind = type(value)
        if isinstance(value, ModuleType):
            if (version := version_of(value.__name__)) is None:
                raise IndescribableError(f"the whole module {value.__name__}")
            self._update("module", value.__name__, version)
            return []
        if kind is MethodType:
            self._update("method")
            return [value.__func__, value.__self__]
        if kind is CodeType:
            self._update("code", value.co_code.hex(), value.co_exceptiontable.hex())
            self._update(value.co_flags, value.co_argcount, value.co_kwonlyargcount)
            names = value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars
            return [*names, value.co_consts]
        if kind is property:
            self._update("property")
            return [value.fget, value.fset, value.fdel]
        if kind in (staticmethod, classmethod):
            self._update(kind.__name__)
            return [value.__func__]
        if kind is cached_property:
            self._update("cached_property")
            return [value.func]
        if kind is BuiltinFunctionType and not isinstance(value.__self__, (ModuleType, NoneType)):
            self._update("builtin method", value.__name__)
            return [value.__self__]
        if isinstance(value, np.ufunc):
            homes = [m for n in ("numpy", "scipy.special") if (m := sys.modules.get(n)) is not None]
            home = next((m for m in homes if getattr(m, value.__name__, None) is value), None)
            if home is None:
                raise IndescribableError(f"the ufunc {value.__name__}, whose code is hidden")
            self._update("ufunc", value.__name__)
            return [home]
        compiled = kind.__name__ == "cython_function_or_method"
        if compiled or isinstance(value, (type, FunctionType, BuiltinFunctionType)):
            return self._named(value)
        if kind is _CACHED:
            self._update("lru_cache")
            return [value.__wrapped__, value.cache_parameters()]
        if kind is TypeVar:
            self._update("type variable", value.__name__)
            return []
        return None

    def _named(self, value: Any) -> list[Any]:
        """Hash a named object by its name, and by its code if it belongs to no library."""
        module = str(getattr(value, "__module__", None) or "builtins")
        name = getattr(value, "__qualname__", value.__name__)
        self._update("named", type(value).__name__, module, name)
        version = version_of(module)
        inner = "<locals>" in name  # created by a function, and not unique
        if version is not None and is_replaced(value, module, name):
            version = None  # the user's code under the name of a library
        if version is not None and not inner:
            self._update(version)
            return []
        if isinstance(value, type):
            return [*self._class(value), version]
        if isinstance(value, FunctionType):
            if version is None:
                return [*self._function(value), *self._read_by(value)]
            return [*self._function(value), version]
        raise IndescribableError(f"{module}.{name}, of a library whose version is unknown")

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
        """Return the globals that a function reads; for modules, the attributes that it reads."""
        found: list[Any] = []
        for name, *attributes in sorted(set(global_reads(value.__code__))):
            if (name, *attributes[:1]) in _ANYTHING or (name,) in _ANYTHING:
                raise IndescribableError(f"{value.__qualname__}, which may read any global")
            if name in _IMPORTS:  # inside the function
                found += self._imported(attributes)
                continue
            if name not in value.__globals__:
                found.append(name)  # a builtin, or not defined yet
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
        """Return what a function imports when it runs: a module, and names from it."""
        module, *taken = names
        version = version_of(module)
        if version is not None:
            return [module, version, taken]
        if not taken or module not in sys.modules:
            raise IndescribableError(f"a function that imports {module} when it runs")
        return [getattr(sys.modules[module], name, "missing") for name in taken]

    def _object(self, value: Any) -> list[Any]:
        """Hash an object by its class and by its reduction as by pickle."""
        kind = type(value)
        try:
            special = copyreg.dispatch_table.get(kind)
            reduced: Any = value.__reduce_ex__(4) if special is None else special(value)
        except Exception as error:  # an unpicklable object may raise anything
            raise IndescribableError(f"{_short(value)}, which cannot be copied") from error
        if isinstance(reduced, str):
            if version_of(str(getattr(value, "__module__", None) or kind.__module__)) is None:
                raise IndescribableError(f"{_short(value)}, which pickles as a name only")
            self._update("global", kind.__qualname__, reduced)
            return [kind]
        parts = [
            list(islice(part, MAX_OBJECTS + 1)) if hasattr(part, "__next__") else part
            for part in reduced
        ]
        if len(parts) > 2 and type(parts[2]) is dict and all(type(n) is str for n in parts[2]):
            parts[2] = dict(sorted(parts[2].items()))
        if isinstance(value, np.ndarray):  # whose pickle omits attributes of a subclass
            parts.append(dict(sorted(getattr(value, "__dict__", {}).items())))
        self._update("object", len(parts))
        self._alive.append(parts)
        return [kind, *parts]


def _content_of(spec: Spec) -> list[Any]:
    """Return the class and hyperparameters of a spec, and its other attributes."""
    cached = {
        n for k in type(spec).__mro__ for n, v in vars(k).items() if type(v) is cached_property
    }
    found = {field.name: getattr(spec, field.name) for field in fields(spec)}
    others = getattr(spec, "__dict__", {}).items()
    return [type(spec), {**found, **{n: v for n, v in others if n not in cached}}]


def _short(value: Any) -> str:
    kind = type(value)
    return f"an object of {kind.__module__}.{kind.__qualname__}"
