"""The runs of ``reproduce.py`` as a table and pictures."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
from matplotlib import pyplot as plt

from .recipes import RECIPES

Run = dict[str, Any]
BLUE, ORANGE = "#0072b2", "#d55e00"
LEAST = 0.001  # percent: where the curve of an error of zero is drawn

PAGE = """# Results

The networks of `sknpcnn.architectures` on real data: MNIST (60,000 images to train, 10,000 to
test) and CIFAR-10 (50,000 and 10,000). Every run has a seed of its own, from 0 on; accuracy is
the mean of the runs, and the number after ± their standard deviation. The test data were used
only once, at the end of a run; the recipes (`benchmarks/recipes.py`) were chosen on a part of the
training data, or before any run. A single command makes this page:

```sh
python -m benchmarks.reproduce --mnist FOLDER --cifar10 FOLDER --runs docs/results.json --docs docs
```

Measured on {dates}: {machine}.

{table}

"Theirs" is what the author of the network reported. Threads and minutes are those of each run: the
minutes are epochs times the median time of an epoch, on a machine that was also doing other work,
and seconds per epoch are the mean of the runs. Those of 2026-11-21 are from before the initial
weights were scaled by measurement, and before fits used processes. Also as
[CSV](results.csv).{notes}

## Learning curves

Lines are the error on the training data during each epoch, one per seed; with augmentation it is
higher than on the original images, and an error of zero is drawn at 0.001 %. The
horizontal line is the error on the test data at the end, the mean of the seeds.

{curves}
{more}"""


def write(runs: list[Run], extras: dict[str, Any], docs: Path) -> None:
    """Write ``results.md``, ``results.csv`` and the pictures into the folder of the docs."""
    pictures = docs / "images" / "results"
    pictures.mkdir(parents=True, exist_ok=True)
    chosen = chosen_of(runs)
    rows = table(chosen)
    rows.to_csv(docs / "results.csv", index=False)
    curves = []
    for name, found in chosen.items():
        learning_curve(name, found, pictures / f"{name}.png")
        curves.append(f"![{RECIPES[name].title}](images/results/{name}.png)")
    more = ""
    if "three_stage" in chosen:
        accuracy_curve(chosen["three_stage"], pictures / "three_stage_accuracy.png")
        shown_images(
            extras["images"], chosen["three_stage"][0], pictures / "three_stage_images.png"
        )
        more += (
            "\n## Three-stage network\n\nThe accuracy on the training data during each epoch; "
            "and the first 32 test images: true → predicted label, orange where they differ.\n\n"
            "![accuracy](images/results/three_stage_accuracy.png)\n"
            "![test images](images/results/three_stage_images.png)\n"
        )
    more += (
        "\n## LeNet's convolutions without training\n\nThe author of the LeNet-like network also "
        "used its convolutions untrained, followed by dense layers. Here: "
        "`NumpyCNNFeatures`, then scikit-learn's `StandardScaler` and "
        f"`LogisticRegression(C=0.01)` on all of MNIST: **{100 * extras['hybrid']:.2f} %**.\n"
    )
    loss_and_accuracy(extras["small run"], pictures / "keras_twin_small.png")
    more += (
        "\n## Keras twin, small run\n\n500 images to train and 125 to validate, 10 epochs.\n\n"
        "![loss and accuracy](images/results/keras_twin_small.png)\n"
    )
    page = PAGE.format(
        dates=" and ".join(sorted({run["date"] for found in chosen.values() for run in found})),
        machine=machine(next(iter(chosen.values()))[-1]),
        table=markdown(rows),
        notes="".join(f"\n\n{RECIPES[name].note}" for name in chosen if RECIPES[name].note),
        curves="\n".join(curves),
        more=more,
    )
    (docs / "results.md").write_text(page)


def chosen_of(runs: list[Run]) -> dict[str, list[Run]]:
    """Select the runs to be shown, by network."""
    return {name: final(name, runs) for name in RECIPES if final(name, runs)}


def final(name: str, runs: list[Run]) -> list[Run]:
    """Select a network's runs on the test data, by the recipe that was run last."""
    own = [run for run in runs if run["network"] == name and not run["validated"]]
    return sorted(
        (run for run in own if run["recipe"] == own[-1]["recipe"]), key=lambda run: run["seed"]
    )


def table(chosen: dict[str, list[Run]]) -> pd.DataFrame:
    rows = []
    for name, found in chosen.items():
        recipe, frame = RECIPES[name], pd.DataFrame(found)
        rows.append(
            {
                "network": recipe.title,
                "data": {"mnist": "MNIST", "cifar10": "CIFAR-10"}[recipe.data],
                "parameters": found[0]["parameters"],
                "runs": len(found),
                "theirs": recipe.theirs,
                "goal": recipe.goal,
                "goal minutes": recipe.minutes,
                "accuracy": frame["accuracy"].mean(),
                "deviation": frame["accuracy"].std(),
                "test loss": frame["test_loss"].mean(),
                "epochs": found[0]["epochs"],
                "threads": ", ".join(map(str, frame["threads"])),
                "seconds per epoch": frame["seconds_per_epoch"].mean(),
                "minutes": ", ".join(f"{m:.1f}" for m in minutes(frame)),
            }
        )
    return pd.DataFrame(rows)


