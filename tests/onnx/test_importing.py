"""Networks that come from ONNX models: our own, and those of others."""

import logging

import numpy as np
import pytest
from hypothesis import assume, given, settings
from sklearn.frozen import FrozenEstimator

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, architectures
from sknpcnn.layers import Conv2D, Dense, Flatten, GroupNorm, LayerNorm, ReLU
from tests.layers.layer_cases import CASES
from tests.models import small

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper

from sknpcnn.onnx import from_onnx, to_onnx
from tests.onnx.stacks import stacks
from tests.onnx.test_exporting import ANY, GRAY, images, untrained

pytestmark = pytest.mark.filterwarnings(
    "ignore:layers ends with Dense", "ignore:X holds values", "ignore:You are using the legacy"
)


def assert_comes_back(clf, X, tolerance=1e-6, **options):
    """Export a classifier, import it again, and compare predictions."""
    again = NumpyCNNClassifier.from_onnx(to_onnx(clf, **options))
    np.testing.assert_array_equal(again.classes_, clf.classes_)
    rows = X.reshape(len(X), *again.image_shape_)
    np.testing.assert_allclose(again.predict_proba(rows), clf.predict_proba(X), atol=tolerance)
    return again


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("name", architectures.__all__)
def test_architectures_come_back(name, fold):
    image = (28, 28, 1) if name in GRAY else (32, 32, 3)
    clf = untrained(getattr(architectures, name)(), image, n_classes=10)
    again = assert_comes_back(clf, images(3, *image, seed=1), fold_batch_norm=fold)
    kinds = [row.kind for row in again.summary().itertuples() if row.kind != "Scale"]
    own = [row.kind for row in clf.summary().itertuples() if row.kind != "Dropout"]
    if not fold:
        assert kinds == own


def contains(layer, kinds):
    return isinstance(layer, kinds) or any(
        contains(inner, kinds) for steps in layer.branches for _, inner in steps
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layers_come_back(case):
    if contains(case.layer, (GroupNorm, LayerNorm)):
        return  # an error says that they are not supported
    vectors = len(case.shape) == 1
    image = (1, 1, *case.shape) if vectors else case.shape
    clf = untrained([Flatten(), case.layer] if vectors else [case.layer], image)
    for fold in (False, True):
        assert_comes_back(clf, images(5, *image, seed=1), fold_batch_norm=fold)


@settings(max_examples=40, **ANY)
@given(stacks())
def test_random_stacks_come_back(stack):
    check_comes_back(stack)


@pytest.mark.slow
@settings(max_examples=300, **ANY)
@given(stacks())
def test_many_random_stacks_come_back(stack):
    check_comes_back(stack)


def check_comes_back(stack):
    assume(not any(contains(layer, (GroupNorm, LayerNorm)) for layer in stack))
    try:
        clf = untrained(stack, (6, 5, 2))
        X = images(4, 6, 5, 2, seed=1)
        clf.predict_proba(X)
    except ValueError:  # a window is larger than its image, or the network overflows
        assume(False)
    assert_comes_back(clf, X, tolerance=1e-5)


@pytest.mark.parametrize("shape", [(36,), (6, 6), (6, 6, 1), (3, 4, 3), (7,), (1, 1, 5)])
def test_whatever_the_estimator_was_fitted_on(shape):
    X, y = images(12, *shape) * 50 + 100, np.array(["a", "b", "c"])[np.arange(12) % 3]
    assert_comes_back(small().fit(X, y), X)


def test_columns_of_tables_come_back():
    X, y = images(20, 5) * [1, 1e3, 1e-3, 7, 0] + [0, 5, 1, -40, 3], np.arange(20) % 2
    assert_comes_back(NumpyCNNClassifier(max_iter=2, random_state=0).fit(X, y), X)


def test_several_labels_come_back():
    X, Y = images(20, 6, 6), np.random.default_rng(0).integers(0, 2, (20, 4))
    again = assert_comes_back(small(max_iter=20).fit(X, Y), X)
    assert again.fit(X, Y).predict(X).shape == Y.shape


TORCH = ["LeNet", "VGG", "ResNet18", "MobileNetV2", "SqueezeNet", "Modern"]


@pytest.fixture(params=[False, True], ids=["legacy exporter", "new exporter"])
def exporter(request, tmp_path):
    """Exports a network of PyTorch by one of its two exporters; returns the file."""
    pytest.importorskip("torch")
    if request.param:
        pytest.importorskip("onnxscript")
    from tests.onnx import torch_models

    def export(name):
        made = torch_models.model(name)
        logging.disable(logging.WARNING)
        try:
            torch_models.exported(made, tmp_path / "model.onnx", dynamo=request.param)
        finally:
            logging.disable(logging.NOTSET)
        return made, tmp_path / "model.onnx"

    return export


def torch_outputs(made, X):
    import torch

    with torch.no_grad():
        return made(torch.tensor(X.transpose(0, 3, 1, 2).copy())).numpy()


@pytest.mark.filterwarnings("ignore")  # the exporters' own
@pytest.mark.parametrize("name", TORCH)
def test_networks_of_pytorch_predict_the_same_and_go_on_training(name, exporter):
    made, file = exporter(name)
    rate = 1e-2 if name == "MobileNetV2" else 3e-3  # deep, and its normalizations are folded
    training = {"learning_rate_init": rate, "max_iter": 40, "n_iter_no_change": np.inf}
    clf = NumpyCNNClassifier.from_onnx(file, random_state=0, **training)
    channels, h, w = made.image
    assert clf.image_shape_ == (h, w, channels)
    X = images(20, h, w, channels)
    theirs, ours = torch_outputs(made, X), clf.decision_function(X)
    if name in ("LeNet", "Modern"):  # which return (logarithms of) probabilities
        theirs = theirs if name == "LeNet" else np.log(theirs)
        ours = clf.predict_log_proba(X)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())
    y = np.arange(20) % 10
    before = clf.score(X, y)
    clf.fit(X, y)
    assert clf.n_iter_ == 40
    assert clf.loss_curve_[-1] < 0.8 * clf.loss_curve_[0]
    assert clf.score(X, y) >= before


