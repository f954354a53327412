"""Says so when a fit has ended badly: scikit-learn's ``ConvergenceWarning``."""

import warnings

from sklearn.exceptions import ConvergenceWarning

from sknpcnn.fitting import Fit

MIN_EPOCHS = 10
"""Whoever trains for less wants to look, or goes on by hand."""
NOTHING = 0.02
"""The part of what there is to learn that counts as next to nothing."""
FEW_STEPS = 100
"""Longer fits may be wanted as they are: a budget that was spent."""


def warn_of_bad_end(fit: Fit) -> None:
    """Warn if a network has learned nothing, or was stopped while it had just begun to learn."""
    n_run = fit.epochs_run
    if n_run < MIN_EPOCHS or not len(fit.samples):
        return
    target, metric = fit.plan.target, fit.plan.target.metric
    entropy, chance = target.baseline(fit.samples, fit.plan.loss)
    losses = [row["train_loss"] for row in fit.history[-n_run:]]
    loss, score = losses[-1], fit.history[-1]["train_score"]
    n_steps = n_run * len(fit.plan.starts(len(fit.samples)))
    message = None
    if score <= chance + NOTHING * (1 - chance) and loss >= (1 - NOTHING) * entropy > NOTHING:
        message = (
            f"The network has learned nothing in {n_run} epochs: its training {metric} is "
            f"{score:.3f} and its loss {loss:.3g}; {chance:.3f} and {entropy:.3g} are those of "
            f"{target.guess}. Lower learning_rate_init, set batch_norm=True or clip_norm=1.0, and "
            "check that X and y belong together."
        )
    elif n_run == fit.plan.max_iter and n_steps < FEW_STEPS and _is_falling(losses, entropy):
        message = (
            f"Training has ended while the loss was still falling: it is {loss:.3g} after {n_run} "
            f"epochs, which were {n_steps} steps, and {entropy:.3g} is that of {target.guess}. Set "
            'max_iter higher, or leave it at "auto"; or lower batch_size.'
        )
    if message is not None:
        warnings.warn(message, ConvergenceWarning, stacklevel=7)


def _is_falling(losses: list[float], entropy: float) -> bool:
    """Return whether less than half has been learned, and the last epochs still bring much."""
    before = losses[-1 - len(losses) // 4]
    return losses[-1] > entropy / 2 > NOTHING and before - losses[-1] > NOTHING * entropy
