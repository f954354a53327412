"""Runs a prepared fit within scikit-learn's callbacks."""

from functools import partial
from importlib.util import find_spec
from typing import Any

from sknpcnn._estimator import fitted
from sknpcnn._estimator.private import ProgressBar
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._network.batches import Array
from sknpcnn._training.fit import Fit
from sknpcnn._training.outcome import warn_if_not_learned


def run_with_callbacks(
    estimator: Estimator, fit: Fit, X: Array, y: Array, sample_weight: Any
) -> None:
    """Run a fit as a scikit-learn callback task with a subtask per epoch."""
    if any(map(_is_invisible, getattr(estimator, "_skl_callbacks", []))):
        fit.verbose = max(fit.verbose, 1)
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    data = {"X": X, "y": y, "metadata": metadata}
    root = estimator._init_callback_context(max_subtasks=fit.plan.max_iter)
    root.call_on_fit_task_begin(estimator=estimator, **data)

    def model() -> dict[str, Any]:
        return fitted.attributes_of(fit, fit.state.theta.copy(), resumable=False)

    def begin_epoch() -> Any:
        return root.subcontext(task_name="epoch").call_on_fit_task_begin(
            estimator=estimator, **data
        )

    def end_epoch(task: Any) -> bool:
        stops: bool = task.call_on_fit_task_end(
            estimator=estimator, **data, reconstruction_attributes=model
        )
        return stops

    run = partial(fit.run, fit.plan.max_iter, estimator.n_jobs, begin_epoch, end_epoch)
    if fit.checkpoint is None:
        run(outermost=_is_outermost(estimator))
    elif not fit.checkpoint.resume_or_create(fit):
        run(save=partial(fit.checkpoint.save, fit), outermost=_is_outermost(estimator))
    warn_if_not_learned(fit)
    root.call_on_fit_task_end(estimator=estimator, **data, reconstruction_attributes=model)


def _is_invisible(callback: Any) -> bool:
    """Return whether a progress bar cannot be shown, as in a notebook without ipywidgets."""
    if not isinstance(callback, ProgressBar):
        return False
    import rich  # a dependency of ProgressBar

    return rich.get_console().is_jupyter and find_spec("ipywidgets") is None


def _is_outermost(estimator: Estimator) -> bool:
    """Return whether the user called this fit directly or through a pipeline."""
    parent = getattr(estimator, "_parent_callback_ctx", None)
    while parent is not None and parent.estimator_name == "Pipeline":
        parent = parent.parent
    return parent is None
