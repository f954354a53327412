"""Same seed, same bits: whatever runs the fit, wherever, and however its arguments are spelled."""

import copy
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_predict

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import Affine, Shift
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, ReLU
from sknpcnn.losses import CrossEntropy
from sknpcnn.optimizers import SGD
from tests.models import assert_same_weights, weights_of

HOME = Path(__file__).parents[2]
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
PATIENCE = 60  # seconds that a test waits for a thread before it gives up

# All that could draw random numbers, split, weight, or iterate over sets; two chunks per batch.
PARAMS = {
    "conv_filters": (64, 4),
    "hidden_layer_sizes": (16,),
    "batch_norm": True,
    "dropout": 0.2,
    "augment": [Shift(1)],
    "class_weight": {str(name): 1.0 + i / 10 for i, name in enumerate(NAMES)},
    "early_stopping": True,
    "scoring": "accuracy",
    "loss": CrossEntropy(0.1),
    "clip_norm": 1.0,
    "alpha": 0.01,
    "batch_size": 135,
    "max_iter": 2,
    "random_state": 0,
}


def data():
    X, y = load_digits(return_X_y=True)
    weights = np.random.default_rng(0).uniform(0.5, 2, 300)
    return X[:300].astype("float32"), NAMES[y[:300]], weights


def digest(clf):
    """The results of a fit, except for its times."""
    epochs = clf.history_.drop(columns="seconds").to_dict("records")
    content = [
        weights_of(clf).tobytes(),
        repr(epochs).encode(),
        repr(clf.classes_.tolist()).encode(),
    ]
    content += [clf.predict_proba(data()[0]).tobytes()]
    return blake2b(b"".join(content), digest_size=16).hexdigest()


def backwards(params):
    """Turn the order of the parameters round, and that of the dict within."""
    params = params | {"class_weight": dict(reversed(params["class_weight"].items()))}
    return dict(reversed(params.items()))


def fitted(reverse=False, **params):
    """Fit, and return the digest; here or in another process."""
    params = PARAMS | params
    return digest(NumpyCNNClassifier(**(backwards(params) if reverse else params)).fit(*data()))


def went_on(pickled):
    """Train the second half of a fit that was pickled after the first."""
    clf = pickle.loads(pickled)
    X, y, weights = data()
    for _ in range(2):
        clf.partial_fit(X, y, sample_weight=weights)
    return digest(clf)


@pytest.fixture(scope="module")
def wanted():
    return fitted()


@pytest.fixture(scope="module")
def half():
    """A fit that was pickled after two of four epochs, and what all four come to."""
    X, y, weights = data()
    clf, halves = NumpyCNNClassifier(**PARAMS | {"max_iter": 4}), []
    for _ in range(4):
        clf.partial_fit(X, y, classes=NAMES, sample_weight=weights)
        halves.append(pickle.dumps(clf))
    return halves[1], digest(clf)


def test_another_seed_gives_other_bits(wanted):
    assert fitted(random_state=1) != wanted


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_number_of_threads_changes_nothing(dtype):
    assert len({fitted(n_jobs=n_jobs, dtype=dtype) for n_jobs in (None, 1, 2, 3, -1)}) == 1


@pytest.mark.slow
def test_hash_seed_and_order_of_dict_keys_change_nothing(wanted):
    program = "from tests.training.test_determinism import fitted; print(fitted(reverse=True))"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=HOME,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "4711")
    ]
    assert [process.communicate()[0].strip() for process in processes] == [wanted] * 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    "method", [m for m in multiprocessing.get_all_start_methods() if m != "forkserver"]
)
def test_a_process_of_any_kind_makes_the_same_bits_and_resumes_from_them(method, wanted, half):
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert pool.submit(fitted).result(PATIENCE) == wanted
        assert pool.submit(went_on, half[0]).result(PATIENCE) == half[1]


