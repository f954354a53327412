"""Rebuilds an estimator from a model file, which is not trusted: every field is validated.

Anything invalid raises a ValueError that says what it is; ``load`` adds the name of the file.
"""

from math import isnan, nan, prod
from typing import Any

import numpy as np

from sknpcnn import optimizers
from sknpcnn._estimator.constraints import check_combinations
from sknpcnn._network.balance import is_valid_seen
from sknpcnn._training.fit import Forgotten, is_valid_history
from sknpcnn._training.state import MAX_COUNT, TrainingState
from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.losses import CrossEntropy, Loss, takes
from sknpcnn.regressor import NumpyCNNRegressor
from sknpcnn.saving.network import (
    MAX_LAYERS,
    add_residual,
    floats,
    read_column,
    read_loss,
    read_network,
    upgrade_defaults,
    upgrade_fitted,
)
from sknpcnn.saving.plain import SPECS, count_specs, from_plain, require

Array = np.ndarray
Estimator = NumpyCNNClassifier | NumpyCNNRegressor

ESTIMATORS: dict[str, type[Estimator]] = {
    kind.__name__: kind for kind in (NumpyCNNClassifier, NumpyCNNRegressor)
}
"""The estimators that can be saved, by name."""

# Parameters of the machine that a model was saved on are neither saved nor loaded: training a model
# from somebody else must not write to a folder of their choice.
MACHINE_PARAMS = "checkpoint_dir", "n_jobs", "verbose"
# The fitted attributes that are plain values, and their types.
PLAIN_ATTRIBUTES: dict[str, tuple[type, ...]] = {
    "n_features_in_": (int,),
    "image_shape_": (tuple,),
    "n_iter_": (int,),
    "t_": (int,),
    "n_layers_": (int,),
    "loss_": (float,),
    "best_loss_": (float, type(None)),
    "loss_curve_": (list,),
    "validation_scores_": (list, type(None)),
    "_history": (list,),
    "_forgotten": (tuple,),
    "_seen": (tuple,),
    "_sample_shape": (tuple,),
    "_architecture": (dict,),
    "_loss": (str, *(loss for loss in SPECS.values() if issubclass(loss, Loss))),
}


def rebuild(values: dict[str, Any], arrays: dict[str, Array]) -> Estimator:
    """Build an estimator from the content of a file; raise a ValueError if any of it is invalid."""
    kind = values.get("estimator", "NumpyCNNClassifier")  # the only one before version 5
    require(type(kind) is str and kind in ESTIMATORS, "its estimator is not one of this package")
    _check_names(values, arrays)
    n_specs = max(count_specs(values[name]) for name in ("params", "fitted"))
    require(n_specs <= MAX_LAYERS, f"it has {n_specs} layers; needed: {MAX_LAYERS} at most")
    params = {
        name: from_plain(plain)
        for name, plain in values["params"].items()
        if name not in MACHINE_PARAMS
    }
    if values["version"] < 4:
        params = upgrade_defaults(params)
    if values["version"] < 5:
        params = add_residual(_add_loss(params))
    estimator = _validated(ESTIMATORS[kind], params)
    _check_loss_parameter(estimator)
    known = set(ESTIMATORS[kind]._parameter_constraints)
    require(set(params) == known - {*MACHINE_PARAMS}, "parameters are missing")

    found = {name: from_plain(plain) for name, plain in values["fitted"].items()}
    rows = (found.get("n_features_in_"),)  # what older files say nothing about
    found = {"_forgotten": tuple(Forgotten()), "_seen": (), "_sample_shape": rows, **found}
    if values["version"] < 5:
        activation = found.pop("out_activation_", "softmax")
        require(activation == "softmax", "it is not a classifier")
        found["_loss"] = "cross_entropy" if params["loss"] == "auto" else params["loss"]
    require(set(found) == set(PLAIN_ATTRIBUTES), "its fitted attributes are not the expected ones")
    for name, kinds in PLAIN_ATTRIBUTES.items():
        require(type(found[name]) in kinds, f"{name} is a {type(found[name]).__name__}")
    upgrade_fitted(found, values["version"])
    _validated(ESTIMATORS[kind], found["_architecture"])
    _check_history(found)
    loss = _read_loss(estimator, found["_loss"])
    saved = read_network(found, loss, values, arrays)
    network, theta, image = saved.network, saved.theta, found["image_shape_"]
    require(found["n_features_in_"] == prod(image), "features and images disagree")
    given = (image, image[:2] if image[2] == 1 else image, (prod(image),))
    require(found["_sample_shape"] in given, "samples and images disagree")
    n_classes = len(saved.targets["classes_"]) if loss.targets == "classes" else 0
    require(is_valid_seen(found["_seen"], n_classes), "_seen is invalid")
    if values["version"] < 5:  # dropout came after each block, whatever the pooling
        found["n_layers_"] = len(network.summary())
    require(len(network.summary()) == found["n_layers_"], "layers are missing")
    for name, value in {**found, **saved.targets}.items():
        setattr(estimator, name, value)
    standard = saved.standard
    estimator._theta = theta
    estimator._standard = None if standard is None else (standard.mean, standard.scale)
    names = read_column(values, arrays, "feature_names_in_")
    if names is not None:
        require(len(names) == prod(image), "feature_names_in_ has the wrong length")
        require(names.dtype.kind in "UO", "feature_names_in_ has the wrong type")
        estimator.feature_names_in_ = names
    memory = {
        name.removeprefix("memory."): floats(arrays, name, network.layout.n_trained)
        for name in arrays
        if name.startswith("memory.")
    }
    require(
        all(a.dtype == theta.dtype for a in memory.values()),
        "the optimizer's memory has the wrong precision",
    )
    estimator._progress = _read_progress(values, theta, memory)
    return estimator


