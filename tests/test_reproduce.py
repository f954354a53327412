"""The command that trains the networks on the real data, on small data of the same form."""

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from benchmarks import reproduce
from benchmarks.recipes import RECIPES


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
