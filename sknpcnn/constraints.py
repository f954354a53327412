"""What the classifier's parameters may be: types and ranges, and what does not go together."""

from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sknpcnn import blocks, optimizers, schedules
from sknpcnn.optimizers import Optimizer
from sknpcnn.schedules import Schedule
from sknpcnn.spec import check_free, is_finite, named

_COUNT = Interval(Integral, 1, None, closed="left")
_AT_LEAST_0 = Interval(Real, 0, None, closed="left")
_ABOVE_0 = Interval(Real, 0, None, closed="neither")
_PART = Interval(Real, 0, 1, closed="left")

CONSTRAINTS: dict[str, list[Any]] = {
    "conv_filters": ["array-like", _COUNT],
    "kernel_size": ["array-like", _COUNT],
    "pool_size": ["array-like", _COUNT],
    "padding": [
        StrOptions({"same", "valid"}),
        "array-like",
        Interval(Integral, 0, None, closed="left"),
    ],
    "hidden_layer_sizes": ["array-like", _COUNT],
    "activation": [StrOptions(set(blocks.ACTIVATIONS))],
    "batch_norm": ["boolean"],
    "dropout": [_PART],
    "layers": [list, tuple, None],
    "image_shape": [tuple, list, np.ndarray, None],
    "solver": [StrOptions(set(optimizers.NAMED)), Optimizer],
    "learning_rate": [StrOptions(set(schedules.NAMED)), Schedule],
    "learning_rate_init": [_ABOVE_0, StrOptions({"auto"})],
    "alpha": [_AT_LEAST_0],
    "batch_size": [_COUNT, StrOptions({"auto"})],
    "max_iter": [_COUNT],
    "shuffle": ["boolean"],
    "standardize": ["boolean"],
    "augment": [list, tuple, None],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "label_smoothing": [_PART],
    "clip_norm": [_ABOVE_0, None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [_COUNT, Options(Real, {np.inf})],
    "tol": [_AT_LEAST_0],
    "scoring": [str, callable, None],
    "warm_start": ["boolean"],
    "checkpoint_dir": [str, PathLike, None],
    "random_state": ["random_state"],
    "n_jobs": [Integral, None],
    "dtype": [
        StrOptions({"float32", "float64"}),
        Options(type, {np.float32, np.float64}),
        np.dtype,
        None,
    ],
    "verbose": ["verbose"],
}


def check_together(params: dict[str, Any]) -> None:
    """Refuse parameters that do not go together."""
    layers = [name for name, _ in named(params["layers"] or ())]
    check_free(layers, params, "layers")
    check_free(
        [name for name, _ in named(params["augment"] or (), "augment")],
        [*params, *layers],
        "augment",
    )
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
    if params["n_jobs"] == 0:
        raise ValueError("n_jobs=0; needed: a number of threads, -1 for all cores, or None.")


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default
