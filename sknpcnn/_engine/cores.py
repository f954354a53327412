"""The cores of the machine, and how many of them are in use by whom in this process."""

import os
from threading import get_ident
from typing import Any


def count_cores() -> int:
    """Count the cores that this process may use."""
    try:
        from joblib import cpu_count
    except ModuleNotFoundError:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    cores: int = cpu_count()
    return cores


class Claims:
    """How many cores each fit and prediction uses, so that those of other threads get the rest."""

    def __init__(self) -> None:
        self._claims: dict[Any, tuple[int, int, int]] = {}

    def claim(self, key: Any, n_cores: int) -> None:
        """Claim cores for what the current thread does."""
        self._claims[key] = n_cores, get_ident(), os.getpid()

    def release(self, key: Any) -> None:
        """Give the cores back, if that key has any."""
        self._claims.pop(key, None)

    def taken(self) -> int:
        """Return how many cores other threads of this process use."""
        here, process = get_ident(), os.getpid()
        claims = list(self._claims.values())
        return sum(n for n, thread, of in claims if thread != here and of == process)


claims = Claims()
