"""``predict``: labels and probabilities of image files."""

import csv
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from sknpcnn import NumpyCNNClassifier
from sknpcnn._commands.data import CommandError
from sknpcnn._commands.evaluating import load_classifier
from sknpcnn.datasets import load_images

TOGETHER = 256
"""How many images are predicted at once."""
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def predict(options: Namespace) -> int:
    """Write a row for each image; list those that cannot be read at the end."""
    clf = load_classifier(options.model)
    files = list(_files(options.images))
    if not files:
        raise CommandError(f"There are no images in {', '.join(options.images)}.")
    if options.output is None:
        unreadable = _write_all(clf, files, sys.stdout, options.format)
    else:
        with Path(options.output).open("w", newline="", encoding="utf-8") as out:
            unreadable = _write_all(clf, files, out, options.format)
    for message in unreadable:
        print(f"sknpcnn: {message}", file=sys.stderr)
    return 1 if unreadable else 0


def _write_all(clf: NumpyCNNClassifier, files: list[Path], out: TextIO, kind: str) -> list[str]:
    """Write a row for each image; return a message for each that cannot be read."""
    unreadable = []
    write = _writer(out, kind, [str(label) for label in clf.classes_])
    for start in range(0, len(files), TOGETHER):
        read = []
        for file in files[start : start + TOGETHER]:
            try:
                read.append((file, _load(file, clf.image_shape_)))
            except (OSError, ValueError) as error:
                unreadable.append(str(error))
        if read:
            p = clf.predict_proba(np.concatenate([image for _, image in read]))
            for (file, _), row in zip(read, p, strict=True):
                write(str(file), str(clf.classes_[row.argmax()]), row)
    return unreadable


def _files(given: list[str]) -> Iterator[Path]:
    """Iterate over files, and over the images in folders, in the order of their names."""
    for name in given:
        path = Path(name)
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            yield path


def _load(file: Path, image: tuple[int, int, int]) -> np.ndarray:
    h, w, channels = image
    return np.asarray(load_images([file], size=(h, w), color=channels == 3))


def _writer(out: TextIO, kind: str, classes: list[str]) -> Callable[[str, str, np.ndarray], None]:
    """Return a function that writes one prediction, as a row or as a line of JSON."""
    if kind == "json":

        def write(file: str, label: str, p: np.ndarray) -> None:
            probabilities = {c: round(float(v), 6) for c, v in zip(classes, p, strict=True)}
            row = {"file": file, "label": label, "probabilities": probabilities}
            print(json.dumps(row, ensure_ascii=False), file=out, flush=True)

        return write
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["file", "label", *classes])

    def write_row(file: str, label: str, p: np.ndarray) -> None:
        rows.writerow([file, label, *(f"{v:.6f}" for v in p)])

    return write_row
