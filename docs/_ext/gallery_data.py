"""What the gallery has to know of the examples: which come first, and where their data are.

Examples take a folder on the command line, and without one draw small data of their own. The
gallery names the folder if ``SKNPCNN_DATA`` says where it is.
"""

import os
from pathlib import Path
from typing import Any

FIRST = ["quickstart.py", "plot_digits.py", "own_photos.py", "plot_mnist.py", "plot_cifar10.py"]
"""Examples at the head of the gallery; the others follow by name."""
FOLDERS = {
    "plot_mnist.py": "mnist",
    "plot_filters.py": "mnist",
    "plot_cifar10.py": "cifar-10-batches-py",
    "plot_transfer.py": "cifar-10-batches-py",
}


def folder_of(script: str) -> list[str]:
    """Return the arguments for an example: the folder of its data, or nothing."""
    data, name = os.environ.get("SKNPCNN_DATA"), FOLDERS.get(Path(script).name)
    if not data or name is None or not (Path(data) / name).is_dir():
        return []
    return [str((Path(data) / name).resolve())]


def arguments(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """Return what sphinx-gallery is to run an example with."""
    return folder_of(script_vars["src_file"])


def prepare_for_the_browser(notebook: dict[str, Any], filename: str) -> None:
    """Let a notebook install the package first, from the wheel that JupyterLite is given."""
    install = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    notebook["cells"].insert(0, {**install, "source": ["%pip install sknpcnn\n"]})


class Order:
    """The order of the examples, as sphinx-gallery asks for it."""

    def __init__(self, folder: str) -> None:
        pass

    def __call__(self, script: str) -> tuple[int, str]:
        """Return the key by which an example is sorted."""
        return (FIRST.index(script) if script in FIRST else len(FIRST), script)
