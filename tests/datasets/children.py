"""Runs a loader in a process of its own: to see how much memory it takes, or that it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from sknpcnn import datasets

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

if sys.argv[1] == "load_image_folder":
    import PIL.Image, PIL.BmpImagePlugin, PIL.JpegImagePlugin, PIL.PngImagePlugin
before = peak() if sys.platform == "linux" else 0
try:
    found = getattr(datasets, sys.argv[1])(*sys.argv[2].split("|"), **eval(sys.argv[3]))
    said = f"loaded {found.data.shape}"
except (ValueError, OSError, MemoryError) as error:
    said = f"{type(error).__name__}: {error}"
print((peak() - before) * 1024 if sys.platform == "linux" else 0)
print(said)
"""


def load_in_child(name, *paths, **options):
    """Load a data set; return the result, and the memory that it took, in bytes."""
    command = [sys.executable, "-c", PROGRAM, name, "|".join(map(str, paths)), repr(options)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.fail(f"the process ended with {done.returncode}: {done.stderr[-1000:]}")
    taken, said = done.stdout.split("\n", 1)
    return said.strip(), int(taken)


def measured(name, *paths, **options):
    """Do the same if memory can be measured."""
    if sys.platform != "linux":
        pytest.skip("the peak of a process is read from /proc")
    return load_in_child(name, *paths, **options)
