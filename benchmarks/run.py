"""Measure everything and print a table: ``python -m benchmarks.run --help``."""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

from . import isolated, networks
from .report import markdown

ALL = "ABCDEFGRPS"
PARTS = ("torch", "batches", "onnxruntime", "mlp", "single")
BATCH, BATCHES, BATCHES_OF = 128, (1, 8, 32, 128, 512), "C"
STARTED = perf_counter()
DTYPES = ("float64", "float32")


def main() -> None:
    """Read the arguments, measure, and write the results."""
    args = arguments()
    if find_spec("torch") is None and {"torch", "batches"} & set(args.parts):
        sys.exit("PyTorch is not installed. Install it, or leave it out: --parts onnxruntime mlp")
    results = measure(args)
    table = markdown(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(table)
    print(table)


def arguments() -> argparse.Namespace:
    """Read the command line; ``--quick`` changes what is not given otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--networks", help=f"default: {ALL}")
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 2")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="default: all")
    parser.add_argument("--alternations", type=int, help="default: 9")
    parser.add_argument("--predicted", type=int, help="images to predict; default: 10000")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="skip the peaks")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few turns of C and D on one thread; no memory, nor ours without PyTorch next to it",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to it")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to it")
    args = parser.parse_args()
    quick: dict[str, Any] = {"networks": "CD", "threads": [1], "alternations": 3}
    quick |= {"parts": [part for part in PARTS if part != "batches"], "predicted": 2048}
    usual: dict[str, Any] = {"networks": ALL, "threads": [1, 2], "alternations": 9}
    usual |= {"parts": list(PARTS), "predicted": 10_000}
    for name, value in (quick if args.quick else usual).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if unknown := set(args.networks) - set(networks.NETWORKS):
        known = "".join(networks.NETWORKS)
        parser.error(f"--networks: {', '.join(sorted(unknown))}; known are {known}")
    return args


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run all measurements that are asked for, each in a process of its own."""
    rounds = args.alternations
    results: dict[str, Any] = {
        "machine": isolated.run("machine", "describe"),
        "batch": BATCH,
        "alternations": rounds,
        "predicted": args.predicted,
    }
    results |= {part: [] for part in PARTS}
    for threads in args.threads:
        for name in args.networks:
            key = {"network": name, "threads": threads}
            if "torch" in args.parts:
                progress(f"{name}, {threads} thread(s): PyTorch")
                results["torch"].append(key | against_torch(args, name, threads))
            if "onnxruntime" in args.parts:
                progress(f"{name}, {threads} thread(s): onnxruntime")
                size = {"name": name, "threads": threads, "rounds": rounds, "n": args.predicted}
                found = isolated.run("against_onnxruntime", "measure", **size)
                results["onnxruntime"].append(key | found)
        if "batches" in args.parts:
            for batch in BATCHES:
                progress(f"{BATCHES_OF}, {threads} thread(s): batches of {batch}")
                found = against_torch(args, BATCHES_OF, threads, batch, only_training=True)
                results["batches"].append({"batch": batch, "threads": threads} | found)
        if "mlp" in args.parts:
            for dtype in DTYPES:
                progress(f"{threads} thread(s): MLPClassifier in {dtype}")
                size = {"dtype": dtype, "threads": threads, "rounds": rounds}
                found = isolated.run("against_mlp", "measure", **size)
                results["mlp"].append({"dtype": dtype, "threads": threads} | found)
    if "single" in args.parts:
        for name in args.networks:
            progress(f"{name}: one image")
            found = isolated.run("single_image", "measure", name=name, rounds=rounds)
            results["single"].append({"network": name} | found)
    results["machine_after"] = isolated.run("machine", "describe")
    return results


def against_torch(
    args: argparse.Namespace,
    name: str,
    threads: int,
    batch: int = BATCH,
    only_training: bool = False,
) -> dict[str, Any]:
    """Time a network next to PyTorch in its fast mode, then ours alone in the usual one."""
    size = {"name": name, "threads": threads, "batch": batch, "rounds": args.alternations}
    size["n_predicted"] = 0 if only_training else args.predicted
    found = isolated.run("against_torch", "measure", fast_malloc=True, **size)
    if args.quick:
        return found
    found["default_malloc"] = isolated.run("ours", "alone", **size)
    if args.memory and not only_training:
        found["memory"] = memory(name, threads, found)
    return found


def memory(name: str, threads: int, found: dict[str, Any]) -> dict[str, float]:
    """Measure the peaks of both, PyTorch's in the way that was its fastest."""
    size = {"name": name, "threads": threads}
    layout = found["training"]["their_way"]
    peaks = {
        "our_fit": isolated.run("memory", "our_fit", batch=BATCH, **size),
        "torch_fit": isolated.run("memory", "torch_fit", batch=BATCH, layout=layout, **size),
    }
    if threads > 1:
        together = {"name": name, "processes": threads, "batch": BATCH}
        peaks["our_fit_together"] = isolated.run("memory", "our_fit_together", **together)
    layout, at_once = found["prediction"]["their_way"].split(", ")
    way = {"layout": layout, "size": int(at_once.split()[0])}
    peaks["our_prediction"] = isolated.run("memory", "our_prediction", **size)
    peaks["torch_prediction"] = isolated.run("memory", "torch_prediction", **size, **way)
    return peaks


def progress(what: str) -> None:
    """Tell on standard error what is being measured."""
    print(f"[{perf_counter() - STARTED:.0f} s] {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
