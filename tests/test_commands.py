"""The command line: in this process, and as a user runs it, in processes of its own."""

import csv
import json
import os
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

import sknpcnn
from sknpcnn import lite
from sknpcnn.__main__ import main

Image = pytest.importorskip("PIL.Image")

pytestmark = [
    pytest.mark.thread_unsafe(reason="changes the folder, and starts processes"),
    pytest.mark.filterwarnings("default"),
]
HOME = str(Path(sknpcnn.__path__[0]).parent)


def start(*args, folder, **options):
    command = [sys.executable, "-m", "sknpcnn", *map(str, args)]
    environment = {**os.environ, "PYTHONPATH": HOME, "PYTHONWARNINGS": "default"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes | options)


def run(*args, folder, status=0):
    """Run a command; return what it prints."""
    shown, errors = StringIO(), StringIO()
    with chdir(folder), redirect_stdout(shown), redirect_stderr(errors):
        try:
            found = main(list(map(str, args)))
        except SystemExit as ended:  # of argparse
            found = ended.code
    assert found == status, errors.getvalue()
    return shown.getvalue(), errors.getvalue()


def run_as_process(*args, folder, status=0):
    """Run a command in a process of its own; return what it prints."""
    process = start(*args, folder=folder)
    shown, errors = process.communicate(timeout=300)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    return shown, errors


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Digits as files in folders, as arrays and as a table, and a model of them."""
    folder = tmp_path_factory.mktemp("home")
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300] % 3
    for i, (pixels, label) in enumerate(zip(X, y, strict=True)):
        place = folder / "photos" / f"kind {label}"
        place.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((pixels.reshape(8, 8) * 15).astype(np.uint8))
        image.resize((12, 10)).save(place / f"{i:03}.{('png', 'jpg', 'bmp')[i % 3]}")
    np.savez(folder / "arrays.npz", X=X.reshape(-1, 8, 8), y=y)
    pd.DataFrame(X).add_prefix("pixel_").assign(label=y).to_csv(folder / "table.csv", index=False)
    train = "train", "photos", "model.npz", "--size", "8", "--gray", "--epochs", "12"
    shown, _ = run(*train, "--plot", "pictures", folder=folder)
    return folder, shown


@pytest.mark.slow
def test_every_command_is_a_process(home):
    folder, _ = home
    args = "train", "arrays.npz", "own.npz", "--epochs", "2"
    assert "Saved as own.npz" in run_as_process(*args, folder=folder)[0]
    for command, shown in {
        ("evaluate", "own.npz", "arrays.npz"): "Accuracy 0.",
        ("predict", "own.npz", "photos"): "file,label,0,1,2",
        ("summary", "own.npz"): "classes: 0, 1, 2",
        ("export", "own.npz", "own.zip"): "own.zip: 0.",
        ("--help",): "usage: sknpcnn",
    }.items():
        assert shown in run_as_process(*command, folder=folder)[0]
    _, errors = run_as_process("train", "nothing", "m.npz", folder=folder, status=1)
    assert errors.startswith("sknpcnn: error: nothing is no data")
    run_as_process("fly", folder=folder, status=2)


def test_training_says_how_it_goes_and_ends(home):
    folder, shown = home
    assert shown.startswith("240 images to train on, 60 to validate\n")
    assert "Epoch 12/12 " in shown.replace("Epoch  ", "Epoch ")
    assert " left\n" in shown
    assert "Accuracy 0." in shown
    assert "true \\ predicted  kind 0  kind 1  kind 2\n" in shown
    assert shown.endswith("Saved as model.npz, after 12 epochs.\nPictures are in pictures.\n")
    clf = sknpcnn.load(folder / "model.npz")
    assert clf.image_shape_ == (8, 8, 1)
    assert clf.classes_.tolist() == ["kind 0", "kind 1", "kind 2"]
    for name in ("learning_curve", "confusion_matrix"):
        picture = np.asarray(Image.open(folder / "pictures" / f"{name}.png"))
        assert picture.std() > 10


def test_predictions_are_a_table_or_lines_of_json(home):
    folder, _ = home
    shown, errors = run("predict", "model.npz", "photos", folder=folder)
    rows = list(csv.DictReader(shown.splitlines()))
    assert errors == ""
    assert len(rows) == 300
    assert list(rows[0]) == ["file", "label", "kind 0", "kind 1", "kind 2"]
    right = sum(row["file"].split("/")[1] == row["label"] for row in rows)
    assert right > 200
    assert sum(float(rows[0][f"kind {i}"]) for i in range(3)) == pytest.approx(1, abs=1e-5)
    file = rows[5]["file"]
    shown, _ = run("predict", "model.npz", file, "--format", "json", folder=folder)
    found = json.loads(shown)
    assert (found["file"], found["label"]) == (file, rows[5]["label"])
    assert f"{found['probabilities']['kind 1']:.6f}" == rows[5]["kind 1"]
    run("predict", "model.npz", "photos", "--output", "out.csv", folder=folder)
    assert len((folder / "out.csv").read_text().splitlines()) == 301


def test_unreadable_images_are_listed_and_the_others_predicted(home):
    folder, _ = home
    (folder / "bad.png").write_bytes(b"no image")
    good = next((folder / "photos" / "kind 1").iterdir())
    files = "bad.png", good, "missing.png"
    shown, errors = run("predict", "model.npz", *files, folder=folder, status=1)
    assert len(shown.splitlines()) == 2
    assert [line.split(": ")[:2] for line in errors.splitlines()] == [
        ["sknpcnn", "bad.png"],
        ["sknpcnn", "[Errno 2] No such file or directory"],
    ]


def test_evaluation_is_that_of_scikit_learn(home):
    folder, _ = home
    shown, _ = run("evaluate", "model.npz", "photos", folder=folder)
    clf = sknpcnn.load(folder / "model.npz")
    options = {"size": 8, "color": False, "labels": "names", "return_X_y": True}
    X, y = sknpcnn.datasets.load_image_folder(folder / "photos", **options)
    assert shown.startswith(f"Accuracy {clf.score(X, np.asarray(y)):.4f} (")


@pytest.mark.parametrize("name", ["arrays.npz", "table.csv"])
def test_arrays_and_tables_are_data_too(home, name):
    folder, _ = home
    model = f"{name}.model.npz"
    shown, _ = run("train", name, model, "--epochs", "3", "--val", "0", folder=folder)
    assert "300 images to train on, 0 to validate" in shown
    assert sknpcnn.load(folder / model).classes_.tolist() == [0, 1, 2]
    shown, _ = run("evaluate", model, name, folder=folder)
    assert "of 300" in shown
    _, errors = run("predict", model, "photos/nothing", folder=folder, status=1)
    assert "photos/nothing" in errors


def test_other_data_validate(home):
    folder, _ = home
    options = "--epochs", "2", "--val", "arrays.npz", "--architecture", "lenet"
    options = *options[:4], "--augment", "shift", "--seed", "3", "--time-limit", "1h"
    shown, _ = run("train", "arrays.npz", "m.npz", *options, folder=folder)
    assert "300 images to train on, 300 to validate" in shown
    assert sknpcnn.load(folder / "m.npz").random_state == 3


def test_a_model_is_described_and_exported(home):
    folder, _ = home
    shown, _ = run("summary", "model.npz", folder=folder)
    assert "conv2d_1" in shown
    assert "NumpyCNNClassifier for images of 8x8 pixels, 1 channel" in shown
    assert "classes: kind 0, kind 1, kind 2" in shown
    run("export", "model.npz", "model.zip", folder=folder)
    assert (folder / "model.zip").stat().st_size < 10**6
    pytest.importorskip("onnx")
    shown, _ = run("export", "model.npz", "model.onnx", "--opset", "15", folder=folder)
    assert shown.startswith("model.onnx: 0.")
    run("export", "model.npz", "other", "--to", "lite", folder=folder)
    assert (folder / "other").read_bytes()[:2] == b"PK"
    _, errors = run("export", "model.npz", "model.tflite", folder=folder, status=1)
    assert "of an unknown kind; needed: --to onnx or --to lite" in errors


def test_time_is_limited(home):
    folder, _ = home
    args = "train", "arrays.npz", "short.npz", "--epochs", "100000", "--time-limit", "1s"
    run(*args, folder=folder)
    assert sknpcnn.load(folder / "short.npz").n_iter_ < 100_000


def test_ctrl_c_keeps_the_model(home):
    folder, _ = home
    args = "train", "arrays.npz", "kept.npz", "--epochs", "100000", "--val", "0"
    process = start(*args, folder=folder)
    lines = []
    while len(lines) < 4:  # a few epochs
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Saved as kept.npz" in shown
    assert "Traceback" not in errors
    assert "warning: Training was interrupted" in errors
    assert len(lite.load(folder / "kept.npz").classes_) == 3


def test_a_reader_that_has_had_enough_is_no_error(home):
    folder, _ = home
    process = start("predict", "model.npz", *("photos",) * 40, "--format", "json", folder=folder)
    process.stdout.readline()
    process.stdout.close()
    with process.stderr as errors:
        assert "Traceback" not in errors.read()
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        ((), 2, "the following arguments are required: COMMAND"),
        (("fly",), 2, "invalid choice"),
        (("train", "nothing", "m.npz"), 1, "error: nothing is no data; needed: a folder"),
        (("train", "arrays.npz", "no/m.npz"), 1, "error: no is no folder"),
        (("train", "table.csv", "m.npz", "--label", "x"), 1, "has no column 'x'; it has pixel_0"),
        (("train", "arrays.npz", "m.npz", "--epochs", "0"), 2, "needed: a number of at least 1"),
        (("train", "arrays.npz", "m.npz", "--time-limit", "soon"), 2, "'soon' is no duration"),
        (("train", "arrays.npz", "m.npz", "--size", "0"), 2, "'0' is no image size"),
        (("train", "arrays.npz", "m.npz", "--val", "2"), 1, "--val 2; needed: a fraction"),
        (("predict", "arrays.npz", "photos"), 1, "error: arrays.npz: "),
        (("predict", "model.npz", "pictures/none"), 1, "pictures/none"),
        (("evaluate", "model.npz", "arrays.npz"), 1, "which the model does not know"),
        (("summary", "missing.npz"), 1, "No such file"),
    ],
)
def test_errors_are_a_line(home, args, status, message):
    folder, _ = home
    _, errors = run(*args, folder=folder, status=status)
    assert message in errors
    assert status == 2 or len(errors.splitlines()) == 1


def test_help_lists_every_command(home):
    folder, _ = home
    shown, _ = run("--help", folder=folder)
    for command in ("train", "evaluate", "predict", "summary", "export"):
        assert f"    {command} " in shown
        assert "usage: sknpcnn" in run(command, "--help", folder=folder)[0]
    assert run("--version", folder=folder)[0] == f"sknpcnn {sknpcnn.__version__}\n"
