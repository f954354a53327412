"""Tensors and the like, with and without the array API of scikit-learn: results are NumPy's."""

import os

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier
from sknpcnn._values.arrays import to_numpy
from tests.processes import python

TENSORS = """
import warnings
import numpy as np
import sklearn
import torch
from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn.augmentation import HorizontalFlip, augment_images

from tests.models import weights_of

rng = np.random.default_rng(0)
X, y = rng.random((60, 8, 8)).astype(np.float32), np.arange(60) % 3
w, classes = rng.random(60), np.arange(3)

def new(**params):
    return NumpyCNNClassifier((4,), max_iter=2, random_state=0, **params)

def everything(given):
    X_, y_, w_, flat = given(X), given(y), given(w), given(X.reshape(60, 64))
    val = {"X_val": X_, "y_val": y_, "sample_weight_val": w_}
    clf = new().fit(flat, y_, w_)
    yield weights_of(clf)
    yield clf.classes_
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        yield getattr(clf, method)(X_)
        yield getattr(clf, method)(flat)
    yield np.array(clf.score(flat, y_, w_))
    yield np.array(clf.score(X_, y_))
    yield weights_of(new(early_stopping=True).fit(X_, y_, w_, **val))
    yield weights_of(new(early_stopping=True, scoring="accuracy", warm_start=True).fit(flat, y_))
    partial = new().partial_fit(flat, y_, classes=given(classes), sample_weight=w_)
    yield weights_of(partial.partial_fit(X_, y_))
    yield partial.classes_
    yield NumpyCNNFeatures(new()).fit(flat, sample_weight=w_).transform(X_)
    yield NumpyCNNFeatures(new(), train=True).fit(X_, y_, w_).transform(flat)
    weights = {name: given(array) for name, array in clf.get_weights().items()}
    yield weights_of(new(warm_start=True).fit(X_, y_).set_weights(weights))
    yield augment_images(X_, [HorizontalFlip()], 0)

def unreadable():
    tensor = torch.tensor(X)
    yield tensor.clone().requires_grad_()
    yield tensor.to("meta")
    yield tensor.to(torch.bfloat16)
    yield tensor.to_sparse()

def check():
    for found, wanted in zip(everything(torch.tensor), everything(np.asarray), strict=True):
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, wanted)
    clf = new().fit(X, y)
    before = dict(vars(clf))
    for tensor in unreadable():
        labels = tensor[:, 0, 0] if tensor.layout == torch.strided else tensor
        for name, call in {
            "X": lambda: clf.fit(tensor, y),
            "X ": lambda: clf.partial_fit(tensor, y),
            "X  ": lambda: clf.predict(tensor),
            "X   ": lambda: clf.score(tensor, y),
            "X    ": lambda: NumpyCNNFeatures(new()).fit(tensor),
            "y": lambda: clf.fit(X, labels),
            "sample_weight": lambda: clf.fit(X, y, labels),
            "X_val": lambda: clf.fit(X, y, X_val=tensor, y_val=y),
            "y_val": lambda: clf.fit(X, y, X_val=X, y_val=labels),
            "classes": lambda: new().partial_fit(X, y, classes=labels),
            "weights['output.b']": lambda: clf.set_weights({"output.b": tensor}),
            "images": lambda: augment_images(tensor, [HorizontalFlip()], 0),
        }.items():
            try:
                call()
            except TypeError as error:
                assert f"{name.strip()} is a torch.Tensor that NumPy cannot read" in str(error)
            else:
                raise AssertionError(name)
            assert vars(clf) == before

with sklearn.config_context(array_api_dispatch=DISPATCH):
    check()
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("dispatch", [False, True])
def test_tensors_are_as_good_as_arrays_wherever_they_come_in(dispatch):
    pytest.importorskip("torch")
    env = os.environ | {"SCIPY_ARRAY_API": "1"} if dispatch else None
    script = TENSORS.replace("DISPATCH", str(dispatch))
    assert python(script, env=env) == "done\n"


class Foreign:
    """An array that can only be handed over, as those of a library without NumPy are."""

    def __init__(self, values):
        self.values = values
        self.ndim, self.shape, self.dtype = values.ndim, values.shape, str(values.dtype)

    def __len__(self):
        return len(self.values)

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


def test_an_array_that_can_only_be_handed_over_is_not_copied(digits):
    X, _, y, _ = digits
    X, y = X[:100].copy(), y[:100]
    found = to_numpy(Foreign(X), "X")
    assert np.shares_memory(found, X)
    clf, wanted = (
        NumpyCNNClassifier(max_iter=1, random_state=0).fit(data, y) for data in (Foreign(X), X)
    )
    np.testing.assert_array_equal(clf.predict_proba(Foreign(X)), wanted.predict_proba(X))


def test_all_else_stays_what_it_is():
    pd = pytest.importorskip("pandas")
    for values in ([1, 2], (1, 2), None, "ab", pd.Series([1, 2]), pd.DataFrame([1, 2]), np.ones(2)):
        assert to_numpy(values, "X") is values
