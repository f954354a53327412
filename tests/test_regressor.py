"""The regressor: real values in, of any unit and number, and all that the classifier offers."""

import pickle
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import BaggingRegressor, VotingRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.inspection import permutation_importance
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.multioutput import RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sknpcnn
from sknpcnn import NumpyCNNFeatures, NumpyCNNRegressor
from sknpcnn.augmentation import Shift
from sknpcnn.layers import Conv2D, Flatten, ReLU
from sknpcnn.losses import Huber, Loss, Poisson, Quantile, SquaredError
from tests.models import assert_same, assert_same_weights
from tests.training.checkpointed import Killed, Stop

rng = np.random.default_rng(0)
N = 240


def bars(n=N):
    """Images of a bright spot, and where it is."""
    place = rng.uniform(2, 9, (n, 2))
    rows, columns = np.mgrid[:12, :12]
    apart = (rows - place[:, 0, None, None]) ** 2 + (columns - place[:, 1, None, None]) ** 2
    images = 255 * np.exp(-apart / 3) + rng.uniform(0, 20, (n, 12, 12))
    return images.clip(0, 255).astype(np.uint8), place


X, PLACE = bars()
Y = PLACE[:, 0]
TEST, PLACE_TEST = bars()


regressor = partial(NumpyCNNRegressor, conv_filters=(8, 16), max_iter=30, random_state=0)


def test_it_learns_one_value_and_several():
    reg = regressor().fit(X, Y)
    assert reg.predict(TEST).shape == (N,)
    assert reg.score(TEST, PLACE_TEST[:, 0]) > 0.9
    both = regressor().fit(X, PLACE)
    assert both.predict(TEST).shape == (N, 2)
    assert both.score(TEST, PLACE_TEST) > 0.9
    assert both.summary().output_shape.iloc[-1] == (2,)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e3, 1e12])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_units_make_no_difference(unit, offset):
    reg, plain = (
        regressor(max_iter=10).fit(X, Y * unit + offset * unit),
        regressor(max_iter=10).fit(X, Y),
    )
    np.testing.assert_allclose(
        reg.predict(TEST) / unit - offset, plain.predict(TEST), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(reg.loss_curve_, plain.loss_curve_, rtol=1e-3)


def test_first_loss_is_that_of_the_best_constant():
    for loss, wanted in (("squared_error", 0.5), ("poisson", None), (Quantile(0.9), None)):
        reg = regressor(loss=loss, max_iter=1, learning_rate_init=1e-12).fit(X, Y)
        dummy = DummyRegressor(strategy="quantile", quantile=0.9)
        dummy = dummy if isinstance(loss, Quantile) else DummyRegressor()
        constant = dummy.fit(X, Y).predict(X)
        # near the constant: the output layer starts with small weights
        assert np.abs(reg.predict(X) - constant).mean() < 0.2 * Y.std()
        if wanted is not None:
            assert reg.loss_ == pytest.approx(wanted, rel=0.15)  # outputs of 0.07, squared


@pytest.mark.parametrize(
    "loss", ["squared_error", "absolute_error", "huber", "poisson", "quantile"]
)
def test_every_named_loss_learns(loss):
    reg = regressor(loss=loss).fit(X, Y)
    assert reg.score(TEST, PLACE_TEST[:, 0]) > 0.85
    assert reg.out_activation_ == ("exp" if loss == "poisson" else "identity")


def test_quantiles_are_exceeded_as_often_as_they_say():
    y = Y + rng.exponential(2, N)
    test = PLACE_TEST[:, 0] + rng.exponential(2, N)
    params = {"alpha": 10.0, "conv_filters": (4, 8), "max_iter": 40}
    shares = [
        (test < regressor(loss=Quantile(level), **params).fit(X, y).predict(TEST)).mean()
        for level in (0.1, 0.5, 0.9)
    ]
    np.testing.assert_allclose(shares, (0.1, 0.5, 0.9), atol=0.15)


def test_history_shows_loss_and_r2():
    reg = regressor(max_iter=5).fit(X, Y, X_val=TEST, y_val=PLACE_TEST[:, 0])
    assert reg.history_.train_score.iloc[-1] > reg.history_.train_score.iloc[0]
    last = reg.history_.iloc[-1]
    assert last.validation_score == pytest.approx(reg.score(TEST, PLACE_TEST[:, 0]))
    errors = (reg.predict(TEST) - PLACE_TEST[:, 0]) / reg.target_scale_
    assert last.validation_loss == pytest.approx(0.5 * (errors**2).mean())
    assert reg.best_validation_score_ == reg.history_.validation_score.max()


def test_lines_of_a_fit_name_the_score(capsys):
    regressor(max_iter=1, verbose=1).fit(X, Y)
    assert " R2 " in capsys.readouterr().out


@pytest.mark.parametrize("scoring", ["loss", "r2", "neg_mean_absolute_error", None])
def test_early_stopping_holds_out_and_keeps_the_best(scoring):
    reg = regressor(early_stopping=True, scoring=scoring, max_iter=60).fit(X, PLACE)
    assert reg.score(TEST, PLACE_TEST) > 0.8
    assert len(reg.validation_scores_) == reg.n_iter_


def test_validation_data_pass_through_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), regressor(max_iter=3, image_shape=(12, 12)))
    flat, test = X.reshape(N, -1), TEST.reshape(N, -1)
    scaled = StandardScaler().fit(flat).transform(test)
    pipeline.fit(
        flat, Y, numpycnnregressor__X_val=scaled, numpycnnregressor__y_val=PLACE_TEST[:, 0]
    )
    history = pipeline[-1].history_
    assert history.validation_score.iloc[-1] == pytest.approx(
        pipeline.score(test, PLACE_TEST[:, 0])
    )


