"""Describes any value so that equal descriptions mean equal behavior, the same in every process.

Plain values are spelled out with their types. Objects are taken apart as by pickle, together with
their classes. Of code that is neither of this package nor of an installed library it is the code
that counts: instructions, constants, defaults, closures, and every global that it reads. So a layer
or scorer that has been edited, or the numbers it works with, is another one.

A description is a hash. It is made in one pass over everything that can be reached; what is met
again is referred to by its number, so that shared and circular objects take no longer than others.
"""

import dis
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cached_property, lru_cache
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
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
from typing import Any

import numpy as np

from sknpcnn.spec import Spec

MAX_OBJECTS = 100_000
"""How many objects a value may consist of: a figure or a whole program is none of a fit's."""

_ATOMS = (NoneType, bool, int, float, complex, str, bytes, EllipsisType, NotImplementedType)
_OF_EVERY_CLASS = {
    *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "_abc_impl"),
    *("__firstlineno__", "__static_attributes__", "__annotations__", "__annotations_cache__"),
    *("__annotate__", "__annotate_func__", "__abstractmethods__", "__dataclass_params__"),
}
"""What a class has that follows from all else, or that only people read."""


class IndescribableError(ValueError):
    """Says what cannot be described faithfully."""


def described(value: Any) -> str:
    """Return a hash of a value and of all that its behavior depends on."""
    return _Description({}).of(value)


class _Description:
    """One description that is being made.

    ``values`` holds the hashes of specs, which are equal where their content is, so that it makes
    no difference whether two layers are one object.
    """

    def __init__(self, values: dict[int, tuple[Any, str]]) -> None:
        self._values = values
        self._digest = blake2b(digest_size=16)
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # else another object could get the same id

    def of(self, value: Any) -> str:
        """Describe a value: what it is, then what it consists of, one after the other."""
        waiting = [value]
        while waiting:
            if len(self._alive) > MAX_OBJECTS:
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
            self._say("spec", self._hash_of(value))
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

    def _hash_of(self, spec: Spec) -> str:
        known = self._values.get(id(spec))
        if known is None:
            self._values[id(spec)] = spec, "itself"  # until it is known
            inside = _Description(self._values).of([type(spec), vars(spec)])
            known = self._values[id(spec)] = spec, inside
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
            self._say(kind.__name__, *sorted(_Description(self._values).of(i) for i in value))
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
            if (version := _version(value.__name__)) is None:
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
        if hasattr(value, "__wrapped__"):  # such as what lru_cache makes
            self._say("wrapper", kind.__qualname__)
            return [kind, value.__wrapped__]
        return None

    def _named(self, value: Any) -> list[Any]:
        """Describe what has a name by that, and by its code where it is nobody's library."""
        module = str(getattr(value, "__module__", None) or "builtins")
        name = getattr(value, "__qualname__", value.__name__)
        self._say("named", type(value).__name__, module, name)
        version = _version(module)
        inner = "<locals>" in name  # one of many that a function has made
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
            (f.name, f.default, f.default_factory, f.init, f.kw_only) for f in fields.values()
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
        return [*parts, {n: v for n, v in sorted(vars(value).items()) if n != "__wrapped__"}]

    def _read_by(self, value: FunctionType) -> list[Any]:
        """Collect the globals that a function reads; of a module, what is read of it."""
        found: list[Any] = []
        for name, *attributes in sorted(set(_global_reads(value.__code__))):
            if name not in value.__globals__:
                found.append(name)  # a builtin, or not there yet
                continue
            thing = value.__globals__[name]
            path = [name]
            while isinstance(thing, ModuleType) and attributes and _version(thing.__name__) is None:
                path.append(attributes.pop(0))
                if not hasattr(thing, path[-1]):
                    break
                thing = getattr(thing, path[-1])
            found += [".".join(path), thing]
        return found

    def _object(self, value: Any) -> list[Any]:
        """Describe an object by its class and by what pickle would make it from."""
        kind = type(value)
        try:
            made = value.__reduce_ex__(4)
        except Exception as error:  # what cannot be pickled raises whatever it likes
            raise IndescribableError(f"{_short(value)}, which cannot be copied") from error
        if isinstance(made, str):
            if _version(str(getattr(value, "__module__", None) or kind.__module__)) is None:
                raise IndescribableError(f"{_short(value)}, of which only the name is known")
            self._say("global", kind.__qualname__, made)
            return [kind]
        parts = [list(part) if hasattr(part, "__next__") else part for part in made]
        if len(parts) > 2 and type(parts[2]) is dict and all(type(n) is str for n in parts[2]):
            parts[2] = dict(sorted(parts[2].items()))
        self._say("object", len(parts))
        self._alive.append(parts)
        return [kind, *parts]


def _short(value: Any) -> str:
    kind = type(value)
    return f"an object of {kind.__module__}.{kind.__qualname__}"


def _global_reads(code: CodeType) -> Iterator[tuple[str, ...]]:
    """Walk through the globals that code reads, each with the attributes that are read of it."""
    path: tuple[str, ...] = ()
    for step in dis.get_instructions(code):
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
            yield from _global_reads(constant)


@lru_cache
def _homes_of_libraries() -> set[Path]:
    """List the folders into which packages are installed, wherever NumPy itself is."""
    paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return {Path(str(path)).resolve() for path in (*paths, Path(str(np.__file__)).parents[1])}


@lru_cache
def _version(module: str) -> str | None:
    """Return the version of the library that a module belongs to; None for code of the user's."""
    top = module.partition(".")[0]
    if top == "sknpcnn":
        return ""  # it is part of every fingerprint
    if top in sys.stdlib_module_names and top != "__main__":
        return "{}.{}".format(*sys.version_info)
    place = getattr(sys.modules.get(top), "__file__", None)
    if not isinstance(place, str) or _homes_of_libraries().isdisjoint(
        Path(place).resolve().parents
    ):
        return None
    version = getattr(sys.modules[top], "__version__", None)
    if version is None:
        for name in metadata.packages_distributions().get(top, ())[:1]:
            version = metadata.version(name)
    return None if version is None else str(version)
