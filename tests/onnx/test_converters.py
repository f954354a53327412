"""skl2onnx exports pipelines and ensembles around our estimators."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknpcnn import NumpyCNNFeatures, NumpyCNNRegressor
from tests.models import small

skl2onnx = pytest.importorskip("skl2onnx")
import sknpcnn.onnx  # noqa: F401  # registers the converters
from tests.onnx.runtimes import in_onnxruntime


def linear():
    return LogisticRegression(max_iter=500)


ENSEMBLES = {
    "pipeline": lambda: make_pipeline(StandardScaler(), small()),
    "voting": lambda: VotingClassifier(
        [("a", small()), ("b", linear()), ("c", small(batch_norm=False))],
        voting="soft",
        flatten_transform=False,  # which skl2onnx requires
    ),
    "stacking": lambda: StackingClassifier([("a", small()), ("b", linear())], linear(), cv=2),
    "calibrated": lambda: CalibratedClassifierCV(small(), cv=2),
    "features": lambda: make_pipeline(NumpyCNNFeatures(small()), StandardScaler(), linear()),
}


@pytest.fixture(scope="module")
def rows(digits):
    X, _, y, _ = digits
    return X[:200].astype(np.float32), y[:200]


@pytest.mark.parametrize("name", ENSEMBLES)
@pytest.mark.parametrize("n_classes", [2, 10])
def test_ensembles_predict_the_same(name, n_classes, rows):
    X, y = rows[0], rows[1] % n_classes
    model = ENSEMBLES[name]().fit(X, y)
    exported = skl2onnx.to_onnx(model, X[:1], options={id(model): {"zipmap": False}})
    found = in_onnxruntime(exported, X)
    np.testing.assert_array_equal(found["label"], model.predict(X))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=1e-5)


def test_probabilities_are_labeled_as_asked(rows):
    X, y = rows[0], np.array(["even", "odd"])[rows[1] % 2]
    model = make_pipeline(StandardScaler(), small()).fit(X, y)
    p = model.predict_proba(X)
    found = in_onnxruntime(skl2onnx.to_onnx(model, X[:1]), X)  # zipmap is skl2onnx's default
    assert [set(row) for row in found["output_probability"]] == len(X) * [{"even", "odd"}]
    odd = [row["odd"] for row in found["output_probability"]]
    np.testing.assert_allclose(odd, p[:, 1], atol=1e-5)
    assert (found["output_label"] == model.predict(X)).all()
    columns = skl2onnx.to_onnx(model, X[:1], options={id(model): {"zipmap": "columns"}})
    found = in_onnxruntime(columns, X)  # names begin with an s
    np.testing.assert_allclose(found["seven"], p[:, 0], atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_rows_of_other_types_are_cast(rows, dtype):
    X, y = rows[0].astype(dtype), rows[1]
    clf = small().fit(X, y)
    exported = skl2onnx.to_onnx(clf, X[:1], options={"zipmap": False})
    import onnxruntime

    session = onnxruntime.InferenceSession(exported.SerializeToString())
    _, p = session.run(None, {"X": X})
    np.testing.assert_allclose(p, clf.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("columns", [(), (2,)])
def test_pipelines_of_regressors(rows, columns):
    X, y = rows[0], np.random.default_rng(0).normal(5, 2, (len(rows[0]), *columns))
    regressor = NumpyCNNRegressor(conv_filters=4, max_iter=2, random_state=0)
    model = make_pipeline(StandardScaler(), regressor).fit(X, y)
    found = in_onnxruntime(skl2onnx.to_onnx(model, X[:1]), X)["variable"]
    np.testing.assert_allclose(found.reshape(y.shape), model.predict(X), atol=1e-5)
