"""A convolutional network that is an ordinary scikit-learn estimator, in NumPy.

Names are imported when they are first asked for: layers and networks need NumPy alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sknpcnn.version import __version__ as __version__

__all__ = ["NumpyCNNClassifier", "NumpyCNNFeatures", "NumpyCNNRegressor", "load", "save"]

_HOMES = {
    "NumpyCNNClassifier": "classifier",
    "NumpyCNNFeatures": "features",
    "NumpyCNNRegressor": "regressor",
    "load": "saving",
    "save": "saving",
}
_MODULES = {
    *("architectures", "augmentation", "callbacks", "classifier", "datasets", "display"),
    *("features", "layers", "lite", "losses", "onnx", "optimizers", "regressor", "saving"),
    *("schedules", "spec", "testing", "weights"),
}

if TYPE_CHECKING:
    from sknpcnn.classifier import NumpyCNNClassifier
    from sknpcnn.features import NumpyCNNFeatures
    from sknpcnn.regressor import NumpyCNNRegressor
    from sknpcnn.saving import load, save
else:

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
            globals()[name] = found
            return found
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, "__version__"})
