"""The command line: ``python -m sknpcnn --help``."""

import sys
import warnings
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from importlib import import_module
from typing import Any

from sknpcnn import architectures
from sknpcnn._commands.options import (
    AUGMENTATIONS,
    FAILED,
    INTERRUPTED,
    count,
    duration,
    image_size,
)
from sknpcnn.version import __version__

EXAMPLES = """
examples:
  sknpcnn train photos/ model.npz --size 64 --augment flip crop
  sknpcnn predict model.npz new/ > predictions.csv
  sknpcnn evaluate model.npz test/
  sknpcnn export model.npz model.onnx
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit status: 0, 1 for an error, 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    module, name = options.command.split(":")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show
            status: int = getattr(import_module(f"sknpcnn._commands.{module}"), name)(options)
    except BrokenPipeError:  # whoever reads the output has had enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("sknpcnn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if options.debug:
            raise
        print(f"sknpcnn: error: {error}", file=sys.stderr)
        return FAILED
    return status


def _show(message: Any, *where: Any, **more: Any) -> None:
    """Print a warning in a line."""
    print(f"sknpcnn: warning: {message}", file=sys.stderr)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "sknpcnn",
        description="Convolutional networks for images: train, evaluate, predict, export.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sknpcnn {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, function: str, text: str) -> ArgumentParser:
        found = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        found.set_defaults(command=function, size=None, color=True, label=None)
        return found

    data = "a folder with a folder of images for each class, an .npz with X and y, or a .csv"
    train = command("train", "training:train", "train a classifier on labeled images")
    train.add_argument("data", help=data)
    train.add_argument("model", help="the file to write, .npz")
    train.add_argument("--size", type=image_size, help="resize images: 64, or 48x64")
    train.add_argument("--gray", dest="color", action="store_false", help="without colors")
    train.add_argument("--label", help="the column of a .csv that holds the labels")
    train.add_argument("--architecture", choices=architectures.__all__, help="a known network")
    train.add_argument("--epochs", type=count, help="default: by the number of images")
    train.add_argument(
        "--augment",
        nargs="+",
        choices=AUGMENTATIONS,
        metavar="HOW",
        default=[],
        help=f"change images at random: {', '.join(AUGMENTATIONS)}",
    )
    train.add_argument("--time-limit", type=duration, help="such as 90s, 20m or 1.5h")
    train.add_argument("--val", default="0.2", help="a fraction to hold out, or other data")
    train.add_argument("--seed", type=int, default=0, help="default: 0")
    train.add_argument("--jobs", type=int, help="how many cores to use; -1 for all")
    train.add_argument("--checkpoint", metavar="FOLDER", help="resume there what was killed")
    train.add_argument("--plot", metavar="FOLDER", help="draw learning curve and confusion matrix")

    evaluate = command("evaluate", "evaluating:evaluate", "test a model on labeled images")
    evaluate.add_argument("model", help="a file that train has written")
    evaluate.add_argument("data", help=data)
    evaluate.add_argument("--label", help="the column of a .csv that holds the labels")

    predict = command("predict", "predicting:predict", "label images, with probabilities")
    predict.add_argument("model", help="a file that train has written")
    predict.add_argument("images", nargs="+", help="files, or folders of them")
    predict.add_argument("--format", choices=("csv", "json"), default="csv")
    predict.add_argument("--output", metavar="FILE", help="default: the standard output")

    summary = command("summary", "converting:summary", "describe a model")
    summary.add_argument("model", help="a file that train has written")

    export = command("export", "converting:export", "write a model for other programs")
    export.add_argument("model", help="a file that train has written")
    export.add_argument("output", help="the file to write: .onnx, or .zip for NumPy alone")
    export.add_argument("--to", choices=("onnx", "lite"), help="default: by the name of the file")
    export.add_argument("--opset", type=int, default=18, help="of the ONNX model; default: 18")
    return parser


if __name__ == "__main__":
    sys.exit(main())
