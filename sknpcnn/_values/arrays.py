"""Conversion of tensors of other libraries to NumPy, so that the rest handles one kind of array.

scikit-learn does this too, but not with ``config_context(array_api_dispatch=True)``.
"""

from typing import Any

import numpy as np


def to_numpy(values: Any, name: str) -> Any:
    """Return a tensor as a NumPy array, without a copy; return anything else unchanged."""
    if isinstance(values, np.ndarray) or not hasattr(values, "__dlpack__"):
        return values
    try:
        if hasattr(values, "__array__"):
            return np.asarray(values)
        return np.from_dlpack(values)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        kind = type(values)
        raise TypeError(
            f"{name} is a {kind.__module__}.{kind.__qualname__} that NumPy cannot read ({error}); "
            "needed: a dense array in CPU memory, of a dtype that NumPy has, detached from any "
            f"gradient{_call(values, name)}."
        ) from error


def _call(tensor: Any, name: str) -> str:
    """Return the calls that make a PyTorch tensor readable by NumPy."""
    calls = {
        ".detach()": getattr(tensor, "requires_grad", False) is True,
        ".to_dense()": getattr(tensor, "is_sparse", False) is True,
        ".cpu()": getattr(getattr(tensor, "device", None), "type", "cpu") != "cpu",
        ".float()": str(getattr(tensor, "dtype", "")).endswith("bfloat16"),
    }
    needed = "".join(call for call, is_needed in calls.items() if is_needed)
    return f": {name}{needed}" if needed else ""
