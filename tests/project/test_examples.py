"""The examples run as a user runs them, and the quickstart does what the README promises."""

import gzip
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.processes import run_python

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURES = sorted(path.name for path in EXAMPLES.glob("plot_*.py"))


def run(script, *args, cwd):
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    return run_python(EXAMPLES / script, *args, cwd=cwd, env=environment)


@pytest.mark.slow
def test_quickstart_shows_progress_and_reaches_its_accuracy(tmp_path):
    shown = run("quickstart.py", cwd=tmp_path)
    epochs = re.findall(r"^Epoch +(\d+)/\d+ .*loss \d+\.\d+", shown, re.MULTILINE)
    assert epochs == [str(number) for number in range(1, len(epochs) + 1)]
    assert len(epochs) >= 10
    accuracy = re.search(r"^Test accuracy: (\d\.\d+)", shown, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.985
    assert "the predictions are the same" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["digits.joblib"]


@pytest.mark.slow
def test_photos_are_drawn_learned_and_told_apart(tmp_path):
    pytest.importorskip("PIL")
    shown = run("own_photos.py", cwd=tmp_path)
    accuracy = re.search(r"^Test accuracy: (\d\.\d+) on 100 other", shown, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.9
    assert len(re.findall(r"^(ball|box)/\d+\.jpg is a \1\.$", shown, re.MULTILINE)) >= 4
    assert list(tmp_path.iterdir()) == []


def draw(script, *args, folder):
    """Run an example that draws, look at its picture, and return what it has printed."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    shown = run(script, *args, "--save", folder / "picture.png", cwd=folder)
    assert [path.name for path in folder.iterdir()] == ["picture.png"]
    picture = pyplot.imread(folder / "picture.png")
    assert picture.shape[0] >= 300
    assert picture.shape[1] >= 700
    assert picture[..., :3].std() > 0.1  # an empty one is white all over
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("script", PICTURES)
def test_picture_is_drawn_and_written_only_where_asked(script, tmp_path):
    shown = draw(script, folder=tmp_path)
    data = ("plot_mnist.py", "plot_cifar10.py", "plot_filters.py", "plot_transfer.py")
    without_data = script in data
    assert shown.startswith("No folder with ") == without_data


@pytest.mark.slow
def test_mnist_is_drawn_from_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for part, n in (("train", 64), ("t10k", 40)):
        images = struct.pack(">IIII", 0x803, n, 28, 28) + rng.bytes(n * 28 * 28)
        labels = struct.pack(">II", 0x801, n) + bytes(k % 10 for k in range(n))
        (tmp_path / "mnist" / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (tmp_path / "mnist" / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    (tmp_path / "out").mkdir()
    shown = draw("plot_mnist.py", tmp_path / "mnist", folder=tmp_path / "out")
    assert re.match(r"Epoch 1/5  loss", shown)


@pytest.mark.slow
def test_cifar10_is_drawn_from_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "cifar").mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        noise = [rng.integers(25 * (k % 10), 255, 3072, dtype=np.uint8) for k in range(20)]
        samples = [bytes([k % 10]) + pixels.tobytes() for k, pixels in enumerate(noise)]
        (tmp_path / "cifar" / f"{name}.bin").write_bytes(b"".join(samples))
    (tmp_path / "out").mkdir()
    shown = draw("plot_cifar10.py", tmp_path / "cifar", folder=tmp_path / "out")
    assert re.match(r"Epoch  1/20  loss", shown)


@pytest.mark.parametrize("script", PICTURES)
def test_example_is_short_and_begins_with_a_title(script):
    text = (EXAMPLES / script).read_text()
    assert len(text.splitlines()) < 60
    title, underline = text.splitlines()[1:3]
    assert text.startswith('"""\n')
    assert underline == "=" * len(title)


def test_examples_only_draw_with_matplotlib_and_nothing_else_needs_it():
    for path in EXAMPLES.glob("*.py"):
        assert ("matplotlib" in path.read_text()) == path.name.startswith("plot_")
