"""Networks from and for other programs, in the ONNX format (``pip install sknpcnn[onnx]``).

Where skl2onnx is installed, importing this module makes it export our estimators, too.
"""

from importlib.util import find_spec

if find_spec("onnx") is None:
    raise ImportError("sknpcnn.onnx needs the package onnx: pip install sknpcnn[onnx]")

from sknpcnn.onnx.reading.network import Imported, from_onnx
from sknpcnn.onnx.writing.estimators import to_onnx

if find_spec("skl2onnx") is not None:
    from sknpcnn.onnx.converters import register

    register()

__all__ = ["Imported", "from_onnx", "to_onnx"]
