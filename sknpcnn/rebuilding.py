"""From what a model file says to an estimator: every field is looked at before it is relied upon.

A file may come from anybody. What is wrong in it raises a ValueError that says what; ``load`` puts
the name of the file before it.
"""

from math import isnan, nan, prod
from typing import Any

import numpy as np

from sknpcnn import blocks, optimizers
from sknpcnn.balance import is_valid_seen
from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.constraints import check_together
from sknpcnn.fitting import Forgotten, is_history
from sknpcnn.losses import NAMED, CrossEntropy, Loss, named_or_own
from sknpcnn.network import Network
from sknpcnn.plain import SPECS, count_specs, demand, from_plain
from sknpcnn.regressor import NumpyCNNRegressor
from sknpcnn.targets import of_fitted
from sknpcnn.training import MAX_COUNT, TrainingState

Array = np.ndarray
Estimator = NumpyCNNClassifier | NumpyCNNRegressor

ESTIMATORS: dict[str, type[Estimator]] = {
    kind.__name__: kind for kind in (NumpyCNNClassifier, NumpyCNNRegressor)
}
"""What may be in a file, by name."""

# What a file of before version 4 means where it says nothing.
DEFAULTS_BEFORE_4 = {
    "conv_filters": (16, 32),
    "global_pooling": False,
    "hidden_layer_sizes": (100,),
    "batch_norm": False,
    "dropout": 0.0,
}

# What belongs to the computer of whoever saved the model is not written down, and not taken over:
# training a model of a stranger must not write where the stranger has chosen.
OF_THE_MACHINE = "checkpoint_dir", "n_jobs", "verbose"
# How many layers a file may ask for: each takes time, whatever its size.
MAX_LAYERS = 5_000
# The fitted attributes that are plain values, and what each may be.
PLAIN: dict[str, tuple[type, ...]] = {
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
    "_architecture": (dict,),
    "_loss": (str, *(loss for loss in SPECS.values() if issubclass(loss, Loss))),
}


def rebuilt(values: dict[str, Any], arrays: dict[str, Array]) -> Estimator:
    """Build the estimator, and look at everything that it will rely upon."""
    kind = values.get("estimator", "NumpyCNNClassifier")  # before version 5 there was only one
    demand(type(kind) is str and kind in ESTIMATORS, "it is of no estimator of this package")
    _check_names(values, arrays)
    n_specs = max(count_specs(values[name]) for name in ("params", "fitted"))
    demand(n_specs <= MAX_LAYERS, f"it has {n_specs} layers; needed: {MAX_LAYERS} at most")
    params = {
        name: from_plain(plain)
        for name, plain in values["params"].items()
        if name not in OF_THE_MACHINE
    }
    if values["version"] < 4:
        params = _as_of_now(params)
    if values["version"] < 5:
        params = _before_residual(_with_loss(params))
    estimator = _checked(ESTIMATORS[kind], params)
    known = set(ESTIMATORS[kind]._parameter_constraints)
    demand(set(params) == known - {*OF_THE_MACHINE}, "parameters are missing")

    found = {name: from_plain(plain) for name, plain in values["fitted"].items()}
    found = {"_forgotten": tuple(Forgotten()), "_seen": (), **found}
    if values["version"] < 5:
        activation = found.pop("out_activation_", "softmax")
        demand(activation == "softmax", "it is not a classifier")
        found["_loss"] = "cross_entropy" if params["loss"] == "auto" else params["loss"]
    demand(set(found) == set(PLAIN), "its fitted attributes are others than needed")
    for name, kinds in PLAIN.items():
        demand(type(found[name]) in kinds, f"{name} is a {type(found[name]).__name__}")
    image, architecture = found["image_shape_"], found["_architecture"]
    demand(len(image) == 3 and all(type(n) is int and n > 0 for n in image), f"images of {image}")
    demand(found["n_features_in_"] == prod(image), "features and images disagree")
    if values["version"] < 4:
        architecture = found["_architecture"] = _as_of_now(architecture)
    if values["version"] < 5:
        architecture = found["_architecture"] = _before_residual(architecture)
    demand(set(architecture) == {*blocks.ARCHITECTURE, "layers"}, "its architecture is incomplete")
    _checked(ESTIMATORS[kind], architecture)
    explicit = architecture["layers"] is not None
    for name in ("conv_filters", "hidden_layer_sizes"):
        n = 0 if explicit else len(blocks.sizes(name, architecture[name]))
        demand(n <= MAX_LAYERS, f"{name} has {n} entries; needed: {MAX_LAYERS} at most")
    _check_history(found)
    loss = _loss(estimator, found["_loss"])
    targets = _targets(values, arrays, loss)
    n_classes = len(targets["classes_"]) if loss.targets == "classes" else 0
    demand(is_valid_seen(found["_seen"], n_classes), "what it has seen of its classes is odd")
    for name, value in {**found, **targets}.items():
        setattr(estimator, name, value)
    target = of_fitted(estimator, loss)
    network = Network(blocks.build(architecture, image), image, target.n_outputs)
    theta = _floats(arrays, "theta", network.layout.size)
    demand(theta.dtype in (np.float32, np.float64), f"parameters in {theta.dtype}")
    if values["version"] < 5:  # where dropout came after each block, whatever the pooling
        found["n_layers_"] = estimator.n_layers_ = len(network.summary())
    demand(len(network.summary()) == found["n_layers_"], "layers are missing")
    for name, array in network.layout.arrays(theta):
        least = network.layout.parameters[name].minimum
        demand(not (array < least).any(), f"{name} holds values below {least:g}")
    standard = None
    if {"mean", "scale"} & set(arrays):
        channels = image[2] if arrays["mean"].size == image[2] else prod(image)  # or columns
        standard = tuple(_floats(arrays, name, channels) for name in ("mean", "scale"))
        mean, scale = standard
        precise = np.can_cast(theta.dtype, mean.dtype) and scale.dtype == theta.dtype
        demand(precise, "its scale is of another precision")
        demand(scale.min() > 0, "its scale is not positive")
    estimator._theta, estimator._standard = theta, standard
    names = _column(values, arrays, "feature_names_in_")
    if names is not None:
        demand(len(names) == prod(image), "names of features are missing")
        demand(names.dtype.kind in "UO", "a feature has no name")
        estimator.feature_names_in_ = names
    memory = {
        name.removeprefix("memory."): _floats(arrays, name, network.layout.n_trained)
        for name in arrays
        if name.startswith("memory.")
    }
    demand(all(a.dtype == theta.dtype for a in memory.values()), "memory of another precision")
    estimator._progress = _progress(values, theta, memory)
    return estimator


