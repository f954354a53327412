"""Weights of samples and classes in all that a fit computes; validation, and the epoch kept."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.metrics import f1_score, get_scorer, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from sknpcnn import NumpyCNNClassifier
from sknpcnn._estimator.sampling import make_samples, split_off_validation
from sknpcnn._training.classes import Classes
from sknpcnn.augmentation import Shift
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Flatten
from sknpcnn.losses import CrossEntropy
from tests import models
from tests.models import assert_same_weights, weights_of

WEIGHTS = np.random.default_rng(0).uniform(0.5, 2, 300)
assert_same = partial(models.assert_same, rtol=1e-12)


small = partial(models.small, batch_size=32)


@pytest.fixture(scope="module")
def held(digits):
    X, _, y, _ = digits
    return X[300:420], y[300:420]


# Weights of samples and of classes


CONFIGURATIONS = {
    "default": {},
    "auto": {"batch_size": "auto"},
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout": 0.3, "augment": [Shift(1)]},
    "as they come": {"shuffle": False, "standardize": False},
    "penalties": {"alpha": 0.1, "loss": CrossEntropy(0.1), "clip_norm": 0.5},
    "balanced": {"class_weight": "balanced"},
    "classes": {"class_weight": {3: 5.0, 4: 0.0}},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3},
    "early stopping by accuracy": {"early_stopping": True, "scoring": "accuracy"},
    "early stopping by a scorer": {
        "early_stopping": True,
        "scoring": make_scorer(f1_score, average="micro"),
    },
}


@pytest.mark.parametrize("params", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_sample_of_weight_zero_is_absent_to_the_bit(params, data):
    X, y = data
    weights = WEIGHTS * (np.arange(300) % 3 > 0)
    kept = weights > 0
    spoilt = np.where(kept[:, None], X, 1e6)  # what is absent may be anything
    weighted = small(**params).fit(spoilt, y, weights)
    assert_same(weighted, small(**params).fit(X[kept], y[kept], weights[kept]))


def test_in_a_stream_too(data):
    X, y = data
    clf, again = small(class_weight={0: 3.0}), small()
    for lo in range(0, 300, 100):
        part = slice(lo, lo + 100)
        kept = np.flatnonzero(y[part] != 1) + lo
        clf.partial_fit(X[part], y[part], range(10), WEIGHTS[part] * (y[part] != 1))
        again.partial_fit(X[kept], y[kept], range(10), WEIGHTS[kept] * np.where(y[kept] == 0, 3, 1))
    assert_same_weights(clf, again)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("labels", [np.arange(10), np.array(list("jihgfedcba")), -np.arange(10)])
def test_a_weight_of_a_class_is_a_factor_of_its_samples_weights(labels, early_stopping, data):
    X, y = data[0], labels[data[1]]
    factors = dict(zip(labels.tolist(), 1 + np.arange(10) / 2, strict=True))
    product = WEIGHTS * [factors[label] for label in y.tolist()]
    by_class = small(class_weight=factors, early_stopping=early_stopping).fit(X, y, WEIGHTS)
    assert_same(by_class, small(early_stopping=early_stopping).fit(X, y, product))


def test_balanced_classes_weigh_the_same_whatever_the_samples_weigh(data):
    X, y = data[0], np.minimum(data[1], 2)
    times = 1 + np.arange(300) % 3
    balanced = compute_sample_weight("balanced", y.repeat(times))
    assert np.ptp(np.bincount(y.repeat(times), balanced)) < 1e-9
    clf = small(class_weight="balanced", batch_size=1000).fit(X, y, times)
    again = small(batch_size=1000).fit(X.repeat(times, 0), y.repeat(times), balanced)
    np.testing.assert_allclose(clf.predict_proba(X), again.predict_proba(X), rtol=1e-7)


@pytest.mark.parametrize("kind", [list, pd.Series, np.float32, np.int64, bool])
def test_weights_of_any_kind(kind, data, held):
    numbers = np.arange(300) % 2 + (0 if kind is bool else 1)
    weights = kind(numbers) if kind in (list, pd.Series) else numbers.astype(kind)
    held_weights = weights[:120]
    clf = small(early_stopping=True)
    clf.fit(*data, weights, X_val=held[0], y_val=held[1], sample_weight_val=held_weights)
    plain = small(early_stopping=True).fit(
        *data, numbers * 1.0, X_val=held[0], y_val=held[1], sample_weight_val=numbers[:120] * 1.0
    )
    assert_same(clf, plain)


def test_weights_of_classes_do_not_change_what_is_held_out(data):
    X, y = data
    sets, target = [], Classes(np.arange(10))
    for class_weight in (None, {0: 3.0, 5: 0.25}, "balanced"):
        samples = make_samples(X, y, target, WEIGHTS, class_weight)
        sets.append(set(split_off_validation(samples, target, 0.2, seed=1)[1].index))
        held_out = samples.weights[sorted(sets[-1])].sum()
        assert abs(held_out / samples.weights.sum() - 0.2) < 0.03  # this fraction of the weight
    assert sets[0] == sets[1] == sets[2]


# Validation


@pytest.mark.parametrize("class_weight", [None, {0: 4.0, 1: 0.0}])
def test_validation_is_weighted_as_scikit_learn_weighs(class_weight, data, held):
    X_val, y_val = held
    weights = WEIGHTS[:120] * (np.arange(120) % 4 > 0)
    clf = small(class_weight=class_weight)
    clf.fit(*data, X_val=X_val, y_val=y_val, sample_weight_val=weights)
    factors = np.array([(class_weight or {}).get(label, 1.0) for label in y_val.tolist()])
    row = clf.history_.iloc[-1]
    loss = log_loss(y_val, clf.predict_proba(X_val), sample_weight=weights * factors)
    np.testing.assert_allclose(row["validation_loss"], loss)
    score = clf.score(X_val, y_val, sample_weight=weights * factors)
    np.testing.assert_allclose(row["validation_score"], score)
    kept = weights > 0
    without = small(class_weight=class_weight)
    without.fit(*data, X_val=X_val[kept], y_val=y_val[kept], sample_weight_val=weights[kept])
    assert_same(clf, without)


def own_scorer(estimator, X, y, sample_weight=None):
    return f1_score(y, estimator.predict(X), average="macro", sample_weight=sample_weight)


SCORERS = ["loss", None, "accuracy", "neg_log_loss", "roc_auc_ovr", "top_k_accuracy", own_scorer]
SCORERS.append(make_scorer(f1_score, average="macro"))
any_scorer = pytest.mark.parametrize(
    "scoring", SCORERS, ids=lambda scoring: getattr(scoring, "__name__", str(scoring))
)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
@any_scorer
def test_the_epoch_that_the_scorer_likes_best_is_the_one_that_is_kept(
    scoring, weighted, data, held
):
    X_val, y_val = held[0], np.array(list("abcdefghij"))[held[1]]
    params = {"early_stopping": True, "scoring": scoring, "n_iter_no_change": 2, "tol": 0.0}
    params |= {"learning_rate_init": 0.03, "solver": "adam"}  # which goes up and down
    extra = {"sample_weight": WEIGHTS[:120]} if weighted else {}
    val = {"X_val": X_val, "y_val": y_val, "sample_weight_val": extra.get("sample_weight")}
    X, y = data[0], np.array(list("abcdefghij"))[data[1]]
    clf = small(max_iter=40, **params).fit(X, y, **val)
    scores = np.asarray(clf.validation_scores_)
    if scoring == "loss":
        scores = -clf.history_["validation_loss"].to_numpy()
    best = int(scores.argmax())
    assert best + 1 < clf.n_iter_ <= 40
    assert_same_model = np.testing.assert_array_equal
    assert_same_model(
        weights_of(clf), weights_of(small(max_iter=best + 1, **params).fit(X, y, **val))
    )
    if scoring == "loss":
        found = -log_loss(y_val, clf.predict_proba(X_val), **extra)
    else:
        scorer = clf.score if scoring is None else get_scorer(scoring)
        found = (
            scorer(X_val, y_val, **extra) if scoring is None else scorer(clf, X_val, y_val, **extra)
        )
    np.testing.assert_allclose(found, scores[best], rtol=1e-9)


def test_of_equal_epochs_the_first_one_is_kept(data):
    params = {"early_stopping": True, "scoring": lambda *args: 0.5, "n_iter_no_change": 3}
    clf = small(max_iter=50, **params).fit(*data)
    assert clf.n_iter_ == 1 + 3 + 1  # more than three epochs without improvement
    assert_same_weights(clf, small(max_iter=1, **params).fit(*data))


def plain_scorer(estimator, X, y):
    return (estimator.predict(X) == y).mean()


@pytest.mark.parametrize("scoring", [plain_scorer, make_scorer(lambda y, p: (y == p).mean())])
def test_a_scorer_that_takes_no_weights_does_without_those_of_the_classes(scoring, data, held):
    X_val, y_val = held
    clf = small(early_stopping=True, scoring=scoring, class_weight={0: 2.0})
    clf.fit(*data, X_val=X_val, y_val=y_val)
    assert max(clf.validation_scores_) == (clf.predict(X_val) == y_val).mean()


@any_scorer
def test_names_of_features_raise_no_warning_in_a_scorer(scoring, data, held):
    X, X_val = (pd.DataFrame(A, columns=[f"p{i}" for i in range(64)]) for A in (data[0], held[0]))
    clf = small(early_stopping=True, scoring=scoring).fit(X, data[1])  # warnings are errors
    clf.fit(X, data[1], X_val=X_val, y_val=held[1])
    plain = small(early_stopping=True, scoring=scoring)
    assert_same(clf, plain.fit(*data, X_val=held[0], y_val=held[1]))


# Pipelines


def routed(clf):
    names = ("X_val", "y_val", "sample_weight", "sample_weight_val")
    return clf.set_fit_request(**dict.fromkeys(names, True)).set_score_request(sample_weight=True)


@pytest.mark.slow
@any_scorer
def test_validation_data_and_weights_go_through_pipelines_and_a_grid_search(scoring, data, held):
    given = {"X_val": held[0], "y_val": held[1], "sample_weight": WEIGHTS}
    given["sample_weight_val"] = WEIGHTS[:120]
    params = {"early_stopping": True, "scoring": scoring}
    with sklearn.config_context(enable_metadata_routing=True):
        first = StandardScaler().set_fit_request(sample_weight=True)
        second = StandardScaler(with_mean=False).set_fit_request(sample_weight=False)
        inner = make_pipeline(second, routed(small(**params)), transform_input=["X_val"])
        outer = make_pipeline(first, inner, transform_input=["X_val"])
        grid = {"pipeline__numpycnnclassifier__alpha": [0.0, 0.1]}
        search = GridSearchCV(outer, grid, cv=2).fit(*data, **given)
        found = search.best_estimator_[-1][-1]
        alone = outer.fit(*data, **given)[-1][-1]
    first = StandardScaler().fit(data[0], sample_weight=WEIGHTS)
    second = StandardScaler(with_mean=False).fit(first.transform(data[0]))
    X, X_val = (second.transform(first.transform(A)) for A in (data[0], held[0]))
    for clf in (found, alone):
        by_hand = small(**params, alpha=clf.alpha).fit(
            X, data[1], WEIGHTS, X_val=X_val, y_val=held[1], sample_weight_val=WEIGHTS[:120]
        )
        assert_same(clf, by_hand)


# As little as there can be


TINY = {
    "one sample": ([[1.0, 2.0, 3.0, 4.0]], ["a"]),
    "one class": (np.eye(4), ["a"] * 4),
    "one sample of each class": (np.eye(4), list("abcd")),
    "one pixel": ([[0.0], [1.0], [2.0], [5.0]], list("abab")),
    "all alike": (np.ones((4, 4)), list("abab")),
    "one of a class": (np.eye(4), list("abbb")),
}


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", TINY)
def test_tiny_data_and_a_single_class(name, weighted, early_stopping):
    X, y = np.array(TINY[name][0]), np.array(TINY[name][1])
    weights = np.r_[2.0, np.ones(len(y) - 1)] if weighted else None
    params = {"class_weight": "balanced" if weighted else None, "loss": CrossEntropy(0.1)}
    params |= {"early_stopping": early_stopping, "scoring": "accuracy", "max_iter": 2}
    nets = [
        NumpyCNNClassifier((2,), pool_size=1, batch_norm=True, dropout=0.2, **params),
        NumpyCNNClassifier(layers=[Conv2D(2, 1), BatchNorm(), Flatten(), Dense(3)], **params),
    ]
    val = {"X_val": X, "y_val": y} if early_stopping else {}
    for clf in nets:
        clf.fit(X, y, weights, **val)
        assert clf.classes_.tolist() == sorted(set(y))
        p = clf.predict_proba(X)
        assert p.shape == (len(y), len(clf.classes_))
        np.testing.assert_allclose(p.sum(axis=1), 1)
        assert set(clf.predict(X)) <= set(y)
        clf.set_params(class_weight=None).partial_fit(X[:1], y[:1])
        assert clf.n_iter_ == 3


@pytest.mark.parametrize("name", TINY)
def test_early_stopping_holds_out_where_it_can_and_else_says_what_it_needs(name):
    X, y = np.array(TINY[name][0]), np.array(TINY[name][1])
    clf = NumpyCNNClassifier((2,), pool_size=1, early_stopping=True, max_iter=2, random_state=0)
    if name in ("one class", "one pixel", "one of a class"):
        assert len(clf.fit(X, y).validation_scores_) == 2
    else:
        with pytest.raises(ValueError, match=r"needs a class with at least two different samples"):
            clf.fit(X, y)
