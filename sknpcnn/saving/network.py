"""The network in a model file, which is not trusted: all that it takes to predict with it.

This needs NumPy alone. What else is in the file is read by ``rebuilding``.
"""

from io import BufferedIOBase
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from sknpcnn._estimator import blocks
from sknpcnn._network.network import Network
from sknpcnn._network.standard import Standard
from sknpcnn._storage import storage
from sknpcnn._training.targets import Target, of_fitted
from sknpcnn.losses import NAMED, Loss, named_or_own
from sknpcnn.saving.plain import require

Array = np.ndarray

FORMAT, VERSION = "sknpcnn model", 5
# Version 1 included MACHINE_PARAMS; versions before 3 lack the counts of samples seen; those before
# 4 had other defaults; those before 5 were only classifiers with a single loss.
READABLE = 1, 2, 3, 4, 5
# The most characters of a file's content that an error quotes.
MAX_SHOWN = 500

# The defaults of files before version 4.
DEFAULTS_BEFORE_4 = {
    "conv_filters": (16, 32),
    "global_pooling": False,
    "hidden_layer_sizes": (100,),
    "batch_norm": False,
    "dropout": 0.0,
}

# The most layers in a file: each takes time to build, whatever its size.
MAX_LAYERS = 5_000


def read_file(file: Path | BufferedIOBase) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return values and arrays of a model file; raise unless it says to be one."""
    if isinstance(file, Path):
        values, arrays = storage.read(file)
    else:
        values, arrays = storage.read_from(file, "The model")
    if values.get("format") != FORMAT or values.get("version") not in READABLE:
        raise ValueError(
            f"{file}: says to be {short(values.get('format'))}, version "
            f"{short(values.get('version'))}; needed: a file that sknpcnn.save has written, of "
            f"version {VERSION} or before."
        )
    return values, arrays


def invalid(file: Path | BufferedIOBase, error: Exception) -> ValueError:
    """Make the error about a file whose content is invalid."""
    name = file if isinstance(file, Path) else "The model"
    return ValueError(f"{name}: does not hold a valid model ({short(error)}).")


class SavedNetwork(NamedTuple):
    """A network, its parameters, and what its input and outputs mean."""

    network: Network
    theta: Array
    standard: Standard | None
    loss: Loss
    target: Target
    targets: dict[str, Array]
    """The fitted attributes that define the target."""


def read_network(
    found: dict[str, Any], loss: Loss, values: dict[str, Any], arrays: dict[str, Array]
) -> SavedNetwork:
    """Build the network of a file from its fitted attributes; raise if any of it is invalid."""
    image, architecture = found["image_shape_"], found["_architecture"]
    require(
        len(image) == 3 and all(type(n) is int and n > 0 for n in image), f"image_shape_ is {image}"
    )
    require(set(architecture) == {*blocks.ARCHITECTURE, "layers"}, "its architecture is incomplete")
    explicit = architecture["layers"] is not None
    for name in ("conv_filters", "hidden_layer_sizes"):
        n = 0 if explicit else len(blocks.read_sizes(name, architecture[name]))
        require(n <= MAX_LAYERS, f"{name} has {n} entries; needed: {MAX_LAYERS} at most")
    targets = read_targets(values, arrays, loss)
    target = of_fitted(SimpleNamespace(**targets), loss)
    network = Network(blocks.build_layers(architecture, image), image, target.n_outputs)
    theta = floats(arrays, "theta", network.layout.size)
    require(theta.dtype in (np.float32, np.float64), f"parameters in {theta.dtype}")
    for name, array in network.layout.arrays(theta):
        minimum = network.layout.parameters[name].minimum
        require(not (array < minimum).any(), f"{name} holds values below {minimum:g}")
    return SavedNetwork(network, theta, _read_standard(arrays, image, theta), loss, target, targets)


def read_loss(found: Any) -> Loss:
    """Return a loss of a file, which is there by its name or as a value."""
    known = found in NAMED if type(found) is str else isinstance(found, Loss)
    require(known, "its loss is unknown")
    return named_or_own(found)


def _read_standard(arrays: dict[str, Array], image: Any, theta: Array) -> Standard | None:
    """Return the mean and scale of the input, of each channel or of each column of a table."""
    if not {"mean", "scale"} & set(arrays):
        return None
    channels = image[2] if arrays["mean"].size == image[2] else prod(image)
    mean, scale = (floats(arrays, name, channels) for name in ("mean", "scale"))
    precise = np.can_cast(theta.dtype, mean.dtype) and scale.dtype == theta.dtype
    require(precise, "its scale has the wrong precision")
    require(scale.min() > 0, "its scale is not positive")
    return Standard(mean, scale)


def upgrade_fitted(found: dict[str, Any], version: int) -> None:
    """Bring the fitted attributes of a file of an older version up to date, but for its loss."""
    if version < 4:
        found["_architecture"] = upgrade_defaults(found["_architecture"])
    if version < 5:
        found["_architecture"] = add_residual(found["_architecture"])


def upgrade_defaults(params: dict[str, Any]) -> dict[str, Any]:
    """Add ``global_pooling`` to parameters from before version 4.

    With ``layers``, the other parameters of the network must have their defaults: those at the old
    defaults get the current ones.
    """
    params = {"global_pooling": DEFAULTS_BEFORE_4["global_pooling"], **params}
    if params.get("layers") is None:
        return params
    old = [name for name, value in DEFAULTS_BEFORE_4.items() if params.get(name) == value]
    return params | {name: blocks.ARCHITECTURE[name] for name in old}


def add_residual(params: dict[str, Any]) -> dict[str, Any]:
    """Add ``residual`` to parameters from before version 5, when no block was residual."""
    explicit = params.get("layers") is not None
    return {"residual": blocks.ARCHITECTURE["residual"] if explicit else False, **params}


def read_targets(values: dict[str, Any], arrays: dict[str, Array], loss: Loss) -> dict[str, Array]:
    """Return the fitted attributes of the target; raise if there are those of another kind."""
    scales = {"target_mean_", "target_scale_"}
    unused = ({"classes_"} if loss.targets == "reals" else scales) & {*values, *arrays}
    require(not unused, f"it holds {sorted(unused)}, which a model of its loss does not have")
    if loss.targets == "reals":
        mean, scale = (arrays.get(name) for name in ("target_mean_", "target_scale_"))
        if mean is None or scale is None:
            raise ValueError("its scale of targets is missing")
        same = mean.shape == scale.shape and mean.dtype == scale.dtype == np.float64
        require(same and mean.ndim <= 1 and mean.size > 0, "its scale of targets is invalid")
        finite = bool(np.isfinite(mean).all() and np.isfinite(scale).all())
        require(finite and bool((scale > 0).all()), "its scale of targets is not positive")
        return {"target_mean_": mean, "target_scale_": scale}
    classes = read_column(values, arrays, "classes_")
    if classes is None:
        raise ValueError("its classes are missing")
    _check_classes(classes)
    if loss.targets == "labels":
        require(
            np.array_equal(classes, np.arange(len(classes))), "its classes are not column indices"
        )
    return {"classes_": classes}


def _check_classes(classes: Array) -> None:
    """Raise unless these can be the ``classes_`` of a fitted classifier."""
    kind = classes.dtype.kind
    require(kind in "biufUOmM", f"its classes are of the type {classes.dtype}")
    if kind == "f":
        with np.errstate(invalid="ignore"):
            whole = classes.astype(np.int64).astype(classes.dtype) == classes
        require(bool(whole.all()), "its classes are not whole numbers")
    # comparing neighbors takes linear time, whatever the values are
    increasing = (classes[1:] > classes[:-1]).all() and not (
        kind in "mM" and np.isnat(classes).any()
    )
    require(len(classes) > 0 and bool(increasing), "its classes are not unique and sorted")


def read_column(values: dict[str, Any], arrays: dict[str, Array], name: str) -> Array | None:
    """Return labels or names, which are an array, or a list if they are objects."""
    if name not in values:
        array = arrays.get(name)
        require(array is None or array.ndim == 1, f"{name} is not one-dimensional")
        return array
    items = values[name]
    require(
        type(items) is list and all(type(item) is str for item in items),
        f"{name} is not a list of strings",
    )
    return np.array(items, dtype=object)


def floats(arrays: dict[str, Array], name: str, size: int) -> Array:
    """Return an array of finite reals, of a certain length."""
    array = arrays[name]
    require(
        array.shape == (size,) and array.dtype.kind == "f", f"{name} has the wrong shape or dtype"
    )
    require(bool(np.isfinite(array).all()), f"{name} holds values that are not finite")
    return array


def short(content: Any) -> str:
    """Return an error or a value as text, shortened."""
    text = str(content) if isinstance(content, Exception) else repr(content)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
