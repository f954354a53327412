"""Warns if a fit has not converged, with scikit-learn's ``ConvergenceWarning``."""

import warnings

from sklearn.exceptions import ConvergenceWarning

from sknpcnn._training.fit import Fit

MIN_EPOCHS = 10
"""The fewest epochs to warn about: shorter fits are tests, or parts of a longer one."""
NEGLIGIBLE = 0.02
"""The fraction of the possible improvement that counts as none."""
MIN_STEPS = 100
"""Shorter fits that are still improving get a warning; longer ones may be a deliberate budget."""


def warn_if_not_learned(fit: Fit) -> None:
    """Warn if a network has learned nothing, or if a short fit has ended while still improving."""
    n_run = fit.epochs_run
    if n_run < MIN_EPOCHS or not len(fit.samples):
        return
    target, metric = fit.plan.target, fit.plan.target.metric
    chance = target.baseline_score(fit.samples)
    losses = [row["train_loss"] for row in fit.history[-n_run:]]
    loss, score = losses[-1], fit.history[-1]["train_score"]
    n_steps = n_run * len(fit.plan.batch_starts(len(fit.samples)))
    by_chance = score <= chance + NEGLIGIBLE * (1 - chance)
    short = n_run == fit.plan.max_iter and n_steps < MIN_STEPS
    if not by_chance and not short:
        return
    entropy = target.baseline_loss(fit.samples, fit.plan.loss)
    message = None
    if by_chance and loss >= (1 - NEGLIGIBLE) * entropy > NEGLIGIBLE:
        message = (
            f"The network has learned nothing in {n_run} epochs: its training {metric} is "
            f"{score:.3f} and its loss {loss:.3g}; {chance:.3f} and {entropy:.3g} are those of "
            f"{target.guess}. Lower learning_rate_init, set batch_norm=True or clip_norm=1.0, and "
            "check that X and y belong together."
        )
    elif short and _is_falling(losses, entropy):
        message = (
            f"Training has ended while the loss was still falling: it is {loss:.3g} after {n_run} "
            f"epochs, which were {n_steps} steps, and {entropy:.3g} is that of {target.guess}. Set "
            'max_iter higher, or leave it at "auto"; or lower batch_size.'
        )
    if message is not None:
        warnings.warn(message, ConvergenceWarning, stacklevel=7)


def _is_falling(losses: list[float], entropy: float) -> bool:
    """Return whether the loss is still high, and was falling fast in the last epochs."""
    before = losses[-1 - len(losses) // 4]
    return losses[-1] > entropy / 2 > NEGLIGIBLE and before - losses[-1] > NEGLIGIBLE * entropy
