"""Writes fitted estimators as ONNX models, which run without this package, or any Python."""

import json
from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper
from sklearn.utils.validation import check_is_fitted

from sknpcnn._estimator import fitted
from sknpcnn._storage import files
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import is_integer
from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.features import NumpyCNNFeatures
from sknpcnn.layers.steps import shapes
from sknpcnn.losses import Loss
from sknpcnn.onnx.writing.graph import Graph
from sknpcnn.onnx.writing.layers import write_layers
from sknpcnn.regressor import NumpyCNNRegressor
from sknpcnn.version import __version__

Array = np.ndarray
Model = NumpyCNNClassifier | NumpyCNNRegressor

MIN_OPSET, MAX_OPSET = 13, 22
BATCH = "n"
"""The name of the dimension that is free."""
MAX_LABEL = 2**63 - 1


def to_onnx(
    estimator: Model | NumpyCNNFeatures,
    path: str | PathLike[str] | None = None,
    *,
    opset: int = 18,
    fold_batch_norm: bool = True,
) -> ModelProto:
    """Make an ONNX model of a fitted estimator, which onnxruntime and others can run.

    Its input, ``X``, holds what the estimator was fitted on, rows or images, as ``float32``, any
    number of them; they are standardized within the model. Outputs are named as in models of
    skl2onnx: ``label`` and ``probabilities`` of a classifier, ``variable`` of the others.

    Parameters
    ----------
    estimator : NumpyCNNClassifier, NumpyCNNRegressor or NumpyCNNFeatures
        A fitted estimator, of layers and a loss of this package.
    path : str or path, default=None
        A file to write the model to.
    opset : int, default=18
        The version of the operators, from 13 to 22. The older one, the more programs can run it.
    fold_batch_norm : bool, default=True
        Whether batch normalizations become part of the convolutions before them, as in prediction.
        Without, they remain layers, which matters if the model is to be trained elsewhere.

    Returns
    -------
    model : onnx.ModelProto
        The model. Its metadata name the classes, the parameters of the estimator, and the shape of
        an image.

    See Also
    --------
    sknpcnn.save : Write a file of this package, from which training can be resumed.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.onnx import to_onnx
    >>> X, y = load_digits(return_X_y=True)
    >>> model = to_onnx(NumpyCNNClassifier(max_iter=1).fit(X, y))
    >>> [output.name for output in model.graph.output]
    ['label', 'probabilities']
    """
    if not isinstance(estimator, NumpyCNNClassifier | NumpyCNNRegressor | NumpyCNNFeatures):
        raise TypeError(
            f"to_onnx is given a {type(estimator).__name__}; needed: a fitted NumpyCNNClassifier, "
            "NumpyCNNRegressor or NumpyCNNFeatures. For a pipeline around one there is "
            "skl2onnx.to_onnx, once sknpcnn.onnx has been imported."
        )
    if not is_integer(opset) or not MIN_OPSET <= opset <= MAX_OPSET:
        raise ValueError(f"opset={brief(opset)}; needed: {MIN_OPSET} to {MAX_OPSET}.")
    check_is_fitted(estimator)
    graph = Graph(int(opset))
    shape = _sample_shape(estimator)
    outputs = write_estimator(estimator, "X", graph, shape, fold_batch_norm)
    X = helper.make_tensor_value_info("X", TensorProto.FLOAT, [BATCH, *shape])
    proto = graph.proto(type(estimator).__name__, [X], outputs)
    versions = [helper.make_opsetid("", graph.opset)]
    model = helper.make_model(
        proto,
        opset_imports=versions,
        ir_version=helper.find_min_ir_version_for(versions),
        producer_name="sknpcnn",
        producer_version=__version__,
    )
    helper.set_model_props(model, _metadata(estimator))
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        with files.atomic_write(Path(fspath(path))) as file:
            file.write(model.SerializeToString())
    return model


def write_estimator(
    estimator: Model | NumpyCNNFeatures,
    X: str,
    graph: Graph,
    shape: tuple[int, ...],
    fold: bool = True,
    names: tuple[str, ...] | None = None,
    scores: bool = False,
) -> list[ValueInfoProto]:
    """Append an estimator to a graph, for input X of samples of this shape; return the outputs.

    Outputs may be given other names; with ``scores``, they are those of ``decision_function``
    instead of probabilities.
    """
    features = isinstance(estimator, NumpyCNNFeatures)
    model: Any = estimator.estimator_ if features else estimator
    network = fitted.network_of(model)
    steps = network.steps[1:]
    if features:
        n_steps = [name for name, _ in steps].index(estimator.layer_) + 1
        steps = steps[:n_steps]
    x = _write_images(model, X, graph, shape)
    params = network.layout.views(model._theta)
    x = write_layers(steps, params, network.image, x, graph, fold)
    if features:
        return _write_features(shapes(steps, network.image)[-1], x, graph, names)
    return _write_predictions(model, x, graph, names, scores)


def _sample_shape(estimator: Model | NumpyCNNFeatures) -> tuple[int, ...]:
    """Return the shape of a sample as the estimator was given it; older models are given rows."""
    known: tuple[int, ...] = getattr(estimator, "_sample_shape", (estimator.n_features_in_,))
    return known


