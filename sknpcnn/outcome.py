"""Says so when a fit has ended badly: scikit-learn's ``ConvergenceWarning``."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sknpcnn.fitting import Fit
from sknpcnn.samples import Samples

MIN_EPOCHS = 10
"""Whoever trains for less wants to look, or goes on by hand."""
NOTHING = 0.02
"""The part of what there is to learn that counts as next to nothing."""


def warn_of_bad_end(fit: Fit) -> None:
    """Warn if a network has learned nothing: it does as well as one that sees no images."""
    n_run = fit.epochs_run
    if n_run < MIN_EPOCHS or not len(fit.samples):
        return
    entropy, chance = ignorance(fit.samples)
    loss, score = (fit.history[-1][name] for name in ("train_loss", "train_score"))
    if score <= chance + NOTHING * (1 - chance) and loss >= (1 - NOTHING) * entropy > NOTHING:
        warnings.warn(
            f"The network has learned nothing in {n_run} epochs: its training accuracy is "
            f"{score:.3f}, and {chance:.3f} is that of always naming the most frequent class; its "
            f"loss is {loss:.3g}, and {entropy:.3g} that of knowing only how frequent the classes "
            "are. Lower learning_rate_init, set batch_norm=True or clip_norm=1.0, and check that "
            "X and y belong together.",
            ConvergenceWarning,
            stacklevel=6,
        )


def ignorance(samples: Samples) -> tuple[float, float]:
    """Compute loss and accuracy of a model that knows only how frequent the classes are."""
    parts = samples.parts_of_classes()
    p = parts[parts > 0]
    return float(-(p * np.log(p)).sum()), float(p.max())
