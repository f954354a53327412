"""Constraints on the parameters of estimators: types, ranges, and combinations."""

from collections.abc import Iterable
from numbers import Integral, Real
from os import PathLike, fsencode, fspath
from types import FunctionType
from typing import Any

import numpy as np

from sknpcnn import architectures, losses, optimizers, schedules
from sknpcnn._estimator import blocks
from sknpcnn._estimator.private import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    make_constraint,
)
from sknpcnn._estimator.protocol import AnyEstimator, Estimator
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import is_finite, is_integer, plain_items, plain_real
from sknpcnn._values.suggestions import did_you_mean, nearest
from sknpcnn.augmentation import Augmentation
from sknpcnn.layers import Layer
from sknpcnn.losses import Loss
from sknpcnn.optimizers import Optimizer
from sknpcnn.schedules import Schedule
from sknpcnn.spec import check_nesting, check_reserved, named

_COUNT = Interval(Integral, 1, None, closed="left")
_AT_LEAST_0 = Interval(Real, 0, None, closed="left")
_ABOVE_0 = Interval(Real, 0, None, closed="neither")
_FRACTION = Interval(Real, 0, 1, closed="left")


def _names_of(*kinds: str) -> set[str]:
    """Return the names of the losses for the given kinds of targets."""
    return {name for name, loss in losses.NAMED.items() if loss.targets in kinds}


SHARED: dict[str, list[Any]] = {
    "conv_filters": [tuple, list, range, np.ndarray, _COUNT, StrOptions({"auto"})],
    "kernel_size": [tuple, list, np.ndarray, _COUNT],
    "pool_size": [tuple, list, np.ndarray, _COUNT],
    "padding": [
        StrOptions({"same", "valid"}),
        tuple,
        list,
        np.ndarray,
        Interval(Integral, 0, None, closed="left"),
    ],
    "residual": ["boolean", list, tuple, np.ndarray, StrOptions({"auto"})],
    "global_pooling": ["boolean", StrOptions({"auto"})],
    "hidden_layer_sizes": [tuple, list, range, np.ndarray, _COUNT, StrOptions({"auto"})],
    "activation": [StrOptions(set(blocks.ACTIVATIONS))],
    "batch_norm": ["boolean"],
    "dropout": [_FRACTION],
    "layers": [list, tuple, None],
    "image_shape": [tuple, list, np.ndarray, None],
    "solver": [StrOptions(set(optimizers.NAMED)), Optimizer],
    "learning_rate": [StrOptions({"auto", *schedules.NAMED}), Schedule],
    "learning_rate_init": [_ABOVE_0, StrOptions({"auto"})],
    "alpha": [_AT_LEAST_0],
    "batch_size": [_COUNT, StrOptions({"auto"})],
    "max_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
    "shuffle": ["boolean"],
    "standardize": ["boolean"],
    "augment": [list, tuple, None],
    "clip_norm": [_ABOVE_0, None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [_COUNT, Options(Real, {np.inf})],
    "tol": [_AT_LEAST_0],
    "scoring": [str, callable, None],
    "warm_start": ["boolean"],
    "checkpoint_dir": [str, PathLike, None],
    "random_state": ["random_state"],
    "n_jobs": [Interval(Integral, None, None, closed="neither"), None],
    "dtype": [
        StrOptions({"float32", "float64"}),
        Options(type, {np.float32, np.float64}),
        np.dtype,
        None,
    ],
    "verbose": ["verbose"],
}
"""The constraints of the parameters that all estimators have."""
CLASSIFIER = SHARED | {
    "loss": [StrOptions({"auto", *_names_of("classes", "labels")}), Loss],
    "class_weight": [dict, StrOptions({"balanced"}), None],
}
REGRESSOR = SHARED | {"loss": [StrOptions(_names_of("reals")), Loss]}


def check_each(estimator: AnyEstimator) -> None:
    """Raise if a parameter violates its constraint, whatever the other parameters are.

    Like scikit-learn's function, but for any value: its repr may be huge, and comparing it may
    raise.
    """
    for name, value in estimator.get_params(deep=False).items():
        # subclasses may check parameters of their own
        allowed = estimator._parameter_constraints.get(name, ())
        if allowed and not _satisfies_one_of(value, map(make_constraint, allowed)):
            needed = _join_or(_describe(allowed))
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} must be {needed}. Got "
                f"{brief(value)} instead.{_suggestion(name, value, allowed)}"
            )


