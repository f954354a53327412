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
            "from any gradient."
        ) from error
