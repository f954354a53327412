"""Every parameter of every public class, given a value of every kind: sound, or refused by name."""

import copy
import inspect
import pickle
import pkgutil
import re
import warnings
from dataclasses import fields
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.base import clone

import sknpcnn
from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, NumpyCNNRegressor, display
from sknpcnn._values.brief import brief
from sknpcnn.augmentation import Augmentation
from sknpcnn.callbacks import TimeLimit
from sknpcnn.datasets import ImageLoader
from sknpcnn.layers import Context, Flatten, Hints, Layer, Parameter, ReLU
from sknpcnn.lite import Predictor
from sknpcnn.losses import Loss
from sknpcnn.optimizers import Optimizer
from sknpcnn.saving.plain import SPECS
from sknpcnn.schedules import Progress, Schedule
from sknpcnn.spec import Spec
from tests.hostile import NIGHTLY
from tests.hostile.checks import DOCUMENTED, LATE, no_hang, outcome
from tests.hostile.values import REFUSAL, VALUES

pytestmark = pytest.mark.thread_unsafe(reason="alarms, and a spy on the network")

SHORT = 1500
"""How many characters an error or a repr may have."""

X = np.random.default_rng(0).normal(size=(8, 6, 6)).astype(np.float32)
y = np.arange(8) % 2
SMALL = {"conv_filters": (2,), "hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
ESTIMATORS = NumpyCNNClassifier, NumpyCNNRegressor, NumpyCNNFeatures
# What the package makes, and hands to others; and what has a test of its own.
NOT_GIVEN = {
    Spec,
    Progress,
    ImageLoader,
    Context,
    Hints,
    Parameter,
    Predictor,
    np.ndarray,
    *(getattr(display, name) for name in display.__all__),  # their data come from_estimator
}
if find_spec("onnx") is not None:
    NOT_GIVEN.add(sknpcnn.onnx.Imported)


def public_classes():
    modules = [
        "sknpcnn",
        *(m.name for m in pkgutil.walk_packages(sknpcnn.__path__, "sknpcnn.")),
    ]
    found = {
        thing
        for module in map(import_module, modules)
        for thing in (getattr(module, name) for name in getattr(module, "__all__", ()))
        if isinstance(thing, type)
        and not inspect.isabstract(thing)
        and thing not in NOT_GIVEN
        and thing.__module__.startswith("sknpcnn.")
    }
    return sorted(found, key=lambda thing: thing.__name__)


def parameters(kinds):
    return [(kind, name) for kind in kinds for name in inspect.signature(kind).parameters]


CLASSES = public_classes()
VALUE_CLASSES = [kind for kind in CLASSES if kind not in ESTIMATORS]


@cache
def required(kind):
    """Give sound values for the parameters that have no default."""
    names = [n for n, p in inspect.signature(kind).parameters.items() if p.default is p.empty]
    for value in (2, 0.5, "same", ReLU(), [ReLU()]):
        try:
            kind(**dict.fromkeys(names, value))
        except DOCUMENTED:
            continue
        return dict.fromkeys(names, value)
    raise AssertionError(f"Nothing makes a {kind.__name__}.")


def names_it(error, name):
    return bool(re.search(rf"\b{name}\b", str(error)))


def is_plain(value):
    if isinstance(value, tuple):
        return type(value) is tuple and all(map(is_plain, value))
    return value is None or isinstance(value, Spec) or type(value) in (int, float, bool, str)


def check_refusal(error, name):
    assert names_it(error, name), f"The error does not name {name}: {str(error)[:SHORT]}"
    assert len(str(error)) < SHORT, f"An error of {len(str(error))} characters: {str(error)[:200]}"


def check_value(value):
    """Hold an object to what values promise."""
    held = [getattr(value, field.name) for field in fields(value)]
    assert all(map(is_plain, held)), held
    assert len(repr(value)) < SHORT or "x" * 1000 in repr(value)  # a name may be long
    for copied in (
        pickle.loads(pickle.dumps(value)),
        copy.deepcopy(value),
        clone(value, safe=False),
    ):
        assert copied == value
        assert hash(copied) == hash(value)
        assert repr(copied) == repr(value)
    if isinstance(value, Spec):
        assert value.replace(**value.get_params()) == value
    if isinstance(value, Layer):
        for shape in ((6, 6, 1), (5,)):
            made, refusal = None, ""
            try:
                made = value.output_shape(shape)
                value.parameters(shape)
            except ValueError as error:
                refusal = str(error)
            assert len(refusal) < SHORT
            if not refusal:
                assert all(type(n) is int and n > 0 for n in made)
                assert type(value.working_set(shape)) is type(value.multiply_adds(shape)) is int


def using(value):
    """Make classifiers that make use of an object."""
    layered = {"max_iter": 1, "random_state": 0}
    if isinstance(value, Layer):
        return [
            NumpyCNNClassifier(layers=steps, **layered) for steps in ([value], [Flatten(), value])
        ]
    if isinstance(value, TimeLimit):
        return [NumpyCNNClassifier(**SMALL).set_callbacks(value)]
    if isinstance(value, Loss):
        kind = NumpyCNNRegressor if value.targets == "reals" else NumpyCNNClassifier
        return [kind(**SMALL, loss=value)]
    name = {Optimizer: "solver", Schedule: "learning_rate", Augmentation: "augment"}
    (wanted,) = (name for kind, name in name.items() if isinstance(value, kind))
    return [NumpyCNNClassifier(**SMALL | {wanted: [value] if wanted == "augment" else value})]


def check_fit(clf):
    """Fit and predict something finite, or raise before training; return the error, if any."""
    documented = DOCUMENTED if clf.checkpoint_dir is None else (*DOCUMENTED, OSError)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = outcome(lambda: clf.fit(X, y), documented)
        if result is not clf:
            assert len(str(result)) < SHORT, str(result)[:200]
            return result
        predict = clf.predict if isinstance(clf, NumpyCNNRegressor) else clf.predict_proba
        found = outcome(lambda: predict(X))
    if isinstance(found, Exception):
        assert "makes the network overflow" in str(found)
    elif isinstance(clf, NumpyCNNRegressor):
        assert np.isfinite(found).all()
    else:
        assert np.isfinite(found).all()
        chances = found[np.arange(len(X)), clf.predict(X)]
        assert (chances == found.max(axis=1)).all()  # several may be
    return None


def close(values):
    """Close open files, of which Python would warn."""
    for value in values:
        if hasattr(type(value), "close"):
            value.close()


def failures(check):
    """Go through all values, and collect what does not hold."""
    found = []
    for kind, make in VALUES.items():
        value = make()
        try:
            check(value)
        except Exception as error:
            found.append(f"{kind}: {type(error).__name__}: {str(error)[:300]}")
        close([value])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), parameters(VALUE_CLASSES))