def _as_of_now(params: dict[str, Any]) -> dict[str, Any]:
    """Add what a file of before version 4 does not say, and leave at their defaults what it did.

    Beside ``layers`` nothing else is accepted; without them it is a network of its own.
    """
    params = {"global_pooling": DEFAULTS_BEFORE_4["global_pooling"], **params}
    if params.get("layers") is None:
        return params
    old = [name for name, value in DEFAULTS_BEFORE_4.items() if params.get(name) == value]
    return params | {name: blocks.ARCHITECTURE[name] for name in old}


def _with_loss(params: dict[str, Any]) -> dict[str, Any]:
    """Turn what files of before version 5 say of smooth labels into a loss."""
    smoothing = params.pop("label_smoothing", 0.0)
    return params | {"loss": CrossEntropy(smoothing) if smoothing else "auto"}


def _before_residual(params: dict[str, Any]) -> dict[str, Any]:
    """Add what files of before version 5 do not say: no block was residual."""
    explicit = params.get("layers") is not None
    return {"residual": blocks.ARCHITECTURE["residual"] if explicit else False, **params}


def _checked(kind: type[Estimator], params: dict[str, Any]) -> Estimator:
    """Make an estimator of hyperparameters after the look at them that ``fit`` takes."""
    estimator = kind(**params)
    estimator._validate_params()
    check_together(estimator.get_params(deep=False))
    return estimator


def _loss(estimator: Estimator, found: Any) -> Loss:
    """Return the loss that was trained; raise if it is none, or of another kind of estimator."""
    demand(type(found) is not str or found in NAMED, "its loss is not known")
    loss = named_or_own(found)
    demand(loss.targets in estimator._targets, "its loss is of another kind of estimator")
    return loss


