"""Model files in which nothing can hide: arrays and JSON, and on reading every field is checked.

joblib and pickle run code that a file names, so a model from somebody else may do anything. Here a
file names hyperparameters, layers of this package and numbers; what it says is built anew.
"""

from dataclasses import fields
from math import isnan, nan, prod
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknpcnn import augmentation, blocks, inputs, layers, optimizers, schedules, storage
from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.constraints import check_together
from sknpcnn.fitting import Forgotten, is_curve, is_history, is_summary
from sknpcnn.network import Network
from sknpcnn.spec import Spec

Array = np.ndarray

FORMAT, VERSION = "sknpcnn model", 1

SPECS: dict[str, type[Spec]] = {
    thing.__name__: thing
    for module in (layers, optimizers, schedules, augmentation)
    for thing in (getattr(module, name) for name in module.__all__)
    if isinstance(thing, type) and issubclass(thing, Spec)
}

# The fitted attributes that are plain values, and what each may be.
PLAIN: dict[str, tuple[type, ...]] = {
    "n_features_in_": (int,),
    "image_shape_": (tuple,),
    "n_iter_": (int,),
    "t_": (int,),
    "n_layers_": (int,),
    "out_activation_": (str,),
    "loss_": (float,),
    "best_loss_": (float, type(None)),
    "loss_curve_": (list,),
    "validation_scores_": (list, type(None)),
    "_history": (list,),
    "_forgotten": (tuple,),
    "_architecture": (dict,),
}
PROGRESS = {"seed": int, "epoch": int, "step": int, "curve": list, "rule": str}
PROGRESS |= {"forgotten": int, "summary": tuple}
# What files of before there was anything to forget do not say.
NOTHING_FORGOTTEN = {"forgotten": 0, "summary": ("", ())}


def save(estimator: NumpyCNNClassifier, path: str | PathLike[str]) -> None:
    """Write a fitted classifier to a file that can be read without executing anything in it.

    Parameters
    ----------
    estimator : NumpyCNNClassifier
        A fitted classifier. Layers, schedules and the like must be those of this package, and
        labels numbers or strings; callbacks and requests for metadata are not written down.
    path : str or path
        The file; by custom its name ends in ``.npz``. One that is there is replaced, whole.

    See Also
    --------
    load : Read such a file.

    Examples
    --------
    >>> import tempfile
    >>> import sknpcnn
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = sknpcnn.NumpyCNNClassifier(max_iter=1).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sknpcnn.save(clf, folder + "/digits.npz")
    ...     again = sknpcnn.load(folder + "/digits.npz")
    >>> bool((again.predict(X) == clf.predict(X)).all())
    True
    """
    if type(estimator) is not NumpyCNNClassifier:
        raise TypeError(
            f"save is given a {type(estimator).__name__}; needed: a NumpyCNNClassifier. For other "
            "estimators, such as a pipeline around it, there are joblib and skops."
        )
    check_is_fitted(estimator, "_theta")
    params = estimator.get_params(deep=False)
    if params["dtype"] is not None:
        params["dtype"] = np.dtype(params["dtype"]).name
    values: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "params": {name: _plain(value, name) for name, value in params.items()},
        "fitted": {name: _plain(getattr(estimator, name), name) for name in PLAIN},
    }
    arrays = {"theta": estimator._theta}
    if estimator._standard is not None:
        arrays["mean"], arrays["scale"] = estimator._standard
    for name in ("classes_", "feature_names_in_"):
        array = getattr(estimator, name, None)
        if array is not None and array.dtype.kind == "O":
            values[name] = [_plain(item, name) for item in array.tolist()]
        elif array is not None:
            arrays[name] = array
    if (progress := estimator._progress) is not None:
        values["progress"] = {name: _plain(progress[name], name) for name in PROGRESS}
        arrays |= {f"memory.{name}": array for name, array in progress["memory"].items()}
    storage.write(Path(fspath(path)), values, arrays)