def test_an_object_is_a_sound_value_or_refused_by_the_name_of_the_parameter(kind, name):
    fitted = set()

    def check(given):
        try:
            with no_hang():
                value = kind(**required(kind) | {name: given})
        except DOCUMENTED as error:
            check_refusal(error, name)
            return
        check_value(value)
        if value not in fitted:
            fitted.add(value)
            for clf in using(value):
                check_fit(clf)

    assert not failures(check)
    assert fitted, "no value at all was accepted"


@pytest.mark.parametrize("name", inspect.signature(ImageLoader).parameters)
def test_a_loader_of_images_is_sound_or_refuses_by_the_name_of_the_parameter(name):
    pytest.importorskip("PIL")
    image = np.zeros((4, 6, 3), np.uint8)
    accepted = []

    def check(given):
        loader = ImageLoader(**{name: given})
        assert loader.get_params()[name] is given
        found = outcome(lambda: loader.fit([image]), DOCUMENTED)
        if found is not loader:
            check_refusal(found, name)
            return
        accepted.append(given)
        if name != "size" or np.max(given or 1) < 1000:
            assert loader.transform([image]).dtype == np.uint8

    assert not failures(check)
    assert accepted or name in ("fit_mode", "background")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [*parameters([NumpyCNNClassifier]), (NumpyCNNRegressor, "loss"), (NumpyCNNRegressor, "dtype")],
)
def test_an_estimator_fits_or_refuses_by_the_name_of_the_parameter(
    kind, name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    base = {"tol": 1e9, "n_iter_no_change": 1} if name == "max_iter" else {}
    accepted = []

    def check(given):
        params = SMALL | base | {name: given}
        if name in ("layers", "image_shape"):
            params = {"max_iter": 1} | {name: given}
        clf = kind(**params)
        assert clf.set_params(**{name: given}).get_params()[name] is given
        error = check_fit(clf)
        assert clf.get_params(deep=False)[name] is given
        if error is None:
            accepted.append(given)
            if "cannot be shown" not in brief(given):
                assert len(repr(clf)) < SHORT
            assert type(clone(clf).get_params()[name]) is type(given)
        elif not str(error).startswith("Training diverged"):
            check_refusal(error, name)

    assert not failures(check)
    assert accepted or name in ("activation", "solver", "learning_rate", "image_shape", "loss")


@pytest.mark.parametrize("kind", VALUES)
def test_whatever_a_classifier_holds_an_unknown_parameter_is_what_the_error_is_about(kind):
    given = VALUES[kind]()
    clf = NumpyCNNClassifier(layers=given)
    with pytest.raises(ValueError, match=r"^Invalid parameter 'speed' for"):
        clf.set_params(speed=3)
    close([given])


@pytest.mark.parametrize("name", inspect.signature(NumpyCNNFeatures).parameters)
def test_features_are_made_or_refused_by_the_name_of_the_parameter(name):
    def check(given):
        result = outcome(
            lambda: NumpyCNNFeatures(**{name: given}).fit(X, y).transform(X), DOCUMENTED
        )
        if isinstance(result, Exception):
            check_refusal(result, name)
        else:
            assert np.isfinite(result).all()

    assert not failures(check)


DATA = {
    "sample_weight": lambda clf, given: clf.fit(X, y, given),
    "X_val": lambda clf, given: clf.fit(X, y, X_val=given, y_val=y),
    "y_val": lambda clf, given: clf.fit(X, y, X_val=X, y_val=given),
    "sample_weight_val": lambda clf, given: clf.fit(
        X, y, X_val=X, y_val=y, sample_weight_val=given
    ),
    "classes": lambda clf, given: clf.partial_fit(X, y, classes=given),
    "X": lambda clf, given: clf.fit(given, y),
    "y": lambda clf, given: clf.fit(X, given),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_data_are_fitted_or_refused_by_their_name(name):
    def check(given):
        clf = NumpyCNNClassifier(**SMALL)
        result = outcome(lambda: DATA[name](clf, given), (*DOCUMENTED, RuntimeError))
        if isinstance(result, RuntimeError):
            assert str(result) == REFUSAL  # the data's own, which is not hidden
            return
        if result is clf:
            assert np.isfinite(clf.loss_curve_).all()
            assert np.isfinite(clf.predict_proba(X)).all()
        else:
            assert len(str(result)) < SHORT
            assert name in ("X", "y") or names_it(result, name), str(result)

    assert not failures(check)


def odd_pairs(number):
    """Draw classes, and values for two of their parameters; others every night."""
    rng = np.random.default_rng(None if NIGHTLY else 0)
    names = {kind: [*inspect.signature(kind).parameters] for kind in CLASSES}
    for kind in (NumpyCNNClassifier, NumpyCNNRegressor):
        names[kind].remove("max_iter")  # which could make others train for ever
    several = [kind for kind in CLASSES if len(names[kind]) > 1]
    for _ in range(number):
        kind = several[rng.integers(len(several))]
        drawn = rng.choice(names[kind], 2, replace=False)
        yield kind, {str(name): str(rng.choice(list(VALUES))) for name in drawn}


def check_two(kind, given):
    base = required(kind)
    if kind in (NumpyCNNClassifier, NumpyCNNRegressor):
        base = {"max_iter": 1} if "layers" in given else SMALL
    try:
        with no_hang():
            made = kind(**base | given)
    except DOCUMENTED as error:
        made = error
    if kind in (NumpyCNNClassifier, NumpyCNNRegressor):
        made = check_fit(made)
    elif kind is NumpyCNNFeatures:
        made = outcome(lambda: made.fit(X, y))
    if isinstance(made, Exception):
        late = str(made).startswith(LATE)
        assert late or any(names_it(made, name) for name in given), str(made)[:SHORT]
        assert len(str(made)) < SHORT
    elif kind not in ESTIMATORS:
        check_value(made)


@pytest.mark.slow
def test_two_odd_values_at_once_are_sound_or_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = []
    for kind, chosen in odd_pairs(100_000 if NIGHTLY else 2000):
        given = {name: VALUES[value]() for name, value in chosen.items()}
        try:
            check_two(kind, given)
        except Exception as error:
            found.append(f"{kind.__name__} {chosen}: {type(error).__name__}: {str(error)[:300]}")
        close(given.values())
    assert not found


def test_the_table_holds_every_class_that_takes_parameters():
    wanted = {kind for kind in SPECS.values() if not inspect.isabstract(kind)}
    assert {*wanted, TimeLimit, *ESTIMATORS} <= set(CLASSES)
    assert len(parameters(CLASSES)) > 90
