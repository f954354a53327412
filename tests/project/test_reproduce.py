"""The command that trains the networks on the real data, on small data of the same form."""

import json
import re
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

pytest.importorskip("matplotlib")

from benchmarks import reproduce, results
from benchmarks.recipes import RECIPES
from sknpcnn import NumpyCNNClassifier
from sknpcnn.datasets import load_mnist

README = Path(__file__).parents[2] / "README.md"
DOCS = README.with_name("docs")


@pytest.fixture
def folders(tmp_path):
    """Small files in the forms of MNIST and of the binary version of CIFAR-10."""
    rng = np.random.default_rng(0)
    mnist, cifar10 = tmp_path / "mnist", tmp_path / "cifar10"
    mnist.mkdir()
    cifar10.mkdir()
    for part, n in (("train", 700), ("t10k", 40)):
        labels = np.arange(n, dtype=np.uint8) % 10
        images = rng.integers(0, 50, (n, 28, 28), dtype=np.uint8)
        images[np.arange(n), 2 * labels] = 255
        header = b"".join(length.to_bytes(4, "big") for length in images.shape)
        (mnist / f"{part}-images-idx3-ubyte").write_bytes(
            b"\0\0\x08\x03" + header + images.tobytes()
        )
        (mnist / f"{part}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + header[:4] + labels.tobytes()
        )
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"):
        _write_batch(cifar10 / f"{name}.bin", rng, 20)
    _write_batch(cifar10 / "test_batch.bin", rng, 20)
    return {"mnist": mnist, "cifar10": cifar10}


def _write_batch(path, rng, n):
    labels = np.arange(n, dtype=np.uint8)[:, None] % 10
    path.write_bytes(np.hstack([labels, rng.integers(0, 256, (n, 3072), dtype=np.uint8)]).tobytes())


@pytest.fixture
def run(monkeypatch, folders, tmp_path):
    """Run the command with every network trained for one epoch."""
    short = {name: replace(recipe, epochs=1) for name, recipe in RECIPES.items()}
    monkeypatch.setattr(reproduce, "RECIPES", short)
    monkeypatch.setattr(reproduce, "VALIDATION", 50)
    given = ["--mnist", str(folders["mnist"]), "--cifar10", str(folders["cifar10"])]
    given += ["--runs", str(tmp_path / "runs.json")]

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["reproduce", *given, *arguments])
        reproduce.main()
        return json.loads((tmp_path / "runs.json").read_text())

    return command


@pytest.mark.slow
def test_page_table_and_pictures_are_written(run, tmp_path, capsys):
    runs = run(
        "--networks",
        "lenet",
        "three_stage",
        "network_3",
        "--seeds",
        "0",
        "1",
        "--docs",
        str(tmp_path),
    )
    assert [(r["network"], r["seed"]) for r in runs] == [
        *(("lenet", 0), ("three_stage", 0), ("network_3", 0)),
        *(("lenet", 1), ("three_stage", 1), ("network_3", 1)),
    ]
    table = pd.read_csv(tmp_path / "results.csv").set_index("network")
    for name in ("lenet", "three_stage", "network_3"):
        row = table.loc[RECIPES[name].title]
        own = [r for r in runs if r["network"] == name]
        assert row["accuracy"] == pytest.approx(np.mean([r["accuracy"] for r in own]))
        assert row["deviation"] == pytest.approx(np.std([r["accuracy"] for r in own], ddof=1))
        assert row["runs"] == 2
    page = (tmp_path / "results.md").read_text()
    linked = [part.split(")")[0] for part in page.split("](")[1:]]
    assert all((tmp_path / target).is_file() for target in linked)
    assert "images/results/three_stage_images.png" in linked
    assert "images/results/keras_twin_small.png" in linked
    assert "| LeNet-like | MNIST | 36,758 |" in page


def test_three_seeds_are_trained_on_the_training_data_and_tested_on_the_test_data(
    run, folders, tmp_path, monkeypatch
):
    X, y = load_mnist(folders["mnist"], split="train", return_X_y=True)
    X_test, y_test = load_mnist(folders["mnist"], split="test", return_X_y=True)
    fit, given = NumpyCNNClassifier.fit, []

    def spied(self, *data):
        given.append(data)
        return fit(self, *data)

    monkeypatch.setattr(NumpyCNNClassifier, "fit", spied)
    runs = run("--networks", "lenet")
    assert [found["seed"] for found in runs] == [0, 1, 2]
    for data in given:
        np.testing.assert_array_equal(data[0], X)
        np.testing.assert_array_equal(data[1], y)
    for found in runs:
        clf = replace(RECIPES["lenet"], epochs=1).classifier(found["seed"])
        p = fit(clf.set_params(verbose=0), X, y).predict_proba(X_test)
        assert found["test_loss"] == pytest.approx(log_loss(y_test, p))
        assert found["accuracy"] == np.mean(p.argmax(axis=1) == y_test)
    assert len({found["test_loss"] for found in runs}) == 3
    # and once more on a part of the training data
    run("--networks", "lenet", "--seeds", "0", "--validate")
    assert len(given[-1][0]) == len(X) - 50