def test_partial_fit_before_and_after_fit_with_validation_data():
    reg = regressor(max_iter=2).partial_fit(X, Y)
    reg.fit(X, Y, X_val=TEST, y_val=PLACE_TEST[:, 0])
    reg.partial_fit(X, Y)
    assert reg.n_iter_ == 3


@pytest.mark.parametrize("y", [Y * 1000, PLACE], ids=["row", "columns"])
def test_calls_of_partial_fit_are_one_fit(y):
    params = {"max_iter": 4, "learning_rate": "constant", "shuffle": False}
    parts = regressor(**params)
    for _ in range(4):
        parts.partial_fit(X, y)
    assert_same(parts, regressor(**params).fit(X, y))
    parts.partial_fit(X[:50], y[:50] + 100)  # scaled as the first ones were
    assert parts.target_mean_ == pytest.approx(y.mean(axis=0))


def test_a_fit_resumes_in_the_units_that_it_began_with():
    params = {"learning_rate": "constant", "shuffle": False, "warm_start": True}
    whole = regressor(**params, max_iter=4).fit(X, Y)
    halves = regressor(**params, max_iter=2).fit(X, Y)
    halves = pickle.loads(pickle.dumps(halves)).fit(X, Y)
    assert_same(whole, halves)
    with pytest.raises(ValueError, match=r"y has the shape \(240, 2\); needed: \(n,\)"):
        halves.fit(X, PLACE)


@pytest.mark.parametrize(
    "params", [{}, {"loss": "poisson", "dtype": "float64"}, {"loss": Huber(2)}]
)
@pytest.mark.parametrize("y", [Y, PLACE], ids=["row", "columns"])
def test_files_and_pickles_predict_the_same_bits(params, y, tmp_path):
    reg = regressor(max_iter=2, augment=[Shift(1)], **params).fit(X, y)
    sknpcnn.save(reg, tmp_path / "reg.npz")
    again = sknpcnn.load(tmp_path / "reg.npz")
    assert type(again) is NumpyCNNRegressor
    assert again.get_params(deep=False) == reg.get_params(deep=False)
    assert_same(reg, again)
    assert_same(reg, pickle.loads(pickle.dumps(reg)))
    assert again.partial_fit(X, y).n_iter_ == 3