def test_workers_of_joblib_make_the_same_bits(wanted):
    X, y, _ = data()
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(fitted)() for _ in range(2)) == [wanted] * 2
    clf = NumpyCNNClassifier((4,), dropout=0.2, max_iter=2, random_state=0)
    one, two = (
        cross_val_predict(clf, X, y, cv=2, n_jobs=n, method="predict_proba") for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_threads_that_fit_at_the_same_time_make_the_same_bits(wanted):
    together = threading.Barrier(4)

    def fit(i):
        together.wait(PATIENCE)
        return fitted(n_jobs=1 + i % 2)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fit, range(4), timeout=PATIENCE)) == [wanted] * 4


WAYS = {
    "fitted again": lambda clf: clf,
    "cloned": clone,
    "cloned from a clone": lambda clf: clone(clone(clf)),
    "pickled": lambda clf: pickle.loads(pickle.dumps(clf)),
    "pickled, and cloned": lambda clf: clone(pickle.loads(pickle.dumps(clf))),
    "copied": copy.deepcopy,
    "made of its parameters": lambda clf: NumpyCNNClassifier(**clf.get_params(deep=False)),
    "given its parameters": lambda clf: clone(clf).set_params(**backwards(clf.get_params())),
    "made with defaults": lambda clf: NumpyCNNClassifier().set_params(**clf.get_params()),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("before", ["unfitted", "fitted"])
def test_the_same_estimator_come_by_in_another_way_makes_the_same_bits(before, way, wanted):
    clf = NumpyCNNClassifier(**PARAMS)
    if before == "fitted":
        clf.fit(*data())
    assert digest(way(clf).fit(*data())) == wanted


def test_order_of_nested_parameters_does_not_matter():
    clf = NumpyCNNClassifier(
        layers=[Conv2D(2), BatchNorm(), ReLU(), Flatten(), Dense(8), Dropout(0.2)],
        solver=SGD(momentum=0.5),
        max_iter=2,
        random_state=0,
    )
    nested = {"solver__momentum": 0.9, "conv2d_1__filters": 3, "dense_1": Dense(9)}
    nested |= {"dense_1__lr_scale": 0.5, "batchnorm_1__momentum": 0.8}
    reverse = dict(reversed(nested.items()))
    one, two = (clone(clf).set_params(**p).fit(*data()) for p in (nested, reverse))
    assert digest(one) == digest(two)
    weights = one.get_weights()
    other = clone(one).set_params(random_state=1).fit(*data())
    other.set_weights(dict(reversed(weights.items())))
    assert_same_weights(other, one)


def test_a_random_state_of_the_same_seed_makes_the_same_bits():
    clf = NumpyCNNClassifier((2,), max_iter=2, random_state=np.random.RandomState(5))
    again = clone(clf)  # before it has drawn
    assert digest(clf.fit(*data())) == digest(again.fit(*data()))
    third = clone(again).set_params(random_state=np.random.RandomState(5))
    assert digest(third.fit(*data())) == digest(again)


def test_global_random_numbers_are_neither_drawn_nor_needed(wanted):
    before = pickle.dumps(np.random.get_state()), random.getstate()  # noqa: NPY002
    assert fitted() == wanted
    assert (pickle.dumps(np.random.get_state()), random.getstate()) == before  # noqa: NPY002


def lying_otherwise(X):
    """Make arrays of the same values with other memory layouts."""
    raw = np.zeros(X.nbytes + 1, np.uint8)
    crooked = raw[1:].view(X.dtype).reshape(X.shape)
    crooked[...] = X
    assert not crooked.flags.aligned
    return {
        "not aligned": crooked,
        "of the other byte order": X.astype(X.dtype.newbyteorder()),
        "in columns": np.asfortranarray(X.reshape(len(X), -1)).reshape(X.shape),
    }


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint16"])
def test_same_numbers_make_the_same_bits_however_they_lie_in_memory(dtype):
    X, y, weights = data()
    X = np.repeat(X.reshape(-1, 8, 8, 1), 3, axis=3).astype(dtype)  # channels are copied as one
    params = {"conv_filters": (3,), "dropout": 0.2, "max_iter": 2, "random_state": 0}
    for standardize in (True, False):
        clf = NumpyCNNClassifier(standardize=standardize, **params).fit(X, y, weights)
        p = clf.predict_proba(X)
        for name, other in lying_otherwise(X).items():
            again = clone(clf).fit(other, y, weights)
            np.testing.assert_array_equal(weights_of(again), weights_of(clf), err_msg=name)
            np.testing.assert_array_equal(clf.predict_proba(other), p, err_msg=name)


@pytest.mark.parametrize(
    "params",
    [{}, {"batch_norm": True}, {"conv_filters": (), "activation": "tanh"}, {"kernel_size": 5}],
    ids=str,
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-12)])
def test_prediction_of_a_row_does_not_depend_on_the_rows_beside_it(params, dtype, tolerance):
    X, y = load_digits(return_X_y=True)
    clf = NumpyCNNClassifier(**{"max_iter": 1, "random_state": 0} | params, dtype=dtype)
    whole = clf.fit(X[:300], y[:300]).predict_proba(X)  # several parts, the last one shorter
    np.testing.assert_array_equal(clf.predict_proba(X), whole)
    order = np.random.default_rng(0).permutation(len(X))
    for rows in ([7], [7, 1500], [7] * 40, range(513), range(len(X) - 1, 700, -3), order):
        rows = np.asarray(rows)
        np.testing.assert_allclose(clf.predict_proba(X[rows]), whole[rows], rtol=0, atol=tolerance)


