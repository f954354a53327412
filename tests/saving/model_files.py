"""A small model in a file, and how an attacker might have changed it."""

import json
import pickle
from functools import partial

import numpy as np
import pytest

import sknpcnn
from sknpcnn import NumpyCNNClassifier
from sknpcnn._storage import storage
from tests import models
from tests.fuzz import archives
from tests.models import assert_same_weights

X = np.random.default_rng(0).random((20, 16))
y = np.arange(20) % 2


small = partial(models.small, conv_filters=(3,), hidden_layer_sizes=(4,), max_iter=2)


def assert_same_attributes(found, clf):
    for name in {*vars(found), *vars(clf)} - {"_theta", "_progress", "_standard", "dtype"}:
        one, other = getattr(found, name), getattr(clf, name)
        assert type(one) is type(other), name
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:
            assert pickle.dumps(one) == pickle.dumps(other) or repr(one) == repr(other), name
    assert_same_weights(found, clf)


def model(**params):
    given = {"conv_filters": (2,), "hidden_layer_sizes": (), "max_iter": 1, "random_state": 0}
    return NumpyCNNClassifier(**given | params).fit(X, y)


def content(folder, **params):
    """The values and the arrays of a small model's file."""
    path = folder / "content.npz"
    sknpcnn.save(model(**params), path)
    return storage.read(path)


def members(values, arrays):
    """The members of a file, as bytes by name; values may be text already."""
    text = values if isinstance(values, str) else json.dumps(values)
    return [("values.json", text.encode())] + [
        (f"{name}.npy", archives.npy(array)) for name, array in arrays.items()
    ]


def refused(path, content):
    """Load bytes from a file; return why they are refused."""
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r".") as caught:
        sknpcnn.load(path)
    assert type(caught.value) is ValueError
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")
