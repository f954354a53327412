"""The classifier used as people use scikit-learn's own."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import Conv2D, Dense, Flatten, ReLU
from sknpcnn.optimizers import SGD
from tests.models import StopAfter


def quick(**params):
    return NumpyCNNClassifier(
        **{
            "conv_filters": (8,),
            "hidden_layer_sizes": (32,),
            "max_iter": 15,
            "learning_rate_init": 0.01,
            "random_state": 0,
        }
        | params
    )


@pytest.fixture
def few(digits):
    X, _, y, _ = digits
    return X[:450], y[:450]


def test_pipeline_after_standard_scaler(digits):
    X, X_test, y, y_test = digits
    pipeline = make_pipeline(StandardScaler(), quick()).fit(X, y)
    assert pipeline.score(X_test, y_test) > 0.9
    assert pipeline[:-1].transform(X_test).shape == X_test.shape


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The network has learned nothing")  # at the lower rate
def test_grid_search_over_the_architecture(few):
    grid = {
        "conv_filters": [(), (4,), (8, 8)],
        "hidden_layer_sizes": [(), (16,)],
        "learning_rate_init": [0.01, 1e-6],
    }
    search = GridSearchCV(quick(), grid, cv=3, n_jobs=2).fit(*few)
    assert search.best_params_["learning_rate_init"] == 0.01
    assert search.best_score_ > 0.85
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_grid_search_into_layers_solver_and_whole_layers(few):
    clf = NumpyCNNClassifier(
        layers=[Conv2D(2), ReLU(), Flatten(), Dense(16), ReLU()],
        solver=SGD(momentum=0.9),
        learning_rate_init=0.02,
        max_iter=6,
        random_state=0,
    )
    grid = {
        "conv2d_1__filters": [2, 6],
        "solver__momentum": [0.0, 0.9],
        "relu_2": [ReLU(), Dense(8)],
    }
    search = GridSearchCV(clf, grid, cv=2, n_jobs=2).fit(*few)
    filters = search.best_estimator_.get_weights()["conv2d_1.W"].shape[-1]
    assert filters == search.best_params_["conv2d_1__filters"]
    assert search.best_params_["solver__momentum"] == 0.9


def test_grid_search_within_a_pipeline_does_not_depend_on_n_jobs(few):
    grid = {"numpycnnclassifier__conv_filters": [(2,), (4,)]}
    pipeline = make_pipeline(MinMaxScaler(), quick(max_iter=3))
    one, two = (GridSearchCV(pipeline, grid, cv=2, n_jobs=n).fit(*few) for n in (1, 2))
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(one.best_estimator_[-1]._theta, two.best_estimator_[-1]._theta)


def test_cross_val_predict_gives_probabilities(few):
    p = cross_val_predict(quick(), *few, cv=3, method="predict_proba")
    assert p.shape == (450, 10)
    assert (p.argmax(axis=1) == few[1]).mean() > 0.85


def test_cross_val_score_on_images_of_four_dimensions(few):
    X, y = few
    assert cross_val_score(quick(), X.reshape(-1, 8, 8, 1), y, cv=3).mean() > 0.85


def test_halving_search_with_epochs_as_resource(few):
    search = HalvingGridSearchCV(
        quick(),
        {"learning_rate_init": [1e-6, 1e-4, 0.01]},
        resource="max_iter",
        max_resources=18,
        min_resources=2,
        factor=3,
        random_state=0,
    ).fit(*few)
    assert search.best_params_["learning_rate_init"] == 0.01
    assert search.best_estimator_.max_iter == search.n_resources_[-1] > 2


def test_calibration(few, digits):
    calibrated = CalibratedClassifierCV(quick(), cv=3).fit(*few)
    assert calibrated.score(digits[1], digits[3]) > 0.85


def test_adaboost_gives_it_sample_weights(few, digits):
    boosted = AdaBoostClassifier(quick(max_iter=8), n_estimators=3, random_state=0).fit(*few)
    assert boosted.score(digits[1], digits[3]) > 0.8


def test_voting_and_bagging(few, digits):
    voting = VotingClassifier(
        [("cnn", quick()), ("linear", LogisticRegression(max_iter=2000))], voting="soft"
    ).fit(*few)
    assert voting.score(digits[1], digits[3]) > 0.85
    bagging = BaggingClassifier(quick(), n_estimators=3, random_state=0).fit(*few)
    assert bagging.score(digits[1], digits[3]) > 0.85


def test_learning_curve_and_permutation_importance(few):
    _, _, scores = learning_curve(quick(max_iter=3), *few, cv=2, train_sizes=[0.3, 1.0])
    assert scores[1].mean() > scores[0].mean()
    X, y = few[0][:, :10], few[1]
    found = permutation_importance(quick(max_iter=2).fit(X, y), X, y, n_repeats=2)
    assert found.importances_mean.shape == (10,)


@pytest.mark.parametrize("round_trip", ["pickle", "joblib", "joblib compressed"])
def test_a_saved_model_predicts_the_same_bits(round_trip, few, tmp_path):
    clf = quick().fit(*few)
    if round_trip == "pickle":
        again = pickle.loads(pickle.dumps(clf))
    else:
        path = tmp_path / "model.joblib"
        joblib.dump(clf, path, compress=3 if "compressed" in round_trip else 0)
        again = joblib.load(path)
    np.testing.assert_array_equal(again.predict_proba(few[0]), clf.predict_proba(few[0]))
    pd.testing.assert_frame_equal(again.history_, clf.history_)


def test_a_memory_mapped_model_predicts_and_learns_on(few, tmp_path):
    clf = quick().fit(*few)
    joblib.dump(clf, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert not mapped._theta.flags.writeable
    np.testing.assert_array_equal(mapped.predict_proba(few[0]), clf.predict_proba(few[0]))
    mapped.partial_fit(*few)
    np.testing.assert_array_equal(mapped._theta, clf.partial_fit(*few)._theta)
    untouched = joblib.load(tmp_path / "model.joblib")
    assert untouched.n_iter_ == 15


def test_pandas_frames_and_series(few):
    X, y = few
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
    labels = pd.Series(np.array(list("abcdefghij"))[y], dtype="category")
    clf = quick().fit(frame, labels)
    assert clf.feature_names_in_.tolist() == list(frame)
    assert clf.score(frame, labels) > 0.9
    with pytest.raises(ValueError, match="feature names should match"):
        clf.predict(frame[frame.columns[::-1]])


def test_polars_frames(few):
    polars = pytest.importorskip("polars")
    X, y = few
    frame = polars.DataFrame(X, schema=[f"pixel{i}" for i in range(64)])
    clf = quick().fit(frame, polars.Series(y).to_numpy())
    assert clf.feature_names_in_.tolist() == frame.columns
    np.testing.assert_array_equal(clf.predict(frame), quick().fit(X, y).predict(X))


@pytest.mark.slow
@pytest.mark.thread_unsafe(reason="measures the memory of the whole process")
def test_uint8_images_are_never_copied_to_floats_as_a_whole(tmp_path):
    import tracemalloc

    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (100_000, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    y = np.arange(100_000) % 2
    clf = quick(max_iter=1, conv_filters=(2,), pool_size=4, hidden_layer_sizes=())
    clf.fit(mapped[:500], y[:500])  # what is imported and cached on the way
    tracemalloc.start()
    clf.fit(mapped, y).predict(mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.7 * X.nbytes  # floats would be four times the data


def test_columns_in_fortran_order_and_strides(few):
    X, y = few
    wanted = quick(max_iter=2).fit(X, y).predict_proba(X)
    for other in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X[::-1][::-1]):
        np.testing.assert_array_equal(quick(max_iter=2).fit(other, y).predict_proba(other), wanted)


def test_validation_data_pass_through_a_pipeline(few, digits):
    _, X_test, _, y_test = digits
    with sklearn.config_context(enable_metadata_routing=True):
        clf = quick(early_stopping=True).set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), clf, transform_input=["X_val"])
        pipeline.fit(*few, X_val=X_test, y_val=y_test)
    scaled = pipeline[0].transform(X_test)
    best = pipeline[-1].history_["validation_loss"].idxmin()
    score = pipeline[-1].history_["validation_score"][best]
    assert pipeline[-1].score(scaled, y_test) == score


def test_callbacks_of_scikit_learn(few):
    monitor = ScoringMonitor(scoring="accuracy")
    clf = quick(max_iter=3).set_callbacks(monitor)
    clf.fit(*few, sample_weight=np.ones(450))
    log = monitor.get_logs().data_as_pandas
    epochs = log[log["task_name"] == "epoch"]
    assert len(epochs) == 3
    assert epochs["accuracy"].iloc[-1] == clf.score(*few)
    assert epochs["accuracy"].iloc[0] < epochs["accuracy"].iloc[-1]


def test_a_callback_stops_training(few):
    clf = quick().set_callbacks(StopAfter(2)).fit(*few)
    assert clf.n_iter_ == 2


def test_progress_bar_in_a_grid_search_with_processes(few, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    pytest.importorskip("rich")
    search = GridSearchCV(quick(max_iter=2), {"alpha": [0.0, 0.1]}, cv=2, n_jobs=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(*few)
    shown = capfd.readouterr().out
    assert "NumpyCNNClassifier" in shown
    assert "100%" in shown


def test_html_representation_shows_parameters_and_fitted_attributes(few):
    page = quick(solver=SGD(momentum=0.9)).fit(*few)._repr_html_()
    assert "SGD(momentum=0.9)" in page
    assert "classes_" in page
