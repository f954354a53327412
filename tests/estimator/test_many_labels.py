"""Several labels for each image: an indicator matrix in, probabilities of each label out."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neural_network import MLPClassifier

import sknpcnn
from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn.losses import BinaryCrossEntropy, CrossEntropy


@pytest.fixture(scope="module")
def data(digits):
    """Digits, and which of three properties each has: none, or some, or all."""
    X, X_test, y, y_test = digits
    return X, X_test, properties(y), properties(y_test)


def properties(y):
    return np.stack([y > 4, y % 2 == 0, y % 3 == 0], axis=1).astype(int)


quick = partial(NumpyCNNClassifier, max_iter=8, random_state=0)


@pytest.mark.slow
def test_it_learns_labels_and_predicts_as_mlp_classifier_does(data):
    X, X_test, y, y_test = data
    clf, mlp = quick().fit(X, y), MLPClassifier(max_iter=300, random_state=0).fit(X, y)
    assert clf.score(X_test, y_test) > mlp.score(X_test, y_test) - 0.02
    for name in ("predict", "predict_proba"):
        ours, theirs = getattr(clf, name)(X_test), getattr(mlp, name)(X_test)
        assert ours.shape == theirs.shape == (len(X_test), 3)
        assert ours.dtype.kind == theirs.dtype.kind
    np.testing.assert_array_equal(clf.classes_, mlp.classes_)
    assert clf.out_activation_ == mlp.out_activation_ == "logistic"
    p = clf.predict_proba(X_test)
    np.testing.assert_array_equal(clf.predict(X_test), p > 0.5)
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X_test)), p, rtol=1e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-clf.decision_function(X_test))), p, rtol=1e-5)
    assert roc_auc_score(y_test, p) > 0.98


def test_history_shows_subset_accuracy(data):
    X, X_test, y, y_test = data
    clf = quick(max_iter=3).fit(X, y, X_val=X_test, y_val=y_test)
    score = clf.history_.validation_score.iloc[-1]
    assert score == pytest.approx(accuracy_score(y_test, clf.predict(X_test)))
    p = np.clip(clf.predict_proba(X_test).astype(float), 1e-7, 1 - 1e-7)
    each = -(y_test * np.log(p) + (1 - y_test) * np.log(1 - p)).sum(axis=1)
    assert clf.history_.validation_loss.iloc[-1] == pytest.approx(each.mean(), rel=1e-4)


def test_first_loss_is_the_entropy_of_the_labels(data):
    X, _, y, _ = data
    clf = quick(max_iter=1, learning_rate_init=1e-12).fit(X, y)
    p = y.mean(axis=0)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()
    assert clf.loss_ == pytest.approx(entropy, rel=0.03)


@pytest.mark.parametrize("kind", ["Int64", "boolean", "mixed"])
def test_frames_of_nullable_and_of_mixed_columns(kind, data):
    X, _, y, _ = data
    frame = pd.DataFrame(y)
    frame = frame.assign(**{"0": frame[0] == 1}) if kind == "mixed" else frame.astype(kind)
    plain = quick(max_iter=1).fit(X, np.c_[y, y[:, 0]] if kind == "mixed" else y)
    np.testing.assert_array_equal(quick(max_iter=1).fit(X, frame)._theta, plain._theta)


def test_labels_that_begin_like_classes_are_labels(monkeypatch, data):
    monkeypatch.setattr("sknpcnn._estimator.labels.MAX_INSPECTED_ROWS", 30)
    X, *_ = data
    y = np.r_[np.eye(2, dtype=int)[np.zeros(30, int)], np.ones((30, 2), int)]
    assert quick(max_iter=1).fit(X[:60], y).out_activation_ == "logistic"


@pytest.mark.parametrize("kind", [list, pd.DataFrame, scipy.sparse.csr_array, np.float32, bool])
def test_labels_of_any_kind(kind, data):
    X, _, y, _ = data
    plain = quick(max_iter=1).fit(X, y)
    given = y.astype(kind) if kind in (np.float32, bool) else kind(y.tolist())
    np.testing.assert_array_equal(quick(max_iter=1).fit(X, given)._theta, plain._theta)


def test_streams_need_no_classes(data):
    X, _, y, _ = data
    clf = quick(learning_rate="constant", shuffle=False)
    for _ in range(3):
        clf.partial_fit(X, y)
    whole = quick(learning_rate="constant", shuffle=False, max_iter=3).fit(X, y)
    np.testing.assert_array_equal(clf._theta, whole._theta)
    clf.partial_fit(X[:2], y[:2])  # whatever these hold
    quick().partial_fit(X, y.tolist()).partial_fit(X, y.tolist())
    with pytest.raises(ValueError, match=r"y has the shape .* indicator matrix"):
        quick().partial_fit(X, y).partial_fit(X, np.c_[y, y])
    clf.partial_fit(X[:3], np.eye(3, dtype=int))
    with pytest.raises(ValueError, match="classes="):
        quick().partial_fit(X, y, classes=[1, 2, 3])


def test_files_early_stopping_features_and_cross_validation(data, tmp_path):
    X, X_test, y, _ = data
    clf = quick(early_stopping=True, max_iter=4).fit(X, y)
    sknpcnn.save(clf, tmp_path / "labels.npz")
    again = sknpcnn.load(tmp_path / "labels.npz")
    np.testing.assert_array_equal(again.predict_proba(X_test), clf.predict_proba(X_test))
    assert again.partial_fit(X, y).n_iter_ == clf.n_iter_ + 1
    features = NumpyCNNFeatures(quick(max_iter=1), train=True).fit(X, y).transform(X_test)
    assert len(features) == len(X_test)
    p = cross_val_predict(quick(max_iter=3), X[:300], y[:300], cv=2, method="predict_proba")
    assert p.shape == (300, 3)


WRONG = {
    "one-hot": ({}, np.eye(3, dtype=int)[np.arange(60) % 3], 'give loss="binary_cross_entropy"'),
    "several classes in each": ({}, np.arange(120).reshape(60, 2), "should be a 1d array"),
    "class weights": ({"class_weight": "balanced"}, None, "Give sample_weight"),
    "loss of classes": ({"loss": CrossEntropy()}, None, r"should be a 1d array"),
    "one column": ({"loss": BinaryCrossEntropy()}, np.arange(60) % 2, "needed for loss=Binary"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said(kind, data):
    X, _, labels, _ = data
    params, y, message = WRONG[kind]
    with pytest.raises((ValueError, TypeError), match=message):
        quick(**params).fit(X[:60], labels[:60] if y is None else y)


def test_one_hot_rows_may_be_labels_if_one_says_so(data):
    X, *_ = data
    y = np.eye(3, dtype=int)[np.arange(60) % 3]
    clf = quick(loss="binary_cross_entropy", max_iter=1).fit(X[:60], y)
    assert clf.predict_proba(X).shape == (len(X), 3)
    assert quick(loss=BinaryCrossEntropy(), max_iter=1).fit(X[:60], y).out_activation_ == "logistic"


def test_another_kind_of_y_does_not_go_on(data):
    X, _, y, _ = data
    clf = quick(max_iter=1, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="indicator matrix"):
        clf.fit(X, y[:, 0])
    clf.loss = "cross_entropy"
    with pytest.raises(ValueError, match=r"was on labels in an indicator matrix.*warm_start=False"):
        clf.fit(X, y[:, 0])