def test_a_killed_fit_resumes_to_the_same_bits(tmp_path):
    params = {"max_iter": 6, "early_stopping": True, "n_iter_no_change": 20}
    whole = regressor(**params).fit(X, PLACE)
    with pytest.raises(Killed):
        regressor(**params, checkpoint_dir=tmp_path).set_callbacks(Stop(2)).fit(X, PLACE)
    resumed = regressor(**params, checkpoint_dir=tmp_path).fit(X, PLACE)
    assert_same(whole, resumed)
    other = regressor(**params, checkpoint_dir=tmp_path).fit(X, 2 * PLACE)  # another fit
    assert other.n_iter_ == 6
    np.testing.assert_allclose(other.predict(TEST), 2 * whole.predict(TEST), rtol=1e-9)


def test_number_of_threads_changes_no_bit():
    assert_same(
        regressor(n_jobs=1, max_iter=3).fit(X, PLACE), regressor(n_jobs=2, max_iter=3).fit(X, PLACE)
    )


def test_weights_are_copies():
    weights = rng.integers(0, 3, N)
    params = {"max_iter": 5, "batch_size": N, "shuffle": False, "dtype": "float64"}
    weighted = regressor(**params).fit(X, Y, weights)
    copied = regressor(**params | {"batch_size": 2 * N}).fit(
        X.repeat(weights, 0), Y.repeat(weights)
    )
    np.testing.assert_allclose(weighted.predict(TEST), copied.predict(TEST), rtol=1e-5)
    np.testing.assert_allclose(weighted.target_mean_, copied.target_mean_)


def test_searches_and_chains():
    search = GridSearchCV(regressor(max_iter=4), {"loss": ["squared_error", Huber(1)]}, cv=2)
    search.fit(X, Y)
    assert search.best_score_ > 0.3
    nested = GridSearchCV(regressor(max_iter=2, loss=Huber()), {"loss__delta": [0.5, 2]}, cv=2).fit(
        X, Y
    )
    assert set(nested.best_params_) == {"loss__delta"}
    assert cross_val_score(regressor(max_iter=4), X, PLACE, cv=2).min() > 0.2
    chain = RegressorChain(regressor(max_iter=4, image_shape=None, conv_filters=()))
    assert chain.fit(X.reshape(N, -1), PLACE).predict(TEST.reshape(N, -1)).shape == (N, 2)


def test_loss_may_change_on_the_way_but_not_how_targets_are_scaled():
    reg = regressor(max_iter=2, warm_start=True).fit(X, Y)
    reg.set_params(loss="huber").fit(X, Y)
    assert reg.n_iter_ == 4
    with pytest.raises(ValueError, match=r"loss='poisson' scales y or links outputs"):
        reg.set_params(loss="poisson").fit(X, Y)
    with pytest.raises(ValueError, match=r"in another way than SquaredError\(\)"):
        regressor(max_iter=1).fit(X, Y).set_params(loss=Poisson()).partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"loss=Linked\(\) scales y or links outputs"):
        regressor(max_iter=1).fit(X, Y).set_params(loss=Linked()).partial_fit(X, Y)


def test_scorers_are_given_y_as_it_is():
    seen, y = [], np.arange(N) % 7
    reg = regressor(max_iter=1, early_stopping=True)
    reg.scoring = lambda model, X, y: seen.append(y) or 1.0
    reg.fit(X, y, X_val=TEST, y_val=y[::-1])
    np.testing.assert_array_equal(seen[0], y[::-1])


def test_predictions_that_overflow_are_refused():
    reg = regressor(loss="poisson", standardize=False, max_iter=5).fit(X / 255, Y)
    weights = reg.get_weights()
    reg.set_weights({"output.W": 1e5 * weights["output.W"]})
    with pytest.raises(ValueError, match=r"The prediction for X\[\d+\] overflows"):
        reg.predict(X / 255)


FEW, FEW_Y = X[:40], Y[:40]


def extreme(value):
    return np.where(np.arange(40) == 3, value, FEW_Y)


