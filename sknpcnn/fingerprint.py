"""The fingerprint of a fit: a hash of everything that its result depends on, the machine apart.

What is not of this package, such as a layer or a scorer of the user's own, is taken apart like by
pickle, and of functions it is the code that counts: one that has been edited makes another fit.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from sknpcnn.batches import BLOCK, Array, Samples
from sknpcnn.spec import Spec

# What makes no difference to the result; of random_state it is the seed that does.
WITHOUT_EFFECT = {"n_jobs", "verbose", "checkpoint_dir", "warm_start", "random_state"}
# Whose code is known by its name.
LIBRARIES = {"sknpcnn", "sklearn", "numpy", "scipy", "builtins", "functools", "copyreg"}


def fingerprint(estimator: Any, classes: Array, samples: list[Samples | None], *start: Any) -> str:
    """Hash a classifier's parameters, the classes, the data, and what training starts from."""
    digest = blake2b(digest_size=16)
    params = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name not in WITHOUT_EFFECT
    }
    what = [type(estimator), params, classes.tolist(), start]
    digest.update(described(what).encode())
    for some in samples:
        _add(digest, some)
    return digest.hexdigest()


def _add(digest: Any, samples: Samples | None) -> None:
    if samples is None:
        digest.update(b"none")
        return
    X = samples.X
    digest.update(f"{X.dtype.str} {X.shape}".encode())
    rows = max(BLOCK // X.shape[1], 1)
    for start in range(0, len(X), rows):
        digest.update(np.ascontiguousarray(X[start : start + rows]))
    for array in (samples.classes, samples.weights, samples.index):
        digest.update(b"none" if array is None else np.ascontiguousarray(array))


def described(value: Any, above: tuple[int, ...] = ()) -> str:
    """Spell a value out, the same in every process."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value)
    if id(value) in above:
        return "itself"
    inside = partial(described, above=(*above, id(value)))
    if isinstance(value, Spec):
        return f"{inside(type(value))}{inside(value.get_params(deep=False))}"
    if isinstance(value, Mapping):
        items = sorted((inside(key), inside(item)) for key, item in value.items())
        return f"{{{', '.join(f'{key}: {item}' for key, item in items)}}}"
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(map(inside, value)))}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(inside, value))}]"
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        content = blake2b(value.tobytes(), digest_size=16).hexdigest()
        return f"{value.dtype.str} {value.shape} {content}"
    if isinstance(value, (type, FunctionType, CodeType)):
        return f"{_name(value)}{inside(_code(value)) if _is_own(value) else ''}"
    if isinstance(value, MethodType):
        return inside([value.__func__, value.__self__])
    return _taken_apart(value, inside)


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"


def _is_own(value: Any) -> bool:
    """Tell whether it is neither of this package nor of one that it is built on."""
    return str(getattr(value, "__module__", "")).partition(".")[0] not in LIBRARIES


def _code(value: Any) -> list[Any]:
    """Collect what a class, a function or its code consists of, but for names of the source."""
    if isinstance(value, CodeType):
        return [value.co_code, value.co_names, value.co_varnames, value.co_consts]
    if isinstance(value, FunctionType):
        cells = []
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # one that is empty still
                cells.append(cell.cell_contents)
        return [value.__code__, value.__defaults__, value.__kwdefaults__, cells]
    found = {}
    for name, thing in vars(value).items():
        function = getattr(thing, "__func__", getattr(thing, "fget", thing))
        if isinstance(function, FunctionType) or not name.startswith("_"):
            found[name] = function
    return [found, *value.__bases__]


def _taken_apart(value: Any, inside: Any) -> str:
    """Describe an object by its type and by what pickle would make it from."""
    try:
        made = value.__reduce_ex__(4)
    except Exception:  # what cannot be pickled raises whatever it likes
        return f"{inside(type(value))} {re.sub(r' at 0x[0-9a-fA-F]+', '', repr(value))}"
    if isinstance(made, str):
        return f"{_name(value)} {made}"
    parts = [list(part) if hasattr(part, "__next__") else part for part in made]
    return inside([type(value), *parts])