@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_sixteen_threads_predict_at_once_what_one_predicts(n_jobs):
    X, y, weights = data()
    clf = NumpyCNNClassifier(**PARAMS | {"n_jobs": n_jobs}).fit(X, y, weights)

    def asked(clf, i):
        rows = slice(i, 300 - i)
        methods = ("predict", "predict_proba", "predict_log_proba", "decision_function")
        found = [getattr(clf, name)(X[rows]) for name in methods]
        return [*found, clf.score(X, y), clf.summary(), clf.get_weights()["output.W"]]

    one_by_one = [asked(clf, i) for i in range(16)]
    fresh, together = pickle.loads(pickle.dumps(clf)), threading.Barrier(16)  # nothing made yet

    def ask(i):
        together.wait(PATIENCE)
        return asked(fresh, i)

    with ThreadPoolExecutor(16) as pool:
        at_once = list(pool.map(ask, range(16), timeout=PATIENCE))
    for one, other in zip(one_by_one, at_once, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_may_differ_between_machines_is_documented():
    page = (HOME / "docs" / "guide" / "reproducibility.md").read_text()
    section = page.split("## Other machines and versions")[1].split("\n## ")[0]
    assert "BLAS, the library that multiplies matrices, has other code there" in section


@pytest.mark.parametrize("augment", [None, [Affine(10)]], ids=["plain", "augmented"])
@pytest.mark.parametrize("standardize", [True, False])
def test_the_same_images_in_another_type_train_the_same_network(standardize, augment):
    X, y = load_digits(return_X_y=True)
    X, y = X[:150].astype(np.uint8) * 15, y[:150]
    params = {"standardize": standardize, "augment": augment, "conv_filters": (4,), "max_iter": 2}
    kinds = [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32]
    fits = [NumpyCNNClassifier(random_state=0, **params).fit(X.astype(k), y) for k in kinds]
    for clf in fits[1:]:
        assert_same_weights(clf, fits[0])
    for kind in (*kinds, np.float64):  # and it predicts the same
        for clf in fits:
            np.testing.assert_array_equal(
                clf.predict_proba(X.astype(kind)), fits[0].predict_proba(X)
            )


def test_integers_beyond_single_precision_keep_their_digits():
    X = np.random.default_rng(0).integers(0, 5, (60, 16)) + 2**40
    y = np.arange(60) % 2
    large = NumpyCNNClassifier(dropout=0.0, max_iter=2, random_state=0).fit(X, y)
    small = NumpyCNNClassifier(dropout=0.0, max_iter=2, random_state=0).fit(X - 2**40, y)
    np.testing.assert_allclose(large.predict_proba(X), small.predict_proba(X - 2**40), atol=1e-4)
