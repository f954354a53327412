"""NumpyCNNFeatures: what a layer makes of images, for any other estimator."""

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Flatten, GlobalAvgPool2D, MaxPool2D, ReLU
from tests import reference
from tests.models import assert_same_weights


def network(**params):
    given = {"max_iter": 2, "random_state": 0, "dtype": "float64"}
    if "layers" not in params:
        given |= {"conv_filters": (4, 6), "hidden_layer_sizes": (9,)}
        given |= {"batch_norm": False, "dropout": 0.0}
    return NumpyCNNClassifier(**given | params)


@parametrize_with_checks(
    [
        NumpyCNNFeatures(),
        NumpyCNNFeatures(NumpyCNNClassifier(conv_filters=(4,), max_iter=2), train=True),
        NumpyCNNFeatures(NumpyCNNClassifier(max_iter=1), layer="dense_1"),
    ],
    xfail_strict=True,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


def by_hand(clf, X):
    """The first block of a fitted network, by the naive loops."""
    W = clf.get_weights()
    images = X.reshape(len(X), 8, 8, 1)
    if clf.standardize:
        images = (images - X.mean()) / X.std()
    y = reference.conv2d(images, W["conv2d_1.W"], W["conv2d_1.b"])
    return reference.max_pool(np.maximum(y, 0), 2)[0]


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("train", [True, False])
def test_features_are_what_the_layer_makes(digits, train, standardize):
    X, _, y, _ = digits
    X, y = X[:60], y[:60]
    features = NumpyCNNFeatures(
        network(standardize=standardize), layer="maxpool2d_1", train=train
    ).fit(X, y)
    expected = by_hand(features.estimator_, X)
    np.testing.assert_allclose(features.transform(X), expected.reshape(60, -1), atol=1e-10)
    assert features.estimator_.n_iter_ == (2 if train else 0)


def test_weights_are_those_that_training_starts_from(digits):
    X, _, y, _ = digits
    untrained = NumpyCNNFeatures(network()).fit(X).estimator_.get_weights()
    start = network(learning_rate_init=1e-300, max_iter=1).fit(X, y).get_weights()
    for name in ("conv2d_1.W", "conv2d_2.W", "dense_1.W"):
        np.testing.assert_array_equal(untrained[name], start[name])
    other = NumpyCNNFeatures(network(random_state=1)).fit(X).estimator_.get_weights()
    assert not np.array_equal(other["conv2d_1.W"], untrained["conv2d_1.W"])


def test_every_layer_can_be_asked_for(digits):
    X, _, y, _ = digits
    layers = [
        *(Conv2D(4), BatchNorm(), ReLU(), MaxPool2D(), Conv2D(6)),
        *(GlobalAvgPool2D(), Dense(5), ReLU()),
    ]
    clf = network(layers=layers).fit(X, y)
    table = clf.summary().set_index("name")
    for name, shape in table["output_shape"].items():
        found = NumpyCNNFeatures(FrozenEstimator(clf), layer=name).fit(X[:20])
        made = found.transform(X[:20])
        assert made.shape == (20, np.prod(shape))
        names = found.get_feature_names_out()
        assert len(set(names)) == made.shape[1]
        last = "_".join(str(length - 1) for length in shape)
        assert (names[0], names[-1]) == (f"{name}{'_0' * len(shape)}", f"{name}_{last}")
    logits = NumpyCNNFeatures(FrozenEstimator(clf), layer="output").fit(X).transform(X)
    np.testing.assert_allclose(logits, clf.decision_function(X))
    after_relu = NumpyCNNFeatures(FrozenEstimator(clf), layer="relu_2").fit(X).transform(X)
    W = clf.get_weights()
    np.testing.assert_allclose(after_relu @ W["output.W"] + W["output.b"], logits)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "maxpool2d_2"),
        ({"conv_filters": ()}, "flatten_1"),
        ({"layers": [Conv2D(3), GlobalAvgPool2D()]}, "globalavgpool2d_1"),
        ({"layers": []}, "flatten"),
        ({"layers": [Flatten(), Dense(3)]}, "flatten_1"),
    ],
)
def test_by_default_it_is_the_last_layer_before_the_first_dense_one(digits, params, expected):
    X, *_ = digits
    features = NumpyCNNFeatures(network(**params)).fit(X)
    assert features.layer_ == expected
    assert features.transform(X).shape[1] == len(features.get_feature_names_out())


