"""``summary`` and ``export``: what a saved model is, and as a file for other programs."""

from argparse import Namespace
from pathlib import Path

import sknpcnn
from sknpcnn import lite
from sknpcnn._commands.data import CommandError

KINDS = {".onnx": "onnx", ".zip": "lite"}


def summary(options: Namespace) -> int:
    """Print the layers of a saved model, and how it was trained."""
    model = sknpcnn.load(options.model)
    print(model.summary().to_string(index=False))
    h, w, channels = model.image_shape_
    print(f"\n{type(model).__name__} for images of {h}x{w} pixels, {channels} channel(s)")
    if hasattr(model, "classes_"):
        print(f"classes: {', '.join(map(str, model.classes_))}")
    parameters = sum(array.size for array in model.get_weights().values())
    print(f"{parameters:,} parameters, {model.n_iter_} epochs, training loss {model.loss_:.4g}")
    return 0


def export(options: Namespace) -> int:
    """Write a saved model as an ONNX model, or as an archive that predicts with NumPy alone."""
    target = Path(options.output)
    kind = options.to or KINDS.get(target.suffix)
    if kind is None:
        raise CommandError(f"{target} is of an unknown kind; needed: --to onnx or --to lite.")
    if kind == "lite":
        lite.export(options.model, target)
    else:
        from sknpcnn.onnx import to_onnx

        to_onnx(sknpcnn.load(options.model), target, opset=options.opset)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
    return 0
