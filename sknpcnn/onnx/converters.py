"""Teaches skl2onnx our estimators, so that it exports pipelines around them."""

from typing import Any

from onnx import TensorProto, helper
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, guess_tensor_type
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.features import NumpyCNNFeatures
from sknpcnn.onnx.writing.estimators import write_estimator
from sknpcnn.onnx.writing.graph import Graph
from sknpcnn.regressor import NumpyCNNRegressor

CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}
"""The options of classifiers in skl2onnx: how probabilities are labeled, or scores instead."""


def register() -> None:
    """Register converters for all estimators; those of before are replaced."""
    classes = calculate_linear_classifier_output_shapes
    reals = calculate_linear_regressor_output_shapes
    for kind, shapes, options in (
        (NumpyCNNClassifier, classes, CLASSIFIER_OPTIONS),
        (NumpyCNNRegressor, reals, None),
        (NumpyCNNFeatures, _features_shape, None),
    ):
        alias = f"Sknpcnn{kind.__name__}"
        update_registered_converter(kind, alias, shapes, _convert, options=options)


def _features_shape(operator: Any) -> None:
    """Declare the output of a transformer."""
    (x,) = operator.inputs
    kind = guess_tensor_type(x.type)
    n_features = len(operator.raw_operator.get_feature_names_out())
    kind.shape = [x.type.shape[0], n_features]
    operator.outputs[0].type = kind


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Append an estimator to the graph that skl2onnx is making."""
    (x,), opset = operator.inputs, container.target_opset
    graph = Graph(opset)
    graph.scope = scope.get_unique_operator_name(type(operator.raw_operator).__name__)
    name = x.full_name
    if not isinstance(x.type, FloatTensorType):
        name = graph.node("Cast", name, to=TensorProto.FLOAT)
    doubles = {o.full_name for o in operator.outputs if isinstance(o.type, DoubleTensorType)}
    declared = [output.full_name for output in operator.outputs]
    names = tuple(f"{name}_single" if name in doubles else name for name in declared)
    shape = (operator.raw_operator.n_features_in_,)  # pipelines hand on rows
    scores = isinstance(operator.raw_operator, NumpyCNNClassifier) and bool(
        scope.get_options(operator.raw_operator, {"raw_scores": False})["raw_scores"]
    )
    write_estimator(operator.raw_operator, name, graph, shape, names=names, scores=scores)
    for double in doubles:
        graph.node("Cast", f"{double}_single", output=double, to=TensorProto.DOUBLE)
    container.initializers.extend(graph.constants)
    for node in graph.nodes:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        container.add_node(
            node.op_type,
            list(node.input),
            list(node.output),
            op_version=opset,
            name=node.name,
            **attributes,
        )
