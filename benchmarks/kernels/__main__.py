"""Check and time the fast kernels: ``python -m benchmarks.kernels --help``."""

import argparse

from . import adam, planes, pooling, tape, winograd

KERNELS = {
    module.__name__.rpartition(".")[2]: module for module in (winograd, planes, pooling, adam, tape)
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"default: {', '.join(KERNELS)}")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each; default: 9")
    args = parser.parse_args()
    if unknown := set(args.names) - set(KERNELS):
        parser.error(f"{', '.join(sorted(unknown))}; known are {', '.join(KERNELS)}")
    names = args.names or list(KERNELS)
    for name in names:
        KERNELS[name].check()
    print(table(names, args.rounds))


def table(names: list[str], rounds: int) -> str:
    """Measure, and lay the medians out in Markdown."""
    lines = ["| kernel | case | before (ms) | now (ms) | times as fast |"]
    lines.append("| --- | --- | ---: | ---: | ---: |")
    for name in names:
        for case, before, now in KERNELS[name].measure(rounds):
            numbers = f"{1000 * before:.3f} | {1000 * now:.3f} | {before / now:.2f}"
            lines.append(f"| {name} | {case} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