def _targets(values: dict[str, Any], arrays: dict[str, Array], loss: Loss) -> dict[str, Array]:
    """Read the fitted attributes that say what is predicted."""
    if loss.targets == "reals":
        mean, scale = (arrays.get(name) for name in ("target_mean_", "target_scale_"))
        if mean is None or scale is None:
            raise ValueError("it does not say what its targets are scaled by")
        same = mean.shape == scale.shape and mean.dtype == scale.dtype == np.float64
        demand(same and mean.ndim <= 1 and mean.size > 0, "its scale of targets is odd")
        finite = bool(np.isfinite(mean).all() and np.isfinite(scale).all())
        demand(finite and bool((scale > 0).all()), "its scale of targets is not positive")
        return {"target_mean_": mean, "target_scale_": scale}
    classes = _column(values, arrays, "classes_")
    if classes is None:
        raise ValueError("it has no classes")
    _check_classes(classes)
    if loss.targets == "labels":
        demand(np.array_equal(classes, np.arange(len(classes))), "its labels are no columns")
    return {"classes_": classes}


def _check_names(values: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Raise if there is something that nobody will look at, or something in two places."""
    columns = {"classes_", "feature_names_in_"}
    known = {"format", "version", "estimator", "params", "fitted", "progress"}
    strangers = set(values) - known - columns
    others = {name for name in arrays if not name.startswith("memory.")}
    strangers |= others - {"theta", "mean", "scale", "target_mean_", "target_scale_"} - columns
    demand(not strangers, f"it holds {sorted(strangers)[:3]}, which mean nothing here")
    double = set(values) & set(arrays)
    demand(not double, f"it holds {sorted(double)} twice")


def _check_classes(classes: Array) -> None:
    """Raise unless these can be the labels of a classifier, as ``fit`` finds them."""
    kind = classes.dtype.kind
    demand(kind in "biufUOmM", f"its classes are of the type {classes.dtype}")
    if kind == "f":
        with np.errstate(invalid="ignore"):
            whole = classes.astype(np.int64).astype(classes.dtype) == classes
        demand(bool(whole.all()), "its classes are no whole numbers")
    # neighbors are all that need be compared, in linear time whatever the values are
    rising = (classes[1:] > classes[:-1]).all() and not (kind in "mM" and np.isnat(classes).any())
    demand(len(classes) > 0 and bool(rising), "its classes are not different ones, in order")


def _check_history(found: dict[str, Any]) -> None:
    """Hold what is told of training against the history, from which it comes."""
    history, forgotten = found["_history"], found["_forgotten"]
    demand([type(value) for value in forgotten] == [int, float], "what it has forgotten is odd")
    epochs, lowest = Forgotten(*forgotten)
    demand(0 <= epochs <= MAX_COUNT and not isnan(lowest), "what it has forgotten is odd")
    sound = is_history(history) and len(history) + epochs == found["n_iter_"]
    demand(sound, "its history is none")
    losses = [row["train_loss"] for row in history]
    scores = [row["validation_score"] for row in history]
    told = {
        "loss_curve_": losses,
        "loss_": losses[-1] if losses else nan,
        "best_loss_": min(*losses, lowest) if losses else nan,
        "validation_scores_": scores,
    }
    for name, wanted in told.items():
        may_be_none = type(None) in PLAIN[name] and found[name] is None
        same = may_be_none or np.array_equal(found[name], wanted, equal_nan=True)
        demand(same, f"{name} and the history disagree")
    demand(0 <= found["t_"] <= MAX_COUNT, "it has seen an odd number of samples")


def _progress(
    values: dict[str, Any], theta: Array, memory: dict[str, Array]
) -> dict[str, Any] | None:
    if "progress" not in values:
        demand(not memory, "there is a memory of no progress")
        return None
    plain = {name: from_plain(value) for name, value in values["progress"].items()}
    state = TrainingState.from_values(theta, memory, plain)
    rule = SPECS.get(state.rule)
    if rule is None or not issubclass(rule, optimizers.Optimizer):
        raise ValueError("its progress is of no optimizer")
    known = {*rule().state_names(), "velocity"}  # which some have only with momentum
    demand(set(rule().state_names()) <= set(memory) <= known, "its memory is incomplete")
    return {"memory": memory, **state.to_values()}


def _column(values: dict[str, Any], arrays: dict[str, Array], name: str) -> Array | None:
    """Read labels or names, which are an array, or a list where they are objects."""
    if name not in values:
        array = arrays.get(name)
        demand(array is None or array.ndim == 1, f"{name} is no column")
        return array
    items = values[name]
    demand(type(items) is list and all(type(item) is str for item in items), f"{name} is odd")
    return np.array(items, dtype=object)


def _floats(arrays: dict[str, Array], name: str, size: int) -> Array:
    array = arrays[name]
    demand(array.shape == (size,) and array.dtype.kind == "f", f"{name} has the wrong form")
    demand(bool(np.isfinite(array).all()), f"{name} holds what is not finite")
    return array