def _write_images(model: Any, x: str, graph: Graph, shape: tuple[int, ...]) -> str:
    """Append what turns input into standardized images (n, channels, h, w)."""
    image = model.image_shape_
    h, w, channels = image
    if shape != image:
        x = graph.node("Reshape", x, graph.constant([-1, *image], "shape"))
    if model._standard is not None:
        mean, scale = model._standard
        if len(mean) != channels:  # each column of a table
            mean, scale = mean.reshape(image), scale.reshape(image)
        x = graph.node("Sub", x, graph.constant(mean, "mean"))
        x = graph.node("Mul", x, graph.constant(scale, "scale"))
    if channels == 1:
        return graph.node("Reshape", x, graph.constant([-1, 1, h, w], "shape"))
    return graph.node("Transpose", x, perm=(0, 3, 1, 2))


def _write_features(
    shape: tuple[int, ...], x: str, graph: Graph, names: tuple[str, ...] | None
) -> list[ValueInfoProto]:
    """Append what turns the output of a layer into rows, in our order."""
    (name,) = names or ("variable",)
    if len(shape) == 3:
        x = graph.node("Transpose", x, perm=(0, 2, 3, 1))
    graph.node("Flatten", x, output=name, axis=1)
    return [_reals(name, int(np.prod(shape)))]


def _write_predictions(
    model: Any, x: str, graph: Graph, names: tuple[str, ...] | None, scores: bool
) -> list[ValueInfoProto]:
    """Append what turns outputs of the network into predictions."""
    loss, n_outputs = fitted.loss_of(model), fitted.target_of(model).n_outputs
    _check_loss(loss)
    if loss.targets == "reals":
        (name,) = names or ("variable",)
        x = LINKS[loss.out_activation](x, graph, "")
        scaled = graph.node("Mul", x, graph.constant(model.target_scale_.reshape(-1), "scale"))
        mean = graph.constant(model.target_mean_.reshape(-1), "mean")
        graph.node("Add", scaled, mean, output=name)
        return [_reals(name, n_outputs)]
    label, probabilities = names or ("label", "probabilities")
    p = LINKS[loss.out_activation](x, graph, "" if scores else probabilities)
    if scores:
        _write_scores(x, n_outputs, graph, probabilities)
    if loss.targets == "labels":
        above = graph.node("Greater", p, graph.constant(0.5))
        graph.node("Cast", above, output=label, to=TensorProto.INT64)
        known = helper.make_tensor_value_info(label, TensorProto.INT64, [BATCH, n_outputs])
    else:
        classes = _labels(model.classes_)
        best = graph.node("ArgMax", x, axis=1, keepdims=0)
        graph.node("Gather", graph.constant(classes, "classes"), best, output=label)
        kind = TensorProto.INT64 if classes.dtype.kind == "i" else TensorProto.STRING
        known = helper.make_tensor_value_info(label, kind, [BATCH])
    return [known, _reals(probabilities, n_outputs)]


def _write_scores(x: str, n_outputs: int, graph: Graph, output: str) -> None:
    """Append logits; those of two classes become a difference and its opposite."""
    if n_outputs == 2:
        signs = graph.constant([[1.0, -1.0], [-1.0, 1.0]], "signs")
        graph.node("MatMul", x, signs, output=output)
    else:
        graph.node("Identity", x, output=output)


LINKS: dict[str, Callable[[str, Graph, str], str]] = {
    "identity": lambda x, graph, output: x,
    "softmax": lambda x, graph, output: graph.node("Softmax", x, axis=1, output=output),
    "logistic": lambda x, graph, output: graph.node("Sigmoid", x, output=output),
    "exp": lambda x, graph, output: graph.node("Exp", x, output=output),
}


def _check_loss(loss: Loss) -> None:
    """Raise unless it is known what outputs mean to a loss."""
    if type(loss).__module__ != Loss.__module__:
        raise TypeError(
            f"The estimator was trained with loss={brief(loss)}; needed: a loss of sknpcnn.losses. "
            "What outputs mean to others cannot be exported."
        )


def _labels(classes: Array) -> Array:
    """Return the classes as ONNX can hold them: as integers or strings."""
    kind = classes.dtype.kind
    if kind in "UO" and all(isinstance(label, str) for label in classes):
        return classes
    if kind in "biu" and int(classes.max()) <= MAX_LABEL:
        return classes.astype(np.int64)
    if kind == "f":  # whole numbers
        return classes.astype(np.int64)
    raise TypeError(
        f"The classes are {brief(classes)}; needed: integers of up to 64 bits or strings. Fit the "
        "classifier on such labels, for instance y.astype(str)."
    )


def _reals(name: str, n: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, n])


def _metadata(estimator: Model | NumpyCNNFeatures) -> dict[str, str]:
    """Describe the estimator in texts."""
    model: Any = estimator.estimator_ if isinstance(estimator, NumpyCNNFeatures) else estimator
    params = {name: repr(value) for name, value in model.get_params(deep=False).items()}
    found = {
        "estimator": type(estimator).__name__,
        "image_shape": json.dumps(model.image_shape_),
        "parameters": json.dumps(params),
    }
    if isinstance(estimator, NumpyCNNClassifier):
        found["classes"] = json.dumps(_labels(estimator.classes_).tolist())
    return found
