"""Any batch for partial_fit, and any images to predict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import cases, images, labels, parameters
from tests.hostile.checks import (
    DOCUMENTED,
    X,
    already_fitted,
    assert_fits_or_refuses,
    assert_predicts_like_the_loops,
    attributes,
    classifier,
    content,
    outcome,
    y,
)

pytestmark = pytest.mark.thread_unsafe(reason="alarms, and a spy on the network")


CLASSES = [None, [0, 1], [1, 0], np.arange(3), ["no", "yes"], [0, np.nan], [], 5, [[0, 1]], "ab"]


@cases(50)
@given(
    parameters.mostly_sound(
        images=(images.sound_6_by_6, images.hostile_6_by_6),
        classes=(st.just([0, 1]), st.sampled_from(CLASSES)),
        labels=(st.just(labels.PerSample("two")), labels.hostile_labels),
        weights=(labels.sound_weights, labels.hostile_weights),
    ),
    st.booleans(),
)
def test_partial_fit_of_anything_fits_or_is_refused(drawn, was_fitted):
    n = drawn["images"].shape[0]
    data = drawn["labels"].make(n), drawn["classes"], drawn["weights"].make(n)
    clf = classifier(was_fitted, {})
    assert_fits_or_refuses(clf, "partial_fit", drawn["images"].make(), *data)


@cases(30)
@given(parameters.parameters(), st.booleans())
def test_partial_fit_with_any_parameters_fits_or_is_refused(params, was_fitted):
    clf = classifier(was_fitted, params)
    assert_fits_or_refuses(clf, "partial_fit", X, y, [0, 1])


@cases(80)
@given(
    st.one_of(images.hostile_6_by_6, images.hostile_6_by_6, images.anything_as_images),
    st.sampled_from(["f4", "f8"]),
    st.sampled_from([{}, {"batch_norm": True}, {"standardize": False}, {"activation": "elu"}]),
)
def test_predictions_of_anything_are_finite_or_refused(images, dtype, params):
    X = images.make()
    clf = already_fitted(dtype, **params)
    was, given = attributes(clf), content(X)
    results = [
        outcome(lambda method=method: method(X))
        for method in (clf.predict, clf.predict_proba, clf.predict_log_proba, clf.decision_function)
    ]
    refused = {type(result) for result in results if isinstance(result, DOCUMENTED)}
    assert content(X) == given
    assert attributes(clf) == was
    if refused:
        assert len(refused) == 1
        assert {type(result) for result in results} == refused
    else:
        assert_predicts_like_the_loops(clf, X)
