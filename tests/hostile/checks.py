"""What has to hold after a call, whether it succeeded or not."""

import copy
import pickle
import signal
import warnings
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

import joblib
import numpy as np
import pytest
import scipy.sparse
from hypothesis import currently_in_test_context
from hypothesis import event as hypothesis_event
from scipy.special import log_expit, log_softmax
from sklearn.exceptions import NotFittedError

from sknpcnn import NumpyCNNClassifier
from sknpcnn._network.network import Network
from tests.engine.threads import blas_is_held
from tests.hostile.naive import naive_logits
from tests.models import weights_of

# What fit, partial_fit and predict may raise; NotFittedError and InvalidParameterError are both.
DOCUMENTED = (ValueError, TypeError)
LATE = ("Training diverged", "The validation data give")
SECONDS = 120  # that a case may take, which takes a few hundredths of one
SMALL = {
    "conv_filters": (2,),
    "hidden_layer_sizes": (3,),
    "learning_rate": "constant",
    "max_iter": 2,
    "random_state": 0,
}

X = np.random.default_rng(0).normal(size=(9, 6, 6))
y = np.arange(9) % 2


@contextmanager
def no_hang():
    def ring(*args):
        raise TimeoutError(f"A single case has taken more than {SECONDS} seconds.")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def no_warning_from_numpy():
    """Let those of scikit-learn and of the package pass, and turn those of NumPy into errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for category in (RuntimeWarning, DeprecationWarning, np.exceptions.ComplexWarning):
            warnings.simplefilter("error", category)
        yield


def event(name):
    if currently_in_test_context():
        hypothesis_event(name)


def outcome(call, documented=DOCUMENTED):
    """Return what a call returns, or the documented error that it raised before any training."""
    learn, begun = Network.learn, []

    def spy(*args, **kwargs):
        begun.append(True)
        return learn(*args, **kwargs)

    with no_hang(), no_warning_from_numpy(), patch.object(Network, "learn", spy):
        try:
            result = call()
            event("a result")
            return result
        except documented as error:
            event(type(error).__name__)
            if begun and not str(error).startswith(LATE):
                raise RuntimeError("Training had begun before the error.") from error
            return error


def content(*things):
    """Hash all that is in some things."""
    return joblib.hash([in_plain_arrays(thing) for thing in things])


def in_plain_arrays(thing):
    if scipy.sparse.issparse(thing):
        return thing.toarray()  # and not what it has found out about itself meanwhile
    if isinstance(thing, np.ma.MaskedArray):
        return np.asarray(thing), np.ma.getmaskarray(thing)
    return thing


def attributes(clf):
    """Tell which attributes an estimator has, and what is in them."""
    return {name: (id(value), content(value)) for name, value in vars(clf).items()}


@cache
def pickled_fit(dtype, **params):
    return pickle.dumps(NumpyCNNClassifier(**SMALL | params).fit(X.astype(dtype), y))


def already_fitted(dtype="f8", **params):
    return pickle.loads(pickled_fit(dtype, **params))


def classifier(was_fitted, params):
    """Make a classifier of small networks, perhaps a fitted one, and give it the parameters."""
    clf = already_fitted() if was_fitted else NumpyCNNClassifier(**SMALL)
    if params.get("layers") is not None:
        clf.set_params(conv_filters="auto", hidden_layer_sizes="auto")
    vars(clf).update(copy.deepcopy(params))  # set_params would look into them
    return clf


def assert_predicts_like_the_loops(clf, X):
    with no_hang(), no_warning_from_numpy():
        scores, p, log_p = clf.decision_function(X), clf.predict_proba(X), clf.predict_log_proba(X)
        labels = clf.predict(X)
    for found in (scores, p, log_p):
        assert np.isfinite(found).all()
    assert p.shape == (len(labels), len(clf.classes_))
    several = clf.out_activation_ == "logistic"  # labels for each sample
    if several:
        np.testing.assert_array_equal(labels, p > 0.5)
    else:
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
        winners = (labels[:, None] == clf.classes_).argmax(axis=1)
        np.testing.assert_array_equal(p[np.arange(len(p)), winners], p.max(axis=1))

    with np.errstate(all="ignore"):
        logits, size = naive_logits(clf, X)
    eps = np.finfo(weights_of(clf).dtype).eps
    close = 500 * eps * size.max(axis=1, keepdims=True, initial=1e-30)
    if logits.shape[1] == 2 and not several:
        scores, wanted = scores[:, None], logits[:, 1:] - logits[:, :1]
    else:
        wanted = logits
    assert (abs(scores - wanted) <= close).all()
    wanted = log_expit(logits) if several else log_softmax(logits, axis=1)
    assert (abs(log_p - wanted) <= 2 * close + 10 * eps * (1 + abs(wanted))).all()
    np.testing.assert_allclose(p, np.exp(log_p), rtol=1e-4, atol=1e-30)


def assert_soundly_fitted(clf, X):
    assert np.isfinite(weights_of(clf)).all()
    assert len(clf.loss_curve_) == len(clf.history_) == clf.n_iter_
    assert clf.n_iter_ > 0 or clf.max_iter == 0
    assert np.isfinite(clf.loss_curve_).all()
    assert np.isfinite((clf.validation_scores_ or [0.0])[-1])
    assert clf.loss_ == clf.loss_curve_[-1] if clf.loss_curve_ else np.isnan(clf.loss_)
    assert_predicts_like_the_loops(clf, X)


def assert_fits_or_refuses(clf, method, images, y, *args, **data):
    """Fit: soundly fitted afterwards, or refused before training and as it was before."""
    was, given = attributes(clf), content(images, y, *args, *data.values())
    predicted = predictions(clf) if "n_iter_" in was else None
    documented = DOCUMENTED if clf.checkpoint_dir is None else (*DOCUMENTED, OSError)
    result = outcome(lambda: getattr(clf, method)(images, y, *args, **data), documented)
    assert content(images, y, *args, *data.values()) == given
    assert not blas_is_held()
    if result is clf:
        same = {name for name, value in attributes(clf).items() if was.get(name) == value}
        assert set(clf.get_params(deep=False)) <= same
        assert_soundly_fitted(clf, images)
        return
    assert attributes(clf) == was
    if predicted is None:
        with pytest.raises(NotFittedError):
            clf.predict(X)
    else:
        np.testing.assert_array_equal(predictions(clf), predicted)


def samples_in(images):
    """Tell how many samples there are, or may be."""
    return images.shape[0] if getattr(images, "shape", ()) else 2


def predictions(clf):
    """Predict something, whatever parameters have been set meanwhile."""
    return copy.copy(clf).set_params(n_jobs=1).predict_proba(X)
