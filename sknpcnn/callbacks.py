"""Callbacks that scikit-learn has not: they follow its protocol, for ``set_callbacks``."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from sknpcnn.checks import plain_real, refuse


@dataclass(frozen=True)
class TimeLimit:
    """Stop training before it takes too long.

    Training ends behind an epoch if another one like it would take too long. With
    ``checkpoint_dir`` the next ``fit`` goes on from there: so a job that may run for an hour trains
    for an hour, again and again, until the fit has ended.

    Parameters
    ----------
    seconds : float
        How long ``fit`` may train. Give the callback to the classifier: in a grid search over it,
        this holds for every single fit.

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

    goes_on: ClassVar[bool] = True
    """A fit that was stopped has not ended: with a checkpoint the next one goes on."""

    def __post_init__(self) -> None:
        seconds = plain_real(self.seconds, endless=True)
        if seconds is None or seconds <= 0:
            refuse(self, "seconds", "a number above 0")
        object.__setattr__(self, "seconds", float(seconds))

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing: the contexts know when they began."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Tell whether to stop: another epoch like this one would take too long."""
        if context.task_name != "epoch":
            return False
        now = datetime.now(UTC)
        passed, epoch = now - context.parent.init_time, now - context.init_time
        return (passed + epoch).total_seconds() > self.seconds

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""


__all__ = ["TimeLimit"]