def test_training_makes_the_model_that_the_classifier_makes(digits):
    X, _, y, _ = digits
    weight = np.random.default_rng(0).random(len(X))
    clf = network().fit(X, y, sample_weight=weight)
    features = NumpyCNNFeatures(network(), train=True).fit(X, y, sample_weight=weight)
    assert_same_weights(features.estimator_, clf)


@pytest.mark.slow
def test_random_convolutions_tell_a_linear_classifier_more_than_pixels_and_training_still_more(
    digits,
):
    X, X_test, y, y_test = digits

    def score(*steps):
        linear = make_pipeline(*steps, StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        return linear.fit(X, y).score(X_test, y_test)

    clf = network(conv_filters=(32,), max_iter=10)
    pixels, chance = score(), score(NumpyCNNFeatures(clf))
    assert pixels < chance <= 1
    assert score(NumpyCNNFeatures(clf, train=True)) > pixels


def test_images_of_every_form_and_a_data_frame_give_the_same(digits):
    X, *_ = digits
    images = X.reshape(-1, 8, 8)
    features = NumpyCNNFeatures(network()).fit(images)
    expected = features.transform(images)
    np.testing.assert_array_equal(features.transform(images[..., None]), expected)
    np.testing.assert_array_equal(features.transform(X), expected)
    frame = pd.DataFrame(X, columns=[f"pixel_{i}" for i in range(64)])
    framed = NumpyCNNFeatures(network()).set_output(transform="pandas").fit(frame)
    table = framed.transform(frame)
    np.testing.assert_array_equal(table.to_numpy(), expected)
    assert list(table.columns) == list(framed.get_feature_names_out())
    assert list(framed.feature_names_in_) == list(frame.columns)
    framed.fit(X)
    assert not hasattr(framed, "feature_names_in_")


def test_it_is_searched_cloned_and_saved(digits, tmp_path):
    X, _, y, _ = digits
    pipeline = make_pipeline(NumpyCNNFeatures(network()), SVC())
    grid = {
        "numpycnnfeatures__estimator__kernel_size": [3, 5],
        "numpycnnfeatures__layer": ["maxpool2d_1", None],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(X[:300], y[:300])
    assert search.best_score_ > 0.8
    joblib.dump(search, tmp_path / "search.joblib")
    again = joblib.load(tmp_path / "search.joblib")
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert not hasattr(clone(search.best_estimator_[0]), "estimator_")


def test_weights_that_are_dropped_are_told(digits):
    X, _, y, _ = digits
    clf = network().fit(X, y)
    with pytest.warns(UserWarning, match=r"give FrozenEstimator\(estimator\)"):
        features = NumpyCNNFeatures(clf).fit(X)
    np.testing.assert_array_equal(
        features.transform(X), NumpyCNNFeatures(network()).fit(X).transform(X)
    )


def test_the_estimator_given_stays_as_it_is(digits):
    X, _, y, _ = digits
    given = network()
    NumpyCNNFeatures(given, train=True).fit(X, y)
    assert not hasattr(given, "classes_")


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (NumpyCNNFeatures(SVC()), ValueError, "The 'estimator' parameter of NumpyCNNFeatures"),
        (NumpyCNNFeatures(FrozenEstimator(SVC())), TypeError, "FrozenEstimator of a SVC; needed"),
        (
            NumpyCNNFeatures(layer="conv"),
            ValueError,
            "layer='conv'; needed: one of conv2d_1, batchnorm",
        ),
        (
            NumpyCNNFeatures(train=True),
            ValueError,
            "With train=True, NumpyCNNFeatures requires y to be passed",
        ),
        (NumpyCNNFeatures(network(alpha=-1)), ValueError, "The 'alpha' parameter of NumpyCNNC"),
        (NumpyCNNFeatures(network(kernel_size=9, padding="valid")), ValueError, "9x9"),
    ],
    ids=lambda case: None,
)
def test_what_cannot_be_done_is_refused(digits, features, error, message):
    X, *_ = digits
    with pytest.raises(error, match=message):
        features.fit(X)


def test_another_shape_than_that_of_the_frozen_network_is_refused(digits):
    X, _, y, _ = digits
    frozen = FrozenEstimator(network().fit(X, y))
    with pytest.raises(ValueError, match="X has 49 features"):
        NumpyCNNFeatures(frozen).fit(X[:, :49])
