"""Atomic replacement of files, and safe opening of paths from untrusted sources.

A path may lead to a pipe without a writer, to a device, or through a link; and a process that
writes may be killed at any moment.
"""

import errno
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISREG, S_ISSOCK
from time import time
from typing import BinaryIO

# Temporary names do not contain the final one: a longer name might not be legal.
PREFIX, SUFFIX = ".sknpcnn-", ".tmp"
# Age in seconds from which files of killed processes are removed. It is a day, as another machine
# that writes into the same folder may have another clock and does not share locks.
STALE_AFTER = 86400.0

# Opening must not wait for the other end of a pipe, nor set the controlling terminal.
_READ = os.O_RDONLY | sum(getattr(os, n, 0) for n in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
# Python allocates the bytes of a read in advance: above this many, only as many as there are.
_LARGE = 2**16
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file for reading; raise if the path leads to anything else."""
    check_regular(path, path.stat())  # before opening, which rewinds some tape drives
    descriptor = os.open(path, _READ)
    with _BoundedReader(io.FileIO(descriptor)) as file:
        check_regular(path, os.fstat(descriptor))  # the path may have changed in between
        yield file


class _BoundedReader(io.BufferedReader):
    """A reader that never allocates more than the rest of the file for one read."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes, or all that are left."""
        if size is not None and size > _LARGE:
            left = os.fstat(self.fileno()).st_size - self.tell()
            size = min(size, max(left, _LARGE))
        return super().read(size)


def check_regular(path: Path, found: os.stat_result) -> None:
    """Raise if a path is not a regular file but a folder, a pipe, a device or the like."""
    mode = found.st_mode
    if S_ISREG(mode):
        return
    if S_ISDIR(mode):
        kind = f"{os.strerror(errno.EISDIR)}; needed: a regular file"
        raise IsADirectoryError(errno.EISDIR, kind, str(path))
    kinds = {"a named pipe": S_ISFIFO, "a socket": S_ISSOCK, "a device": _is_device}
    kind = next((kind for kind, is_such in kinds.items() if is_such(mode)), "something else")
    raise ValueError(f"{path}: is {kind}; needed: a regular file.")


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file; at the end sync it to disk, then rename it to ``path``.

    So at every instant there is either the old file or the new one. The new one gets the
    permissions and, where that is allowed, the owner of the old one. A link stays a link: its
    target is replaced.
    """
    target = Path(os.path.realpath(path))
    try:
        before: os.stat_result | None = target.stat()
    except FileNotFoundError:
        before = None
    if before is not None and not S_ISREG(before.st_mode):
        kind = errno.EISDIR if target.is_dir() else errno.EINVAL
        raise OSError(kind, f"{os.strerror(kind)}; needed: a regular file, or none", str(path))
    with temporary_name(target) as temporary:
        try:
            # users who could not read the old file must never be able to read the new one
            mode = 0o666 if before is None else before.st_mode & 0o700
            descriptor = os.open(temporary, _CREATE, mode)
            with os.fdopen(descriptor, "wb") as file:
                _lock(descriptor)
                yield file
                file.flush()
                if before is not None:
                    _copy_ownership(descriptor, before)
                os.fsync(descriptor)
            temporary.replace(target)  # only now: Windows cannot rename an open file
        except OSError as error:
            if error.errno is None or error.filename not in (None, temporary, str(temporary)):
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error  # with the user's path
    _sync_folder(target.parent)


@contextmanager
def temporary_name(path: Path) -> Iterator[Path]:
    """Create a name for a temporary file in the same folder; remove that file at the end."""
    temporary = path.with_name(f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
    try:
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_stale(folder: Path) -> None:
    """Remove old temporary files, which killed processes have left in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                with suppress(OSError):
                    _remove_if_stale(Path(entry.path))


def make_folder(folder: Path) -> None:
    """Create a folder with its missing parents, and sync them to disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _sync_folder(path.parent)


def _is_device(mode: int) -> bool:
    return S_ISCHR(mode) or S_ISBLK(mode)


def _copy_ownership(descriptor: int, before: os.stat_result) -> None:
    """Give a new file the owner and permissions of the old one, as far as allowed."""
    if not hasattr(os, "fchown"):  # Windows has neither
        return
    mode, now = before.st_mode & 0o777, os.fstat(descriptor)
    if now.st_uid != before.st_uid:
        with suppress(OSError):
            os.fchown(descriptor, before.st_uid, -1)
    if now.st_gid != before.st_gid:
        try:
            os.fchown(descriptor, -1, before.st_gid)
        except OSError:  # the group differs, and gets only the permissions of others
            mode = mode & 0o707 | (mode & 0o007) << 3
    with suppress(OSError):  # some file systems have no permissions
        os.fchmod(descriptor, mode)


def _remove_if_stale(rest: Path) -> None:
    if time() - rest.lstat().st_mtime <= STALE_AFTER:
        return
    descriptor = os.open(rest, _READ | getattr(os, "O_NOFOLLOW", 0))
    try:
        if S_ISREG(os.fstat(descriptor).st_mode) and _lock(descriptor):
            rest.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file for writing; return whether no other process holds the lock."""
    try:
        import fcntl
    except ImportError:  # Windows has none, but does not remove open files
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some file systems have no locks: the age decides
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Sync a folder to disk, where the system supports it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
