"""``train``: from data to a saved model."""

import sys
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

import sknpcnn
from sknpcnn import NumpyCNNClassifier, architectures
from sknpcnn._commands.data import CommandError, Data, read_data
from sknpcnn._commands.evaluating import describe
from sknpcnn._commands.options import AUGMENTATIONS, INTERRUPTED
from sknpcnn.callbacks import TimeLimit


def train(options: Namespace) -> int:
    """Train a classifier, save it, and describe how good it is on data that were held out."""
    data = read_data(options.data, options)
    model = Path(options.model)
    if not model.parent.is_dir():
        raise CommandError(f"{model.parent} is no folder; needed: one to write {model.name} to.")
    (X, y), held_out = _split(data, options)
    clf = _classifier(options)
    print(f"{len(y)} images to train on, {len(held_out.y)} to validate", flush=True)
    validation = {"X_val": held_out.X, "y_val": held_out.y} if len(held_out.y) else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf.fit(X, y, **validation)
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    interrupted = any("interrupt" in str(warning.message).lower() for warning in caught)
    if not clf.n_iter_:
        raise CommandError("Training was interrupted before the first epoch had ended.")
    sknpcnn.save(clf, model)
    if len(held_out.y):
        print(f"\n{describe(clf, held_out)}")
    print(f"\nSaved as {model}, after {clf.n_iter_} epochs.")
    if options.plot:
        _draw(clf, held_out, Path(options.plot))
    return INTERRUPTED if interrupted else 0


def _split(data: Data, options: Namespace) -> tuple[Data, Data]:
    """Hold out data to validate: a fraction, or those of another folder or file."""
    X, y = data
    nothing = Data(X[:0], y[:0])
    try:
        fraction = float(options.val)
    except ValueError:
        return data, read_data(options.val, options)
    if fraction == 0:
        return data, nothing
    if not 0 < fraction < 1:
        raise CommandError(f"--val {options.val}; needed: a fraction below 1, or a folder or file.")
    _, counts = np.unique(y, return_counts=True)
    X, X_val, y, y_val = train_test_split(
        X,
        y,
        test_size=fraction,
        random_state=options.seed,
        stratify=y if counts.min() > 1 else None,
    )
    return Data(X, y), Data(X_val, y_val)


def _classifier(options: Namespace) -> NumpyCNNClassifier:
    params: dict[str, Any] = {"random_state": options.seed, "n_jobs": options.jobs, "verbose": 1}
    if sys.stdout.isatty():
        params["verbose"] = 2  # a bar
    if options.architecture is not None:
        params["layers"] = getattr(architectures, options.architecture)()
    if options.epochs is not None:
        params["max_iter"] = options.epochs
    if options.augment:
        params["augment"] = [AUGMENTATIONS[name] for name in options.augment]
    if options.checkpoint is not None:
        params["checkpoint_dir"] = options.checkpoint
    clf = NumpyCNNClassifier(**params)
    return clf if options.time_limit is None else clf.set_callbacks(TimeLimit(options.time_limit))


def _draw(clf: NumpyCNNClassifier, held_out: Data, folder: Path) -> None:
    """Write pictures of the learning curve and of the confusion matrix into a folder."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise CommandError("--plot needs matplotlib: pip install sknpcnn[plot]") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import MaxNLocator
    from sklearn.metrics import ConfusionMatrixDisplay

    folder.mkdir(parents=True, exist_ok=True)
    history = clf.history_
    fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(history.index, history["train_score"], label="training")
    if len(held_out.y):
        ax.plot(history.index, history["validation_score"], label="validation")
    ax.set(xlabel="epoch", ylabel="accuracy", title="Learning curve")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False)
    fig.savefig(folder / "learning_curve.png", dpi=120)
    if len(held_out.y):
        shown = ConfusionMatrixDisplay.from_estimator(
            clf, held_out.X, held_out.y, xticks_rotation="vertical", colorbar=False, cmap="Blues"
        )
        shown.figure_.set_layout_engine("constrained")
        shown.figure_.savefig(folder / "confusion_matrix.png", dpi=120)
    plt.close("all")
    print(f"Pictures are in {folder}.")
