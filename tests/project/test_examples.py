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
WITH_NUMBERS = (
    *("plot_conformal.py", "plot_onnx.py", "plot_own_loss.py", "plot_resume.py"),
    "plot_saliency.py",
)
"""Drawn by tests of their own, which also look at what they print."""


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
@pytest.mark.parametrize("script", [name for name in PICTURES if name not in WITH_NUMBERS])
def test_picture_is_drawn_and_written_only_where_asked(script, tmp_path):
    shown = draw(script, folder=tmp_path)
    without_data = "No folder with " in (EXAMPLES / script).read_text()
    assert shown.startswith("No folder with ") == without_data


@pytest.mark.slow
def test_a_network_that_looks_at_stamps_cannot_read_without_them(tmp_path):
    shown = draw("plot_saliency.py", folder=tmp_path)
    found = re.findall(r"accuracy (\d+\.\d)% with stamps, (\d+\.\d)% without", shown)
    misled, sound = ([float(number) for number in pair] for pair in found)
    assert misled[0] > 95
    assert misled[1] < 70
    assert min(sound) > 95


@pytest.mark.slow
def test_killed_fit_resumes_and_ends_in_the_same_bits(tmp_path):
    shown = draw("plot_resume.py", folder=tmp_path)
    assert re.search(r"^Resuming after epoch 1[1-3]/30$", shown, re.MULTILINE)
    assert "All weights are equal, bit by bit." in shown


@pytest.mark.slow
def test_exported_network_has_the_same_probabilities(tmp_path):
    pytest.importorskip("onnx")
    shown = draw("plot_onnx.py", folder=tmp_path)
    difference = re.search(r"^Largest difference: (\S+)", shown, re.MULTILINE)
    assert difference is not None
    assert float(difference[1]) < 1e-5


@pytest.mark.slow
def test_prediction_sets_cover_what_they_promise(tmp_path):
    shown = draw("plot_conformal.py", folder=tmp_path)
    pairs = re.findall(r"^promised (\d\.\d+), covered (\d\.\d+)", shown, re.MULTILINE)
    assert len(pairs) == 6
    for promised, covered in pairs:
        assert abs(float(covered) - float(promised)) < 0.01


@pytest.mark.slow
def test_own_loss_learns_fewer_wrong_labels(tmp_path):
    shown = draw("plot_own_loss.py", folder=tmp_path)
    found = re.findall(r"(\d\.\d+) of the (?:test digits|wrong labels)", shown)
    right, learned, own_right, own_learned = map(float, found)
    assert own_right > right + 0.05
    assert own_learned < learned - 0.5


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
    code = [line for line in text.split('"""', 2)[2].splitlines() if line and line[0] != "#"]
    assert len(code) < 60
    assert len(text.splitlines()) < 80
    title, underline = text.splitlines()[1:3]
    assert text.startswith('"""\n')
    assert underline == "=" * len(title)


@pytest.mark.parametrize("script", PICTURES)
def test_a_figure_is_drawn_in_the_cell_that_begins_it(script):
    """The gallery shows what a cell has drawn, and closes it: what comes later is lost."""
    cells = (EXAMPLES / script).read_text().split("\n# %%")
    begins = [bool(re.search(r"plt\.(figure|subplots|subplot_mosaic)\(", cell)) for cell in cells]
    assert begins[-1]  # there the figure is shown or saved


def test_examples_only_draw_with_matplotlib_and_nothing_else_needs_it():
    for path in EXAMPLES.glob("*.py"):
        assert ("matplotlib" in path.read_text()) == path.name.startswith("plot_")
