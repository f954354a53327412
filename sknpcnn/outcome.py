"""Says so when a fit has ended badly: scikit-learn's ``ConvergenceWarning``, at most one a fit."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sknpcnn.fitting import Fit
from sknpcnn.samples import Samples
from sknpcnn.schedules import NAMED

MIN_EPOCHS = 10
"""Whoever trains for less wants to look, or goes on by hand."""
MAX_STEPS = 2000
"""A fit of fewer steps is small: more of them cost little."""
NOTHING = 0.02
"""The part of what there is to learn that counts as next to nothing."""


def warn_of_bad_end(fit: Fit, n_epochs: int) -> None:
    """Warn if a network has learned nothing, or if its loss was still falling fast at the end."""
    n_run = fit.epochs_run
    if n_run < MIN_EPOCHS or not len(fit.samples):
        return
    entropy, chance = ignorance(fit.samples)
    losses = [row["train_loss"] for row in fit.history[-n_run:]]
    score = fit.history[-1]["train_score"]
    if score <= chance + NOTHING * (1 - chance) and losses[-1] >= (1 - NOTHING) * entropy > 0:
        _warn(
            f"The network has learned nothing in {n_run} epochs: its training accuracy is "
            f"{score:.3f}, and {chance:.3f} is that of always naming the most frequent class; its "
            f"loss is {losses[-1]:.3g}, and {entropy:.3g} that of knowing only how frequent the "
            "classes are. Lower learning_rate_init, set batch_norm=True or clip_norm=1.0, and "
            "check that X and y belong together."
        )
        return
    n_steps = n_run * len(fit.plan.starts(len(fit.samples)))
    tenth = n_run // 10
    fell = np.mean(losses[-2 * tenth : -tenth]) - np.mean(losses[-tenth:])
    constant = fit.plan.schedule == NAMED["constant"]  # the others fall to an end of their own
    if n_run == n_epochs and n_steps < MAX_STEPS and constant and fell > NOTHING * entropy:
        _warn(
            f"Training has ended at max_iter={n_epochs} while the loss was still falling fast, by "
            f"{fell:.3g} to {losses[-1]:.3g} in the last {tenth} epochs. Raise max_iter, or lower "
            "batch_size for more steps an epoch."
        )


def ignorance(samples: Samples) -> tuple[float, float]:
    """Compute loss and accuracy of a model that knows only how frequent the classes are."""
    weights = samples.weights_at(samples.index)
    counts = np.bincount(samples.classes[samples.index], weights)
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum()), float(p.max())


def _warn(message: str) -> Any:
    warnings.warn(message, ConvergenceWarning, stacklevel=6)
