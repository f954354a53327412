"""X that is laid out as it was not meant is mentioned or refused, with the call that is needed."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_digits, make_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import Bunch

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn._estimator.layout import warn_of_layout

rng = np.random.default_rng(0)
y = np.arange(12) % 3


def images(*shape, n=12):
    return rng.integers(256, size=(n, *shape)).astype(np.uint8)


def smooth(side):
    """Photos: neighbors are alike, and so, less, are the channels of a pixel."""
    waves = np.cumsum(np.cumsum(rng.normal(size=(12, side, side, 3)), axis=1), axis=2)
    return (255 / (1 + np.exp(-waves / waves.std()))).astype(np.uint8)


def model(**params):
    return NumpyCNNClassifier(
        **{"conv_filters": (2,), "hidden_layer_sizes": (), "max_iter": 1} | params
    )


def warned(X, y=y, **params):
    """What the estimator says about the layout of X, which is not trained on."""
    shape = None if np.ndim(X) == 2 else (*X.shape[1:], 1)[:3]
    clf = model(**params)
    if isinstance(X, pd.DataFrame):
        clf.feature_names_in_ = np.array(X.columns, object)
    rows = np.asarray(X).reshape(len(X), -1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_layout(clf, rows, np.asarray(y), shape)
    return " ".join(str(warning.message) for warning in caught)


def frame(n, label="label", where=0):
    columns = [f"pixel{i}" for i in range(n)]
    columns.insert(where, label)
    return pd.DataFrame(images(n + 1), columns=columns)


photos = smooth(32)
with_labels = images(785).astype(float)
with_labels[:, -1] = y

# what X is: what the warning has to hold
WARNED = {
    "channels first": (images(3, 32, 32), r"X has the shape (12, 3, 32, 32), and is read as images of 3 x 32 pixels with 32 channels. If they are images of 32 x 32 pixels with 3 channels, give X.transpose(0, 2, 3, 1); if not, image_shape=(3, 32, 32)"),
    "one channel first": (images(1, 28, 28), r"read as images of 1 x 28 pixels with 28 channels. If they are images of 28 x 28 pixels with 1 channel, give X.transpose(0, 2, 3, 1)"),
    "four channels first": (images(4, 32, 32), r"give X.transpose(0, 2, 3, 1)"),
    "photos with channels first": (images(3, 48, 64), r"images of 48 x 64 pixels with 3 channels, give X.transpose(0, 2, 3, 1)"),
    "rows of photos": (photos.reshape(12, -1), r"X has 3072 columns, and is read as images of 1 x 3072 pixels. If they are color images of 32 x 32 pixels, give image_shape=(32, 32, 3); if not, image_shape=(1, 3072) says so"),
    "rows of photos, scaled": (rng.normal(size=(12, 3072)), r"give image_shape=(32, 32, 3)"),
    "rows of photos, channel by channel": (photos.transpose(0, 3, 1, 2).reshape(12, -1), r"give X.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)"),
    "rows of small photos": (smooth(16).reshape(12, -1), r"give image_shape=(16, 16, 3)"),
    "rows of small photos from 0 to 1": (smooth(16).reshape(12, -1) / 255, r"give image_shape=(16, 16, 3)"),
    "label column of a frame": (frame(784), r"X has a column 'label' beside 784 that may be pixels. If it holds the labels, leave it out: X.drop(columns='label')"),
    "label column at the end": (frame(192, "Class", 192), r"X.drop(columns='Class')"),
    "labels among rows": (with_labels, r"X[:, 784] holds the labels y themselves, beside 784 pixels. Leave it out of X"),
    "labels in a frame without names": (pd.DataFrame(with_labels[:, ::-1]), r"the column '0' holds the labels y themselves"),
}  # fmt: skip


@pytest.mark.parametrize("name", WARNED)
def test_layout_that_was_probably_not_meant_is_mentioned(name):
    X, message = WARNED[name]
    assert message in warned(X)


@pytest.mark.parametrize("name", [name for name in WARNED if "label" not in name])
def test_layout_that_is_asked_for_is_not_mentioned(name):
    X, _ = WARNED[name]
    shape = (*X.shape[1:], 1)[:3] if X.ndim > 2 else (1, X.shape[1])
    assert warned(X, image_shape=shape) == ""


counts = rng.poisson(1.0, size=(12, 300))

QUIET = {
    "digits": load_digits().images[:12],
    "rows of digits": load_digits().data[:12],
    "photos": photos,
    "gray photos": images(28, 28, 1),
    "images of one row, as time series are": images(1, 100, 16),
    "long images of one row": images(1, 100),
    "few rows and many channels": images(4, 100, 16),
    "features of a network": images(4, 4, 64),
    "small maps": images(3, 7, 7),
    "3 columns": rng.normal(size=(12, 3)),
    "12 columns": rng.normal(size=(12, 12)),
    "27 columns of bytes": images(27),
    "words as 300 numbers": rng.normal(size=(12, 300)),
    "words as 768 numbers": rng.normal(size=(12, 768)),
    "300 counts": counts,
    "300 flags": counts > 1,
    "300 numbers of one kind": (counts > 1).astype(float),
    "4096 columns": images(4096),
    "785 columns": images(785),
    "65 measurements, one of them a class": pd.DataFrame(images(65), columns=[*(f"sensor {'abcdefgh'[i % 8]}" for i in range(64)), "class"]),
    "a frame of 3072 columns": pd.DataFrame(images(3072), columns=[f"pixel{i}" for i in range(3072)]),
    "a frame of pixels": frame(783, "pixel783", 783),
    "a frame of 65 columns": frame(64, "pixel64"),
    "a frame of 17 columns, one the label": frame(16),
}  # fmt: skip


@pytest.mark.parametrize("name", QUIET)
def test_ordinary_data_are_not_mentioned(name):
    assert warned(QUIET[name]) == ""


def test_made_tables_are_not_mentioned():
    for n in (5, 12, 27, 48, 65, 192, 193, 300, 785):
        X, labels = make_classification(40, n, random_state=0)
        assert warned(X, labels) == ""


def test_column_of_zeros_is_no_label_where_there_are_none():
    """NumpyCNNFeatures has no labels, and puts zeros in their place."""
    assert warned(np.zeros((12, 65)), np.zeros(12, int)) == ""


@pytest.mark.parametrize(
    "fit",
    [
        lambda X: model().fit(X, y),
        lambda X: model().partial_fit(X, y, classes=[0, 1, 2]),
    ],
)
def test_warning_points_to_the_call_and_comes_once(fit):
    with pytest.warns(UserWarning, match=r"X\.transpose") as caught:
        clf = fit(images(3, 32, 32))
    assert [warning.filename for warning in caught] == [__file__]
    clf.predict(images(3, 32, 32))
    clf.partial_fit(images(3, 32, 32), y)


def test_warning_comes_from_features_too():
    with pytest.warns(UserWarning, match=r"X\.transpose"):
        NumpyCNNFeatures(model()).fit(images(3, 32, 32))


def test_layout_of_what_is_not_finite_is_no_reason_for_other_warnings():
    X = rng.normal(size=(12, 3072))
    X[0, :2], X[1, 1] = (np.inf, -np.inf), np.nan
    with (
        pytest.warns(UserWarning, match="image_shape") as caught,
        pytest.raises(ValueError, match="NaN"),
    ):
        model().fit(X, y)
    assert len(caught) == 1


fitted = model().fit(images(8, 8, 3), y)
gray = model().fit(images(8, 9), y)
row = model().fit(images(1, 9), y)
other = {"X": [np.zeros((4, 5, 3)), np.zeros((6, 5, 3))]}
column = np.empty(12, object)
column[:] = list(images(8, 8))
uneven = np.empty(2, object)
uneven[:] = other["X"]

# name: (what is done, the exception, what its message has to be or to begin with)
REFUSED = {
    "a Bunch": (lambda: model().fit(load_digits(), y), TypeError, "X is a Bunch with ['data', 'target', 'frame', 'feature_names', 'target_names', 'images', 'DESCR']; needed: X.data, and its target as y."),
    "a dict": (lambda: model().fit({"a": 1}, y), TypeError, "X is a dict with ['a']; needed: an array of images."),
    "a Bunch in predict": (lambda: fitted.predict(Bunch(data=3)), TypeError, "X is a Bunch with ['data']; needed: X.data"),
    "a file name": (lambda: model().fit("cat.jpg", y), TypeError, "X is 'cat.jpg'; needed: images. If it is a file or folder: sknpcnn.datasets.load_images(X, size=64)."),
    "a path": (lambda: model().fit(Path("cats"), y), TypeError, f"X is {Path('cats')!r}; needed: images. If it is a file or folder: sknpcnn.datasets.load_images(X, size=64)."),
    "a file name in predict": (lambda: fitted.predict("cat.jpg"), TypeError, "X is 'cat.jpg'; needed: images. If it is a file or folder: sknpcnn.datasets.load_images(X, size=(8, 8))."),
    "a file name for a gray network": (lambda: gray.predict_proba(Path("a")), TypeError, f"X is {Path('a')!r}; needed: images. If it is a file or folder: sknpcnn.datasets.load_images(X, size=(8, 9), color=False)."),
    "file names": (lambda: model().fit(["cat.jpg", "dog.jpg"], [0, 1]), TypeError, "X holds 'cat.jpg'; needed: images. If these are files: sknpcnn.datasets.load_images(X, size=64)."),
    "paths in predict": (lambda: fitted.predict([Path("a.jpg")]), TypeError, f"X holds {Path('a.jpg')!r}; needed: images. If these are files: sknpcnn.datasets.load_images(X, size=(8, 8))."),
    "file names in an array": (lambda: model().fit(np.array(["a.png"] * 12), y), TypeError, "X holds 'a.png'; needed: images."),
    "file names in a column": (lambda: model().fit(pd.Series(["a.png"] * 12), y), TypeError, "X holds 'a.png'; needed: images."),
    "file names in a column of polars": (lambda: model().fit(pl.Series(["a.png"] * 12), y), TypeError, "X holds 'a.png'; needed: images."),
    "file names in a frame": (lambda: model().fit(pd.DataFrame({"file": ["a.png"] * 12}), y), TypeError, "X holds 'a.png'; needed: images."),
    "file names as validation data": (lambda: model().fit(images(8, 8), y, X_val=["a.png"], y_val=[0]), TypeError, "X_val holds 'a.png'; needed: images. If these are files: sknpcnn.datasets.load_images(X_val, size=(8, 8), color=False)."),
    "a long text": (lambda: model().fit("x" * 10**6, y), TypeError, "X is 'xxx"),
    "file names for features": (lambda: NumpyCNNFeatures(model()).fit(["a.png"]), TypeError, "X holds 'a.png'; needed: images."),
    "images of many sizes": (lambda: model().fit(other["X"], [0, 1]), ValueError, "X holds images of different shapes, such as (4, 5, 3) and (6, 5, 3); needed: one array of images of one size: sknpcnn.datasets.load_images(X, size=64), where size= resizes them."),
    "images of many sizes in predict": (lambda: fitted.predict(other["X"]), ValueError, "X holds images of different shapes, such as (4, 5, 3) and (6, 5, 3); needed: one array of images of one size: sknpcnn.datasets.load_images(X, size=(8, 8))"),
    "images of many sizes as objects": (lambda: model().fit(uneven, [0, 1]), ValueError, "X holds images of different shapes, such as (4, 5, 3) and (6, 5, 3)"),
    "gray and color": (lambda: model().fit([np.zeros((8, 8)), np.zeros((8, 8, 3))], [0, 1]), ValueError, "X holds images of different shapes, such as (8, 8) and (8, 8, 3)"),
    "arrays as objects": (lambda: model().fit(column, y), ValueError, "X holds arrays as objects; needed: one array of numbers: np.stack(list(X))."),
    "arrays in a column": (lambda: model().fit(pd.Series(list(images(8, 8))), y), ValueError, "X holds arrays as objects; needed: one array of numbers: np.stack(list(X))."),
    "one image to fit": (lambda: model().fit(images(8, 8, 3)[0], [1]), ValueError, "X holds 8 images of shape (8, 3, 1), but y one label; needed: 8 labels. If X is one image, give X[None]."),
    "one image": (lambda: fitted.predict(images(8, 8, 3)[0]), ValueError, "X has the shape (8, 8, 3); needed: a batch of images: X[None]."),
    "one gray image": (lambda: gray.predict(images(8, 9)[0]), ValueError, "X has the shape (8, 9); needed: a batch of images: X[None]."),
    "one gray image with its channel": (lambda: gray.predict(images(8, 9, 1)[0]), ValueError, "X has the shape (8, 9, 1); needed: a batch of images: X[None]."),
    "one gray image as a list": (lambda: gray.predict(images(8, 9)[0].tolist()), ValueError, "X has the shape (8, 9); needed: a batch of images: X[None]."),
    "one image of one row": (lambda: model().fit(images(1, 9, 3), y).predict(images(1, 9, 3)[0]), ValueError, "X has the shape (1, 9, 3); needed: a batch of images: X[None]."),
    "channels first in predict": (lambda: fitted.predict(images(3, 8, 8)), ValueError, "X holds images of shape (3, 8, 8), but NumpyCNNClassifier was fitted on images of shape (8, 8, 3). Give X.transpose(0, 2, 3, 1)."),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_array_of_images_is_refused_with_what_to_do(name):
    action, exception, message = REFUSED[name]
    with pytest.raises(exception) as caught:
        action()
    assert type(caught.value) is exception
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


def test_images_of_pillow_are_refused_with_what_to_do():
    pillow = pytest.importorskip("PIL.Image")
    image = pillow.new("RGB", (8, 8))
    call = "needed: an array of images: sknpcnn.datasets.load_images(X, size=(8, 8))."
    with pytest.raises(TypeError) as caught:
        fitted.predict(image)
    assert str(caught.value) == f"X is a Pillow image; {call}"
    with pytest.raises(TypeError) as caught:
        fitted.predict([image, image])
    assert str(caught.value) == f"X holds Pillow images; {call}"


def test_one_row_and_batches_of_one_are_still_what_they_are():
    assert row.predict(images(1, 9)[0]).shape == (1,)
    assert row.predict(images(9, n=1)).shape == (1,)
    assert gray.predict(images(8, 9, n=1)).shape == (1,)
    assert gray.predict(images(72, n=8)).shape == (8,)
    assert fitted.predict(images(8, 8, 3, n=8)).shape == (8,)
    assert model().fit(images(8, 8), y).predict(images(8, 8, n=8)).shape == (8,)


def test_lists_of_images_of_one_shape_are_taken():
    X = images(8, 8, 3)
    np.testing.assert_array_equal(fitted.predict_proba(list(X)), fitted.predict_proba(X))
    np.testing.assert_array_equal(fitted.predict_proba(X.tolist()), fitted.predict_proba(X))


def test_tensors_of_different_sizes_and_tensors_with_a_gradient_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"shapes, such as \(4, 5\) and \(6, 5\); needed"):
        model().fit([torch.zeros(4, 5), torch.zeros(6, 5)], [0, 1])
    for shape in ((12,), (12, 1), (12, 8, 8)):
        with pytest.raises(
            TypeError, match=r"that NumPy cannot read .* detached from any gradient"
        ):
            model().fit(torch.zeros(shape, requires_grad=True), y)


def test_call_that_a_warning_gives_says_no_more():
    turn = FunctionTransformer(lambda X: X.transpose(0, 2, 3, 1))
    make_pipeline(turn, model()).fit(images(3, 32, 32), y)
    model(image_shape=(32, 32, 3)).fit(images(3072), y)