def load(path: str | PathLike[str]) -> NumpyCNNClassifier:
    """Read a classifier from a file that ``save`` has written, without executing anything in it.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    estimator : NumpyCNNClassifier
        The fitted classifier. It predicts the same bits, and goes on training where it was.

    See Also
    --------
    save : Write such a file.

    Examples
    --------
    >>> import tempfile
    >>> import sknpcnn
    >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    ...     sknpcnn.load(file.name)
    Traceback (most recent call last):
        ...
    ValueError: ...npz: is not an intact file (File is not a zip file).
    """
    file = Path(fspath(path))
    values, arrays = storage.read(file)
    if values.get("format") != FORMAT or values.get("version") != VERSION:
        raise ValueError(
            f"{file}: says to be {values.get('format')!r}, version {values.get('version')!r}; "
            f"needed: a file that sknpcnn.save has written, of version {VERSION}."
        )
    try:
        return _estimator(values, arrays)
    except Exception as error:
        raise ValueError(f"{file}: holds no sound model ({error}).") from error


def _estimator(values: dict[str, Any], arrays: dict[str, Array]) -> NumpyCNNClassifier:
    """Build the classifier, and look at everything that it will rely upon."""
    params = {name: _value(plain) for name, plain in values["params"].items()}
    estimator = NumpyCNNClassifier(**params)
    _demand(set(params) == set(estimator.get_params(deep=False)), "parameters are missing")
    estimator._validate_params()
    check_together(params)

    found = {name: _value(plain) for name, plain in values["fitted"].items()}
    found = {"_forgotten": tuple(Forgotten()), **found}
    _demand(set(found) == set(PLAIN), "its fitted attributes are others than needed")
    for name, kinds in PLAIN.items():
        _demand(type(found[name]) in kinds, f"{name} is a {type(found[name]).__name__}")
    image, architecture = found["image_shape_"], found["_architecture"]
    _demand(len(image) == 3 and all(type(n) is int and n > 0 for n in image), f"images of {image}")
    _demand(found["n_features_in_"] == prod(image), "features and images disagree")
    _demand(set(architecture) == {*blocks.ARCHITECTURE, "layers"}, "its architecture is incomplete")
    _check_history(found)
    classes = _column(values, arrays, "classes_")
    if classes is None or not len(classes) or not np.array_equal(np.unique(classes), classes):
        raise ValueError("its classes are not different ones, in order")
    _demand(classes.dtype.kind in "biufUSOM", f"its classes are of the type {classes.dtype}")
    inputs.labels(classes, "classes_")
    network = Network(blocks.build(architecture, image), image, len(classes))
    theta = _floats(arrays, "theta", network.layout.size)
    _demand(theta.dtype in (np.float32, np.float64), f"parameters in {theta.dtype}")
    _demand(len(network.summary()) == found["n_layers_"], "layers are missing")
    for name, array in network.layout.arrays(theta):
        _demand(not name.endswith(".var") or array.min() >= 0, f"{name} is negative")
    standard = None
    if {"mean", "scale"} & set(arrays):
        standard = tuple(_floats(arrays, name, image[2]) for name in ("mean", "scale"))
        _demand(standard[1].min() > 0 and standard[1].dtype == theta.dtype, "its scale is none")
    for name, value in {**found, "classes_": classes, "_theta": theta}.items():
        setattr(estimator, name, value)
    estimator._standard = standard
    names = _column(values, arrays, "feature_names_in_")
    if names is not None:
        _demand(len(names) == prod(image), "names of features are missing")
        _demand(all(isinstance(name, str) for name in names), "a feature has no name")
        estimator.feature_names_in_ = names
    memory = {
        name.removeprefix("memory."): _floats(arrays, name, network.layout.n_trained)
        for name in arrays
        if name.startswith("memory.")
    }
    _demand(all(a.dtype == theta.dtype for a in memory.values()), "memory of another precision")
    estimator._progress = _progress(values, memory)
    return estimator


