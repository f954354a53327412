"""The output layer, which fit adds: whoever adds one too is told so."""

import warnings

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, NumpyCNNRegressor
from sknpcnn.layers import Dense, Dropout, Flatten, Identity, ReLU, Sequential

X = np.random.default_rng(0).normal(size=(12, 4, 4))
y = np.arange(12) % 3

TWICE = {
    "at the end": [Flatten(), Dense(3)],
    "named": [("flat", Flatten()), ("logits", Dense(3, bias=False))],
    "in a sequence": [Flatten(), Sequential([ReLU(), Sequential([Dense(3)])])],
}
ONCE = {
    "none": [Flatten()],
    "nothing": [],
    "hidden": [Flatten(), Dense(3), ReLU()],
    "of another size": [Flatten(), Dense(4)],
    "dropped": [Flatten(), Dense(3), Dropout(0.1)],
    "empty sequence": [Flatten(), Dense(3), Sequential([])],
    "in the middle": [Flatten(), Dense(3), Identity(), Dense(5)],
}


def warned(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [w for w in caught if "output layer" in str(w.message)]


@pytest.mark.parametrize("name", TWICE)
def test_fit_warns_of_a_second_output_layer(name):
    clf = NumpyCNNClassifier(layers=TWICE[name], max_iter=2)
    with pytest.warns(UserWarning, match=r"layers ends with Dense\(.*3 outputs.* remove this one"):
        clf.fit(X, y)


def test_a_regressor_is_not_told_of_classes_alone():
    reg = NumpyCNNRegressor(layers=[Flatten(), Dense(2)], max_iter=2)
    (warning,) = warned(lambda: reg.fit(X, np.stack([y, y], axis=1)))
    assert "2 outputs, one for each class, label or column of y" in str(warning.message)


@pytest.mark.parametrize("name", ONCE)
def test_fit_does_not_warn_of_hidden_layers(name):
    assert not warned(lambda: NumpyCNNClassifier(layers=ONCE[name], max_iter=2).fit(X, y))


def test_it_warns_once_where_fit_is_called_and_never_in_prediction():
    clf = NumpyCNNClassifier(layers=TWICE["at the end"], max_iter=2, warm_start=True)
    (warning,) = warned(lambda: clf.fit(X, y))
    assert warning.filename == __file__
    assert not warned(lambda: clf.fit(X, y)), "it has been told already"
    assert not warned(lambda: (clf.predict(X), clf.score(X, y), clf.summary()))


def test_it_warns_in_the_first_partial_fit():
    clf = NumpyCNNClassifier(layers=TWICE["at the end"])
    (warning,) = warned(lambda: clf.partial_fit(X, y, classes=[0, 1, 2]))
    assert warning.filename == __file__
    assert not warned(lambda: clf.partial_fit(X, y))


def test_features_of_an_untrained_network_need_no_output_layer():
    features = NumpyCNNFeatures(NumpyCNNClassifier(layers=[Flatten(), Dense(1)]), layer="dense_1")
    assert not warned(lambda: features.fit(X, y))
