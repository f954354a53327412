"""How a classifier is trained: when it stops, with weights, in parts."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import log_loss

from tests import models
from tests.models import assert_same_weights, weights_of

small = partial(models.small, **models.PLAIN)


def test_early_stopping_keeps_the_best_epoch(digits):
    X, X_test, y, y_test = digits
    clf = small(early_stopping=True, max_iter=60, n_iter_no_change=3, learning_rate_init=0.02)
    clf.fit(X, y, X_val=X_test, y_val=y_test)
    losses = clf.history_["validation_loss"]
    assert clf.n_iter_ < 60
    assert len(losses) - losses.to_numpy().argmin() > 3
    np.testing.assert_allclose(log_loss(y_test, clf.predict_proba(X_test)), losses.min())


def test_early_stopping_monitors_any_scorer(digits):
    X, X_test, y, y_test = digits
    clf = small(early_stopping=True, scoring="f1_macro", max_iter=8, n_iter_no_change=2)
    clf.fit(X, y, X_val=X_test, y_val=y_test)
    from sklearn.metrics import f1_score

    best = f1_score(y_test, clf.predict(X_test), average="macro")
    np.testing.assert_allclose(best, max(clf.validation_scores_))


def test_validation_data_are_only_watched_without_early_stopping(digits):
    X, X_test, y, y_test = digits
    watched = small().fit(X, y, X_val=X_test, y_val=y_test)
    assert_same_weights(watched, small().fit(X, y))
    assert len(watched.validation_scores_) == 3


def test_copies_of_a_sample_are_held_out_together():
    from sknpcnn._estimator.sampling import make_samples, split_off_validation
    from sknpcnn._training.classes import Classes

    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(50, 4)), 3, axis=0)
    y = np.repeat(np.arange(50) % 2, 3)
    target = Classes(np.arange(2))
    samples = make_samples(X, y, target)
    train, held_out = split_off_validation(samples, target, 0.2, seed=1)
    apart = {X[i].tobytes() for i in train.index} & {X[i].tobytes() for i in held_out.index}
    assert not apart
    assert len(held_out) == 30  # a fifth of each class
    other, _ = split_off_validation(samples, target, 0.2, seed=2)
    assert set(other.index) != set(train.index)


def test_training_stops_where_the_loss_no_longer_falls(digits):
    X, _, y, _ = digits
    clf = small(max_iter=500, n_iter_no_change=2, tol=0.05).fit(X, y)
    assert clf.n_iter_ < 500
    losses = clf.loss_curve_
    for k in range(clf.n_iter_ - 3, clf.n_iter_):
        assert losses[k] >= min(losses[:k]) - 0.05
    endless = small(max_iter=30, n_iter_no_change=np.inf, tol=10.0).fit(X, y)
    assert endless.n_iter_ == 30


@pytest.mark.slow
def test_adaptive_learning_rate_falls_before_training_stops(digits):
    X, _, y, _ = digits
    clf = small(learning_rate="adaptive", max_iter=300, tol=10.0, n_iter_no_change=1).fit(X, y)
    rates = clf.history_["learning_rate"]
    assert rates.iloc[0] == 0.001
    assert rates.iloc[-1] < 1e-5
    assert clf.n_iter_ < 300


def test_class_weight_moves_the_decision(digits):
    X, _, y, _ = digits
    y = (y == 8).astype(int)
    rare = small(class_weight={0: 1.0, 1: 50.0}).fit(X, y).predict(X).mean()
    common = small(class_weight={0: 50.0, 1: 1.0}).fit(X, y).predict(X).mean()
    assert rare > common
    balanced = small(class_weight="balanced").fit(X, y)
    by_hand = small(class_weight={0: len(y) / 2 / (y == 0).sum(), 1: len(y) / 2 / (y == 1).sum()})
    np.testing.assert_allclose(
        weights_of(balanced), weights_of(by_hand.fit(X, y)), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize(
    "params",
    [{}, {"batch_norm": True}, {"dropout": 0.3}, {"early_stopping": True}, {"shuffle": False}],
    ids=str,
)
def test_a_weight_of_two_is_a_sample_given_twice_and_zero_an_absent_one(params, digits):
    X, X_test, y, _ = digits
    X, y = X[:60], y[:60]
    weights = np.random.default_rng(0).integers(0, 3, 60)
    weighted = small(batch_size=200, **params).fit(X, y, sample_weight=weights)
    repeated = small(batch_size=200, **params).fit(X.repeat(weights, 0), y.repeat(weights))
    np.testing.assert_allclose(
        weighted.predict_proba(X_test), repeated.predict_proba(X_test), rtol=1e-7
    )


def test_partial_fit_learns_from_a_stream(digits):
    X, X_test, y, y_test = digits
    clf = small(learning_rate_init=0.01)
    for _ in range(8):
        for lo in range(0, len(X), 300):
            clf.partial_fit(X[lo : lo + 300], y[lo : lo + 300], classes=np.arange(10))
    assert clf.score(X_test, y_test) > 0.9
    assert clf.n_iter_ == 8 * 5


def test_partial_fit_resumes_from_fit(digits):
    X, _, y, _ = digits
    clf = small().fit(X, y)
    before = clf.loss_
    clf.partial_fit(X, y)
    assert clf.n_iter_ == 4
    assert clf.loss_ < before


def test_warm_start_resumes_and_a_plain_fit_starts_anew(digits):
    X, _, y, _ = digits
    warm = small(warm_start=True).fit(X, y).fit(X, y)
    assert warm.n_iter_ == 6
    assert_same_weights(warm, small(max_iter=6).fit(X, y))
    cold = small().fit(X, y).fit(X, y)
    assert_same_weights(cold, small().fit(X, y))
