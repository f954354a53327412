"""The machine and the libraries that the numbers come from."""

import os
import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zlib import crc32

PACKAGES = ("sknpcnn", "numpy", "scikit-learn", "torch", "onnxruntime")


def describe() -> dict[str, Any]:
    """Describe the machine as it is now; to be called in the environment of a measurement."""
    from threadpoolctl import threadpool_info

    import_module("numpy")  # loads its BLAS
    libraries = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    blas = {
        f"{lib['internal_api']} {lib['version']}, kernels for {lib.get('architecture', '?')}"
        for lib in libraries
    }
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "blas": sorted(blas),
        "source": source(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def source() -> str:
    """Return a checksum of the package's source, which tells apart what has no version number."""
    folder = Path(find_spec("sknpcnn").origin).parent
    files = sorted(folder.rglob("*.py"))
    return f"{crc32(b''.join(file.read_bytes() for file in files)):08x}"


def processor() -> str:
    """Name the processor; where the name says little, also its family and model."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = [line.split(":", 1) for line in info.read_text().splitlines() if ":" in line]
    fields = {key.strip(): value.strip() for key, value in reversed(lines)}
    name = fields.get("model name", platform.machine())
    if "cpu family" not in fields:
        return name
    return f"{name} (family {fields['cpu family']}, model {fields.get('model', '?')})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
