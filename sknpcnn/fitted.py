"""What a fitted classifier holds, and how that becomes a network again.

It holds arrays and plain values only: the vector of parameters, what the input is shifted and
scaled by, and the hyperparameters that the network was made of.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sknpcnn import blocks
from sknpcnn.batches import Array, Standard
from sknpcnn.fitting import Fit
from sknpcnn.network import Network
from sknpcnn.training import TrainingState


def architecture_of(estimator: Any) -> dict[str, Any]:
    """Read the hyperparameters that make the network."""
    params = estimator.get_params(deep=False)
    return {name: params[name] for name in (*blocks.ARCHITECTURE, "layers")}


def attributes_of(fit: Fit, theta: Array, keep: bool) -> dict[str, Any]:
    """Collect the fitted attributes; with ``keep`` also what training needs to go on."""
    history, state = fit.history, fit.state
    losses = [row["train_loss"] for row in history]
    validated = fit.validation is not None
    progress = {
        "memory": state.memory,
        "seed": state.seed,
        "epoch": state.epoch,
        "step": state.step,
        "curve": state.curve,
    }
    return {
        "classes_": fit.classes,
        "image_shape_": fit.network.image,
        "n_iter_": len(history),
        "t_": fit.samples_before + (len(history) - fit.epochs_before) * len(fit.samples),
        "n_layers_": len(fit.network.summary()),
        "out_activation_": "softmax",
        "loss_": losses[-1],
        "best_loss_": None if fit.early_stopping else min(losses),
        "loss_curve_": losses,
        "validation_scores_": [row["validation_score"] for row in history] if validated else None,
        "_theta": theta,
        "_standard": None if fit.standard is None else (fit.standard.mean, fit.standard.scale),
        "_architecture": fit.architecture,
        "_history": history,
        "_progress": progress if keep else None,
    }


def network_of(estimator: Any) -> Network:
    """Make the network that a classifier was fitted with."""
    steps = blocks.build(estimator._architecture, estimator.image_shape_)
    return Network(steps, estimator.image_shape_, len(estimator.classes_))


def standard_of(estimator: Any) -> Standard | None:
    """Return what a fitted classifier shifts and scales its input by."""
    return None if estimator._standard is None else Standard(*estimator._standard)


def state_of(estimator: Any, seed: int) -> TrainingState:
    """Return the state to go on training from: all of it, or new memories for fitted parameters."""
    kept = estimator._progress
    if kept is None:
        return TrainingState(estimator._theta.copy(), {}, seed, epoch=estimator.n_iter_)
    return TrainingState(estimator._theta, **kept).copy()


def with_weights(network: Network, theta: Array, weights: Mapping[str, Any]) -> Array:
    """Copy the parameters with some of them replaced, after a look at every name and shape."""
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"weights is a {type(weights).__name__}; needed: a dict such as get_weights() returns."
        )
    replaced = theta.copy()
    arrays = dict(network.layout.arrays(replaced))
    for name, values in weights.items():
        if name not in arrays:
            raise ValueError(
                f"weights names {name!r}, which this network has not. Its arrays are: "
                f"{', '.join(arrays)}."
            )
        given = np.asarray(values)
        if given.shape != arrays[name].shape:
            raise ValueError(
                f"weights[{name!r}] has the shape {given.shape}; needed: {arrays[name].shape}."
            )
        if given.dtype.kind not in "biuf" or not np.isfinite(given).all():
            raise ValueError(f"weights[{name!r}] holds something that is not a finite number.")
        arrays[name][...] = given
    return replaced
