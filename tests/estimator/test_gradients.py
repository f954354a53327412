"""Gradients of losses and scores, against finite differences, PyTorch and each other."""

import re
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning, NotFittedError

from sknpcnn import NumpyCNNClassifier, NumpyCNNRegressor, architectures
from sknpcnn.layers import (
    Add,
    BatchNorm,
    Branches,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Identity,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    SqueezeExcite,
    Tanh,
)
from sknpcnn.losses import BinaryCrossEntropy, Huber
from sknpcnn.weights import to_torch_state_dict
from tests.layers.own_layers import NewBatchNorm, Twice

GRAY, COLOR = (8, 6), (8, 6, 3)
NETWORK = {"conv_filters": (4, 6), "hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}


def images(n=12, shape=GRAY, seed=0):
    """Images in double precision, far from mean zero and deviation one."""
    return np.random.default_rng(seed).normal(size=(n, *shape)) * 30 + 100


def classifier(classes=3, shape=GRAY, **params):
    X = images(24, shape)
    y = np.array(["cat", "dog", "eel", "fox"])[np.arange(24) % classes]
    if "layers" in params:
        return NumpyCNNClassifier(max_iter=2, random_state=0, **params).fit(X, y)
    return NumpyCNNClassifier(**NETWORK | params).fit(X, y)


def regressor(y=None, **params):
    y = 1e3 * np.random.default_rng(1).normal(size=24) if y is None else y
    return NumpyCNNRegressor(**NETWORK | params).fit(images(24), y)


def assert_slopes(function, X, gradient, rtol=1e-4):
    """Assert that a gradient is the slope of a function, (n,) or a number, in some directions."""
    assert gradient.shape == X.shape
    steps = np.random.default_rng(3).normal(size=(3, *X.shape)) * 1e-4
    for step in (*steps, 1e-4 * np.sign(gradient)):
        slope = np.asarray(function(X + step) - function(X - step)) / 2
        expected = (gradient * step).reshape(len(X), -1).sum(axis=1)
        np.testing.assert_allclose(slope, expected, rtol=rtol, atol=1e-8 * np.abs(expected).max())
    assert (gradient != 0).any(axis=tuple(range(1, X.ndim))).all()


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("shape", [GRAY, COLOR, (8, 6, 5)])
def test_gradient_of_a_score_is_its_slope(shape, standardize):
    clf, X = classifier(shape=shape, standardize=standardize), images(5, shape, seed=1)
    for k, label in enumerate(clf.classes_):
        found = clf.input_gradient(X, target=label)
        assert found.dtype == np.float64
        assert_slopes(lambda X, k=k: clf.decision_function(X)[:, k], X, found)


def test_rows_stay_rows_and_images_stay_images():
    clf, X = classifier(), images(5, seed=1)
    found = clf.input_gradient(X)
    assert found.shape == X.shape
    rows, channel = X.reshape(5, -1), X[..., None]
    np.testing.assert_array_equal(clf.input_gradient(rows), found.reshape(5, -1))
    np.testing.assert_array_equal(clf.input_gradient(channel), found[..., None])
    np.testing.assert_array_equal(clf.input_gradient(X.tolist()), found)
    frame = clf.input_gradient(pd.DataFrame(rows))
    np.testing.assert_array_equal(frame, found.reshape(5, -1))


def test_columns_of_a_table_are_scaled_one_by_one():
    X = np.random.default_rng(0).normal(size=(30, 5)) * [1, 10, 100, 1e3, 1e4]
    y = np.arange(30) % 2
    clf = NumpyCNNClassifier(max_iter=5, random_state=0).fit(X, y)
    unit, found = X.std(axis=0), clf.input_gradient(X, target=1)
    assert_slopes(lambda x: clf.decision_function(x * unit), X / unit, found * unit)


def test_labels_of_many_classes_are_no_cause_for_a_warning():
    X, y = images(120), np.tile(np.arange(40), 3)
    clf = NumpyCNNClassifier(**NETWORK).fit(X, y)
    found = clf.input_gradient(X[:40], target=y[:40])
    assert_slopes(lambda X: np.diag(clf.decision_function(X)), X[:40], found)
    assert clf.input_gradient(X[:40], y[:40]).any()


def test_default_target_is_the_class_that_is_predicted():
    clf, X = classifier(), images(9, seed=1)
    predicted = clf.predict(X)
    assert len(set(predicted)) > 1
    found = clf.input_gradient(X)
    np.testing.assert_array_equal(clf.input_gradient(X, target=predicted), found)
    for label in set(predicted):
        chosen = predicted == label
        alike = clf.input_gradient(X, target=label)[chosen]
        np.testing.assert_array_equal(alike, found[chosen])


def test_scores_of_two_classes_are_those_of_decision_function():
    clf, X = classifier(classes=2), images(5, seed=1)
    found = clf.input_gradient(X, target="dog")
    assert_slopes(clf.decision_function, X, found)
    np.testing.assert_array_equal(clf.input_gradient(X, target="cat"), -found)
    signs = np.where(clf.decision_function(X) > 0, 1, -1)[:, None, None]
    np.testing.assert_array_equal(clf.input_gradient(X), signs * found)


def test_scores_of_several_labels_are_numbered():
    y = np.random.default_rng(1).integers(2, size=(24, 3))
    clf, X = NumpyCNNClassifier(**NETWORK).fit(images(24), y), images(5, seed=1)
    for k in range(3):
        found = clf.input_gradient(X, target=k)
        assert_slopes(lambda X, k=k: clf.decision_function(X)[:, k], X, found)
    np.testing.assert_array_equal(clf.input_gradient(X), clf.input_gradient(X, target=0))
    mixed = clf.input_gradient(X, target=[0, 1, 2, 1, 0])
    np.testing.assert_array_equal(mixed[2], clf.input_gradient(X, target=2)[2])


def test_a_single_class_has_one_score():
    clf = NumpyCNNClassifier(**NETWORK).fit(images(24), ["cat"] * 24)
    X = images(5, seed=1)
    assert_slopes(lambda X: clf.decision_function(X)[:, 0], X, clf.input_gradient(X))


def test_output_of_a_regressor_is_in_units_of_y():
    model, X = regressor(), images(5, seed=1)
    found = model.input_gradient(X)
    assert_slopes(model.predict, X, found)
    np.testing.assert_array_equal(model.input_gradient(X, target=0), found)
    assert np.abs(found).max() > 0.1


def test_outputs_of_a_regressor_are_numbered():
    y = np.random.default_rng(1).normal(size=(24, 3)) * [1, 10, 1e4]
    model, X = regressor(y), images(5, seed=1)
    for k in range(3):
        found = model.input_gradient(X, target=k)
        assert_slopes(lambda X, k=k: model.predict(X)[:, k], X, found)
    mixed = model.input_gradient(X, target=np.array([0, 1, 2, 1, 0]))
    np.testing.assert_array_equal(mixed[2], model.input_gradient(X, target=2)[2])


def test_output_before_a_link_is_its_argument():
    model = regressor(np.random.default_rng(1).poisson(5, size=24), loss="poisson")
    X = images(5, seed=1)
    assert model.out_activation_ == "exp"
    assert_slopes(lambda X: np.log(model.predict(X)), X, model.input_gradient(X))


@pytest.mark.parametrize("classes", [2, 3])
def test_gradient_of_the_loss_is_that_of_each_image(classes):
    clf, X = classifier(classes=classes), images(5, seed=1)
    y = clf.classes_[[0, 1, 0, 1, 1]]

    def losses(X):
        return -clf.predict_log_proba(X)[np.arange(5), np.searchsorted(clf.classes_, y)]

    found = clf.input_gradient(X, y)
    assert_slopes(losses, X, found)
    alone = clf.input_gradient(X[:1], y[:1])
    np.testing.assert_allclose(alone, found[:1], rtol=1e-7)  # not divided by n


def test_gradient_of_the_loss_of_several_labels():
    y = np.random.default_rng(1).integers(2, size=(24, 3))
    clf, X = NumpyCNNClassifier(**NETWORK).fit(images(24), y), images(5, seed=1)

    def losses(X):
        return BinaryCrossEntropy().compute(clf.decision_function(X), y[:5])[0]

    assert_slopes(losses, X, clf.input_gradient(X, y[:5]))


def test_gradient_of_the_loss_of_a_regressor_is_in_standardized_units():
    y = np.random.default_rng(1).normal(size=(24, 2)) * [1, 1e4] + 5
    model, X = regressor(y, loss=Huber(0.5)), images(5, seed=1)

    def losses(X):
        outputs, targets = (
            (v - model.target_mean_) / model.target_scale_ for v in (model.predict(X), y[:5])
        )
        return Huber(0.5).compute(outputs, targets)[0]

    assert_slopes(losses, X, model.input_gradient(X, y[:5]))


COMPOSITES = {
    "sequential": [Sequential([Conv2D(4), BatchNorm(), ReLU(), Dropout()]), Tanh()],
    "residual": [Conv2D(4), Residual([Conv2D(4), BatchNorm(), ReLU(), Dropout(), Conv2D(4)])],
    "shortcut": [
        Residual([Conv2D(4, stride=2), BatchNorm()], Sequential([Conv2D(4, 1, 2), BatchNorm()]))
    ],
    "branches": [
        Branches([[Conv2D(3), BatchNorm()], [Dropout(), Conv2D(2, 1), ReLU()], Identity()])
    ],
    "sum": [
        *(Conv2D(4), Add([Identity(), [Conv2D(4), BatchNorm()], [BatchNorm(), Dropout(0.9)]])),
    ],
    "excited": [
        *(Conv2D(4), BatchNorm(), SqueezeExcite(2), Residual([SqueezeExcite(1), BatchNorm()])),
    ],
    "nested": [Residual([Branches([[Residual([Conv2D(1), BatchNorm()])]]), Dropout()])],
    "own": [Conv2D(4), Twice([Conv2D(4), BatchNorm(), Dropout()]), NewBatchNorm()],
    "normed input": [BatchNorm(), Dropout(), Flatten(), BatchNorm(), Dense(5), Tanh()],
    "flat": [Flatten(), Dense(5), BatchNorm(), Tanh()],
    "nothing": [Identity()],
}


@pytest.mark.parametrize("layers", COMPOSITES.values(), ids=COMPOSITES)
def test_layers_run_as_in_prediction_however_they_are_nested(layers):
    X, y = images(24), np.arange(24) % 3
    clf = NumpyCNNClassifier(layers=layers, max_iter=2, random_state=0).fit(X, y)
    X = images(5, seed=1)
    assert_slopes(lambda X: clf.decision_function(X)[:, 1], X, clf.input_gradient(X, target=1))
    whole = clf.input_gradient(X, y[:5]).reshape(5, -1)
    for row in clf.summary().itertuples():
        found = clf.input_gradient(X, y[:5], layer=row.name)
        assert found.shape == (5, *row.output_shape)
        assert found.any()
    last = clf.input_gradient(X, y[:5], layer="output")
    np.testing.assert_allclose(last, clf.predict_proba(X) - np.eye(3)[y[:5]], atol=1e-12)
    assert whole.any(axis=1).all()


@pytest.mark.parametrize("name", architectures.__all__)
def test_every_architecture_has_gradients(name):
    gray = ("convnet_5x5", "keras_twin", "lenet", "network_1", "network_2", "three_stage")
    shape = (28, 28) if name in gray else (32, 32, 3)
    X, y = images(4, shape), np.arange(4) % 2
    layers = getattr(architectures, name)()
    clf = NumpyCNNClassifier(layers=layers, max_iter=0, random_state=0, dtype="float64").fit(X, y)
    X = X[:2]
    found = clf.input_gradient(X, target=1)
    assert found.shape == X.shape
    step = 1e-7 * np.sign(found)
    slopes = (clf.decision_function(X + step) - clf.decision_function(X - step)) / 2
    np.testing.assert_allclose(slopes, (found * step).reshape(2, -1).sum(axis=1), rtol=1e-3)
    table = clf.summary()
    middle = table.iloc[len(table) // 2]
    found = clf.input_gradient(X, layer=middle["name"])
    assert found.shape == (2, *middle.output_shape)


def test_gradient_at_a_layer_adds_up_to_that_of_its_bias():
    layers = [Conv2D(4), BatchNorm(), ReLU(), MaxPool2D(), Conv2D(3), Tanh(), Flatten(), Dense(6)]
    clf, X = classifier(layers=layers), images(5)
    weights = clf.get_weights()
    moved = classifier(layers=layers)
    for name in ("conv2d_1", "conv2d_2", "dense_1"):
        found = clf.input_gradient(X, target="eel", layer=name)
        sums = found.reshape(5, -1, found.shape[-1]).sum(axis=1)
        for unit in range(found.shape[-1]):
            scores = []
            for step in (1e-5, -1e-5):
                bias = weights[f"{name}.b"].copy()
                bias[unit] += step
                moved.set_weights(weights | {f"{name}.b": bias})
                scores.append(moved.decision_function(X)[:, 2])
            slopes = (scores[0] - scores[1]) / 2e-5
            np.testing.assert_allclose(slopes, sums[:, unit], rtol=1e-5, atol=1e-8)


def test_gradient_at_a_layer_goes_on_through_the_weights():
    clf = classifier(layers=[Flatten(), Dense(7), Tanh(), Dense(6)], standardize=False)
    X, weights = images(5, seed=1), clf.get_weights()
    at = {name: clf.input_gradient(X, layer=name) for name in ("flatten_1", "dense_1", "tanh_1")}
    np.testing.assert_allclose(at["dense_1"] @ weights["dense_1.W"].T, at["flatten_1"], rtol=1e-9)
    np.testing.assert_array_equal(clf.input_gradient(X).reshape(5, -1), at["flatten_1"])
    outer = clf.input_gradient(X, layer="dense_2") @ weights["dense_2.W"].T
    np.testing.assert_allclose(outer, at["tanh_1"], rtol=1e-9)


def test_gradients_are_those_of_pytorch_at_every_layer():
    torch = pytest.importorskip("torch")
    layers = [Conv2D(4), BatchNorm(), ReLU(), MaxPool2D(), Conv2D(5), BatchNorm(), Tanh()]
    layers += [GlobalAvgPool2D(), Dense(6), ReLU(), Dropout()]
    shape, y = (12, 10, 3), np.arange(7) % 4
    X = images(40, shape)
    clf = NumpyCNNClassifier(layers=layers, max_iter=3, random_state=0).fit(X, np.arange(40) % 4)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Conv2d(4, 5, 3, padding=1), torch.nn.BatchNorm2d(5),
        torch.nn.Tanh(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(5, 6),
        torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(6, 4),
    ).double().eval()  # fmt: skip
    net.load_state_dict(to_torch_state_dict(clf, net))
    mean, deviation = X.mean(axis=(0, 1, 2)), X.std(axis=(0, 1, 2))
    given = images(7, shape, seed=1)
    x = torch.tensor(given, requires_grad=True)
    at = [((x - torch.tensor(mean)) / torch.tensor(deviation)).permute(0, 3, 1, 2)]
    for module in net:
        at.append(module(at[-1]))
        at[-1].retain_grad()
    torch.nn.functional.cross_entropy(at[-1], torch.tensor(y), reduction="sum").backward()
    found = clf.input_gradient(given, y)
    np.testing.assert_allclose(found, x.grad.numpy(), rtol=1e-7, atol=1e-12)
    outputs = [*at[1:8], *at[9:]]  # here the pooling flattens, too
    for name, output in zip(clf.summary()["name"], outputs, strict=True):
        grad = output.grad.numpy()
        grad = grad.transpose(0, 2, 3, 1) if grad.ndim == 4 else grad
        found = clf.input_gradient(given, y, layer=name)
        np.testing.assert_allclose(found, grad, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("layer", [None, "conv2d_1", "dense_1"])
def test_gradients_of_many_images_are_those_of_each(layer):
    X, y = images(200), np.arange(200) % 3
    clf = NumpyCNNClassifier(**NETWORK).fit(X, y)
    found = clf.input_gradient(X, y, layer=layer)
    for i in (0, 63, 64, 65, 150, 199):
        alone = clf.input_gradient(X[i : i + 1], y[i : i + 1], layer=layer)
        np.testing.assert_allclose(found[i], alone[0], rtol=1e-9, atol=1e-12)
    scores = clf.input_gradient(X, target=y, layer=layer)
    for label in range(3):
        alike = clf.input_gradient(X, target=label, layer=layer)[y == label]
        np.testing.assert_array_equal(scores[y == label], alike)


@pytest.mark.parametrize("layer", [None, "maxpool2d_1"])
def test_number_of_threads_changes_no_bit(layer):
    X, y = images(70, (64, 64, 3)).astype(np.float32), np.arange(70) % 3
    params = {"conv_filters": (32, 32), "max_iter": 0, "random_state": 0}
    clf = NumpyCNNClassifier(**params).fit(X, y)
    found = [
        clf.set_params(n_jobs=n).input_gradient(X, y, layer=layer).tobytes() for n in (1, 2, 3)
    ]
    assert found[0] == found[1] == found[2]


def test_little_working_memory_changes_nothing_but_the_batches():
    from sklearn import config_context

    clf, X = classifier(), images(70)
    found = clf.input_gradient(X)
    with config_context(working_memory=0.2):
        np.testing.assert_allclose(clf.input_gradient(X), found, rtol=1e-9, atol=1e-12)


def test_single_precision_stays_single():
    X = images(24).astype(np.float32)
    X.flags.writeable = False
    clf = NumpyCNNClassifier(**NETWORK).fit(X, np.arange(24) % 3)
    exact = NumpyCNNClassifier(**NETWORK, dtype="float64").fit(X, np.arange(24) % 3)
    exact.set_weights(clf.get_weights())
    target = clf.predict(X)
    expected = exact.input_gradient(X, target=target)
    for given in (X, X.astype(np.float64)):
        found = clf.input_gradient(given, target=target)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert clf.input_gradient(X, layer="conv2d_1").dtype == np.float32
    assert clf.input_gradient(X.astype(np.uint8)).dtype == np.float32


def test_new_weights_have_new_gradients():
    clf, X = classifier(), images(5)
    found = clf.input_gradient(X, target="cat")
    weights = clf.get_weights()
    clf.set_weights({"output.W": 2 * weights["output.W"]})
    np.testing.assert_allclose(clf.input_gradient(X, target="cat"), 2 * found, rtol=1e-9)


@dataclass(frozen=True, repr=False)
class Noise(Layer):
    """Adds noise in training alone."""

    def forward(self, params, x, ctx):
        if not ctx.training:
            return x * x, x
        return x * x + ctx.random_bits(x.shape) * x.dtype.type(2.0**-32), x

    def backward(self, params, x, dy, grads, ctx):
        return 2 * x * dy


def test_layers_of_the_user_run_as_in_prediction():
    clf, X = classifier(layers=[Conv2D(3), Noise(), GlobalAvgPool2D()]), images(5)
    assert_slopes(lambda X: clf.decision_function(X)[:, 0], X, clf.input_gradient(X, target="cat"))


@dataclass(frozen=True, repr=False)
class Stopping(Noise):
    """Has no gradient of its input."""

    def backward(self, params, x, dy, grads, ctx):
        return None


def test_a_layer_without_a_gradient_of_its_input_is_named():
    clf = classifier(layers=[Stopping(), GlobalAvgPool2D()])
    with pytest.raises(ValueError, match=r"no gradient of its input.*check_layer"):
        clf.input_gradient(images(5))


def test_errors_name_what_is_needed():
    clf, X = classifier(), images(5)
    names = ", ".join(clf.summary()["name"])

    def error(*args, **kwargs):
        with pytest.raises(ValueError, match=r"X|y|target|layer") as raised:
            clf.input_gradient(*args, **kwargs)
        return str(raised.value)

    assert error(X, layer="conv") == f"layer='conv'; needed: one of {names}, or None."
    assert error(X, layer=3) == f"layer=3; needed: one of {names}, or None."
    assert re.search("target holds .*'ant'.* not among the classes .*'cat'", error(X, target="ant"))
    assert "target holds [1], which is not among the classes" in error(X, target=1)
    assert error(X, target=["cat", "dog"]) == "X holds 5 samples, but target 2."
    assert error(X, ["cat", "dog"]) == "X holds 5 samples, but y 2."
    assert "y holds ['ant']" in error(X, ["ant"] * 5)
    assert "Both y and target are given" in error(X, ["cat"] * 5, target="cat")
    assert "X holds images of shape (6, 8, 1)" in error(X.transpose(0, 2, 1))
    assert "Input X contains NaN" in error(np.full_like(X, np.nan))
    assert "needed: a batch of images: X[None]" in error(X[0])
    clf.set_weights({"output.b": [1e308, 0, 0]})
    with np.errstate(all="raise"):
        assert "X[0] makes the network overflow in float64" in error(X)


def test_numbers_of_outputs_are_checked():
    model, X = regressor(np.random.default_rng(1).normal(size=(24, 2))), images(5)
    for target in (2, -1, 0.5, "a", True, [[0]], [0, 1, 2, 0, 0]):
        with pytest.raises(
            ValueError, match=r"target=.*; needed: the number of an output, from 0 to 1"
        ):
            model.input_gradient(X, target=target)
    with pytest.raises(ValueError, match="X holds 5 samples, but target 2"):
        model.input_gradient(X, target=[0, 1])
    with pytest.raises(ValueError, match=r"y has the shape \(5, 3\); needed: \(n, 2\)"):
        model.input_gradient(X, np.zeros((5, 3)))


def test_gradient_that_overflows_is_an_error():
    model = regressor(np.random.default_rng(1).normal(size=24) * 1e300, dtype="float32")
    with pytest.raises(ValueError, match=r"The gradient for X\[0\] overflows in float32"):
        model.input_gradient(images(5))


@pytest.mark.parametrize("kind", [NumpyCNNClassifier, NumpyCNNRegressor])
def test_an_estimator_must_be_fitted(kind):
    with pytest.raises(NotFittedError):
        kind().input_gradient(images())


def test_warnings_point_to_the_call():
    clf, X = classifier(), images(5)
    with pytest.warns(UserWarning, match="trained on values of about") as caught:
        clf.input_gradient(X * 1e3)
    with pytest.warns(DataConversionWarning, match="column-vector y") as column:
        clf.input_gradient(X, [["cat"]] * 5)
    with pytest.warns(DataConversionWarning, match="column-vector target") as target:
        clf.input_gradient(X, target=[["cat"]] * 5)
    for warned in (*caught, *column, *target):
        assert warned.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.input_gradient(X, ["cat"] * 5)


def test_many_known_classes_are_no_reason_for_a_warning():
    X = np.random.default_rng(0).normal(size=(120, 4, 4))
    y = np.arange(120) % 60
    clf = NumpyCNNClassifier(conv_filters=2, max_iter=1, random_state=0).fit(X, y)
    clf.input_gradient(X[:30], y[:30])
    clf.input_gradient(X[:30], target=y[:30])
    with pytest.raises(ValueError, match=r"y holds .*1\.5.*, which is not among the classes"):
        clf.input_gradient(X[:1], [1.5])
