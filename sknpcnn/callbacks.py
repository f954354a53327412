"""Callbacks that scikit-learn lacks; they follow its protocol, for ``set_callbacks``."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from sknpcnn._values.checks import plain_real, refuse


@dataclass(frozen=True)
class TimeLimit:
    """Stop training before it takes too long.

    Training ends after an epoch if another one like it would exceed the limit. With
    ``checkpoint_dir`` the next ``fit`` resumes from there, so that jobs of an hour each can
    complete a longer fit.

    Parameters
    ----------
    seconds : float
        How long ``fit`` may train. Pass the callback to the classifier: in a grid search over it,
        the limit applies to every single fit.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.callbacks import TimeLimit
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(max_iter=50).set_callbacks(TimeLimit(0.001)).fit(X, y)
    >>> clf.n_iter_
    1
    """

    seconds: float

    resumable: ClassVar[bool] = True
    """A fit that this stops is not finished: with a checkpoint the next one resumes it."""

    def __post_init__(self) -> None:
        seconds = plain_real(self.seconds, allow_infinity=True)
        if seconds is None or seconds <= 0:
            refuse(self, "seconds", "a number above 0")
        object.__setattr__(self, "seconds", float(seconds))

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing: the contexts know when they started."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Return whether to stop because another epoch like this one would exceed the limit."""
        if context.task_name != "epoch":
            return False
        now = datetime.now(UTC)
        passed, epoch = now - context.parent.init_time, now - context.init_time
        exceeds: bool = (passed + epoch).total_seconds() > self.seconds
        return exceeds

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""


__all__ = ["TimeLimit"]