@pytest.mark.filterwarnings("ignore:Training has ended while the loss")
def test_a_frozen_body_stays_as_it_is_and_a_new_head_learns(digits):
    X, _, y, _ = digits
    clf = small(conv_filters=(8, 16), hidden_layer_sizes=(), max_iter=30).fit(X[:500], y[:500] % 2)
    layers, weights = from_onnx(to_onnx(clf), lr_scale=0)
    body = {k: w for k, w in weights.items() if not k.startswith(layers[-1][0])}
    other = NumpyCNNClassifier(layers=layers[:-1], standardize=False, max_iter=0, random_state=0)
    other.fit(X[:500], y[:500]).set_weights(body)
    other.set_params(max_iter=40, warm_start=True).fit(X[:500], y[:500])
    for name, array in body.items():
        np.testing.assert_array_equal(other.get_weights()[name], array, err_msg=name)
    assert other.score(X[:500], y[:500]) > 0.6


def test_features_of_a_network():
    clf = untrained([Conv2D(3), ReLU(), Conv2D(2), ReLU()], (5, 4, 2))
    X = images(6, 5, 4, 2)
    features = NumpyCNNFeatures.from_onnx(to_onnx(clf), layer="relu_2")
    expected = NumpyCNNFeatures(FrozenEstimator(clf), layer="relu_2").fit(X).transform(X)
    np.testing.assert_allclose(features.transform(X), expected, atol=1e-6)
    assert features.get_feature_names_out()[0] == "relu_2_0_0_0"
    assert NumpyCNNFeatures.from_onnx(to_onnx(clf)).layer_ == "relu_2"
    cut = NumpyCNNFeatures.from_onnx(to_onnx(clf), output="relu_1.relu")
    assert cut.layer_ == "relu_1"
    with pytest.raises(ValueError, match="layer='nothing'; needed: one of"):
        NumpyCNNFeatures.from_onnx(to_onnx(clf), layer="nothing")


def test_classes_are_given_named_or_numbered():
    clf = untrained([Conv2D(2)], (4, 4, 1))
    model = to_onnx(clf)
    assert NumpyCNNClassifier.from_onnx(model).classes_.tolist() == [0, 1, 2]
    named = NumpyCNNClassifier.from_onnx(model, classes=["a", "b", "c"])
    assert named.predict(images(2, 4, 4))[0] in "abc"
    for wrong in (["a", "b"], ["b", "a", "c"], ["a", "a", "b"]):
        with pytest.raises(ValueError, match=r"classes=.*; needed: 3 labels, .* sorted"):
            NumpyCNNClassifier.from_onnx(model, classes=wrong)


