"""The results as Markdown."""

from collections.abc import Callable, Iterable
from functools import partial
from math import exp, log
from typing import Any

Row = dict[str, Any]
# Networks that count in the means; the small one shows overhead only.
IN_MEANS = "ABCDEFGRP"


def markdown(results: Row) -> str:
    """Write all tables that there are results for."""
    sections: list[tuple[str, str, Callable[[Row], str]]] = [
        ("torch", "Training step, images/s", partial(speed_table, what="training")),
        ("torch", "predict_proba, images/s", partial(speed_table, what="prediction")),
        ("torch", "Peak memory beyond the data, MB", memory_table),
        ("batches", "Training step of network C by batch size, images/s", batches_table),
        ("onnxruntime", "predict_proba next to onnxruntime, images/s", onnxruntime_table),
        ("mlp", "Epochs of a dense network next to MLPClassifier, samples/s", mlp_table),
        ("single", "predict_proba of one image, ms", single_table),
    ]
    text = [machine(results)]
    for part, title, write in sections:
        body = write(results) if results[part] else ""
        if body:
            text.append(f"### {title}\n\n{body}")
    return "\n".join(text)


def machine(results: Row) -> str:
    found, after = results["machine"], results["machine_after"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    loads = (", ".join(f"{x:.2f}" for x in m["load_average"]) for m in (found, after))
    lines = [
        f"{found['processor']}, {found['cores']} cores; {found['system']}",
        f"{versions}; checksum of our source {found['source']}",
        f"BLAS of NumPy: {'; '.join(found['blas'])}",
        f"load average {' before, '.join(loads)} after",
        f"mini-batches of {results['batch']}, {results['predicted']:,} images predicted, medians "
        f"of {results['alternations']} turns each",
    ]
    if after["source"] != found["source"]:
        lines.append("**The source has changed meanwhile: the rows are not of one version.**")
    return "".join(f"* {line}\n" for line in lines)


def speed_table(results: Row, what: str) -> str:
    rows = [
        [
            *_key(row),
            _number(row[what]["ours"]),
            _default_malloc(row, what),
            _number(row[what]["theirs"]),
            row[what]["their_way"],
            f"**{row[what]['ratio']:.2f}**",
        ]
        for row in results["torch"]
    ]
    heads = ["network", "threads", "ours", "ours, default malloc"]
    table = _table([*heads, "PyTorch", "its fastest way", "ratio"], rows)
    return table + _means(results["torch"], what) + _scaling(results["torch"], what)


def memory_table(results: Row) -> str:
    names = ["our_fit", "our_fit_together", "torch_fit", "our_prediction", "torch_prediction"]
    rows = [
        [*_key(row), *(_number(row["memory"].get(name)) for name in names)]
        for row in results["torch"]
        if "memory" in row
    ]
    heads = [
        "network",
        "threads",
        "fit",
        "fit by processes",
        "PyTorch's",
        "predict_proba",
        "PyTorch's",
    ]
    return _table(heads, rows) if rows else ""


def batches_table(results: Row) -> str:
    rows = [
        [
            str(row["batch"]),
            str(row["threads"]),
            _number(row["training"]["ours"]),
            _default_malloc(row, "training"),
            _number(row["training"]["theirs"]),
            row["training"]["their_way"],
            f"**{row['training']['ratio']:.2f}**",
        ]
        for row in results["batches"]
    ]
    heads = ["batch", "threads", "ours", "ours, default malloc"]
    return _table([*heads, "PyTorch", "its fastest way", "ratio"], rows)


def onnxruntime_table(results: Row) -> str:
    measured = [row for row in results["onnxruntime"] if "skipped" not in row]
    if not measured:
        return results["onnxruntime"][0]["skipped"] + "\n"
    rows = [
        [
            *_key(row),
            _number(row["ours"]),
            _number(row["theirs"]),
            row["their_way"],
            f"**{row['ratio']:.2f}**",
        ]
        for row in measured
    ]
    heads = ["network", "threads", "ours", "onnxruntime", "its fastest way", "ratio"]
    return _table(heads, rows) + _means([{"whole": row, **row} for row in measured], "whole")


def mlp_table(results: Row) -> str:
    rows = [
        [
            row["dtype"],
            str(row["threads"]),
            _number(row["ours"]),
            _number(row["theirs"]),
            f"**{row['ratio']:.2f}**",
        ]
        for row in results["mlp"]
    ]
    return _table(["precision", "threads", "ours", "MLPClassifier", "ratio"], rows)


def single_table(results: Row) -> str:
    rows = [
        [row["network"], *(f"{1000 * row[key]:.3f}" for key in ("ours", "products", "overhead"))]
        for row in results["single"]
    ]
    return _table(["network", "one image", "its matrix products alone", "overhead"], rows)


def _means(rows: Iterable[Row], part: str) -> str:
    """Write the geometric mean of the ratios, for each number of threads."""
    ratios: dict[int, list[float]] = {}
    for row in rows:
        if row["network"] in IN_MEANS:
            ratios.setdefault(row["threads"], []).append(row[part]["ratio"])
    found = [
        f"{exp(sum(map(log, values)) / len(values)):.2f} on {_threads(threads)}"
        for threads, values in ratios.items()
    ]
    return f"\nGeometric mean of the ratios: {', '.join(found)}.\n" if found else ""


def _scaling(rows: Iterable[Row], part: str) -> str:
    """Write how much faster ours is on two threads than on one."""
    speeds = {(row["network"], row["threads"]): row[part]["ours"] for row in rows}
    found = [
        f"{name} {speeds[name, 2] / speeds[name, 1]:.2f}"
        for name, threads in speeds
        if threads == 1 and (name, 2) in speeds
    ]
    return f"\nOurs on 2 threads against 1: {', '.join(found)}.\n" if found else ""


def _key(row: Row) -> list[str]:
    return [row["network"], str(row["threads"])]


def _default_malloc(row: Row, part: str) -> str:
    return _number(row.get("default_malloc", {}).get(part))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
