"""Makes estimators of imported networks: they predict what these do, and can be trained further."""

import json
from typing import Any, TypeVar

import numpy as np
from sklearn.frozen import FrozenEstimator

from sknpcnn._estimator import fitted
from sknpcnn._estimator.given import publish_given
from sknpcnn._training.classes import Classes, Labels
from sknpcnn._values.brief import brief
from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.features import NumpyCNNFeatures, find_layer
from sknpcnn.layers import Dense
from sknpcnn.onnx.reading.model import Model
from sknpcnn.onnx.reading.network import Imported, from_onnx

Array = np.ndarray
ClassifierT = TypeVar("ClassifierT", bound=NumpyCNNClassifier)
FeaturesT = TypeVar("FeaturesT", bound=NumpyCNNFeatures)


def classifier_from_onnx(
    kind: type[ClassifierT],
    model: Model,
    classes: Any = None,
    output: str | None = None,
    lr_scale: float = 1.0,
    **params: Any,
) -> ClassifierT:
    """Make a fitted classifier of a network."""
    imported = from_onnx(model, output=output, lr_scale=lr_scale)
    layers, weights, W, b = _split_off_output(imported)
    several = imported.link == "logistic" and W.shape[1] > 1
    if W.shape[1] == 1:  # one logit is the difference of two
        W, b = (np.concatenate([0 * a, a], axis=-1) for a in (W, b))
    target: Any = Labels(W.shape[1]) if several else Classes(_classes(imported, classes, len(b)))
    if several and classes is not None and list(classes) != list(range(W.shape[1])):
        raise ValueError(
            f"classes={brief(classes)}; needed: None, as each output of the model is a label of "
            "its own."
        )
    given = {"layers": layers, "standardize": False, "warm_start": True, **params}
    estimator = kind(**given)
    weights = {**weights, "output.W": W, "output.b": b}
    loss = "binary_cross_entropy" if several else "cross_entropy"
    publish_given(estimator, imported.image_shape, target, loss, weights)
    return estimator


def features_from_onnx(
    kind: type[FeaturesT], model: Model, layer: str | None = None, output: str | None = None
) -> FeaturesT:
    """Make a fitted transformer of a network; whatever it ends in is not its output layer."""
    imported = from_onnx(model, output=output, lr_scale=0.0)
    layers, weights = imported
    size = imported.output_size
    estimator = NumpyCNNClassifier(layers=layers, standardize=False)
    weights |= {"output.W": np.zeros((size, 2)), "output.b": np.zeros(2)}
    publish_given(estimator, imported.image_shape, Classes(np.arange(2)), "cross_entropy", weights)
    features = kind(FrozenEstimator(estimator), layer=layer)
    found = {"estimator_": estimator, "layer_": find_layer(estimator, layer)}
    fitted.publish(features, found | fitted.features_of(estimator))
    return features


def _split_off_output(
    imported: Imported,
) -> tuple[list[Any], dict[str, Array], Array, Array]:
    """Return the layers but for the last one, if it is dense, their weights, and what it computes.

    Where another layer comes last, the output layer returns what it is given.
    """
    layers, weights = list(imported.layers), dict(imported.weights)
    name, last = layers[-1] if layers else ("", None)
    if isinstance(last, Dense):
        layers.pop()
        W = weights.pop(f"{name}.W")
        b = weights.pop(f"{name}.b") if last.bias else np.zeros(last.units, np.float32)
        return layers, weights, W, b
    n = imported.output_size
    order = np.arange(n) if imported.order is None else imported.order
    identity = np.zeros((n, n), np.float32)
    identity[np.arange(n), order] = 1
    return layers, weights, identity, np.zeros(n, np.float32)


def _classes(imported: Imported, classes: Any, n: int) -> Array:
    """Return the classes: those given, those that one of our models names, or numbers."""
    if classes is None and "classes" in imported.metadata:
        try:
            found = json.loads(imported.metadata["classes"])
        except ValueError:
            found = None
        plain = isinstance(found, list) and all(isinstance(c, str | int) for c in found)
        classes = found if plain and len(found) == n else None
    array = np.arange(n) if classes is None else np.asarray(classes)
    if (
        array.shape != (n,)
        or len(np.unique(array)) < n
        or not np.array_equal(np.sort(array), array)
    ):
        raise ValueError(
            f"classes={brief(classes)}; needed: {n} labels, one for each output of the model, in "
            "the order of the outputs, all different and sorted, as those of a classifier are."
        )
    return array
