"""NumPy's floating-point error settings are the caller's: no result depends on them."""

import warnings

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, optimizers
from sknpcnn.augmentation import Affine, Brightness, Contrast, Cutout, Shift, augment_images
from sknpcnn.layers import (
    ELU,
    GELU,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    Residual,
    SiLU,
)
from sknpcnn.losses import CrossEntropy
from sknpcnn.testing import check_layer
from tests.models import Callback

LAYERS = [Conv2D(3), BatchNorm(), SiLU(), Residual([Conv2D(3), ELU()]), Flatten(), Dense(5), GELU()]
AUGMENT = [Shift(1), Affine(0.1), Brightness(0.2), Contrast(0.2), Cutout(2)]


def images(dtype=np.float32, small=1e-38):
    """Some of them are so small that what they are multiplied by underflows."""
    X = np.random.default_rng(0).random((60, 6, 6)).astype(dtype)
    with np.errstate(all="ignore"):
        X[::2] *= small
    return X, np.arange(60) % 3


def classifier(**params):
    given = {"layers": LAYERS, "max_iter": 2, "random_state": 0, "n_jobs": 2, "batch_size": 7}
    return NumpyCNNClassifier(**given | params)


def fitted(X, y, **params):
    """A model whose outputs underflow in softmax, and whose values nearly do."""
    clf = classifier(**params).fit(X, y)
    return clf.set_weights({name: w * 1e3 for name, w in clf.get_weights().items()})


def theta(clf):
    return clf._theta


def trained_with(**params):
    return lambda X, y: theta(classifier(**params).fit(X, y))


def went_on(X, y):
    weights = np.linspace(1e-300, 1e300, len(X))
    clf = classifier().partial_fit(X, y, classes=[0, 1, 2], sample_weight=weights)
    return theta(clf.partial_fit(X[:30], y[:30]))


def validated(X, y):
    clf = classifier(early_stopping=True, scoring="neg_log_loss", class_weight="balanced")
    return clf.fit(X, y, np.full(60, 1e-200)).history_["validation_score"].to_numpy()


def features(X, y):
    plain = NumpyCNNFeatures(classifier(), train=True).fit(X, y).transform(X)
    return np.hstack([plain, NumpyCNNFeatures(classifier()).fit(X).transform(X)])


def half(X, y):
    with np.errstate(all="ignore"):
        X = X.astype(np.float16)
    return theta(classifier().fit(X, y))


def weights_set(X, y):
    clf = classifier().fit(X, y)
    return theta(
        clf.set_weights({"dense_1.W": clf.get_weights()["dense_1.W"].astype(float) * 1e-45})
    )


def layers_checked(X, y):
    for layer in LAYERS:
        check_layer(layer, (6,) if isinstance(layer, Dense) else (4, 4, 3))
    return []


TASKS = {
    **{
        method: lambda X, y, method=method: getattr(fitted(X, y), method)(X)
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function")
    },
    "score": lambda X, y: fitted(X, y).score(X, y, np.full(60, 1e-320)),
    "two classes": lambda X, y: fitted(X, y > 0).decision_function(X),
    "one image": lambda X, y: fitted(X, y).predict_proba(X[:1]),
    "partial_fit": went_on,
    "early stopping": validated,
    "features": features,
    "summary": lambda X, y: fitted(X, y).summary()["parameters"].to_numpy(),
    "rows": lambda X, y: theta(classifier().fit(X.reshape(60, -1).view(np.uint32) % 200, y)),
    "half precision": half,
    "weights": weights_set,
    "double": lambda X, y: fitted(*images(np.float64, 1e-308)).predict_proba(X.astype(float)),
    "no standard": trained_with(standardize=False, alpha=1e-30, loss=CrossEntropy(1e-40)),
    "clipped": trained_with(clip_norm=1e-30, learning_rate_init=1e-30),
    "wide": trained_with(layers=None, conv_filters=(64,), hidden_layer_sizes=(600,)),
    "augmented": trained_with(augment=AUGMENT),
    "augment_images": lambda X, y: augment_images(X, AUGMENT, 0),
    "check_layer": layers_checked,
    **{
        f"{solver} {rate}": trained_with(solver=solver, learning_rate=rate)
        for solver, rate in zip(
            sorted(set(optimizers.NAMED)),
            ["constant", "adaptive"] * 5,
            strict=False,
        )
    },
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_results_do_not_depend_on_what_numpy_does_about_errors(task):
    X, y = images()
    expected = np.asarray(task(X, y))
    called = []
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(task(X, y), expected)
    with np.errstate(all="call", call=lambda *error: called.append(error)):
        np.testing.assert_array_equal(task(X, y), expected)
    assert not called


def test_a_scorer_and_a_callback_keep_what_the_caller_has_set():
    """They are the user's own code; layers and augmentations are computed with, and ignore it."""
    seen = []

    def note(*args):
        seen.append(np.geterr())
        return 0.0

    X, y = images()
    clf = classifier(early_stopping=True, scoring=lambda model, X, y: note())
    clf.set_callbacks(Callback(begin=note, end=lambda context: bool(note())))
    with np.errstate(divide="raise", over="print", under="log", invalid="warn"):
        wanted = np.geterr()
        clf.fit(X, y)
        clf.predict(X)
    assert len(seen) > 6
    assert all(state == wanted for state in seen)
