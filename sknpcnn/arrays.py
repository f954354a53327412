"""Arrays of other libraries become NumPy's where they come in: everything behind has one kind.

scikit-learn would do so, too, but not with ``config_context(array_api_dispatch=True)``.
"""

from typing import Any

import numpy as np


def in_numpy(values: Any, name: str) -> Any:
    """Return a tensor or the like as an array of NumPy, without a copy; leave all else as it is."""
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
            "needed: a dense array in the memory of the CPU, of a dtype that NumPy has, detached "
            f"from any gradient{_call(values, name)}."
        ) from error


def _call(tensor: Any, name: str) -> str:
    """Return what to call on a tensor of PyTorch, so that NumPy can read it."""
    calls = {
        ".detach()": getattr(tensor, "requires_grad", False) is True,
        ".to_dense()": getattr(tensor, "is_sparse", False) is True,
        ".cpu()": getattr(getattr(tensor, "device", None), "type", "cpu") != "cpu",
        ".float()": str(getattr(tensor, "dtype", "")).endswith("bfloat16"),
    }
    needed = "".join(call for call, is_needed in calls.items() if is_needed)
    return f": {name}{needed}" if needed else ""
