"""What a fit prints while it runs."""

import re
import sys
from functools import partial

import numpy as np
import pytest
from sklearn.callback import ProgressBar

from sknpcnn._training.report import Report
from tests import models


@pytest.fixture
def data(digits):
    X, _, y, _ = digits
    return X, y


small = partial(models.small, batch_size=32)


def row(seconds=2.0, **values):
    given = {"train_loss": 0.5, "train_score": 0.9, "validation_loss": np.nan}
    given |= {"validation_score": np.nan, "learning_rate": 0.001, "seconds": seconds}
    return given | values


def test_a_line_tells_loss_accuracy_rate_speed_and_the_time_that_is_left(data, capsys):
    small(verbose=1).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    number = r"\d+\.\d{4}"
    for i, line in enumerate(lines, start=1):
        left = r"  0:\d\d left" if i < 3 else ""
        pattern = (
            rf"Epoch {i}/3  loss {number}  accuracy {number}  lr 0\.001  [\d,]+ images/s{left}"
        )
        assert re.fullmatch(pattern, line), line
    assert len(lines) == 3


def test_a_line_tells_the_validation_score(data, capsys):
    X, y = data
    clf = small(verbose=1, max_iter=1).fit(X, y, X_val=X[:50], y_val=y[:50])
    line = capsys.readouterr().out
    assert f"validation loss {clf.history_['validation_loss'].iloc[0]:.4f}" in line
    assert f"score {clf.validation_scores_[0]:.4f}" in line


@pytest.mark.parametrize(
    ("passed", "left"), [(10, "1:30"), (0.2, "0:02"), (400, "1:00:00"), (1000, "2:30:00")]
)
def test_the_time_that_is_left_is_that_of_the_epochs_so_far(monkeypatch, capsys, passed, left):
    clock = iter([0.0, passed])
    monkeypatch.setattr("sknpcnn._training.report.perf_counter", lambda: next(clock))
    Report(first=5, last=15, n_samples=100).epoch(6, row())
    assert capsys.readouterr().out.endswith(f" 50 images/s  {left} left\n")


def test_a_bar_is_written_over_until_the_line_of_the_epoch_is_there(data, capsys):
    small(verbose=2, max_iter=2).fit(*data)
    shown = capsys.readouterr().out
    assert "\n" not in shown.split("100%")[0]
    assert "\x1b" not in shown, "a notebook knows no escape sequences"
    on_screen = [line.split("\r")[-1].rstrip() for line in shown.split("\n")[:-1]]
    assert [line[:9] for line in on_screen] == ["Epoch 1/2", "Epoch 2/2"]
    assert all("loss" in line and "#" not in line for line in on_screen)
    bars = re.findall(r"Epoch (\d)/2  \[(#*)(\.*)\] +(\d+)%  [\d,]+ images/s", shown)
    assert {epoch for epoch, *_ in bars} == {"1", "2"}
    for _, done, rest, percent in bars:
        assert len(done) + len(rest) == 30
        assert len(done) == pytest.approx(30 * int(percent) / 100, abs=1)


def test_a_terminal_is_not_told_too_often(monkeypatch, capsys):
    times = iter([0.0, 0.05, 0.11, 0.12, 0.13])
    monkeypatch.setattr("sknpcnn._training.report.perf_counter", lambda: next(times))
    report = Report(first=0, last=1, n_samples=100)
    for part in (0.2, 0.4, 0.6, 1.0):
        report.progress(1, part)
    assert re.findall(r"(\d+)%", capsys.readouterr().out) == ["40", "100"]


def test_silence_is_the_default_and_prediction_is_always_silent(data, capsys):
    small().fit(*data)
    clf = small(verbose=2).fit(*data)
    capsys.readouterr()
    clf.predict(data[0])
    assert capsys.readouterr().out == ""


def test_a_program_without_a_terminal_fits_as_well(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    report = Report(0, 2, 10)
    report.progress(1, 1.0)
    report.epoch(1, row())


def test_lines_stand_in_for_a_bar_that_a_notebook_cannot_show(data, capsys, monkeypatch):
    rich = pytest.importorskip("rich")
    clf = small(max_iter=2).set_callbacks(ProgressBar())
    clf.fit(*data)
    assert "Epoch 1/2" not in capsys.readouterr().out
    shown = []
    monkeypatch.setattr(rich.get_console(), "is_jupyter", True)
    monkeypatch.setattr("rich.jupyter.display", lambda segments, text: shown.append(text))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.warns(UserWarning, match="ipywidgets"):  # from rich itself
        clf.fit(*data)
    assert [text[:9] for text in shown if "Epoch" in text] == ["Epoch 1/2", "Epoch 2/2"]
    assert clf.verbose == 0
