"""The study of the defaults: what has been measured is not measured again, and ranks are right."""

import json

import numpy as np
import pytest

from benchmarks.candidates import CANDIDATES
from benchmarks.data_sets import SETS
from benchmarks.defaults import calibration_error, in_common, read, study, table, times
from sknpcnn import NumpyCNNClassifier


def test_a_study_resumes_where_it_stopped(tmp_path, capsys):
    runs = tmp_path / "runs"
    study(tmp_path, runs, ["LogisticRegression"], ["iris"])
    rows = read(runs)
    assert [row["split"] for row in rows] == list(range(SETS["iris"].splits))
    assert all(row["accuracy"] > 0.8 and row["log_loss"] < 0.5 for row in rows)
    runs.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    capsys.readouterr()
    study(tmp_path, runs, ["LogisticRegression"], ["iris"])
    assert capsys.readouterr().out.count("LogisticRegression") == 1
    again = read(runs)
    assert [row["accuracy"] for row in again] == [row["accuracy"] for row in rows]


def test_ranks_are_means_over_the_sets_and_equals_share_theirs():
    values = {"a": (0.9, 0.5), "b": (0.8, 0.5), "c": (0.7, 0.6)}
    rows = [
        {"model": model, "set": name, "split": 0, "accuracy": value}
        for model, pair in values.items()
        for name, value in zip(("iris", "wine"), pair, strict=True)
    ]
    lines = table(rows, "accuracy").splitlines()[2:]
    assert [line.split(" | ")[:2] for line in lines] == [
        ["| a", "1.75"],
        ["| c", "2.00"],
        ["| b", "2.25"],
    ]


def test_only_what_all_have_been_trained_on_is_compared():
    seconds = {("a", 0): 2.0, ("a", 1): 9.0, ("base", 0): 1.0, ("b", 0): 5.0}
    rows = [
        {"model": model, "set": "iris", "split": split, "accuracy": 0.9, "seconds": taken}
        for (model, split), taken in seconds.items()
    ]
    compared = in_common(rows, ["a", "base"])
    assert [(row["model"], row["split"]) for row in compared] == [("a", 0), ("base", 0)]
    assert times(compared) == pytest.approx({"a": 2, "base": 1})


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    p = np.array([[0.75, 0.25]] * 4)
    assert calibration_error(p, np.array([0, 1]), np.array([0, 0, 0, 1])) == 0
    assert calibration_error(p, np.array([0, 1]), np.array([0, 0, 1, 1])) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ((8, 8), "base"),
        ((28, 28), "a block more, half the filters"),
        ((32, 32, 3), "a block more"),
        ((64, 64, 3), "base"),
        ((128, 128, 3), "base"),
    ],
)
def test_the_defaults_are_what_the_study_led_to(image, name):
    X, y = np.random.default_rng(0).random((4, *image)), [0, 1, 0, 1]
    networks = [
        NumpyCNNClassifier(max_iter=0, **params).fit(X, y).summary()
        for params in ({}, CANDIDATES[name](image, 4))
    ]
    assert networks[0].equals(networks[1])


@pytest.mark.slow
@pytest.mark.parametrize("image", [(8, 8), (28, 28), (32, 32, 3), (128, 128, 3), None])
@pytest.mark.parametrize("name", CANDIDATES)
def test_candidates_make_sound_networks(name, image):
    params = CANDIDATES[name](image, 100) | {"max_iter": 0}
    X = np.random.default_rng(0).random((12, *(image or (7,))))
    NumpyCNNClassifier(**params).fit(X, np.arange(12) % 2)
