"""A prediction sees one consistent model, whatever is done to the estimator meanwhile."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import numpy as np
import pandas as pd
import pytest

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn._estimator import fitted, inputs
from tests import models

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 6, 6)).astype("f4")
TEN, TWO = np.arange(60) % 10, np.where(np.arange(60) % 2, "odd", "even")
WIDE = rng.normal(size=(60, 8, 8)).astype("f4")


small = partial(models.small, conv_filters=(3,), hidden_layer_sizes=(), max_iter=1)


PREDICTIONS = {
    "predict": lambda clf: clf.predict(X),
    "predict_proba": lambda clf: clf.predict_proba(X),
    "decision_function": lambda clf: clf.decision_function(X),
    "score": lambda clf: clf.score(X, TEN),
    "get_weights": lambda clf: clf.get_weights()["output.W"],
    "summary": lambda clf: clf.summary(),
    "history": lambda clf: clf.history_,
}


@pytest.mark.parametrize("where", ["snapshot", "check_prediction_data", "outputs_of", "network_of"])
@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_refit_in_the_middle_of_a_prediction_changes_nothing(name, where, monkeypatch):
    """Another fit ends exactly while a prediction is running, at several points of it."""
    clf = small().fit(X, TEN)
    wanted = PREDICTIONS[name](clf)
    module = inputs if where == "check_prediction_data" else fitted
    usual = getattr(module, where)
    refits = []

    def refitting(*args, **options):
        result = usual(*args, **options)
        if not refits:
            refits.append(1)
            other = small().fit(WIDE, TWO)  # other classes, other images
            fitted.publish(clf, vars(other))
        return result

    monkeypatch.setattr(module, where, refitting)
    found = PREDICTIONS[name](clf)
    monkeypatch.undo()
    if hasattr(wanted, "equals"):
        assert found.equals(wanted)
    else:
        np.testing.assert_array_equal(found, wanted)
    if refits:
        assert clf.predict(WIDE).shape == (60,)
        assert list(clf.classes_) == ["even", "odd"]


@pytest.mark.slow
def test_predictions_beside_refits_are_those_of_one_model_or_the_other():
    clf, stop = small(), Event()
    models = [(X, TEN), (X, TWO)]
    wanted = [set(np.unique(y)) for _, y in models]
    proba = [small().fit(*data).predict_proba(X) for data in models]
    clf.fit(*models[0])

    def predict():
        seen = 0
        while not stop.is_set() or seen < 20:
            found = set(clf.predict(X))
            assert any(found <= labels for labels in wanted)
            p = clf.predict_proba(X)
            assert any(p.shape == q.shape and np.array_equal(p, q) for q in proba)
            assert clf.set_params(verbose=0) is clf
            seen += 1

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(predict) for _ in range(3)]
        try:
            for i in range(40):
                clf.fit(*models[(i + 1) % 2])
        finally:
            stop.set()
        for job in jobs:
            job.result()


def test_nothing_of_a_fit_is_seen_before_it_has_ended(monkeypatch):
    clf = small().fit(X, TEN)
    before = dict(vars(clf))

    class Look:
        def setup(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...
        def teardown(self, estimator, context): ...

        def on_fit_task_end(self, estimator, context):
            fitted_now = {n: v for n, v in vars(clf).items() if n.endswith("_") or n[:2] == "_t"}
            assert {n for n, value in fitted_now.items() if value is not before[n]} == set()

    clf.set_callbacks(Look())
    frame = pd.DataFrame(WIDE.reshape(60, -1)).rename(columns=str)
    clf.fit(frame, TWO)
    assert clf.n_features_in_ == 64
    assert list(clf.feature_names_in_[:2]) == ["0", "1"]
    before = dict(vars(clf))
    clf.fit(X, TEN)
    assert not hasattr(clf, "feature_names_in_")


def test_a_failing_fit_leaves_everything_as_it_was():
    clf = small().fit(X, TEN)
    before = dict(vars(clf))
    frame = pd.DataFrame(WIDE.reshape(60, -1)).rename(columns=str)
    for bad in (np.full(59, 1), np.full(60, np.nan)):
        with pytest.raises(ValueError, match=r"inconsistent|NaN"):
            clf.fit(frame, bad)
    with pytest.raises(ValueError, match="diverged"):
        clf.set_params(solver="sgd", learning_rate_init=1e30, max_iter=9).fit(frame, TWO)
    clf.set_params(solver="adam", learning_rate_init="auto", max_iter=1)
    after = {name: value for name, value in vars(clf).items() if "callback" not in name}
    assert after.keys() == {name for name in before if "callback" not in name}
    for name in ("_theta", "classes_", "n_features_in_", "_history"):
        assert after[name] is before[name]


def test_features_are_those_of_one_network(monkeypatch):
    features = NumpyCNNFeatures(small(), random_state=0).fit(X)
    wanted = features.transform(X)
    usual, refits = inputs.check_prediction_data, []

    def refitting(*args, **options):
        result = usual(*args, **options)
        if not refits:
            refits.append(1)
            features.fit(WIDE)
        return result

    monkeypatch.setattr(inputs, "check_prediction_data", refitting)
    np.testing.assert_array_equal(features.transform(X), wanted)


def test_what_is_kept_between_predictions_is_still_kept():
    clf = small().fit(X, TEN)
    clf.predict(X[:1])
    engine = fitted._derived_objects[clf].engines[0][1]
    for i in range(20):
        clf.predict(X[i : i + 1])
    assert fitted._derived_objects[clf].engines[0][1] is engine
    assert vars(pickle.loads(pickle.dumps(clf))).keys() == vars(clf).keys()


def test_setting_weights_keeps_what_other_threads_do_meanwhile(monkeypatch):
    clf, usual = small().fit(X, TEN), fitted.with_weights
    weights = clf.get_weights()

    def meanwhile(*args):
        clf.tol = 0.5
        return usual(*args)

    monkeypatch.setattr(fitted, "with_weights", meanwhile)
    clf.set_weights(weights)
    assert clf.tol == 0.5
    other = small().fit(WIDE, TWO)
    monkeypatch.setattr(
        fitted, "with_weights", lambda *args: (fitted.publish(clf, vars(other)), usual(*args))[1]
    )
    clf.set_weights(weights)  # of a network that is there no longer
    np.testing.assert_array_equal(clf.predict(WIDE), other.predict(WIDE))


class Comparable(NumpyCNNClassifier):
    def __eq__(self, other):
        return type(self) is type(other)

    __hash__ = None


def test_classifiers_that_can_be_compared_predict():
    given = {"conv_filters": (3,), "hidden_layer_sizes": (), "max_iter": 1, "random_state": 0}
    given["learning_rate"] = "constant"
    clf, other = Comparable(**given).fit(X, TEN), Comparable(**given).fit(WIDE, TWO)
    assert clf == other
    np.testing.assert_array_equal(clf.predict(X), small().fit(X, TEN).predict(X))
    assert set(other.predict(WIDE)) <= {"even", "odd"}