def minutes(runs: pd.DataFrame) -> pd.Series:
    return runs["epochs"] * runs["seconds_per_epoch"] / 60


def markdown(rows: pd.DataFrame) -> str:
    heads = ["network", "data", "parameters", "theirs", "goal", "runs", "accuracy"]
    heads += ["test loss", "epochs", "threads", "seconds per epoch", "minutes"]
    words = ("network", "data", "theirs")
    lines = [heads, ["---" if head in words else "---:" for head in heads]]
    for row in rows.to_dict("records"):
        spread = "" if np.isnan(row["deviation"]) else f" ± {100 * row['deviation']:.2f}"
        lines.append(
            [
                row["network"],
                row["data"],
                f"{row['parameters']:,}",
                row["theirs"],
                goal(row),
                str(row["runs"]),
                f"**{100 * row['accuracy']:.2f}**{spread} %",
                f"{row['test loss']:.4f}",
                str(row["epochs"]),
                row["threads"],
                f"{row['seconds per epoch']:.1f}",
                row["minutes"],
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def goal(row: dict[str, Any]) -> str:
    if pd.isna(row["goal"]):
        return ""
    within = "" if pd.isna(row["goal minutes"]) else f" within {row['goal minutes']:.0f} min"
    return f"{100 * row['goal']:.1f} %{within}"


def machine(run: Run) -> str:
    found = run["machine"]
    ours = ("sknpcnn", "numpy", "scikit-learn")
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in ours)
    return f"{found['processor']}, {found['cores']} cores; {found['system']}; {versions}"


def learning_curve(name: str, found: list[Run], file: Path) -> None:
    fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
    for run in found:
        error = np.maximum(100 * np.array(run["train_error"]), LEAST)
        ax.plot(np.arange(1, len(error) + 1), error, color=BLUE, lw=1.2, alpha=0.8)
    test = 100 * (1 - np.mean([run["accuracy"] for run in found]))
    ax.axhline(test, color=ORANGE, lw=1.2)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
    ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    ax.set(title=RECIPES[name].title, xlabel="epoch", ylabel="error, %")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.plot([], [], color=BLUE, label="training data")
    ax.plot([], [], color=ORANGE, label=f"test data at the end: {test:.2f} %")
    fig.legend(loc="outside lower center", ncols=2, frameon=False)
    _save(fig, file)


def accuracy_curve(found: list[Run], file: Path) -> None:
    fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
    for run in found:
        accuracy = 100 * (1 - np.array(run["train_error"]))
        ax.plot(np.arange(1, len(accuracy) + 1), accuracy, color=BLUE, lw=1.2, alpha=0.8)
    test = 100 * np.mean([run["accuracy"] for run in found])
    ax.axhline(test, color=ORANGE, lw=1.2, label=f"test data at the end: {test:.2f} %")
    ax.plot([], [], color=BLUE, label="training data")
    ax.set(title=RECIPES[found[0]["network"]].title, xlabel="epoch", ylabel="accuracy, %")
    ax.legend(frameon=False)
    _save(fig, file)


def shown_images(images: np.ndarray, run: Run, file: Path) -> None:
    fig, axes = plt.subplots(4, 8, figsize=(7, 4.2), layout="constrained")
    for ax, image, true, predicted in zip(
        axes.flat, images, run["true"], run["predicted"], strict=True
    ):
        ax.imshow(image, cmap="gray_r")
        right = true == predicted
        ax.set_title(f"{true} → {predicted}", fontsize=9, color="black" if right else ORANGE, pad=2)
        ax.axis("off")
    _save(fig, file)


def loss_and_accuracy(history: dict[str, list[float]], file: Path) -> None:
    fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
    for ax, kind, label in zip(axes, ("loss", "score"), ("loss", "accuracy"), strict=True):
        epochs = np.arange(1, len(history[f"train_{kind}"]) + 1)
        ax.plot(epochs, history[f"train_{kind}"], color=BLUE, label="500 training images")
        ax.plot(epochs, history[f"validation_{kind}"], color=ORANGE, label="125 validation images")
        ax.set(xlabel="epoch", ylabel=label)
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend(frameon=False)
    _save(fig, file)


def _save(fig: Any, file: Path) -> None:
    fig.savefig(file, dpi=100, pil_kwargs={"optimize": True})
    plt.close(fig)
