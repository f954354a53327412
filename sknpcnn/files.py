"""Files that are replaced whole or not at all, and files that are opened without trusting a path.

A path may lead anywhere: to a pipe that nobody writes into, to a device, through a link. And
whoever writes may be killed at any moment.
"""

import errno
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISREG, S_ISSOCK
from time import time
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # there is none on Windows, where a file that is open cannot be removed
    fcntl = None  # type: ignore[assignment]

# What is being written is called so, whatever it will be called: a longer name might not be legal.
PREFIX, SUFFIX = ".sknpcnn-", ".tmp"
# So old, in seconds, must be what a killed process has left before it is removed. It is a day since
# another machine that writes into the same folder may have another clock, and locks of its own.
STALE_AFTER = 86400.0

# Opening must not wait for somebody at the other end of a pipe, nor become a program's terminal.
_READ = os.O_RDONLY | sum(getattr(os, n, 0) for n in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
# Python makes room for all bytes that it is asked for: of more than these, only if there are any.
_LARGE = 2**16
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; raise where a path leads to something else."""
    check_regular(path, path.stat())  # before it is opened: that moves some tapes
    descriptor = os.open(path, _READ)
    with _Whole(io.FileIO(descriptor)) as file:
        check_regular(path, os.fstat(descriptor))  # it may have become another one meanwhile
        yield file


class _Whole(io.BufferedReader):
    """A file that makes room for what there is of it, however much its content says there were."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes, or all that are left."""
        if size is not None and size > _LARGE:
            left = os.fstat(self.fileno()).st_size - self.tell()
            size = min(size, max(left, _LARGE))
        return super().read(size)


def check_regular(path: Path, found: os.stat_result) -> None:
    """Raise if what was found at a path is a folder, a pipe, a device or the like."""
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
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside the one at ``path``; at the end have it on the disk, then put it there.

    So at every instant, whatever happens, there is the old file or the new one. The new one keeps
    the permissions and, where that is allowed, the owner of the old one. A link stays a link: what
    it leads to is replaced.
    """
    target = Path(os.path.realpath(path))
    try:
        before: os.stat_result | None = target.stat()
    except FileNotFoundError:
        before = None
    if before is not None and not S_ISREG(before.st_mode):
        kind = errno.EISDIR if target.is_dir() else errno.EINVAL
        raise OSError(kind, f"{os.strerror(kind)}; needed: a regular file, or none", str(path))
    with temporary_name(target) as beside:
        try:
            # nobody may read the new file who could not read the old one, not even for a moment
            mode = 0o666 if before is None else before.st_mode & 0o700
            descriptor = os.open(beside, _CREATE, mode)
            with os.fdopen(descriptor, "wb") as file:
                _lock(descriptor)
                yield file
                file.flush()
                if before is not None:
                    _take_over(descriptor, before)
                os.fsync(descriptor)
            beside.replace(target)  # only now: Windows renames no file that is open
        except OSError as error:
            if error.errno is None or error.filename not in (None, beside, str(beside)):
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error  # a name that is known
    _sync_folder(target.parent)


@contextmanager
def temporary_name(path: Path) -> Iterator[Path]:
    """Make up a name for a file beside another one; in the end there is no file of that name."""
    beside = path.with_name(f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
    try:
        yield beside
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def remove_stale(folder: Path) -> None:
    """Remove what processes have left in a folder that were killed while they wrote, long ago."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                with suppress(OSError):
                    _remove_if_stale(Path(entry.path))


def make_folder(folder: Path) -> None:
    """Make a folder where there is none, and have it on the disk, with all that it lies in."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        _sync_folder(place.parent)


def _is_device(mode: int) -> bool:
    return S_ISCHR(mode) or S_ISBLK(mode)


def _take_over(descriptor: int, before: os.stat_result) -> None:
    """Give a new file the owner and the permissions of the old one, as far as that is allowed."""
    if not hasattr(os, "fchown"):  # Windows has neither
        return
    mode, now = before.st_mode & 0o777, os.fstat(descriptor)
    if now.st_uid != before.st_uid:
        with suppress(OSError):
            os.fchown(descriptor, before.st_uid, -1)
    if now.st_gid != before.st_gid:
        try:
            os.fchown(descriptor, -1, before.st_gid)
        except OSError:  # then what the old group might do the new one need not be allowed to do
            mode = mode & 0o707 | (mode & 0o007) << 3
    with suppress(OSError):  # there are file systems without permissions
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
    """Lock a file as one that somebody writes; return whether nobody else has done so before."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # there are file systems without locks: its age must do
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk too; not every system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