@pytest.mark.slow
def test_curves_show_the_error_of_each_epoch_and_that_on_the_test_data(run, tmp_path, monkeypatch):
    figures = {}
    monkeypatch.setattr(results, "_save", lambda figure, file: figures.update({file.stem: figure}))
    runs = run("--networks", "lenet", "--seeds", "0", "1", "--docs", str(tmp_path))
    lines = [line.get_ydata() for line in figures["lenet"].axes[0].get_lines()]
    for found in runs:
        assert any(np.allclose(line, 100 * np.array(found["train_error"])) for line in lines)
    test_error = 100 * (1 - np.mean([found["accuracy"] for found in runs]))
    assert any(len(line) == 2 and np.allclose(line, test_error) for line in lines)


@pytest.mark.slow
def test_table_is_printed_and_tells_machine_date_and_minutes_on_the_page(run, tmp_path, capsys):
    (found,) = run("--networks", "network_1", "--seeds", "0", "--docs", str(tmp_path))
    page = (tmp_path / "results.md").read_text()
    assert f"Measured on {date.today().isoformat()}: {found['machine']['processor']}" in page
    (line,) = (line for line in page.splitlines() if line.startswith("| network 1 "))
    assert f" {found['test_loss']:.4f} " in line
    assert line.endswith(f"| {found['epochs'] * found['seconds_per_epoch'] / 60:.1f} |")
    assert line in capsys.readouterr().out


def test_what_is_missing_is_said(run, folders, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce", "--networks", "lenet"])
    with pytest.raises(SystemExit):
        reproduce.main()
    assert "needed: --mnist FOLDER, --cifar10 FOLDER, or both" in capsys.readouterr().err
    given = ["reproduce", "--mnist", str(folders["mnist"]), "--networks", "network_3"]
    monkeypatch.setattr(sys, "argv", given)
    reproduce.main()
    assert "network 3 needs --cifar10 FOLDER, and is left out" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["reproduce", "--cifar10", "there", "--docs", "docs"])
    with pytest.raises(SystemExit):
        reproduce.main()
    assert "--docs needs --mnist FOLDER" in capsys.readouterr().err


TO_REACH = {
    "network_1": (25, 0.983),
    "network_2": (30, 0.99),
    "network_3": (25, 0.70),
    "network_4_improved": (np.inf, 0.90),
    "keras_twin": (12, 0.991),
    "convnet_5x5": (25, 0.994),
    "lenet": (5, 0.989),
    "three_stage": (9, 0.99),
}


@pytest.mark.parametrize("name", TO_REACH)
def test_results_in_the_docs_reach_what_was_to_be_reached(name):
    recipe, (epochs, goal) = RECIPES[name], TO_REACH[name]
    assert (recipe.epochs <= epochs, recipe.goal) == (True, goal)
    row = pd.read_csv(DOCS / "results.csv").set_index("network").loc[recipe.title]
    assert row["runs"] == 3
    assert row["accuracy"] >= goal
    assert row["epochs"] == recipe.epochs
    runs = json.loads((DOCS / "results.json").read_text())
    own = [run for run in runs if run["network"] == name]
    assert {run["recipe"] for run in own} == {reproduce.recipe_of(recipe)}
    assert [run["seed"] for run in own] == [0, 1, 2]


def test_results_in_the_readme_are_those_of_the_runs():
    table = pd.read_csv(DOCS / "results.csv").set_index("network")
    shown = re.findall(
        r"^\| `(\w+)\(\)` \|.*?\| (\d+\.\d\d) % \| (\d+) \|", README.read_text(), re.MULTILINE
    )
    assert len(shown) >= 5
    for name, accuracy, epochs in shown:
        row = table.loc[RECIPES[name].title]
        assert (accuracy, int(epochs)) == (f"{100 * row['accuracy']:.2f}", row["epochs"])


def test_what_has_been_run_is_not_run_again(run, monkeypatch):
    before = run("--networks", "lenet", "--seeds", "0")
    monkeypatch.setattr(reproduce, "train", lambda *args: pytest.fail("it is run again"))
    assert run("--networks", "lenet", "--seeds", "0") == before


def test_a_changed_recipe_is_run_again(run, monkeypatch):
    run("--networks", "lenet", "--seeds", "0")
    changed = {"lenet": replace(RECIPES["lenet"], epochs=2)}
    monkeypatch.setattr(reproduce, "RECIPES", changed)
    runs = run("--networks", "lenet", "--seeds", "0")
    assert [r["epochs"] for r in runs] == [1, 2]


def test_validation_keeps_away_from_the_test_data(run, folders):
    for file in folders["mnist"].glob("t10k*"):
        file.unlink()
    (found,) = run("--networks", "lenet", "--seeds", "0", "--validate")
    assert found["validated"]
    assert len(found["true"]) == 32


def test_every_network_has_a_recipe():
    from sknpcnn import architectures

    assert set(RECIPES) == set(architectures.__all__)
    assert all(RECIPES[name].layers is getattr(architectures, name) for name in RECIPES)