BLAMED = {
    "training": (
        lambda reg, y: reg.fit(FEW, FEW_Y).fit(FEW, y),
        "diverged: the loss is inf .* check that X and y hold no extreme values",
    ),
    "stream": (
        lambda reg, y: reg.fit(FEW, FEW_Y).partial_fit(FEW, y),
        "diverged: the loss is inf .* check that X and y hold no extreme values",
    ),
    "validation": (
        lambda reg, y: reg.fit(FEW, FEW_Y, X_val=FEW, y_val=y),
        "a loss of inf .* Check that X_val and y_val, or the held-out part of X and y, hold no",
    ),
    "scorer": (
        lambda reg, y: reg.set_params(scoring="r2").fit(FEW, y, X_val=FEW, y_val=y),
        "a score of (nan|-inf); .* no extreme values of y",
    ),
    "prediction": (
        lambda reg, y: reg.fit(FEW, np.sign(y - y[0] / 2) * 1.7e308).predict(FEW * 1e3),
        r"The prediction for X\[\d+\] overflows; .* and a y in training whose values are far below",
    ),
}


@pytest.mark.filterwarnings("ignore:overflow|invalid:RuntimeWarning", "ignore:X holds values")
@pytest.mark.parametrize("place", BLAMED)
def test_extreme_values_of_y_are_an_error_about_y(place):
    fit, message = BLAMED[place]
    with pytest.raises(ValueError, match=message):
        fit(regressor(max_iter=1, warm_start=True), extreme(1e200))


@pytest.mark.parametrize("scoring", ["r2", None])
def test_one_sample_that_is_held_out_has_no_r2(scoring):
    reg = regressor(early_stopping=True, scoring=scoring, max_iter=1)
    with (
        pytest.raises(
            ValueError, match=r"a score of nan; .* \(R2, .* 2 samples .*samples: 1\)"
        ) as error,
        pytest.warns(UndefinedMetricWarning),
    ):
        reg.fit(X[:8], Y[:8])
    assert str(error.value).endswith(
        'Set validation_fraction higher, give a larger X_val, or set scoring="loss".'
    )
    for mended in ({"validation_fraction": 0.25}, {"scoring": "loss"}):
        assert len(clone(reg).set_params(**mended).fit(X[:8], Y[:8]).validation_scores_) == 1


@pytest.mark.slow
def test_ensembles_and_inspection():
    flat = X.reshape(N, -1)
    reg = regressor(max_iter=4, image_shape=(12, 12))
    bagging = BaggingRegressor(reg, n_estimators=2, n_jobs=2, random_state=0).fit(flat, Y)
    assert bagging.score(flat, Y) > 0.3
    voting = VotingRegressor([("a", reg), ("b", clone(reg).set_params(random_state=1))])
    assert voting.fit(flat, Y).score(flat, Y) > 0.3
    found = permutation_importance(clone(reg).fit(flat, Y), flat[:50], Y[:50], n_repeats=1)
    assert found.importances_mean.shape == (144,)
    scaled = TransformedTargetRegressor(reg, func=np.log, inverse_func=np.exp)
    assert scaled.fit(flat, Y).score(flat, Y) > 0.3
    search = HalvingGridSearchCV(
        reg, {"conv_filters": [(2,), (8,)]}, resource="max_iter", max_resources=4, cv=2
    )
    assert search.fit(flat, Y).best_score_ > 0.1


def test_callbacks_of_scikit_learn():
    monitor = ScoringMonitor(scoring="r2")
    reg = regressor(max_iter=3).set_callbacks(monitor).fit(X, Y)
    log = monitor.get_logs().data_as_pandas
    epochs = log[log["task_name"] == "epoch"]
    assert len(epochs) == 3
    assert epochs["r2"].iloc[-1] == reg.score(X, Y)


def test_a_memory_mapped_model_predicts_and_learns_on(tmp_path):
    reg = regressor(max_iter=2, warm_start=True).fit(X, PLACE)
    joblib.dump(reg, tmp_path / "reg.joblib")
    again = joblib.load(tmp_path / "reg.joblib", mmap_mode="r")
    assert_same(reg, again)
    assert again.fit(X, PLACE).n_iter_ == 4


def test_skops_needs_to_trust_one_type():
    skops = pytest.importorskip("skops.io")
    reg = regressor(max_iter=1).fit(X, PLACE)
    dumped = skops.dumps(reg)
    (needed,) = skops.get_untrusted_types(data=dumped)
    assert needed == "sknpcnn.regressor.NumpyCNNRegressor"
    assert_same(reg, skops.loads(dumped, trusted=[needed]))


