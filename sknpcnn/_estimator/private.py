"""What this package uses of scikit-learn that is private or experimental there.

It is all imported here, so that a version of scikit-learn which renames it is the work of one file.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.base import _fit_context
from sklearn.callback import CallbackSupportMixin, ProgressBar
from sklearn.utils._chunking import get_chunk_n_rows
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    make_constraint,
)
from sklearn.utils._repr_html.estimator import _VisualBlock as VisualBlock
from sklearn.utils.multiclass import _check_partial_fit_first_call as check_first_call
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as num_samples

_Method = TypeVar("_Method", bound=Callable[..., Any])

fit_context: Callable[..., Callable[[_Method], _Method]] = _fit_context  # which has no types

__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "InvalidParameterError",
    "Options",
    "ProgressBar",
    "StrOptions",
    "VisualBlock",
    "check_first_call",
    "check_matplotlib_support",
    "check_sample_weight",
    "fit_context",
    "get_chunk_n_rows",
    "make_constraint",
    "num_samples",
]
