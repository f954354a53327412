"""Keras models give the same outputs here."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("torch")
keras = pytest.importorskip("keras")

from sknpcnn import NumpyCNNClassifier
from sknpcnn.weights import from_keras

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own
L = keras.layers


def with_random_weights(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        low, high = (
            (0.5, 1.5) if "variance" in variable.path or "gamma" in variable.path else (-1, 1)
        )
        scale = 1 / np.sqrt(max(np.prod(variable.shape[:-1]), 1))
        variable.assign(rng.uniform(low, high, variable.shape) * (1 if low > 0 else scale))
    return model


MODELS = {
    "plain": [
        *(L.Conv2D(8, 3, padding="same", activation="relu"), L.MaxPooling2D()),
        *(L.Conv2D(6, (2, 3), strides=2, use_bias=False), L.BatchNormalization(), L.ReLU()),
        *(L.Flatten(), L.Dense(16, activation="tanh"), L.Dropout(0.5), L.Dense(10)),
    ],
    "softmax": [
        *(L.ZeroPadding2D(((1, 0), (2, 1))), L.Conv2D(4, 3, dilation_rate=2)),
        *(L.Activation("silu"), L.AveragePooling2D((2, 3))),
        *(L.GlobalAveragePooling2D(), L.Dense(10, activation="softmax")),
    ],
    "depthwise": [
        *(L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), L.LeakyReLU(0.1)),
        *(L.Conv2D(6, 1), L.PReLU(shared_axes=[1, 2]), L.Conv2D(6, 3, groups=3)),
        *(L.LayerNormalization(), L.ReLU(max_value=6), L.ELU(0.5), L.Activation("gelu")),
        *(L.GlobalMaxPooling2D(), L.BatchNormalization(scale=False), L.Dense(10), L.Softmax()),
    ],
}


def relogits(p):
    return np.log(p) - np.log(p).mean(axis=1, keepdims=True)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_keras(name):
    made = with_random_weights(keras.Sequential([keras.Input((12, 11, 3)), *MODELS[name]]))
    layers, weights = from_keras(made)
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((10, 12, 11, 3)).astype(np.float32), np.arange(10)
    clf = NumpyCNNClassifier(layers=layers, standardize=False, max_iter=0, random_state=0)
    clf.fit(X, y).set_weights(weights)
    expected = keras.ops.convert_to_numpy(made(X, training=False))
    if name == "plain":
        np.testing.assert_allclose(clf.decision_function(X), expected, atol=1e-5)
    else:
        np.testing.assert_allclose(clf.predict_proba(X), expected, atol=1e-5)
    before = clf.score(X, y)
    clf.set_params(max_iter=30, warm_start=True, learning_rate_init=3e-3).fit(X, y)
    assert clf.score(X, y) >= before
    assert clf.loss_curve_[-1] < clf.loss_curve_[0]


def test_models_are_read_from_their_functional_form():
    x = keras.Input((6, 6, 1))
    made = keras.Model(x, L.Dense(3)(L.Flatten()(L.Conv2D(2, 3)(x))))
    layers, weights = from_keras(made)
    assert [name for name, _ in layers] == ["conv2d_1", "flatten_1"]
    assert weights["output.W"].shape == (32, 3)


def test_what_is_not_supported_is_named():
    x = keras.Input((6, 6, 2))
    y = L.Conv2D(2, 3, padding="same")(x)
    forked = keras.Model(x, L.Dense(3)(L.Flatten()(L.Add()([x, y]))))
    with pytest.raises(ValueError, match=r"\(Add\) is not supported"):
        from_keras(forked)
    other = keras.Sequential(
        [keras.Input((6, 6, 2)), L.Conv2DTranspose(2, 3), L.Flatten(), L.Dense(2)]
    )
    with pytest.raises(ValueError, match=r"\(Conv2DTranspose\) is not supported"):
        from_keras(other)
    selu = keras.Sequential([keras.Input((6, 6, 2)), L.Conv2D(2, 3, activation="selu", name="c")])
    with pytest.raises(ValueError, match=r"'c' \(Conv2D\): activation='selu'; supported: "):
        from_keras(selu)
    body = keras.Sequential([keras.Input((6, 6, 2)), L.Conv2D(2, 3)])
    with pytest.raises(ValueError, match="does not end in a dense layer"):
        from_keras(body)
    vectors = keras.Sequential([keras.Input((6,)), L.Dense(2)])
    with pytest.raises(ValueError, match="needed: images of a fixed size"):
        from_keras(vectors)
