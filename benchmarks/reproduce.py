"""Train the networks that people know on the real data: ``python -m benchmarks.reproduce --help``.

Every epoch is written down as soon as it has ended, so a command that was interrupted goes on where
it stopped. The test data are looked at once, when a run has ended; recipes are chosen with
``--validate``, which holds out a part of the training data instead.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, architectures
from sknpcnn._engine.workers import workers_for
from sknpcnn.datasets import load_cifar10, load_mnist

from . import machine, results
from .recipes import RECIPES, SMALL_RUN, Recipe

Run = dict[str, Any]
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

VALIDATION = 5000
SHOWN = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, help="folder with the IDX files of MNIST")
    parser.add_argument("--cifar10", type=Path, help="folder with the batches of CIFAR-10")
    parser.add_argument("--networks", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n-jobs", type=int, help="threads; default: all cores")
    parser.add_argument("--validate", action="store_true", help="keep away from the test data")
    parser.add_argument("--runs", type=Path, default=Path("runs.json"), help="kept between calls")
    parser.add_argument("--docs", type=Path, help="folder to write table and pictures into")
    args = parser.parse_args()

    folders = {"mnist": args.mnist, "cifar10": args.cifar10}
    if not any(folders.values()):
        parser.error("needed: --mnist FOLDER, --cifar10 FOLDER, or both")
    if args.docs is not None and args.mnist is None:
        parser.error("--docs needs --mnist FOLDER: the page shows images of it")
    for name in args.networks:
        if folders[RECIPES[name].data] is None:
            print(f"{RECIPES[name].title} needs --{RECIPES[name].data} FOLDER, and is left out")
    kept, checkpoints = Kept(args.runs), args.runs.with_suffix(".checkpoints")
    for name, recipe, seed in wanted(args.networks, args.seeds, folders):
        if kept.holds(name, seed, recipe, args.validate):
            continue
        print(f"\n{recipe.title}, seed {seed}", flush=True)
        data = load(recipe.data, folders, args.validate)
        found = train(recipe, seed, data, args.n_jobs, checkpoints)
        kept.add({"network": name, "seed": seed, "validated": args.validate, **found})
        print(f"{recipe.title}, seed {seed}: {found['accuracy']:.4f}", flush=True)
    if checkpoints.is_dir():
        print(f"\n{checkpoints} may be deleted: {args.runs} holds what is needed.")
    chosen = results.chosen_of(kept.runs)
    if args.validate or not chosen:
        return
    print(f"\n{results.markdown(results.table(chosen))}")
    if args.docs is not None:
        mnist = load("mnist", folders, validate=False)
        extras = {
            "small run": small_run(load("mnist", folders, validate=True)),
            "hybrid": hybrid(mnist),
            "images": mnist[2][:SHOWN],
        }
        results.write(kept.runs, extras, args.docs)


def wanted(
    names: list[str], seeds: list[int], folders: dict[str, Path | None]
) -> Iterator[tuple[str, Recipe, int]]:
    """Name all runs whose data are there, the first seed of all networks first."""
    for seed in seeds:
        for name in names:
            if folders[RECIPES[name].data] is not None:
                yield name, RECIPES[name], seed


def load(data: str, folders: dict[str, Path | None], validate: bool) -> Data:
    """Load training and test data; or training data in two parts."""
    loader: Callable[..., Any] = {"mnist": load_mnist, "cifar10": load_cifar10}[data]
    folder = folders[data]
    X, y = loader(folder, split="train", return_X_y=True)
    if validate:
        X, X_test, y, y_test = train_test_split(
            X, y, test_size=VALIDATION, stratify=y, random_state=0
        )
        return X, y, X_test, y_test
    return X, y, *loader(folder, split="test", return_X_y=True)


def train(recipe: Recipe, seed: int, data: Data, n_jobs: int | None, checkpoints: Path) -> Run:
    """Train a network, or go on from a checkpoint; then look at the test data, once."""
    X, y, X_test, y_test = data
    clf = recipe.classifier(seed, n_jobs).set_params(checkpoint_dir=checkpoints)
    clf.fit(X, y)
    probabilities = clf.predict_proba(X_test)
    predicted = clf.classes_[probabilities.argmax(axis=1)]
    return {
        "recipe": recipe_of(recipe),
        "accuracy": float(np.mean(predicted == y_test)),
        "test_loss": float(log_loss(y_test, probabilities)),
        "epochs": clf.n_iter_,
        "threads": workers_for(n_jobs),
        "seconds_per_epoch": float(clf.history_["seconds"].median()),
        "parameters": int(clf.summary()["parameters"].sum()),
        "train_error": (1 - clf.history_["train_score"]).tolist(),
        "predicted": predicted[:SHOWN].tolist(),
        "true": y_test[:SHOWN].tolist(),
        "date": date.today().isoformat(),
        "machine": machine.describe(),
    }


def small_run(data: Data) -> dict[str, list[float]]:
    """Train the keras twin on the first 500 images and validate on the next 125."""
    X, y, *_ = data
    clf = SMALL_RUN.classifier(seed=0)
    clf.set_params(verbose=0).fit(X[:500], y[:500], X_val=X[500:625], y_val=y[500:625])
    return clf.history_.drop(columns=["learning_rate", "seconds"]).to_dict("list")


def hybrid(data: Data) -> float:
    """Train a linear classifier on what LeNet's convolutions make of the images as they start."""
    X, y, X_test, y_test = data
    features = NumpyCNNFeatures(NumpyCNNClassifier(layers=architectures.lenet()), random_state=0)
    linear = LogisticRegression(C=0.01, max_iter=200)
    return make_pipeline(features, StandardScaler(), linear).fit(X, y).score(X_test, y_test)


def recipe_of(recipe: Recipe) -> str:
    """Spell out everything that a run depends on, but for the seed and the threads."""
    return f"{recipe.classifier(seed=0)!r} {recipe.layers()!r}"


class Kept:
    """The runs so far, in a file that is replaced whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: list[Run] = json.loads(path.read_text()) if path.exists() else []

    def holds(self, name: str, seed: int, recipe: Recipe, validated: bool) -> bool:
        key = name, seed, validated, recipe_of(recipe)
        return any(
            (run["network"], run["seed"], run["validated"], run["recipe"]) == key
            for run in self.runs
        )

    def add(self, run: Run) -> None:
        self.runs.append(run)
        beside = self.path.with_suffix(".new")
        lines = ",\n".join(json.dumps(run) for run in self.runs)  # one of a run, for ``git diff``
        beside.write_text(f"[\n{lines}\n]\n")
        beside.replace(self.path)


if __name__ == "__main__":
    main()
