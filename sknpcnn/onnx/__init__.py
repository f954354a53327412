"""Networks from and for other programs, in the ONNX format (``pip install sknpcnn[onnx]``).

Where skl2onnx is installed, importing this module makes it export our estimators, too.
"""

from importlib.util import find_spec

from sknpcnn.onnx.exporting import to_onnx

if find_spec("skl2onnx") is not None:
    from sknpcnn.onnx.converters import register

    register()

__all__ = ["to_onnx"]