def test_tensors_are_taken():
    torch = pytest.importorskip("torch")
    reg = regressor(max_iter=1).fit(torch.from_numpy(X), torch.from_numpy(PLACE))
    assert_same(reg, regressor(max_iter=1).fit(X, PLACE))


def test_features_of_a_regressor():
    trained = NumpyCNNFeatures(regressor(max_iter=2), train=True).fit(X, Y)
    assert trained.transform(TEST).shape == (N, 144)
    assert NumpyCNNFeatures(regressor()).fit(X).transform(TEST).shape == (N, 144)
    assert NumpyCNNFeatures(regressor(loss="poisson")).fit(X).transform(TEST).shape == (N, 144)


def test_frames_series_and_columns_of_one():
    frame = pd.DataFrame(X.reshape(N, -1)).add_prefix("pixel")
    plain = regressor(max_iter=2).fit(X.reshape(N, -1), Y)
    named = regressor(max_iter=2).fit(frame, pd.Series(Y))
    assert_same_weights(plain, named)
    both = regressor(max_iter=2).fit(frame, pd.DataFrame(PLACE))
    assert_same_weights(both, regressor(max_iter=2).fit(X, PLACE))
    with pytest.warns(Warning, match="column-vector y"):
        column = regressor(max_iter=2).fit(X.reshape(N, -1), Y[:, None])
    assert_same_weights(plain, column)


def test_a_loss_of_ones_own_trains():
    reg = regressor(loss=FourthPower()).fit(X, Y)
    assert reg.score(TEST, PLACE_TEST[:, 0]) > 0.8
    assert clone(reg).loss == FourthPower()


class Linked(Huber):
    def link(self, outputs):
        return np.exp(outputs)


class FourthPower(Loss):
    def compute(self, outputs, targets):
        error = outputs - targets
        return (error.astype(np.float64) ** 4).sum(axis=1), 4 * error.astype(outputs.dtype) ** 3


class Unknown(Huber):
    targets = "ranks"


WRONG = {
    "loss of classes": ({"loss": sknpcnn.losses.CrossEntropy()}, Y, "compares classes, but NumpyCNNRegressor predicts real numbers"),
    "name of a loss of classes": ({"loss": "cross_entropy"}, Y, "'loss' parameter of NumpyCNNRegressor"),
    "another name": ({"loss": "mse"}, Y, "Did you mean 'squared_error'"),
    "negative counts": ({"loss": "poisson"}, Y - 5, r"y holds -\d.*loss=Poisson\(\): values of at least 0"),
    "three dimensions": ({}, np.zeros((N, 2, 2)), "Found array with dim 3"),
    "text": ({}, np.array(["a"] * N), "y"),
    "infinity": ({}, np.where(np.arange(N) == 3, np.inf, Y), "infinity"),
    "beyond double precision": ({}, np.full(N, np.longdouble("1e400")), "finite"),
    "no y": ({}, None, "y"),
    "enormous integers": ({}, [10**400] + [1] * (N - 1), "y has the shape .* dtype object"),
    "a ragged list": ({}, [[1], [1, 2]] * (N // 2), "^y: "),
    "complex": ({}, Y + 1j, "^y: |Complex data"),
    "no columns": ({}, np.zeros((N, 0)), r"y has the shape \(240, 0\)"),
    "targets of an unknown kind": ({"loss": Unknown()}, Y, r"targets='ranks'; needed: one of classes, labels, reals"),
    "output layer": ({"layers": [Conv2D(2), ReLU(), Flatten()], "conv_filters": (3,)}, Y, "layers"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said(kind):
    params, y, message = WRONG[kind]
    with pytest.raises((ValueError, TypeError), match=message):
        regressor(**params).fit(X, y)


def test_scores_are_those_of_scikit_learn():
    reg = regressor(max_iter=3).fit(X, PLACE)
    assert reg.score(TEST, PLACE_TEST) == r2_score(PLACE_TEST, reg.predict(TEST))
    assert not hasattr(reg, "predict_proba")
    assert not hasattr(reg, "classes_")
    assert Poisson().out_activation == "exp"
    assert SquaredError().out_activation == reg.out_activation_
