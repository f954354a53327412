"""``class_weight="balanced"`` in a stream: class weights follow from the classes seen so far."""

import pickle
from functools import partial

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.utils.class_weight import compute_class_weight

import sknpcnn
from sknpcnn._network.balance import (
    MAX_BITS,
    add_counts,
    balanced_weights,
    class_counts,
    is_valid_seen,
)
from tests import models
from tests.models import weights_of

X, y = load_digits(n_class=3, return_X_y=True)
KEEP = np.r_[np.flatnonzero(y == 0)[:90], np.flatnonzero(y == 1)[:20], np.flatnonzero(y == 2)[:40]]
X, y = X[KEEP].astype(np.float32), y[KEEP]
ALL = [0, 1, 2]
WEIGHTS = np.random.default_rng(0).uniform(0.1, 3.0, len(y))


small = partial(models.small, class_weight="balanced")


def same(a, b):
    return weights_of(a).tobytes() == weights_of(b).tobytes()


@pytest.mark.parametrize("sample_weight", [None, WEIGHTS], ids=["plain", "weighted"])
def test_calls_with_the_same_data_are_one_fit_to_the_bit(sample_weight):
    stream = small()
    for _ in range(3):
        stream.partial_fit(X, y, ALL, sample_weight)
    assert same(stream, small(max_iter=3).fit(X, y, sample_weight))


def test_a_call_weighs_by_all_that_was_seen_so_far():
    first, second = slice(70), slice(70, None)  # the first ones are all 0
    stream = small().partial_fit(X[first], y[first], ALL)
    by_hand = small(class_weight={0: 1.0}).partial_fit(X[first], y[first], ALL)
    assert same(stream, by_hand), "one class alone weighs one"
    by_hand.set_params(class_weight={0: 150 / (3 * 90), 1: 150 / (3 * 20), 2: 150 / (3 * 40)})
    assert same(stream.partial_fit(X[second], y[second]), by_hand.partial_fit(X[second], y[second]))


def test_a_fit_counts_every_epoch():
    stream = small().partial_fit(X, y, ALL).partial_fit(X, y)
    assert small(max_iter=2).fit(X, y)._seen == stream._seen
    assert small(max_iter=1, warm_start=True).fit(X, y).fit(X, y)._seen == stream._seen


def test_a_stream_resumes_from_a_pickle_and_from_a_file(tmp_path):
    clf = small().partial_fit(X[:100], y[:100], ALL, WEIGHTS[:100])
    sknpcnn.save(clf, tmp_path / "model.npz")
    copies = pickle.loads(pickle.dumps(clf)), sknpcnn.load(tmp_path / "model.npz")
    clf.partial_fit(X[50:], y[50:])
    for copy in copies:
        assert copy._seen is not clf._seen
        assert same(copy.partial_fit(X[50:], y[50:]), clf)


def test_weights_are_those_of_scikit_learn_and_the_same_after_any_number_of_calls():
    counts = class_counts(y, WEIGHTS, 4)
    once = balanced_weights(add_counts((), counts))
    wanted = compute_class_weight("balanced", classes=np.array(ALL), y=y, sample_weight=WEIGHTS)
    np.testing.assert_allclose(once[:3], wanted, rtol=1e-14)
    assert once[3] == 1.0  # not seen
    seen = ()
    for times in (1, 2, 7, 990):
        seen = add_counts(seen, counts, times)
        assert balanced_weights(seen).tobytes() == once.tobytes()


def test_counts_stay_small_in_a_stream_of_extreme_weights():
    seen = ()
    for scale in [1e-300, 1e300, 1.0, 1 / 3] * 250:
        seen = add_counts(seen, class_counts(y, WEIGHTS * scale, 3))
    assert is_valid_seen(seen, 3)
    assert max(number.bit_length() for pair in seen for number in pair) < MAX_BITS / 1.5
    assert np.isfinite(balanced_weights(seen)).all()


@pytest.mark.parametrize(
    "odd",
    [
        [(1, 1)] * 3,
        ((1, 1),) * 2,
        ((1, 1), (1, 1), (-1, 1)),
        ((1, 1), (1, 1), (1, 0)),
        ((1, 1), (1, 1), (1.0, 1)),
        ((1, 1), (1, 1), (True, 1)),
        ((1, 1), (1, 1), (2 ** (MAX_BITS + 1), 1)),
        ((1, 1), (1, 1), (1,)),
    ],
)
def test_what_cannot_have_been_seen_is_refused_in_a_file(odd, tmp_path):
    assert not is_valid_seen(odd, 3)
    clf = small().partial_fit(X, y, ALL)
    clf._seen = odd
    with pytest.raises((TypeError, ValueError), match=r"cannot be saved|_seen"):
        sknpcnn.save(clf, tmp_path / "model.npz")
