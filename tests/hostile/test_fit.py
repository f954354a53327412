"""Any network, data and parameters: a sound fit, or a refusal before training."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sknpcnn.layers import Layer
from tests.hostile import DRAWN, NIGHTLY, cases, images, labels, layers, parameters
from tests.hostile.checks import (
    DOCUMENTED,
    X,
    assert_fits_or_refuses,
    classifier,
    outcome,
    samples_in,
    y,
)

pytestmark = pytest.mark.thread_unsafe(reason="alarms, and a spy on the network")


@cases(40)
@given(layers.layers_to_make())
def test_a_layer_is_made_or_refused(given_layer):
    kind, arguments = given_layer
    result = outcome(lambda: kind(**arguments))
    if not isinstance(result, DOCUMENTED):
        assert isinstance(result, Layer)
        assert result == result.replace()
        assert repr(result) == repr(copy.deepcopy(result))


@cases(60)
@given(layers=layers.stacks, images=images.sound_images, labels=labels.sound_labels)
def test_any_stack_of_layers_fits_or_is_refused(layers, images, labels):
    X = images.make()
    clf = classifier(False, {"layers": layers, "max_iter": 1})
    assert_fits_or_refuses(clf, "fit", X, labels.make(len(X)))


@cases(30)
@given(parameters.odd_layers, parameters.sound_parameters, st.sampled_from(["f4", "f8"]))
def test_the_oddest_layers_fit_or_are_refused(layers, params, dtype):
    clf = classifier(False, params | {"layers": layers})
    assert_fits_or_refuses(clf, "fit", X.astype(dtype), y)


@cases(50)
@given(parameters.parameters(parameters.BLOCKS), images.sound_images)
def test_any_blocks_fit_or_are_refused(blocks, images):
    X = images.make()
    assert_fits_or_refuses(classifier(False, blocks), "fit", X, np.arange(len(X)) % 3)


@cases(80)
@given(images.anything_as_images, st.booleans(), st.booleans(), labels.sound_labels)
def test_any_images_fit_or_are_refused(images, standardize, was_fitted, labels):
    X = images.make()
    clf = classifier(was_fitted, {"standardize": standardize})
    assert_fits_or_refuses(clf, "fit", X, labels.make(samples_in(images)))


LABELS = labels.sound_labels, labels.hostile_labels
WEIGHTS = labels.sound_weights, labels.hostile_weights
IMAGES = images.sound_images, images.anything_as_images
IMAGES_6_BY_6 = images.sound_6_by_6, images.hostile_6_by_6


@cases(60)
@given(parameters.mostly_sound(labels=LABELS, weights=WEIGHTS), st.booleans(), st.booleans())
def test_any_labels_and_weights_fit_or_are_refused(drawn, was_fitted, balanced):
    clf = classifier(was_fitted, {"class_weight": "balanced" if balanced else None})
    assert_fits_or_refuses(clf, "fit", X, drawn["labels"].make(9), drawn["weights"].make(9))


@cases(100)
@given(parameters.parameters(), st.sampled_from(["f4", "f8"]), st.booleans(), labels.sound_weights)
def test_any_parameters_fit_or_are_refused(params, dtype, was_fitted, weights):
    clf = classifier(was_fitted, params)
    assert_fits_or_refuses(clf, "fit", X.astype(dtype), y, weights.make(9))


VALIDATION = (
    *("early_stopping", "scoring", "validation_fraction", "class_weight"),
    *("n_iter_no_change", "tol", "learning_rate"),
)


@cases(50)
@given(
    parameters.mostly_sound(
        params=(parameters.parameters(VALIDATION, 0), parameters.parameters(VALIDATION)),
        images=IMAGES_6_BY_6,
        labels=LABELS,
        weights=WEIGHTS,
    ),
    st.booleans(),
)
def test_any_validation_data_fit_or_are_refused(drawn, was_fitted):
    n = drawn["images"].shape[0]
    labels = drawn["labels"].make(18)
    validation = {
        "X_val": drawn["images"].make(),
        "y_val": labels[:n] if n <= 9 and hasattr(labels, "__getitem__") else labels,
        "sample_weight_val": drawn["weights"].make(n),
    }
    clf = classifier(was_fitted, {"early_stopping": True} | drawn["params"])
    assert_fits_or_refuses(clf, "fit", X.astype("f4"), y, **validation)


@cases(60)
@given(
    parameters.mostly_sound(
        params=(parameters.sound_parameters, parameters.parameters(most_odd=3)),
        images=IMAGES,
        labels=LABELS,
        weights=WEIGHTS,
        layers=(st.none(), layers.stacks),
    ),
    st.booleans(),
)
def test_anything_together_fits_or_is_refused(drawn, was_fitted):
    images, labels, weights = (drawn[name] for name in ("images", "labels", "weights"))
    X = images.make()
    n = samples_in(images)
    clf = classifier(was_fitted, {"layers": drawn["layers"]} | drawn["params"])
    assert_fits_or_refuses(clf, "fit", X, labels.make(n), weights.make(n))


def test_there_are_at_least_so_many_cases():
    assert sum(DRAWN) >= (2000 if NIGHTLY else 200)
