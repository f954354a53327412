"""Measurements in processes of their own, whose environment is known.

Used as a program it is that process: ``python -m benchmarks.isolated MODULE FUNCTION ARGUMENTS``.
"""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# Under glibc's default malloc PyTorch lands by chance in a slow or a fast mode: it maps its large
# buffers anew, page by page, or reuses them. With these it always reuses them.
FAST_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
}
# These would choose other kernels than those that users get.
PINNED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
RESULT = "result: "


def run(module: str, function: str, fast_malloc: bool = False, **arguments: Any) -> Any:
    """Call a function of this package in a new process; return what it returns, by way of JSON."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in PINNED and name not in FAST_MALLOC
    }
    if fast_malloc:
        environment |= FAST_MALLOC
    done = subprocess.run(
        [sys.executable, "-m", __name__, module, function, json.dumps(arguments)],
        env=environment,
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{module}.{function}({arguments}) failed, see above.")
    return json.loads(done.stdout.rpartition(RESULT)[2])


def main() -> None:
    module, function, arguments = sys.argv[1:]
    found = getattr(import_module(f"{__package__}.{module}"), function)(**json.loads(arguments))
    print(RESULT + json.dumps(found))


if __name__ == "__main__":
    main()
