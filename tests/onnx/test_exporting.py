"""Exported models predict what their estimators predict, in runtimes that we did not write."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, NumpyCNNRegressor, architectures
from sknpcnn._estimator import fitted
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Flatten, Layer, ReLU, Residual
from sknpcnn.losses import CrossEntropy, Focal, Loss, Poisson
from tests.layers.layer_cases import CASES
from tests.models import small

onnx = pytest.importorskip("onnx")
from sknpcnn.onnx import to_onnx
from tests.onnx.runtimes import (
    RUNTIMES,
    assert_predicts_the_same,
    in_onnxruntime,
    with_random_weights,
)
from tests.onnx.stacks import stacks

pytestmark = pytest.mark.filterwarnings("ignore:layers ends with Dense", "ignore:X holds values")

GRAY = ("convnet_5x5", "keras_twin", "lenet", "network_1", "network_2", "three_stage")


def images(n, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


def untrained(layers, image, n_classes=3, **params):
    """Make a classifier of these layers with random weights."""
    y = np.arange(2 * n_classes) % n_classes
    clf = NumpyCNNClassifier(layers=layers, max_iter=0, random_state=0, **params)
    return with_random_weights(clf.fit(images(len(y), *image), y))


@pytest.mark.parametrize("opset", [13, 18, 22])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_layer_and_option(case, opset):
    vectors = len(case.shape) == 1
    image = (1, 1, *case.shape) if vectors else case.shape
    clf = untrained([Flatten(), case.layer] if vectors else [case.layer], image)
    runtimes = RUNTIMES if opset == 18 else (in_onnxruntime,)
    for fold in (False, True):
        model = to_onnx(clf, opset=opset, fold_batch_norm=fold)
        assert_predicts_the_same(model, clf, images(5, *image, seed=1), runtimes)


@pytest.mark.parametrize("name", architectures.__all__)
def test_every_architecture(name):
    image = (28, 28, 1) if name in GRAY else (32, 32, 3)
    clf = untrained(getattr(architectures, name)(), image, n_classes=10)
    assert_predicts_the_same(to_onnx(clf), clf, images(3, *image, seed=1), (in_onnxruntime,))


def check_stack(stack, standardize):
    try:
        clf = untrained(stack, (6, 5, 2), standardize=standardize)
    except ValueError:  # a window is larger than its image
        assume(False)
    X = images(4, 6, 5, 2, seed=1)
    exact = untrained(stack, (6, 5, 2), standardize=standardize, dtype="float64")
    try:
        rounding = clf.predict_proba(X) - exact.set_weights(clf.get_weights()).predict_proba(X)
    except ValueError:  # the network overflows
        assume(False)
    # What normalizes values that are nearly equal enlarges rounding, in this package as well.
    assume(np.abs(rounding).max() < 1e-6)
    for fold in (False, True):
        assert_predicts_the_same(to_onnx(clf, fold_batch_norm=fold), clf, X)


ANY = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=40, **ANY)
@given(stacks(), st.booleans())
def test_random_stacks(stack, standardize):
    check_stack(stack, standardize)


@pytest.mark.slow
@settings(max_examples=300, **ANY)
@given(stacks(), st.booleans())
def test_many_random_stacks(stack, standardize):
    check_stack(stack, standardize)


@pytest.mark.parametrize("shape", [(36,), (6, 6), (6, 6, 1), (3, 4, 3), (1, 36), (7,), (1, 1, 5)])
def test_input_is_what_the_estimator_was_fitted_on(shape):
    X, y = images(12, *shape) * 50 + 100, np.arange(12) % 3
    clf = small().fit(X, y)
    model = to_onnx(clf)
    (given_input,) = model.graph.input
    dims = given_input.type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in dims] == ["n", *shape]
    for n in (1, 5, 12):
        assert_predicts_the_same(model, clf, X[:n])


def test_columns_of_tables_are_standardized_one_by_one():
    X, y = images(20, 5) * [1, 1e3, 1e-3, 7, 0] + [0, 5, 1, -40, 3], np.arange(20) % 2
    clf = NumpyCNNClassifier(max_iter=2, random_state=0).fit(X, y)
    assert len(fitted.standard_of(clf).mean) == 5
    assert_predicts_the_same(to_onnx(clf), clf, X)


@pytest.mark.parametrize(
    "labels",
    [["b", "a", "ü"], [3, -1, 7], [2.0, 5.0, 9.0], [np.uint8(7), np.uint8(9), np.uint8(8)]],
)
def test_labels_are_those_of_the_classifier(labels):
    X, y = images(12, 6, 6), np.array(labels)[np.arange(12) % 3]
    clf = small(dropout=0.0).fit(X, y)
    model = to_onnx(clf)
    for run in RUNTIMES:
        assert (run(model, X)["label"] == clf.predict(X)).all()
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["classes"]) == sorted(labels)
    assert metadata["estimator"] == "NumpyCNNClassifier"
    assert json.loads(metadata["image_shape"]) == [6, 6, 1]
    assert json.loads(metadata["parameters"])["conv_filters"] == "(4,)"


def test_two_classes_have_two_probabilities():
    X, y = images(12, 6, 6), np.arange(12) % 2 == 0
    clf = small(loss=Focal()).fit(X, y)
    found = in_onnxruntime(to_onnx(clf), X)
    np.testing.assert_allclose(found["probabilities"], clf.predict_proba(X), atol=1e-5)
    assert found["label"].dtype == np.int64
    assert (found["label"] == clf.predict(X)).all()


def test_several_labels_of_an_image():
    X, Y = images(20, 6, 6), np.random.default_rng(0).integers(0, 2, (20, 4))
    clf = small(max_iter=20).fit(X, Y)
    for run in RUNTIMES:
        found = run(to_onnx(clf), X)
        np.testing.assert_allclose(found["probabilities"], clf.predict_proba(X), atol=1e-5)
        np.testing.assert_array_equal(found["label"], clf.predict(X))


@pytest.mark.parametrize("loss", ["squared_error", "huber", Poisson()])
@pytest.mark.parametrize("columns", [(), (2,), (3,)])
def test_regressors_predict_in_the_units_of_y(loss, columns):
    X, y = images(20, 6, 6), np.random.default_rng(0).uniform(900, 1000, (20, *columns))
    regressor = NumpyCNNRegressor(loss=loss, conv_filters=4, max_iter=2, random_state=0).fit(X, y)
    for run in RUNTIMES:
        found = run(to_onnx(regressor), X)["variable"]
        assert found.shape == (20, *(columns or (1,)))
        np.testing.assert_allclose(found.reshape(y.shape), regressor.predict(X), rtol=1e-6)


@pytest.mark.parametrize("layer", ["conv2d_1", "flatten_1", "dense_1", None])
def test_features_of_a_layer(layer):
    X = images(6, 6, 5)
    stack = [Conv2D(3), ReLU(), Flatten(), Dense(4)]
    model = NumpyCNNClassifier(layers=stack, random_state=0)
    features = NumpyCNNFeatures(model, layer=layer).fit(X)
    for run in RUNTIMES:
        found = run(to_onnx(features), X)["variable"]
        np.testing.assert_allclose(found, features.transform(X), atol=1e-5)


def test_networks_in_double_precision_become_single():
    X, y = images(12, 6, 6).astype(np.float64), np.arange(12) % 3
    clf = small(dtype=np.float64).fit(X, y)
    assert_predicts_the_same(to_onnx(clf), clf, X)


def test_batch_norms_are_folded_or_not():
    clf = untrained([Conv2D(2, bias=False), BatchNorm(), ReLU()], (5, 5, 1))
    for fold, expected in ((True, 0), (False, 1)):
        operators = [node.op_type for node in to_onnx(clf, fold_batch_norm=fold).graph.node]
        assert operators.count("BatchNormalization") == expected
        assert operators.count("Conv") == 1


@pytest.mark.parametrize(("opset", "ir_version"), [(13, 7), (15, 8), (18, 8), (20, 9), (22, 10)])
def test_the_format_is_no_newer_than_the_operators_need(opset, ir_version):
    model = to_onnx(untrained([Conv2D(2)], (4, 4, 1)), opset=opset)
    assert model.ir_version == ir_version
    assert [(domain.domain, domain.version) for domain in model.opset_import] == [("", opset)]


def test_a_file_holds_the_model(tmp_path):
    clf = untrained([Conv2D(2)], (4, 4, 1))
    model = to_onnx(clf, tmp_path / "model.onnx")
    assert onnx.load(tmp_path / "model.onnx") == model
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


class Own(Layer):
    def forward(self, params, x, ctx):
        return x, None

    def backward(self, params, cache, dy, grads, ctx):
        return dy


class OwnLoss(CrossEntropy):
    pass


class OwnMeans(Loss):
    pass


def test_what_cannot_be_exported_is_named():
    X, y = images(6, 5, 5), np.arange(6) % 3
    own = small(layers=[Residual([Own()])]).fit(X, y)
    with pytest.raises(TypeError, match=r"Layer residual_1\.own_1 is Own\(\).* cannot be exported"):
        to_onnx(own)
    with pytest.raises(TypeError, match=r"loss=OwnLoss\(\); needed: a loss of sknpcnn\.losses"):
        to_onnx(small(loss=OwnLoss()).fit(X, y))
    with pytest.raises(TypeError, match=r"given a Pipeline; needed: .*skl2onnx"):
        to_onnx(make_pipeline(small()))
    with pytest.raises(ValueError, match="opset=12; needed: 13 to 22"):
        to_onnx(small().fit(X, y), opset=12)
    with pytest.raises(Exception, match="not fitted yet"):
        to_onnx(small())
    times = np.array(["2020-01-01", "2021-01-01"], "datetime64[D]")[y % 2]
    with pytest.raises(TypeError, match="needed: integers of up to 64 bits or strings"):
        to_onnx(small().fit(X, times))


def test_nothing_is_imported_before_it_is_used():
    code = "import sknpcnn, sys; print([m for m in sys.modules if m.partition('.')[0] == 'onnx'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
