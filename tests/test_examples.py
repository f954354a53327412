"""The examples run as a user runs them, and the quickstart keeps what the README promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script, *args, cwd):
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, *args],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_quickstart_shows_progress_and_reaches_its_accuracy(tmp_path):
    shown = run("quickstart.py", cwd=tmp_path)
    epochs = re.findall(r"^Epoch +(\d+) .*loss \d+\.\d+", shown, re.MULTILINE)
    assert epochs == [str(number) for number in range(1, len(epochs) + 1)]
    assert len(epochs) >= 10
    accuracy = re.search(r"^Test accuracy: (\d\.\d+)", shown, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.985
    assert "the predictions are the same" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["digits.joblib"]


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("plot_*.py")))
def test_picture_is_drawn_and_written_only_where_asked(script, tmp_path):
    pytest.importorskip("matplotlib")
    run(script, "--save", tmp_path / "picture.png", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_examples_only_draw_with_matplotlib_and_nothing_else_needs_it():
    for path in EXAMPLES.glob("*.py"):
        assert ("matplotlib" in path.read_text()) == path.name.startswith("plot_")
