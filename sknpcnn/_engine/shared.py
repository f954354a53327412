"""Blocks of memory that several processes map.

A block is a file in memory (``/dev/shm``) if there is room, otherwise in the temporary directory.
It loses its name as soon as all processes have mapped it, so that nothing is left when they end, in
whatever way.
"""

import os
import tempfile
from contextlib import suppress
from itertools import count
from mmap import ACCESS_WRITE, mmap
from pathlib import Path
from secrets import token_hex
from time import sleep
from typing import Any

import numpy as np

from sknpcnn._kernels.memory import Memory

Array = np.ndarray

IN_MEMORY = Path("/dev/shm")
MAX_SPARE_BYTES = 2**26
"""How much memory a team leaves for the next one: new memory takes ten times as long to fill."""
MAX_EXCESS = 2
"""How many times as large as needed a block may be that is used again."""
RETRY_INTERVAL = 1e-4
"""Seconds after which a process looks again for a block that the leader has not created yet."""


def new_prefixes() -> list[Path]:
    """Return where the files of a new team may be: the start of their paths, the best first."""
    name = f"sknpcnn-{os.getpid()}-{token_hex(8)}-"
    places = [IN_MEMORY] if IN_MEMORY.is_dir() else []
    return [place / name for place in (*places, Path(tempfile.gettempdir()))]


class Blocks:
    """The blocks of a team, in one of its processes. The leader creates them, the others open them.

    Every process asks for the same blocks in the same order, so that a block's number is its name.
    """

    def __init__(self, prefixes: list[Path], leads: bool) -> None:
        self.prefixes = prefixes
        self._leads = leads
        self._numbers = count()
        self._named: list[Path] = []
        """The files that still have a name."""
        self.spare: list[Memory] = []
        """Blocks that an earlier team of the same processes has left; they hold anything."""
        self._lent: list[Memory] = []

    def allocate(self, size: int, owner: Any = None) -> Memory:
        """Return the next block of ``size`` bytes, which start as zero."""
        name = str(next(self._numbers))
        size = max(size, 1)
        if os.name == "nt":
            tag: dict[str, Any] = {"tagname": self.prefixes[0].name + name}
            mapped = mmap(-1, size, **tag)
        elif self._leads:
            mapped = self._create(name, size)
        else:
            mapped = self._open(name, size)
        block = Memory((size,), np.uint8, buffer=mapped)
        block.owner = owner
        return block

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an array in a block of its own, until the team ends; it may hold anything."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        fitting = [block for block in self.spare if size <= block.size <= MAX_EXCESS * size]
        if fitting:
            block = min(fitting, key=lambda block: block.size)
            self.spare = [other for other in self.spare if other is not block]
        else:
            block = self.allocate(size)
        self._lent.append(block)
        array: Array = block[:size].view(np.ndarray).view(dtype).reshape(shape)
        return array

    def leave(self) -> list[Memory]:
        """Return the blocks for the next team of the same processes, the largest that fit."""
        left, total = [], 0
        for block in sorted(self._lent + self.spare, key=lambda block: -block.size):
            if total + block.size <= MAX_SPARE_BYTES:
                left.append(block)
                total += block.size
        return left

    def drop_names(self) -> None:
        """Remove the names of all blocks; every process must have mapped them."""
        while self._named:
            with suppress(OSError):
                self._named.pop().unlink()

    def _create(self, name: str, size: int) -> mmap:
        """Create a block where there is room for it; the others see it when it is complete."""
        for prefix in self.prefixes:
            path = _at(prefix, name)
            unfinished = _at(prefix, name + ".new")
            try:
                with _opened(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
                    self._named.append(unfinished)
                    reserve(file.fileno(), size)
                    mapped = mmap(file.fileno(), size, access=ACCESS_WRITE)
                self._named.append(path)
                unfinished.rename(path)
                return mapped
            except OSError as error:
                failure = error
                with suppress(OSError):
                    unfinished.unlink()
        raise MemoryError(
            f"There is no room for {size:,} bytes of memory that worker processes share, neither "
            f"in {' nor in '.join(str(p.parent) for p in self.prefixes)} ({failure}); needed: more "
            "room there, TMPDIR set to a directory that has it, or n_jobs=1."
        )

    def _open(self, name: str, size: int) -> mmap:
        while True:
            for prefix in self.prefixes:
                with suppress(FileNotFoundError), _opened(_at(prefix, name), os.O_RDWR) as file:
                    return mmap(file.fileno(), size, access=ACCESS_WRITE)
            sleep(RETRY_INTERVAL)


def remove_blocks(prefixes: list[Path]) -> None:
    """Remove all files of a team whose leader has died."""
    for prefix in prefixes:
        for found in prefix.parent.glob(prefix.name + "*"):
            with suppress(OSError):
                found.unlink()


def _at(prefix: Path, name: str) -> Path:
    return prefix.with_name(prefix.name + name)


def _opened(path: Path, flags: int) -> Any:
    return open(path, "r+b", buffering=0, opener=lambda name, _: os.open(name, flags, 0o600))


def reserve(file: int, size: int) -> None:
    """Make the file that long; raise OSError now rather than end the process later (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.ftruncate(file, size)
