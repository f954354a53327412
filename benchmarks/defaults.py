"""Which defaults win: ``python -m benchmarks.defaults --data FOLDER --runs FILE``.

Every candidate is trained on the same splits of every set (scikit-learn's
``StratifiedShuffleSplit``), next to five classifiers of scikit-learn on the pixels. Each result is
written down as soon as it is there, and not computed again. The table shows accuracy, log-loss,
calibration error and seconds of one core, and the mean rank over all sets.
"""

import argparse
import json
import warnings
from collections import defaultdict
from math import isqrt
from pathlib import Path
from time import process_time

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.candidates import CANDIDATES
from benchmarks.data_sets import SETS
from sknpcnn import NumpyCNNClassifier

RIVALS = {
    "LogisticRegression": LogisticRegression(max_iter=200),
    "SVC": SVC(),
    "RandomForest": RandomForestClassifier(random_state=0),
    "HistGradientBoosting": HistGradientBoostingClassifier(random_state=0),
    "MLPClassifier": MLPClassifier(random_state=0),
}
BINS = 10


def measure(name: str, set_name: str, X, y, split: int) -> dict[str, float]:
    """Train and test once."""
    chosen = SETS[set_name]
    splitter = StratifiedShuffleSplit(
        chosen.splits, train_size=chosen.train, test_size=chosen.test, random_state=0
    )
    train, test = list(splitter.split(np.zeros(len(y)), y))[split]
    image = X.shape[1:] if X.ndim > 2 else None
    if name in RIVALS:
        X = X.reshape(len(X), -1)
        model = make_pipeline(StandardScaler(), RIVALS[name])
    else:
        shape = None if chosen.table else image or (isqrt(X.shape[1]),) * 2
        params = CANDIDATES[name](shape, chosen.train)
        model = NumpyCNNClassifier(random_state=split, n_jobs=1, **params)
    start = process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X[train], y[train])
    seconds = process_time() - start
    found = {"accuracy": float(model.score(X[test], y[test])), "seconds": seconds}
    if hasattr(model, "predict_proba"):
        p = model.predict_proba(X[test])
        found["log_loss"] = float(log_loss(y[test], p, labels=model.classes_))
        found["calibration_error"] = calibration_error(p, model.classes_, y[test])
    return found


def calibration_error(p, classes, y) -> float:
    """Compute how far confidence and accuracy are apart, in the mean over ten bins."""
    confidence, right = p.max(axis=1), classes[p.argmax(axis=1)] == y
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    apart = [abs(confidence[bins == b].sum() - right[bins == b].sum()) for b in np.unique(bins)]
    return float(sum(apart) / len(y))


def study(
    folder: Path, runs: Path, names: list[str], sets: list[str], splits: int | None = None
) -> None:
    """Measure whatever has not been measured yet, on the first splits or on all of them."""
    done = {(run["model"], run["set"], run["split"]) for run in read(runs)}
    for set_name in sets:
        missing = [
            (name, split)
            for split in range(SETS[set_name].splits)[:splits]
            for name in names
            if (name, set_name, split) not in done
        ]
        if not missing:
            continue
        X, y = SETS[set_name].load(folder)
        for name, split in missing:
            found = measure(name, set_name, X, y, split)
            row = {"model": name, "set": set_name, "split": split, **found}
            with runs.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(
                f"{set_name:15} {split} {name:22} {found['accuracy']:.4f} "
                f"{found['seconds']:7.1f} s",
                flush=True,
            )


def read(runs: Path) -> list[dict]:
    """Read what has been measured."""
    return [json.loads(line) for line in runs.read_text().splitlines()] if runs.exists() else []


def in_common(rows: list[dict], models: list[str]) -> list[dict]:
    """Keep the splits that all of these models have been trained on."""
    have = defaultdict(set)
    for row in rows:
        have[row["set"], row["split"]].add(row["model"])
    return [
        row
        for row in rows
        if row["model"] in models and have[row["set"], row["split"]] >= set(models)
    ]


def ranked(rows: list[dict], column: str, better: int = 1) -> tuple[dict, dict[str, float]]:
    """Compute the means of a column by model and set, and the mean rank over the sets by model.

    Equal ones share their ranks. The best model comes first.
    """
    cells = defaultdict(list)
    for row in rows:
        cells[row["model"], row["set"]].append(row.get(column, np.nan))
    means = {key: float(np.mean(values)) for key, values in cells.items()}
    ranks = defaultdict(list)
    for s in {name for _, name in means}:
        there = {m: value for (m, of), value in means.items() if of == s and np.isfinite(value)}
        for m, value in there.items():
            others = [-better * other for other in there.values()]
            below = sum(other < -better * value for other in others)
            ranks[m].append(1 + below + (others.count(-better * value) - 1) / 2)
    mean_ranks = {m: float(np.mean(found)) for m, found in ranks.items()}
    return means, dict(sorted(mean_ranks.items(), key=lambda item: item[1]))


def table(rows: list[dict], column: str, better: int = 1) -> str:
    """Lay out the means of one column in Markdown: models by sets, the best mean rank first."""
    means, ranks = ranked(rows, column, better)
    sets = [name for name in SETS if any(s == name for _, s in means)]
    lines = [f"| {column} | mean rank | {' | '.join(sets)} |", "| --- " * (len(sets) + 2) + "|"]
    for m, rank in ranks.items():
        numbers = [f"{means[m, s]:.3g}" if (m, s) in means else "" for s in sets]
        if column == "accuracy":
            numbers = [f"{means[m, s]:.3f}" if (m, s) in means else "" for s in sets]
        lines.append(f"| {m} | {rank:.2f} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def times(rows: list[dict]) -> dict[str, float]:
    """Compute by model how many times as long as the base it takes, in the geometric mean."""
    known = {(r["set"], r["split"]): r["seconds"] for r in rows if r["model"] == "base"}
    logs = defaultdict(list)
    for row in rows:
        logs[row["model"]].append(np.log(row["seconds"] / known[row["set"], row["split"]]))
    return {model: float(np.exp(np.mean(found))) for model, found in logs.items()}


def summary(rows: list[dict]) -> str:
    """Lay out mean ranks of accuracy and log-loss, and the time relative to the base."""
    (_, accuracy), (_, loss) = ranked(rows, "accuracy"), ranked(rows, "log_loss", -1)
    lines = ["| | rank of accuracy | rank of log-loss | time |", "| --- | ---: | ---: | ---: |"]
    taken = times(rows)
    lines += [f"| {m} | {accuracy[m]:.1f} | {loss[m]:.1f} | {taken[m]:.2f} |" for m in accuracy]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of MNIST and CIFAR-10")
    parser.add_argument("--runs", type=Path, required=True, help="file that results are added to")
    parser.add_argument("--models", nargs="*", default=[*RIVALS, *CANDIDATES])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--splits", type=int, help="only so many of each set's splits")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("--in-common", action="store_true", help="only splits that all have")
    given = parser.parse_args()
    if not given.table:
        study(given.data, given.runs, given.models, given.sets, given.splits)
    rows = read(given.runs)
    if given.in_common:
        rows = in_common(rows, given.models)
        print(summary(rows), end="\n\n")
    for column, better in (
        ("accuracy", 1),
        ("log_loss", -1),
        ("calibration_error", -1),
        ("seconds", -1),
    ):
        print(table(rows, column, better), end="\n\n")


if __name__ == "__main__":
    main()
