"""What "auto" stands for: by the size of an image, the number of samples, and what ends when."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import train_test_split

import sknpcnn
from sknpcnn import NumpyCNNClassifier
from sknpcnn._training import defaults
from sknpcnn.layers import Conv2D, Flatten
from sknpcnn.schedules import Constant, CosineDecay, OneCycle, ReduceOnPlateau
from tests.models import weights_of

X, y = load_digits(return_X_y=True)
X, y = X[:200], y[:200]


def fit(X=X, y=y, **params):
    return NumpyCNNClassifier(**{"random_state": 0, "max_iter": 2} | params).fit(X, y)


def same_bits(one, other):
    return np.array_equal(weights_of(one), weights_of(other))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ((8, 8, 1), (32, 64)),
        ((9, 9, 1), (32, 64, 64)),
        ((16, 16, 2), (32, 64, 128)),
        ((17, 17, 3), (32, 64, 128, 128)),
        ((28, 28, 1), (16, 32, 64, 64)),
        ((28, 28, 3), (32, 64, 128, 128)),
        ((32, 40, 1), (16, 32, 64, 64)),
        ((33, 33, 1), (16, 32, 64, 128)),
        ((32, 32, 3), (32, 64, 128, 128)),
        ((33, 33, 3), (16, 32, 64, 128)),
        ((64, 200, 3), (16, 32, 64, 128)),
        ((128, 128, 3), (8, 16, 32, 64, 128)),
        ((512, 512, 3), (8, 16, 32, 64, 128, 128, 128)),
        ((3, 3, 1), (32, 64)),
        ((1, 100, 1), (8, 16, 32, 64, 128, 128)),  # a signal
        ((1, 1, 5), ()),
    ],
)
def test_blocks_halve_an_image_until_few_pixels_are_left(image, expected):
    assert defaults.filters(image, table=False) == expected
    assert defaults.filters(image, table=True) == ()
    h, w, channels = image
    data = np.random.default_rng(0).random((4, h, w, channels))
    clf = fit(data, [0, 1, 0, 1], max_iter=0)
    shapes = clf.summary().set_index("kind")["output_shape"]
    assert tuple(shape[-1] for shape in shapes[shapes.index == "Conv2D"]) == expected
    sides = [side for side in image[:2] if side > 1]
    if sides:
        left = shapes[["MaxPool2D"]].iloc[-1]
        shorter = min(n for n, side in zip(left, image[:2], strict=False) if side > 1)
        averaged = "GlobalAvgPool2D" in shapes.index
        assert averaged == (min(image[:2]) > 32)
        assert shorter in ((3, 4) if averaged else (1, 2))


def test_dense_layers_stand_where_there_are_no_convolutions():
    def kinds(clf):
        return [row.kind for row in clf.summary().itertuples() if row.kind in ("Conv2D", "Dense")]

    table, labels = load_wine(return_X_y=True)
    assert kinds(fit(table, labels)) == ["Dense", "Dense"]
    assert kinds(fit()) == ["Conv2D", "Conv2D", "Dense"]
    assert kinds(fit(conv_filters=())) == ["Dense", "Dense"]
    assert kinds(fit(conv_filters=(2, 3))) == ["Conv2D", "Conv2D", "Dense"]
    assert kinds(fit(conv_filters=[], hidden_layer_sizes=())) == ["Dense"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [((8, 8, 1), False), ((32, 32, 3), False), ((33, 40, 3), True), ((64, 20, 3), False)],
)
def test_large_images_are_averaged_over_their_places(image, expected):
    data = np.random.default_rng(0).random((4, *image))

    def kinds(**params):
        return set(fit(data, [0, 1, 0, 1], max_iter=0, **params).summary()["kind"])

    head = {True: "GlobalAvgPool2D", False: "Flatten"}
    assert head[expected] in kinds()
    assert head[not expected] not in kinds()
    for given in (True, False):
        assert head[given] in kinds(global_pooling=given, conv_filters=2)
        assert head[not given] not in kinds(global_pooling=given, conv_filters=2)
    assert not defaults.global_pooling(image, n_blocks=0)


def test_dropout_comes_after_the_means_where_places_are_averaged():
    def kinds(**params):
        found = fit(conv_filters=(2, 2), hidden_layer_sizes=(3,), max_iter=0, **params).summary()
        return found.kind[found.kind.isin(["MaxPool2D", "GlobalAvgPool2D", "Dense", "Dropout"])]

    blocks = ["MaxPool2D", "Dropout"] * 2
    assert kinds(global_pooling=False).tolist() == [*blocks, "Dense", "Dropout", "Dense"]
    head = ["GlobalAvgPool2D", "Dropout", "Dense", "Dropout", "Dense"]
    assert kinds(global_pooling=True).tolist() == ["MaxPool2D", "MaxPool2D", *head]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ((32, 32, 3), [False] * 4),
        ((64, 64, 3), [True] * 4),
        ((40, 80, 3), [True] * 4),
        ((128, 128, 3), [False, True, True, True, True]),
        ((160, 130, 3), [False, False, True, True, True, True]),
    ],
)
def test_small_blocks_of_large_images_are_residual(image, expected):
    n_blocks = len(expected)
    assert defaults.residual(image, n_blocks) == expected
    data = np.random.default_rng(0).random((4, *image))

    def blocks(**params):
        kinds = fit(data, [0, 1, 0, 1], max_iter=0, **params).summary()["kind"]
        return kinds[kinds.isin(["Conv2D", "Residual"])].tolist()

    wanted = [["Conv2D", "Residual"] if residual else ["Conv2D"] for residual in expected]
    assert blocks() == [kind for block in wanted for kind in block]
    assert blocks(residual=False) == ["Conv2D"] * n_blocks
    assert blocks(residual=True) == ["Conv2D", "Residual"] * n_blocks
    assert blocks(conv_filters=(2, 2)) == ["Conv2D"] * 2  # as they are spelled out
    assert blocks(conv_filters=(2, 2), residual=[True, False]) == ["Conv2D", "Residual", "Conv2D"]


def test_a_residual_block_keeps_the_size_that_its_convolution_has_made():
    data = np.random.default_rng(0).random((4, 11, 9))
    given = {"conv_filters": (2, 3), "kernel_size": [(4, 3), 2], "padding": "valid"}
    table = fit(data, [0, 1, 0, 1], max_iter=1, residual=True, pool_size=1, **given).summary()
    found = table[table.kind.isin(["Conv2D", "Residual"])].output_shape.tolist()
    assert found == [(8, 7, 2)] * 2 + [(7, 6, 3)] * 2


@pytest.mark.parametrize("n", [0, 1, 2, 39, 40, 41, 63, 64, 65, 128, 129, 1000, 12345])
def test_mini_batches_are_nearly_equal_and_never_single_samples(n):
    size = defaults.batch_size(n)
    assert 1 <= size <= 64
    n_batches = -(-n // size)
    assert n_batches == (max(-(-n // 64), 4) if n >= 40 else 1 if n else 0)
    last = n - size * (n_batches - 1)
    assert n < 2 or (last > 1 and last >= size - n_batches)


def test_epochs_make_so_many_steps_within_bounds():
    image, row = (8, 8, 1), (1, 13, 1)
    assert defaults.epochs(image, 10, 10) == defaults.MAX_EPOCHS
    assert defaults.epochs(row, 10, 10) == defaults.MAX_EPOCHS_ONE_ROW
    for shape in (image, row):
        assert defaults.epochs(shape, 60_000, 64) == defaults.MIN_EPOCHS
        assert defaults.epochs(shape, 64 * 20, 64) * 20 == pytest.approx(
            defaults.TARGET_STEPS, rel=0.05
        )


def test_auto_trains_what_it_stands_for(monkeypatch):
    monkeypatch.setattr(defaults, "TARGET_STEPS", 8)
    monkeypatch.setattr(defaults, "MIN_EPOCHS", 1)
    n = len(X)
    size = defaults.batch_size(n)
    chosen = {
        "conv_filters": (32, 64),
        "hidden_layer_sizes": (),
        "learning_rate": OneCycle(),
        "batch_size": size,
        "max_iter": defaults.epochs((8, 8, 1), n, size),
    }
    clf = fit(max_iter="auto")
    assert same_bits(clf, fit(**chosen))
    assert clf.n_iter_ == chosen["max_iter"] == 2


def test_the_rate_stays_where_nobody_knows_when_training_ends():
    cycle, constant = {"learning_rate": OneCycle()}, {"learning_rate": Constant()}
    assert same_bits(fit(), fit(**cycle))
    assert not same_bits(fit(), fit(**constant))
    assert same_bits(fit(warm_start=True), fit(warm_start=True, **constant))
    stream = NumpyCNNClassifier(random_state=0)
    for _ in range(2):
        stream.partial_fit(X, y, classes=np.arange(10))
    assert same_bits(stream, fit(**constant))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The network has learned nothing")
@pytest.mark.parametrize("n", [1, 2, 3, 10, np.inf])
@pytest.mark.parametrize("tol", [0.0, 1e-4, 1e30])
def test_the_rate_is_lowered_twice_before_training_stops_early(n, tol):
    params = {"early_stopping": True, "n_iter_no_change": n, "tol": tol, "max_iter": 15}
    params |= {"learning_rate_init": 1e-12}  # with which nothing improves much
    patience = {1: 1, 2: 1, 3: 1, 10: 5, np.inf: 5}[n]
    schedule = ReduceOnPlateau(patience=patience, tol=tol, min_factor=0.04)
    clf = fit(**params)
    assert same_bits(clf, fit(**params, learning_rate=schedule))
    if tol > 0:
        assert clf.n_iter_ == min(n + 2, 15)
        reached = clf.history_["learning_rate"].iloc[-1] / 1e-12
        assert reached == pytest.approx(0.2 if n == 1 else 0.04)


@pytest.mark.parametrize("schedule", [OneCycle(), CosineDecay()])
def test_a_schedule_that_ends_is_followed_to_its_end(schedule):
    short = {"n_iter_no_change": 1, "max_iter": 8, "learning_rate_init": 1e-5}
    assert fit(**short, tol=1.0, learning_rate=schedule).n_iter_ == 8
    assert fit(**short, tol=1.0, learning_rate="constant").n_iter_ == 3
    assert fit(**short, tol=1.0, learning_rate=schedule, early_stopping=True).n_iter_ == 3
    assert fit(**short, tol=9.0, learning_rate=schedule).n_iter_ == 3  # nothing is left to improve


def shapes_of(clf):
    return {name: array.shape for name, array in clf.get_weights().items()}


def test_a_resumed_fit_keeps_the_network_that_was_chosen(tmp_path):
    table, labels = load_wine(return_X_y=True)
    named = pd.DataFrame(X).add_prefix("pixel_").rename(columns={"pixel_0": "corner"})
    for given, wanted in ((table, labels), (X, y), (named, y)):
        clf = fit(given, wanted, warm_start=True)
        before = shapes_of(clf)
        clf.fit(given, wanted)
        clf.partial_fit(given, wanted)
        assert shapes_of(clf) == before
        sknpcnn.save(clf, tmp_path / "model.npz")
        assert shapes_of(sknpcnn.load(tmp_path / "model.npz").fit(given, wanted)) == before


def test_the_network_of_a_model_does_not_change_with_the_defaults(tmp_path, monkeypatch):
    clf = fit()
    sknpcnn.save(clf, tmp_path / "model.npz")
    p = clf.predict_proba(X)
    monkeypatch.setattr(defaults, "MAX_FIRST_FILTERS", 16)
    assert np.array_equal(sknpcnn.load(tmp_path / "model.npz").predict_proba(X), p)
    assert fit().get_weights()["conv2d_1.W"].shape[-1] == 16


def test_layers_leave_nothing_to_choose():
    clf = fit(layers=[Conv2D(3), Flatten()])
    assert set(shapes_of(clf)) == {"conv2d_1.W", "conv2d_1.b", "output.W", "output.b"}
    with pytest.raises(ValueError, match="hidden_layer_sizes cannot be set"):
        fit(layers=[Conv2D(3), Flatten()], hidden_layer_sizes=(100,))


def test_words_other_than_auto_are_refused():
    for name in ("conv_filters", "hidden_layer_sizes", "max_iter", "batch_size"):
        with pytest.raises(ValueError, match=f"The '{name}' parameter .* 'auto'"):
            fit(**{name: "Auto"})


@pytest.mark.slow
def test_defaults_win_on_the_digits():
    parts = train_test_split(*load_digits(return_X_y=True), random_state=0)
    train, test, y_train, y_test = parts
    assert NumpyCNNClassifier(random_state=0).fit(train, y_train).score(test, y_test) > 0.985
