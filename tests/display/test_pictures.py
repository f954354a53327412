"""An estimator is split into what comes before the network and the network; images are scaled."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sknpcnn import NumpyCNNClassifier, NumpyCNNRegressor
from sknpcnn.display.pictures import drawable, images_seen, limits_of, split_estimator

RNG = np.random.default_rng(0)
X = RNG.integers(0, 17, (12, 64)).astype("float32")
Y = np.arange(12) % 2


def small(**params):
    return NumpyCNNClassifier(conv_filters=2, max_iter=1, random_state=0, **params)


def searched():
    search = GridSearchCV(make_pipeline(MinMaxScaler(), small()), {"minmaxscaler__clip": [True]})
    return search.set_params(cv=2).fit(X, Y)


@pytest.mark.parametrize("network", [small(), NumpyCNNRegressor()], ids=["classes", "values"])
def test_a_network_is_split_into_nothing_and_itself(network):
    assert split_estimator(network) == ([], network)
    assert split_estimator(FrozenEstimator(network)) == ([], network)
    assert split_estimator(make_pipeline(network)) == ([], network)


def test_a_pipeline_is_split_before_its_last_step():
    pipeline = make_pipeline(MinMaxScaler(), make_pipeline(StandardScaler(), small())).fit(X, Y)
    before, network = split_estimator(FrozenEstimator(pipeline))
    assert [[type(step) for step in part] for part in before] == [[MinMaxScaler], [StandardScaler]]
    assert network is pipeline[-1][-1]
    expected = StandardScaler().fit_transform(MinMaxScaler().fit_transform(X))
    assert_allclose(images_seen(pipeline, X), expected.reshape(-1, 8, 8, 1))


def test_a_fitted_search_is_its_best_estimator():
    search = searched()
    before, network = split_estimator(search)
    assert network is search.best_estimator_[-1]
    assert len(before) == 1
    expected = MinMaxScaler(clip=True).fit_transform(X).reshape(-1, 8, 8, 1)
    assert_array_equal(images_seen(search, X), expected)


def test_other_estimators_and_what_is_not_fitted_are_errors():
    with pytest.raises(TypeError, match="estimator is a LogisticRegression; needed: a NumpyCNN"):
        split_estimator(LogisticRegression())
    with pytest.raises(TypeError, match="estimator ends in a LogisticRegression; needed"):
        split_estimator(make_pipeline(MinMaxScaler(), LogisticRegression()))
    with pytest.raises(NotFittedError, match="GridSearchCV without best_estimator_"):
        split_estimator(GridSearchCV(small(), {}))
    with pytest.raises(NotFittedError, match="NumpyCNNClassifier instance is not fitted"):
        images_seen(small(), X)


def test_images_are_those_that_were_given_in_whatever_form():
    color = RNG.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    network = small(image_shape=(8, 8, 3)).fit(color.reshape(12, -1), Y)
    seen = images_seen(network, color)
    assert seen.dtype == np.uint8
    assert_array_equal(seen, color)
    assert_array_equal(images_seen(network, color.reshape(12, -1)), color)
    gray = small().fit(X, Y)
    assert_array_equal(images_seen(gray, X.reshape(-1, 8, 8)), X.reshape(-1, 8, 8, 1))
    with pytest.raises(ValueError, match=r"X holds images of shape \(4, 4, 1\)"):
        images_seen(gray, np.zeros((2, 4, 4)))


def test_limits_are_those_of_bytes_and_fractions_and_otherwise_of_the_data():
    assert limits_of(np.full((1, 2, 2, 1), 7, np.uint8)) == (0, 255)
    assert limits_of(np.full((1, 2, 2, 1), 0.5)) == (0, 1)
    assert limits_of(np.full((1, 2, 2, 1), True)) == (0, 1)
    assert limits_of(np.array([-2.0, np.nan, 3.0, np.inf])) == (-2, 3)
    assert limits_of(np.array([0, 16])) == (0, 16)
    assert limits_of(np.full(3, np.nan)) == (0, 1)


def test_gray_and_color_images_are_scaled_together():
    images = np.array([0.0, 4.0, 12.0, 16.0]).reshape(1, 2, 2, 1)
    assert_array_equal(drawable(images), [[[0, 0.25], [0.75, 1]]])
    bytes_ = RNG.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    assert_allclose(drawable(bytes_), bytes_ / 255)
    assert_array_equal(drawable(images, limits=(0, 8)), [[[0, 0.5], [1, 1]]])


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_the_mean_of_other_numbers_of_channels_is_drawn(channels):
    images = RNG.normal(size=(3, 5, 5, channels))
    mean = images.mean(axis=3)
    assert_allclose(drawable(images), (mean - mean.min()) / np.ptp(mean))
    bytes_ = RNG.integers(0, 256, (2, 4, 4, channels), dtype=np.uint8)
    assert_allclose(drawable(bytes_), bytes_.mean(axis=3) / 255)


@pytest.mark.parametrize("value", [-1e308, -3.0, 40.0, 1e308])
def test_constant_images_are_gray(value):
    assert_array_equal(drawable(np.full((2, 3, 3, 1), value)), np.full((2, 3, 3), 0.5))


def test_extreme_values_and_such_that_are_not_finite_can_be_drawn():
    extreme = np.array([-1.7e308, 0, 1.7e308, np.nan]).reshape(1, 2, 2, 1)
    assert_allclose(drawable(extreme), [[[0, 0.5], [1, 0]]])
    infinite = np.array([-np.inf, 0, 8, np.inf]).reshape(1, 2, 2, 1)
    assert_array_equal(drawable(infinite), [[[0, 0], [1, 1]]])
    assert np.isfinite(drawable(np.full((1, 2, 2, 2), np.nan))).all()
    tiny = np.array([0, 5e-324, -5e-324, 0]).reshape(1, 2, 2, 1)
    assert_array_equal(drawable(tiny), [[[0.5, 1], [0, 0.5]]])
