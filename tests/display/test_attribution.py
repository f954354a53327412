"""The four ways to say which pixels matter, against their formulas, computed in another way."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, NumpyCNNRegressor
from sknpcnn.display.attribution import (
    as_baseline,
    grad_cam,
    gradient,
    integrated_gradients,
    last_map,
    map_layer,
    occlusion,
)
from sknpcnn.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    ReLU,
    Tanh,
)
from sknpcnn.weights import to_torch_state_dict

SHAPE = (10, 8, 3)
CONV = [Conv2D(4), BatchNorm(), ReLU(), MaxPool2D(), Conv2D(5), ReLU(), GlobalAvgPool2D()]
SMOOTH = [Conv2D(4), BatchNorm(), Tanh(), GlobalAvgPool2D(), Dense(6), Tanh()]


def images(n=5, seed=1, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=(n, *shape)) * 30 + 100


def classifier(layers, classes=3, **params):
    X = images(24, 0)
    clf = NumpyCNNClassifier(layers=layers, max_iter=3, random_state=0, **params)
    return clf.fit(X, np.arange(24) % classes)


def column(scores, targets):
    return scores[np.arange(len(targets)), targets]


def test_gradient_is_the_largest_of_the_channels():
    clf, X = classifier(CONV), images()
    targets = np.array([0, 1, 2, 0, 1])
    expected = np.abs(clf.input_gradient(X, target=targets)).max(axis=3)
    np.testing.assert_array_equal(gradient(clf, X, targets), expected)


@pytest.mark.parametrize("baseline", [0, 50.0, "mean", "image"])
def test_integrated_gradients_add_up_to_the_difference_of_the_scores(baseline):
    clf, X, targets = classifier(SMOOTH), images(), np.array([0, 1, 2, 0, 1])
    baseline = images(1, 7)[0] if baseline == "image" else baseline
    start = np.broadcast_to(as_baseline(clf, X, baseline), X.shape)
    wanted = column(clf.decision_function(X) - clf.decision_function(start), targets)
    found = integrated_gradients(clf, X, targets, baseline)
    assert found.shape == (5, *SHAPE[:2])
    np.testing.assert_allclose(found.sum(axis=(1, 2)), wanted, rtol=1e-4)
    exact = integrated_gradients(clf, X, targets, baseline, steps=300)
    np.testing.assert_allclose(exact.sum(axis=(1, 2)), wanted, rtol=1e-7)


def test_integrated_gradients_add_up_in_networks_with_kinks():
    clf, X, targets = classifier(CONV), images(), np.array([0, 1, 2, 0, 1])
    wanted = column(clf.decision_function(X) - clf.decision_function(0 * X), targets)
    found = integrated_gradients(clf, X, targets, steps=300).sum(axis=(1, 2))
    np.testing.assert_allclose(found, wanted, rtol=0.01)


def test_integrated_gradients_of_two_classes_and_of_values():
    clf, X = classifier(SMOOTH, classes=2), images()
    found = integrated_gradients(clf, X, np.array([1, 0, 1, 1, 0]), "mean").sum(axis=(1, 2))
    start = np.broadcast_to(as_baseline(clf, X, "mean"), X.shape)
    wanted = clf.decision_function(X) - clf.decision_function(start)
    np.testing.assert_allclose(found, wanted * [1, -1, 1, 1, -1], rtol=1e-4)
    model = NumpyCNNRegressor(layers=SMOOTH, max_iter=3, random_state=0)
    model.fit(images(24, 0), 1e3 * np.random.default_rng(0).normal(size=24) + 1e4)
    found = integrated_gradients(model, X, np.zeros(5, int), "mean").sum(axis=(1, 2))
    np.testing.assert_allclose(found, model.predict(X) - model.predict(start), rtol=1e-4)


def test_pixels_of_a_linear_network_have_their_share():
    clf, X, targets = classifier([Flatten()], standardize=False), images(), np.zeros(5, int)
    W = clf.get_weights()["output.W"][:, 0].reshape(SHAPE)
    shares = ((X - 20) * W).sum(axis=3)
    found = integrated_gradients(clf, X, targets, 20, steps=1)
    np.testing.assert_allclose(found, shares, rtol=1e-9)
    alone = occlusion(clf, X, targets, 20, (1, 1), (1, 1))
    np.testing.assert_allclose(alone, shares, rtol=1e-7)


@pytest.mark.parametrize(
    ("patch", "stride"), [((4, 3), (2, 2)), ((3, 3), (3, 3)), ((10, 8), (1, 1)), ((7, 1), (5, 1))]
)
def test_occlusion_is_the_mean_fall_of_all_patches_with_a_pixel(patch, stride):
    clf, X, targets = classifier(CONV), images(), np.array([0, 1, 2, 0, 1])
    baseline = images(1, 7)[0]
    kept = X.copy()
    found = occlusion(clf, X, targets, baseline, patch, stride)
    np.testing.assert_array_equal(X, kept)
    scores = column(clf.decision_function(X), targets)
    falls = [[[] for _ in range(8)] for _ in range(10)]
    tops = [*range(0, 10 - patch[0], stride[0]), 10 - patch[0]]
    lefts = [*range(0, 8 - patch[1], stride[1]), 8 - patch[1]]
    for top in tops:
        for left in lefts:
            inside = np.zeros(SHAPE, bool)
            inside[top : top + patch[0], left : left + patch[1]] = True
            hidden = np.where(inside, baseline, X)
            fall = scores - column(clf.decision_function(hidden), targets)
            for i, j in np.argwhere(inside[:, :, 0]):
                falls[i][j].append(fall)
    expected = np.array([[np.mean(cell, axis=0) for cell in row] for row in falls])
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("layer", [None, "conv2d_1", "maxpool2d_1"])
def test_grad_cam_is_what_pytorch_computes(layer):
    torch = pytest.importorskip("torch")
    clf, X, targets = classifier(CONV, standardize=False), images(), np.array([0, 1, 2, 0, 1])
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Conv2d(4, 5, 3, padding=1), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(5, 3),
    ).double().eval()  # fmt: skip
    net.load_state_dict(to_torch_state_dict(clf, net))
    cut = {None: 6, "conv2d_1": 1, "maxpool2d_1": 4}[layer]
    maps = net[:cut](torch.tensor(X.transpose(0, 3, 1, 2).copy())).detach().requires_grad_()
    net[cut:](maps).gather(1, torch.tensor(targets)[:, None]).sum().backward()
    weights = maps.grad.mean((2, 3), keepdim=True)
    cam = (weights * maps).sum(1, keepdim=True).relu()
    expected = torch.nn.functional.interpolate(cam, SHAPE[:2], mode="bilinear")[:, 0]
    found = grad_cam(clf, X, targets, layer)
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-7, atol=1e-12)
    assert found.max() > 0


def test_grad_cam_of_one_convolution_is_a_formula():
    clf, X = classifier([Conv2D(4, padding="valid"), GlobalAvgPool2D()]), images()
    weights = clf.get_weights()["output.W"][:, 2] / (8 * 6)
    found = grad_cam(clf, X, np.full(5, 2), "conv2d_1")
    assert found.shape == (5, *SHAPE[:2])
    features = NumpyCNNFeatures(FrozenEstimator(clf), layer="conv2d_1").fit(X).transform(X)
    summed = np.maximum(features.reshape(5, 8, 6, 4) @ weights, 0)
    # the corners of the image are beyond the centers of the maps' corners, and so get their values
    corners = (slice(None), slice(None, None, 9), slice(None, None, 7))
    inner = (slice(None), slice(None, None, 7), slice(None, None, 5))
    np.testing.assert_allclose(found[corners], summed[inner], rtol=1e-9)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([Conv2D(4), ReLU(), MaxPool2D()], "relu_1"),
        ([Conv2D(4), ReLU(), AvgPool2D(), Dropout(), GlobalAvgPool2D()], "relu_1"),
        ([Conv2D(4), Conv2D(4, stride=2), BatchNorm()], "batchnorm_1"),
        ([Conv2D(4), Tanh(), Conv2D(4, (10, 8), padding="valid"), ReLU()], "tanh_1"),
    ],
)
def test_last_maps_are_those_before_pooling_with_more_than_one_pixel(layers, expected):
    assert last_map(classifier(layers)) == expected


def test_networks_and_layers_without_maps_are_errors():
    with pytest.raises(ValueError, match="no layer whose output is a map; needed for method='grad"):
        last_map(classifier([Flatten(), Dense(4)]))
    clf = classifier([Conv2D(4), Flatten(), Dense(4)])
    assert map_layer(clf, "conv2d_1") == "conv2d_1"
    with pytest.raises(
        ValueError, match=r"layer='dense_1' has no map .*: one of conv2d_1, or None"
    ):
        map_layer(clf, "dense_1")
    with pytest.raises(ValueError, match="layer='conv'; needed: one of conv2d_1, flatten_1"):
        map_layer(clf, "conv")


def test_baselines_are_numbers_images_and_the_mean():
    clf, X = classifier(CONV), images()
    mean = images(24, 0).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(np.broadcast_to(mean, SHAPE), as_baseline(clf, X, "mean"))
    for given in (3, [1, 2, 3], X[0], X, X[0, :, :, 0], X[0, :, :, :1]):
        found = np.broadcast_to(as_baseline(clf, X, given), X.shape)
        given = np.asarray(given)
        expected = given[..., None] if given.shape == SHAPE[:2] else given
        np.testing.assert_array_equal(found, np.broadcast_to(expected, X.shape))
    for given in ("zero", np.nan, X[:2], [1, 2], "a", None):
        with pytest.raises(ValueError, match=r"baseline=.*; needed: a"):
            as_baseline(clf, X, given)
    with pytest.raises(ValueError, match=r"baseline='mean'; needed.*standardize=True"):
        as_baseline(classifier(CONV, standardize=False), X, "mean")


def test_the_mean_of_a_table_is_that_of_each_column():
    X = np.random.default_rng(0).normal(size=(30, 5)) * [1, 10, 100, 1e3, 1e4]
    clf = NumpyCNNClassifier(max_iter=1, random_state=0).fit(X, np.arange(30) % 2)
    seen = X.reshape(30, 1, 5, 1)
    np.testing.assert_allclose(as_baseline(clf, seen, "mean").ravel(), X.mean(axis=0))
    found = integrated_gradients(clf, seen, np.ones(30, int), "mean", steps=300).sum(axis=(1, 2))
    wanted = clf.decision_function(X) - clf.decision_function(X.mean(axis=0)[None])
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_bytes_are_not_cut_off_between_image_and_baseline():
    X = images(24, 0).clip(0, 255).astype(np.uint8)
    clf = NumpyCNNClassifier(layers=SMOOTH, max_iter=3, random_state=0).fit(X, np.arange(24) % 3)
    targets = np.ones(24, int)
    found = integrated_gradients(clf, X, targets, 127.5).sum(axis=(1, 2))
    start = clf.decision_function(np.full((1, *SHAPE), 127.5))
    wanted = (clf.decision_function(X) - start)[:, 1]
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    half = occlusion(clf, X, targets, 127.5, SHAPE[:2], (1, 1))
    np.testing.assert_allclose(half[:, 0, 0], wanted, atol=1e-5)