def _check_history(found: dict[str, Any]) -> None:
    """Hold what is told of training against the history, from which it comes."""
    history, forgotten = found["_history"], found["_forgotten"]
    _demand([type(value) for value in forgotten] == [int, float], "what it has forgotten is odd")
    epochs, lowest = Forgotten(*forgotten)
    _demand(epochs >= 0 and not isnan(lowest), "what it has forgotten is odd")
    sound = is_history(history) and len(history) + epochs == found["n_iter_"]
    _demand(sound, "its history is none")
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
        _demand(same, f"{name} and the history disagree")
    _demand(found["t_"] >= 0 and found["out_activation_"] == "softmax", "it is no classifier")


def _progress(values: dict[str, Any], memory: dict[str, Array]) -> dict[str, Any] | None:
    if "progress" not in values:
        _demand(not memory, "there is a memory of no progress")
        return None
    progress = {name: _value(plain) for name, plain in values["progress"].items()}
    progress = {**NOTHING_FORGOTTEN, **progress}
    kinds = {name: type(value) for name, value in progress.items()}
    _demand(kinds == PROGRESS, "its progress is incomplete")
    rule = SPECS.get(progress["rule"])
    if rule is None or not issubclass(rule, optimizers.Optimizer):
        raise ValueError("its progress is of no optimizer")
    known = {*rule().remembers(), "velocity"}  # which some have only with momentum
    _demand(set(rule().remembers()) <= set(memory) <= known, "its memory is incomplete")
    _demand(0 <= progress["seed"] < 2**31, "its seed is none")
    _demand(min(progress["epoch"], progress["step"]) >= 0, "its progress is negative")
    _demand(is_curve(progress["curve"]), "its curve is none")
    _demand(is_summary(progress["summary"]) and progress["forgotten"] >= 0, "its curve is none")
    return progress | {"memory": memory}


def _column(values: dict[str, Any], arrays: dict[str, Array], name: str) -> Array | None:
    """Read labels or names, which are an array, or a list where they are objects."""
    if name not in values:
        array = arrays.get(name)
        _demand(array is None or array.ndim == 1, f"{name} is no column")
        return array
    items = [_value(plain) for plain in values[name]]
    _demand(all(type(item) in (str, int, float, bool) for item in items), f"{name} is odd")
    return np.array(items, dtype=object)


def _floats(arrays: dict[str, Array], name: str, size: int) -> Array:
    array = arrays[name]
    _demand(array.shape == (size,) and array.dtype.kind == "f", f"{name} has the wrong form")
    _demand(bool(np.isfinite(array).all()), f"{name} holds what is not finite")
    return array


def _plain(value: Any, name: str) -> Any:
    """Write a value as JSON can hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_plain(item, name) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_plain(k, name), _plain(item, name)] for k, item in value.items()]}
    kind = type(value)
    if SPECS.get(kind.__name__) is kind:
        inside = {field.name: _plain(getattr(value, field.name), name) for field in fields(value)}
        return {"spec": kind.__name__, "fields": inside}
    raise TypeError(
        f"{name} holds {value!r}, which cannot be written down without pickle; needed: numbers, "
        "strings, and layers, schedules and the like of this package. joblib can save it."
    )


def _value(plain: Any) -> Any:
    """Read what ``_plain`` has written."""
    if not isinstance(plain, dict):
        _demand(not isinstance(plain, list), "a value is a list")
        return plain
    (kind, content), *rest = plain.items()
    if kind == "spec":
        _demand([key for key, _ in rest] == ["fields"], "a layer is incomplete")
        inside = {name: _value(item) for name, item in plain["fields"].items()}
        return SPECS[content](**inside)
    _demand(not rest and kind in ("list", "tuple", "dict"), f"a value is a {kind}")
    if kind == "dict":
        return {_value(key): _value(item) for key, item in content}
    items = [_value(item) for item in content]
    return items if kind == "list" else tuple(items)


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
