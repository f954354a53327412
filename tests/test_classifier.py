"""What a user of the classifier counts on."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neural_network import MLPClassifier

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU
from sknpcnn.losses import CrossEntropy
from sknpcnn.optimizers import SGD
from sknpcnn.schedules import CosineDecay
from tests import models
from tests.models import weights_of

small = partial(models.small, **models.PLAIN)


def test_defaults_work_on_the_first_try(digits):
    X, X_test, y, y_test = digits
    assert NumpyCNNClassifier(random_state=0).fit(X, y).score(X_test, y_test) > 0.97


@pytest.mark.slow
def test_mnist_is_learned_from_uint8_images(mnist):
    X, X_test, y, y_test = mnist
    clf = NumpyCNNClassifier(max_iter=1, random_state=0).fit(X[:12000], y[:12000])
    assert weights_of(clf).dtype == np.float32
    assert clf.score(X_test, y_test) > 0.93


@pytest.mark.parametrize("labels", [[3, 1, 2], ["a", "c", "b"], [True, False, True]])
def test_labels_of_any_kind_come_back(labels, digits):
    X, _, y, _ = digits
    y = np.asarray(labels)[y % 3]
    clf = small().fit(X, y)
    assert clf.classes_.tolist() == sorted(set(labels))
    assert clf.predict(X[:20]).dtype == y.dtype


def test_images_in_all_their_shapes_train_the_same_network(digits):
    X, _, y, _ = digits
    rows = small().fit(X, y).predict_proba(X)
    images = X.reshape(-1, 8, 8)
    np.testing.assert_array_equal(small().fit(images, y).predict_proba(images), rows)
    channels = X.reshape(-1, 8, 8, 1)
    np.testing.assert_array_equal(small().fit(channels, y).predict_proba(channels), rows)
    clf = small(image_shape=(8, 8)).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(images), rows)
    np.testing.assert_array_equal(small().fit(images.tolist(), y).predict_proba(X), rows)


def test_colour_images_and_oblong_rows():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8), np.arange(40) % 2
    clf = small().fit(X, y)
    assert clf.image_shape_ == (6, 5, 3)
    assert clf.n_features_in_ == 90
    flat = X.reshape(40, -1)
    np.testing.assert_array_equal(clf.predict_proba(flat), clf.predict_proba(X))
    assert small().fit(flat[:, :7], y).image_shape_ == (1, 7, 1)


def test_standardize_makes_scale_and_offset_of_the_pixels_irrelevant(digits):
    X, _, y, _ = digits
    p = small().fit(X, y).predict_proba(X)
    other = X / 255 + 3
    np.testing.assert_allclose(small().fit(other, y).predict_proba(other), p, rtol=1e-6)
    plain = small(standardize=False)
    assert not np.allclose(plain.fit(X, y).predict_proba(X), p)


def test_bytes_and_floats_of_the_same_values_train_the_same_network(digits):
    X, _, y, _ = digits
    params = {"dropout": 0.3, "batch_norm": True, "early_stopping": True}
    models = [small(**params).fit(X.astype(dtype), y) for dtype in ("uint8", "float32", "int64")]
    for model in models[1:]:
        np.testing.assert_allclose(weights_of(model), weights_of(models[0]), rtol=1e-4, atol=1e-5)


def test_compute_type_follows_the_data_unless_dtype_says_otherwise(digits):
    X, _, y, _ = digits
    for data, dtype, wanted in [
        (X, None, "float64"),
        (X.astype("float32"), None, "float32"),
        (X.astype("uint8"), None, "float32"),
        (X.astype("float16"), None, "float32"),
        (X, "float32", "float32"),
        (X.astype("uint8"), np.float64, "float64"),
    ]:
        clf = small(dtype=dtype, max_iter=1).fit(data, y)
        assert weights_of(clf).dtype == wanted
        assert clf.predict_proba(data[:3]).dtype == wanted


def test_predictions_agree_with_each_other(digits):
    X, X_test, y, _ = digits
    clf = small().fit(X, y)
    p = clf.predict_proba(X_test)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X_test)), p)
    logits = clf.decision_function(X_test)
    np.testing.assert_array_equal(logits.argmax(axis=1), p.argmax(axis=1))
    np.testing.assert_array_equal(clf.classes_[p.argmax(axis=1)], clf.predict(X_test))


def test_decision_of_two_classes_is_one_number_positive_for_the_second(digits):
    X, _, y, _ = digits
    two = y < 2
    clf = small(max_iter=10, learning_rate_init=0.01).fit(X[two], y[two])
    decision = clf.decision_function(X[two])
    assert decision.shape == (two.sum(),)
    np.testing.assert_array_equal(decision > 0, clf.predict(X[two]) == 1)


def test_log_probabilities_do_not_underflow(digits):
    X, _, y, _ = digits
    clf = small().fit(X, y)
    clf.set_weights({"output.b": np.arange(10) * 1e4})
    assert np.isfinite(clf.predict_log_proba(X[:5])).all()
    assert clf.predict_log_proba(X[:5]).min() < -8e4


def test_fitted_attributes_tell_what_happened(digits):
    X, _, y, _ = digits
    clf = small(max_iter=4).fit(X, y)
    assert clf.n_iter_ == 4 == len(clf.loss_curve_)
    assert clf.t_ == 4 * len(X)
    assert clf.n_layers_ == len(clf.summary())
    assert clf.out_activation_ == "softmax"
    assert clf.loss_ == clf.loss_curve_[-1]
    assert clf.best_loss_ == min(clf.loss_curve_)
    assert clf.validation_scores_ is None
    assert clf.loss_curve_[0] > clf.loss_curve_[-1]


def test_history_is_a_data_frame_of_epochs(digits):
    X, X_test, y, y_test = digits
    clf = small().fit(X, y, X_val=X_test, y_val=y_test)
    history = clf.history_
    assert isinstance(history, pd.DataFrame)
    assert history.index.tolist() == [1, 2, 3]
    assert list(history) == [
        "train_loss",
        "train_score",
        "validation_loss",
        "validation_score",
        "learning_rate",
        "seconds",
    ]
    assert history["validation_score"].iloc[-1] == clf.score(X_test, y_test)
    loss = log_loss(y_test, clf.predict_proba(X_test))
    np.testing.assert_allclose(history["validation_loss"].iloc[-1], loss)
    assert (history["seconds"] > 0).all()


def test_summary_counts_parameters_and_arithmetic(digits):
    X, _, y, _ = digits
    shape = {
        "conv_filters": (16, 32),
        "hidden_layer_sizes": (100,),
        "batch_norm": False,
        "dropout": 0.0,
    }
    table = NumpyCNNClassifier(max_iter=1, **shape).fit(X, y).summary()
    assert table["parameters"].sum() == 160 + 4640 + 12900 + 1010
    assert table.set_index("name").loc["conv2d_2", "multiply_adds"] == 4 * 4 * 32 * 9 * 16
    assert table["output_shape"].iloc[-1] == (10,)


@pytest.mark.slow
def test_dense_network_learns_as_well_as_mlp_classifier(digits):
    X, X_test, y, y_test = digits
    mlp = MLPClassifier(random_state=0, max_iter=300).fit(X / 16, y)
    ours = NumpyCNNClassifier(conv_filters=(), max_iter=50, random_state=0).fit(X, y)
    assert ours.score(X_test, y_test) > mlp.score(X_test / 16, y_test) - 0.01


def test_l2_penalty_is_that_of_mlp_classifier(digits):
    X, _, y, _ = digits
    X = np.ascontiguousarray(X) / 16
    mlp = MLPClassifier((8,), solver="sgd", momentum=0.0, alpha=3.0, batch_size=len(X), max_iter=1)
    mlp.n_iter_no_change = 100
    ours = NumpyCNNClassifier(
        (), hidden_layer_sizes=(8,), batch_norm=False, dropout=0.0, solver=SGD(), alpha=3.0,
        max_iter=1, batch_size=len(X), standardize=False, learning_rate="constant",
        learning_rate_init=1e-9,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="Maximum iterations"):
        mlp.fit(X, y)
    W1, W2 = mlp.coefs_
    ours.fit(X, y).set_params(warm_start=True, learning_rate_init=0.001)
    weights = {"dense_1.W": W1, "output.W": W2}
    weights |= {"dense_1.b": mlp.intercepts_[0], "output.b": mlp.intercepts_[1]}
    ours.set_weights(weights).fit(X, y)
    mlp.set_params(warm_start=True)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        mlp.fit(X, y)
    np.testing.assert_allclose(ours.loss_, mlp.loss_, rtol=1e-10)
    np.testing.assert_allclose(ours.get_weights()["dense_1.W"], mlp.coefs_[0], rtol=1e-9)


def test_weights_carry_over_to_another_network(digits):
    X, X_test, y, _ = digits
    one = small().fit(X, y)
    other = small(random_state=7, max_iter=1).fit(X, y)
    other.set_weights(one.get_weights())
    np.testing.assert_array_equal(other.predict_proba(X_test), one.predict_proba(X_test))
    one.get_weights()["conv2d_1.W"][...] = 0  # a copy
    np.testing.assert_array_equal(other.predict_proba(X_test), one.predict_proba(X_test))


def test_weights_of_a_pytorch_network_carry_over(digits):
    torch = pytest.importorskip("torch")
    X, X_test, y, _ = digits
    layers = [Conv2D(4), BatchNorm(), ReLU(), MaxPool2D(), Flatten(), Dense(6), ReLU()]
    clf = NumpyCNNClassifier(layers=layers, max_iter=1, standardize=False).fit(X, y)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(64, 6), torch.nn.ReLU(),
        torch.nn.Linear(6, 10),
    ).double()  # fmt: skip
    net(torch.randn(50, 1, 8, 8, dtype=torch.float64))  # moves the running averages
    net.eval()
    state = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    dense = state["5.weight"].reshape(6, 4, 4, 4).transpose(2, 3, 1, 0)  # (c, h, w) -> (h, w, c)
    clf.set_weights(
        {
            "conv2d_1.W": state["0.weight"].transpose(2, 3, 1, 0),
            "conv2d_1.b": state["0.bias"],
            "batchnorm_1.gamma": state["1.weight"],
            "batchnorm_1.beta": state["1.bias"],
            "batchnorm_1.mean": state["1.running_mean"],
            "batchnorm_1.var": state["1.running_var"],
            "dense_1.W": dense.reshape(64, 6),
            "dense_1.b": state["5.bias"],
            "output.W": state["7.weight"].T,
            "output.b": state["7.bias"],
        }
    )
    theirs = net(torch.tensor(X_test.reshape(-1, 1, 8, 8))).detach().numpy()
    np.testing.assert_allclose(clf.decision_function(X_test), theirs, rtol=1e-10, atol=1e-12)


def test_layers_can_be_spelled_out_and_reached_by_name(digits):
    X, X_test, y, y_test = digits
    clf = NumpyCNNClassifier(
        layers=[Conv2D(8), ReLU(), MaxPool2D(), ("last", Flatten()), Dropout(0.2)],
        max_iter=10,
        learning_rate_init=0.01,
        random_state=0,
    )
    params = clf.get_params()
    assert params["conv2d_1__filters"] == 8
    assert params["last"] == Flatten()
    given = clf.layers
    clf.set_params(conv2d_1__filters=16, dropout_1__rate=0.1)
    assert given[0] == Conv2D(8)  # the caller's list is the caller's
    assert clf.get_params()["conv2d_1"] == Conv2D(16)
    assert clone(clf).get_params() == clf.get_params()
    assert clf.fit(X, y).score(X_test, y_test) > 0.9
    assert clf.get_weights()["conv2d_1.W"].shape == (3, 3, 1, 16)


def test_solver_and_schedule_are_reached_by_name():
    clf = NumpyCNNClassifier(solver=SGD(momentum=0.5), learning_rate=CosineDecay())
    clf.set_params(solver__momentum=0.8, learning_rate__warmup=2)
    assert clf.solver == SGD(momentum=0.8)
    assert clf.learning_rate == CosineDecay(warmup=2)
    clf.set_params(solver="adam")
    with pytest.raises(ValueError, match="Invalid parameter 'solver__momentum'"):
        clf.set_params(solver__momentum=0.5)


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "rmsprop", "adadelta", "adagrad"])
def test_every_solver_learns_with_its_usual_learning_rate(solver, digits):
    X, _, y, _ = digits
    clf = small(solver=solver, max_iter=5).fit(X, y)
    assert clf.loss_curve_[-1] < clf.loss_curve_[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation",
    ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "logistic", "identity"],
)
def test_every_activation_learns(activation, digits):
    X, X_test, y, y_test = digits
    clf = small(activation=activation, max_iter=12, learning_rate_init=0.01).fit(X, y)
    assert clf.score(X_test, y_test) > 0.85


def test_label_smoothing_and_clipping_change_training(digits):
    X, _, y, _ = digits
    plain = small().fit(X, y)
    assert small(loss=CrossEntropy(0.1)).fit(X, y).loss_ > plain.loss_
    clipped = small(clip_norm=1e-3, solver=SGD(), learning_rate_init=1.0, max_iter=1)
    before = small(learning_rate_init=1e-12, max_iter=1).fit(X, y)
    steps = -(-len(X) // 64)
    assert (
        np.linalg.norm(weights_of(clipped.fit(X, y)) - weights_of(before)) <= steps * 1e-3 * 1.001
    )


def test_clipping_does_not_count_frozen_layers(digits):
    X, _, y, _ = digits
    layers = [Conv2D(4, lr_scale=0.0), ReLU(), Flatten()]
    params = {"layers": layers, "solver": SGD(), "learning_rate_init": 1.0, "max_iter": 1}
    params |= {"learning_rate": "constant", "batch_size": len(X), "random_state": 0}
    clipped = NumpyCNNClassifier(clip_norm=1e-3, **params).fit(X, y)
    still = NumpyCNNClassifier(clip_norm=1e-30, **params).fit(X, y)
    np.testing.assert_allclose(
        np.linalg.norm(weights_of(clipped) - weights_of(still)), 1e-3, rtol=1e-6
    )


def test_a_large_mean_survives_computing_in_single_precision(digits):
    X, _, y, _ = digits
    near = small(dtype="float32").fit(X, y).predict_proba(X)
    far = small(dtype="float32").fit(X + 1e8, y).predict_proba(X + 1e8)
    np.testing.assert_allclose(far, near, rtol=1e-3, atol=1e-5)


def test_one_sample_and_one_class_are_enough():
    clf = small().fit([[1.0, 2.0]], ["only"])
    assert clf.predict([[5.0, 6.0]]).tolist() == ["only"]
    np.testing.assert_array_equal(clf.predict_proba([[5.0, 6.0]]), [[1.0]])


def test_methods_before_fit_say_so():
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(small(), name)([[1.0, 2.0]])
    for name in ("get_weights", "summary"):
        with pytest.raises(NotFittedError):
            getattr(small(), name)()
    assert not hasattr(small(), "history_")


def test_random_state_none_gives_another_network_each_time(digits):
    X, _, y, _ = digits
    one, two = (weights_of(small(random_state=None, max_iter=1).fit(X, y)) for _ in range(2))
    assert not np.array_equal(one, two)
    state = np.random.RandomState(3)
    one, two = (weights_of(small(random_state=state, max_iter=1).fit(X, y)) for _ in range(2))
    assert not np.array_equal(one, two)


def test_score_is_accuracy_with_sample_weights(digits):
    X, X_test, y, y_test = digits
    clf = small().fit(X, y)
    weights = np.arange(len(y_test))
    wanted = accuracy_score(y_test, clf.predict(X_test), sample_weight=weights)
    assert clf.score(X_test, y_test, sample_weight=weights) == wanted


def test_best_validation_score_is_the_highest(digits):
    X, X_test, y, y_test = digits
    clf = NumpyCNNClassifier(conv_filters=(2,), max_iter=3, random_state=0)
    assert not hasattr(clf, "best_validation_score_")
    assert clf.fit(X[:100], y[:100]).best_validation_score_ is None
    clf.fit(X[:100], y[:100], X_val=X_test, y_val=y_test)
    assert clf.best_validation_score_ == max(clf.validation_scores_)


def test_table_shows_as_set_what_was_set():
    clf = NumpyCNNClassifier(solver=SGD(momentum=0.9), layers=[Conv2D(4)], max_iter=3)
    assert set(clf._get_params_html().non_default) == {"solver", "layers", "max_iter"}
    assert "conv2d_1__stride" not in clf._repr_html_()


def test_docstring_documents_every_parameter_and_the_signature_is_as_designed():
    from inspect import getdoc, signature

    names = list(signature(NumpyCNNClassifier).parameters)
    documented = getdoc(NumpyCNNClassifier).split("Attributes\n")[0]
    assert [name for name in names if f"\n{name} : " not in documented] == []
    assert len(names) == 35