# Models that are written by hand, node by node.


def model_of(nodes, constants, shape=("n", 2, 6, 5), output="y", opset=17, batch="n"):
    """Make a model with one input ``x``."""
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def single(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def assert_agrees_with_onnxruntime(model, shape=(2, 6, 5)):
    onnxruntime = pytest.importorskip("onnxruntime")
    X = single((3, *shape))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (expected,) = session.run(None, {"x": X})
    features = NumpyCNNFeatures.from_onnx(model)
    features.layer_ = features.estimator_.summary()["name"].iloc[-2]  # the one before the output
    found = features.transform(X.transpose(0, 2, 3, 1) if len(shape) == 3 else X)
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
    np.testing.assert_allclose(found, expected.reshape(len(X), -1), rtol=1e-5, atol=1e-5)
    return features


def node(operator, inputs, output, **attributes):
    return helper.make_node(operator, inputs.split(), [output], name=f"make_{output}", **attributes)


W33 = {"W": single((3, 2, 3, 3))}


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
def test_automatic_padding(auto_pad, stride):
    given = {"auto_pad": auto_pad, "strides": [stride, stride]}
    conv = node("Conv", "x W", "c", kernel_shape=[3, 3], **given)
    pool = node("MaxPool", "c", "y", kernel_shape=[2, 2], **given)
    assert_agrees_with_onnxruntime(model_of([conv, pool], W33))


def test_spelled_out_activations_are_recognized():
    half, one, root = (np.float32(v) for v in (0.5, 1.0, np.sqrt(2)))
    nodes = [
        node("Conv", "x W", "c"),
        node("Sigmoid", "c", "s"),
        node("Mul", "s c", "silu"),
        node("Div", "silu root", "d"),
        node("Erf", "d", "e"),
        node("Add", "one e", "a"),
        node("Mul", "silu a", "m"),
        node("Mul", "half m", "gelu"),
        node("Exp", "gelu", "exp"),
        node("Add", "exp one", "more"),
        node("Log", "more", "y"),
    ]
    constants = {**W33, "half": half, "one": one, "root": root}
    model = model_of(nodes[:-3], constants, output="gelu")
    features = assert_agrees_with_onnxruntime(model)
    kinds = features.estimator_.summary()["kind"].tolist()
    assert kinds[:3] == ["Conv2D", "SiLU", "GELU"]
    with pytest.raises(ValueError, match=r"'make_exp' \(Exp\) is not supported"):
        from_onnx(model_of(nodes, constants))


def test_constants_become_biases_and_scales():
    nodes = [
        node("Sub", "x mean", "centered"),
        node("Div", "centered std", "standard"),
        node("Conv", "standard W", "c"),
        node("Add", "c bias", "biased"),
        node("Mul", "biased factor", "y"),
    ]
    channels = {name: single((1, 2, 1, 1), i) for i, name in enumerate(("mean", "std"))}
    constants = {**W33, **channels, "bias": single((3, 1, 1)), "factor": np.float32(2)}
    features = assert_agrees_with_onnxruntime(model_of(nodes, constants))
    kinds = features.estimator_.summary()["kind"].tolist()
    assert kinds[:3] == ["Scale", "Conv2D", "Scale"]


def test_flattened_images_are_put_into_our_order():
    """Dense layers, normalization and slopes after flattening; and branches that are joined."""
    nodes = [
        node("Conv", "x W", "c", pads=[1, 1, 1, 1]),
        node("Flatten", "c", "f"),
        node("PRelu", "f slope", "p"),
        node("BatchNormalization", "p gamma beta mean var", "b"),
        node("Concat", "b p", "both", axis=1),
        node("MatMul", "both M", "m"),
        node("Add", "m bias", "y"),
    ]
    names = ("gamma", "beta", "mean", "slope")
    vectors = {name: np.abs(single(90, i)) for i, name in enumerate(names)}
    constants = {**W33, **vectors, "var": np.abs(single(90, 9)) + 0.5, "M": single((180, 4))}
    model = model_of(nodes, {**constants, "bias": single(4)})
    features = assert_agrees_with_onnxruntime(model)
    assert "Branches" in set(features.estimator_.summary()["kind"])


def test_shapes_that_are_computed_are_understood():
    """As exporters flatten: ``x.view(x.size(0), -1)``, and arithmetic on sizes."""
    nodes = [
        node("Conv", "x W", "c"),
        node("GlobalAveragePool", "c", "g"),
        node("Squeeze", "g last", "flat"),
        node("Unsqueeze", "flat last", "again"),
        node("Conv", "again V", "d"),
        node("Reshape", "d three", "r"),
        node("Concat", "c c", "both", axis=1),
        node("Shape", "both", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Slice", "s one four", "rest"),
        node("ReduceProd", "rest", "product", keepdims=1),
        node("Div", "product two", "half"),
        node("Mul", "half two", "whole"),
        node("Add", "whole zero", "sum"),
        node("Sub", "sum zero", "size"),
        node("Neg", "size", "minus"),
        node("Neg", "minus", "plus"),
        node("Cast", "plus", "cast", to=7),
        node("Identity", "cast", "same"),
        node("Concat", "n same", "target", axis=0),
        node("Reshape", "both target", "rows"),
        node("Transpose", "M", "turned", perm=[1, 0]),
        node("MatMul", "rows turned", "m"),
        node("Clip", "m low", "positive"),
        node("Dropout", "positive", "kept"),
        node("Sqrt", "four_", "root"),
        node("Mul", "kept root", "y"),
    ]
    constants = {**W33, "last": np.array([2, 3]), "V": single((3, 3, 1, 1)), "low": np.float32(0)}
    constants |= {"zero": np.array([0]), "one": np.array([1]), "four": np.array([4])}
    constants |= {"two": np.array([2]), "three": np.array([0, 3]), "four_": np.float32(4)}
    constants |= {"M": single((4, 72))}
    features = assert_agrees_with_onnxruntime(model_of(nodes, constants, opset=17))
    kinds = features.estimator_.summary()["kind"].tolist()
    assert kinds[:4] == ["Conv2D", "Branches", "Flatten", "Dense"]
    reshaped = from_onnx(model_of(nodes[:6], constants, output="r"))
    assert [type(layer).__name__ for _, layer in reshaped.layers][-1] == "Dense"


@pytest.mark.parametrize(
    ("nodes", "kinds"),
    [
        ([node("LeakyRelu", "c", "y", alpha=0.2)], ["LeakyReLU"]),
        ([node("Elu", "c", "y", alpha=0.5)], ["ELU"]),
        ([node("Clip", "c zero six", "y")], ["ReLU6"]),
        ([node("Softplus", "c", "y")], ["Softplus"]),
        ([node("HardSwish", "c", "y")], ["HardSwish"]),
        ([node("Gelu", "c", "y", approximate="tanh")], ["GELU"]),
        ([node("PRelu", "c slope", "y")], ["LeakyReLU"]),
        ([node("GlobalMaxPool", "c", "y")], ["GlobalMaxPool2D"]),
        ([node("ReduceMean", "c axes", "y")], ["GlobalAvgPool2D"]),
        ([node("Pad", "c pads zero axes", "y")], ["ZeroPad2D"]),
        ([node("AveragePool", "c", "y", kernel_shape=[2, 2], ceil_mode=1)], ["AvgPool2D"]),
        ([node("Sub", "six c", "y")], ["Scale"]),
        ([node("Sum", "c c c", "y")], ["Add"]),
        (
            [
                node("GlobalAveragePool", "c", "g"),
                node("Reshape", "g four", "v"),
                node("Gemm", "v G b", "y", transB=1),
            ],
            ["GlobalAvgPool2D", "Dense"],
        ),
    ],
)
def test_operators_by_hand(nodes, kinds):
    constants = {"zero": np.float32(0), "six": np.float32(6), "slope": np.float32([0.3])}
    constants |= {"axes": np.array([2, 3]), "pads": np.array([1, 0, 2, 1])}
    constants |= {"four": np.array([-1, 3]), "G": single((2, 3)), "b": single(2), **W33}
    conv = node("Conv", "x W", "c", pads=[0, 0, 0, 1])  # to 4x4 pixels
    model = model_of([conv, *nodes], constants, opset=20)
    features = assert_agrees_with_onnxruntime(model)
    found = features.estimator_.summary()["kind"].tolist()
    assert [kind for kind in found if kind not in ("Conv2D", "Flatten")][:-1] == kinds


def test_images_with_their_channels_last():
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t W", "c"),
        node("Transpose", "c", "back", perm=[0, 2, 3, 1]),
        node("ReduceMean", "back", "y", axes=[1, 2], keepdims=0),
    ]
    imported = from_onnx(model_of(nodes, W33, shape=("n", 6, 5, 2)))
    assert imported.image_shape == (6, 5, 2)
    assert [type(layer).__name__ for _, layer in imported.layers] == ["Conv2D", "GlobalAvgPool2D"]


def conv_and(*more, **constants):
    return model_of([node("Conv", "x W", "c"), *more], {**W33, **constants})


UNSUPPORTED = {
    "operator": (
        lambda: conv_and(node("LRN", "c", "y", size=3)),
        r"Node 'make_y' \(LRN\) is not supported.*supported operators: .*Conv, ",
    ),
    "transposed convolution": (
        lambda: conv_and(node("ConvTranspose", "c V", "y"), V=single((3, 2, 3, 3))),
        r"'make_y' \(ConvTranspose\) is not supported",
    ),
    "mean of channels": (
        lambda: conv_and(node("ReduceMean", "c", "y", axes=[1])),
        r"'make_y' \(ReduceMean\): .* axes \[1\]; needed: those of the pixels",
    ),
    "dense layer of images": (
        lambda: conv_and(node("MatMul", "c M", "y"), M=single((3, 3))),
        r"'make_y' \(MatMul\): a matrix of shape \(3, 3\) is multiplied with \(4, 3, 3\)",
    ),
    "product of computed tensors": (
        lambda: conv_and(node("Relu", "c", "r"), node("Mul", "c r", "y")),
        r"'make_y' \(Mul\) combines computed tensors in a way that is not supported",
    ),
    "branches that overlap": (
        lambda: conv_and(
            *(node("Relu", "c", "r"), node("Tanh", "r", "t"), node("Add", "r t", "a")),
            *(node("Sigmoid", "t", "s"), node("Add", "a s", "y")),
        ),
        r"leads into several branches that do not part there",
    ),
    "reshape across images": (
        lambda: conv_and(node("Reshape", "c s", "y"), s=np.array([-1, 9])),
        r"'make_y' \(Reshape\): it reshapes",
    ),
    "pooling with gaps": (
        lambda: conv_and(node("MaxPool", "c", "y", kernel_shape=[2, 2], dilations=[2, 1])),
        r"'make_y' \(MaxPool\): its window has gaps",
    ),
    "padding by reflection": (
        lambda: conv_and(
            node("Pad", "c p", "y", mode="reflect"), p=np.array([0, 0, 1, 1, 0, 0, 1, 1])
        ),
        r"'make_y' \(Pad\): it pads .* in mode reflect",
    ),
    "computed kernel": (
        lambda: model_of([node("Relu", "x", "r"), node("Conv", "x r", "y")], {}),
        r"'make_y' \(Conv\)",
    ),
    "free size": (
        lambda: model_of([node("Conv", "x W", "y")], W33, shape=("n", 2, "h", "w")),
        r"Input 'x' has the shape \(2, None, None\), some sizes of which are free",
    ),
    "no use of the input": (
        lambda: model_of([node("Relu", "W", "y")], W33),
        r"Output 'y' does not depend on input 'x'",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_named(name):
    make, message = UNSUPPORTED[name]
    with pytest.raises(ValueError, match=message):
        from_onnx(make())
    with pytest.raises(ValueError, match=message):
        NumpyCNNClassifier.from_onnx(make())


def test_output_is_chosen_by_name():
    model = conv_and(node("Relu", "c", "r"), node("Tanh", "r", "y"))
    layers, _ = from_onnx(model, output="r")
    assert [name for name, _ in layers] == ["conv2d_1", "relu_1"]
    with pytest.raises(ValueError, match="output='z' is not computed by the model"):
        from_onnx(model, output="z")
    model.graph.output.append(helper.make_tensor_value_info("c", 1, None))
    with pytest.raises(ValueError, match=r"The model has the outputs \['y', 'c'\]\. Choose one"):
        from_onnx(model)


def test_learning_rates_are_those_asked_for():
    layers, _ = from_onnx(to_onnx(untrained([Conv2D(2)], (4, 4, 1))), lr_scale=0.5)
    scales = {name: layer.lr_scale for name, layer in layers if hasattr(layer, "lr_scale")}
    assert set(scales.values()) == {0.5}
    assert {"conv2d_1", "dense_1"} <= set(scales)
    assert isinstance(layers[-1][1], Dense)
