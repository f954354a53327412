"""A y of one column is read as (n,), and a warning tells so where the user called."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from sknpcnn import NumpyCNNClassifier, NumpyCNNRegressor
from tests.models import assert_same_weights

X = np.random.default_rng(0).random((12, 4, 4))
ROW = np.arange(12) % 3
KINDS = {"classifier": NumpyCNNClassifier, "regressor": NumpyCNNRegressor}
COLUMNS = {
    "array": ROW[:, None],
    "list": [[value] for value in ROW],
    "frame": pd.DataFrame({"y": ROW}),
}
CALLS = {
    "fit": (lambda model, y: model.fit(X, y), "y"),
    "partial_fit": (
        lambda model, y: (
            model.partial_fit(X, y, classes=[0, 1, 2])
            if isinstance(model, NumpyCNNClassifier)
            else model.partial_fit(X, y)
        ),
        "y",
    ),
    "validation": (lambda model, y: model.fit(X, ROW, X_val=X, y_val=y), "y_val"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_column_is_told_of_once_where_the_user_called(kind, column, call):
    make, (fit, name) = KINDS[kind], CALLS[call]
    one, other = (make(conv_filters=(2,), max_iter=1, random_state=0) for _ in range(2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(one, COLUMNS[column])
    assert [(w.category, w.filename) for w in caught] == [(DataConversionWarning, __file__)]
    assert str(caught[0].message) == (
        f"A column-vector {name} was passed when a 1d array was expected: its shape is (12, 1); "
        f"needed: (12,). Give numpy.ravel({name})."
    )
    assert_same_weights(one, fit(other, ROW))


def test_labels_of_no_class_are_an_error_about_y():
    with pytest.raises(ValueError, match=r"^y: Unknown label type: continuous"):
        NumpyCNNClassifier().fit(X, ROW + 0.5)