def _add_loss(params: dict[str, Any]) -> dict[str, Any]:
    """Replace ``label_smoothing``, from before version 5, by a loss."""
    smoothing = params.pop("label_smoothing", 0.0)
    return params | {"loss": CrossEntropy(smoothing) if smoothing else "auto"}


def _validated(kind: type[Estimator], params: dict[str, Any]) -> Estimator:
    """Make an estimator, and validate its hyperparameters as ``fit`` does."""
    estimator = kind(**params)
    estimator._validate_params()
    check_combinations(estimator.get_params(deep=False))
    return estimator


def _check_loss_parameter(estimator: Estimator) -> None:
    """Raise if ``loss`` is one of another kind of estimator."""
    kinds = [kind for kind in estimator._targets if takes(estimator.loss, kind)]
    require(bool(kinds), "its parameter loss is of another kind of estimator")


def _read_loss(estimator: Estimator, found: Any) -> Loss:
    """Return the loss; raise if it is unknown or not supported by the estimator."""
    loss = read_loss(found)
    require(loss.targets in estimator._targets, "its loss is not supported by its estimator")
    return loss


def _check_names(values: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Raise if there are unknown names, or names of both values and arrays."""
    columns = {"classes_", "feature_names_in_"}
    known = {"format", "version", "estimator", "params", "fitted", "progress"}
    unknown = set(values) - known - columns
    others = {name for name in arrays if not name.startswith("memory.")}
    unknown |= others - {"theta", "mean", "scale", "target_mean_", "target_scale_"} - columns
    require(not unknown, f"it holds {sorted(unknown)[:3]}, which are unknown")
    double = set(values) & set(arrays)
    require(not double, f"it holds {sorted(double)} twice")


def _check_history(found: dict[str, Any]) -> None:
    """Raise unless the attributes derived from the history agree with it."""
    history, forgotten = found["_history"], found["_forgotten"]
    require([type(value) for value in forgotten] == [int, float], "_forgotten is invalid")
    epochs, lowest = Forgotten(*forgotten)
    require(0 <= epochs <= MAX_COUNT and not isnan(lowest), "_forgotten is invalid")
    valid = is_valid_history(history) and len(history) + epochs == found["n_iter_"]
    require(valid, "_history is invalid")
    losses = [row["train_loss"] for row in history]
    scores = [row["validation_score"] for row in history]
    expected = {
        "loss_curve_": losses,
        "loss_": losses[-1] if losses else nan,
        "best_loss_": min(*losses, lowest) if losses else nan,
        "validation_scores_": scores,
    }
    for name, value in expected.items():
        may_be_none = type(None) in PLAIN_ATTRIBUTES[name] and found[name] is None
        same = may_be_none or np.array_equal(found[name], value, equal_nan=True)
        require(same, f"{name} and _history disagree")
    require(0 <= found["t_"] <= MAX_COUNT, "t_ is invalid")


def _read_progress(
    values: dict[str, Any], theta: Array, memory: dict[str, Array]
) -> dict[str, Any] | None:
    if "progress" not in values:
        require(not memory, "there is optimizer memory without progress")
        return None
    plain = {name: from_plain(value) for name, value in values["progress"].items()}
    state = TrainingState.from_values(theta, memory, plain)
    rule = SPECS.get(state.rule)
    if rule is None or not issubclass(rule, optimizers.Optimizer):
        raise ValueError("its optimizer is unknown")
    known = {*rule().state_names(), "velocity"}  # only with momentum
    require(set(rule().state_names()) <= set(memory) <= known, "its optimizer memory is incomplete")
    return {"memory": memory, **state.to_values()}