def _suggestion(name: str, value: Any, allowed: Iterable[Any]) -> str:
    """Return a suggestion to append to the error about a parameter."""
    if name == "learning_rate" and plain_real(value) is not None:
        return (
            f" Did you mean learning_rate_init={brief(value)}? learning_rate names how the rate "
            "changes: a word, or a schedule of sknpcnn.schedules."
        )
    if name == "layers" and isinstance(value, str):
        near = nearest(value, architectures.__all__, 1)
        return f" Did you mean sknpcnn.architectures.{near[0]}()?" if near else ""
    if name == "layers" and isinstance(value, Layer):
        return " Put it into a list."
    if name != "scoring" and isinstance(value, (type, FunctionType)):
        return f" Did you mean {name}={value.__name__}()?"
    words = [w for kind in allowed if isinstance(kind, StrOptions) for w in kind.options]
    return did_you_mean(value, words)


def _describe(allowed: Iterable[Any]) -> list[str]:
    """Describe the allowed values of a parameter, with all types in one phrase."""
    kinds = [kind for kind in allowed if isinstance(kind, type)]
    if len(kinds) < 2:
        return [str(make_constraint(constraint)) for constraint in allowed]
    others = [str(make_constraint(kind)) for kind in allowed if kind not in kinds]
    return [f"a {_join_or([kind.__name__ for kind in kinds])}", *others]


def _join_or(words: list[str]) -> str:
    *some, last = words
    return f"{', '.join(some)} or {last}" if some else last


def _satisfies_one_of(value: Any, constraints: Iterable[Any]) -> bool:
    if isinstance(value, np.timedelta64):  # a subclass of NumPy's signed integers
        return False
    if isinstance(value, (tuple, list)) and plain_items(value) is None:
        return False
    try:
        plain = _to_python(value)
        return any(constraint.is_satisfied_by(plain) for constraint in constraints)
    except Exception:  # a comparison may raise anything
        return False


def read_params(estimator: Estimator) -> dict[str, Any]:
    """Return an estimator's parameters with all numbers converted to Python's types.

    NumPy's integers may overflow, and its floating-point numbers differ in precision. The estimator
    itself keeps the values it was given, as scikit-learn requires.
    """
    names = [name for name in {**CLASSIFIER, **REGRESSOR} if hasattr(estimator, name)]
    return {name: _to_python(getattr(estimator, name)) for name in names}


def _to_python(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str):
        return str.__str__(value)
    if is_integer(value):
        return int(value)  # if it is too large, check_combinations raises
    number = plain_real(value, allow_infinity=True)
    return value if number is None else number


def check_combinations(params: dict[str, Any]) -> None:
    """Raise if parameters are incompatible with each other."""
    layers = [name for name, _ in named(params["layers"] or (), "layers", Layer)]
    check_reserved(layers, params, "layers")
    augment = [name for name, _ in named(params["augment"] or (), "augment", Augmentation)]
    check_reserved(augment, [*params, *layers], "augment")
    for name in ("layers", "augment", "solver", "learning_rate", "loss"):
        check_nesting(params[name], name)
    if params["layers"] is not None:
        changed = [k for k, v in blocks.ARCHITECTURE.items() if not _same(params[k], v)]
        if changed:
            raise ValueError(
                f"layers spells the whole network out, so {', '.join(changed)} cannot be set as "
                "well. Put them into layers, or leave layers at None."
            )
    for name, value in params.items():
        if isinstance(value, Integral) and not is_finite(value):
            raise ValueError(
                f"{name} is an integer of {int(value).bit_length()} bits; needed: one that a "
                "floating-point number can hold, at most 1.7e308."
            )
    folder = params["checkpoint_dir"]
    if folder is not None and not _is_path(folder):
        raise ValueError(
            f"checkpoint_dir={brief(folder)}; needed: the path of a folder, as a text that a file "
            "system can hold or as a pathlib.Path, or None."
        )
    if params["n_jobs"] == 0:
        raise ValueError("n_jobs=0; needed: a number of threads, -1 for all cores, or None.")


def _is_path(value: Any) -> bool:
    try:
        path = fspath(value)
        return type(path) is str and b"\0" not in fsencode(path)
    except Exception:  # a user-defined class may raise anything
        return False


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default
