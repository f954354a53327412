"""Zip archives of the one form that is written here, read without trusting anything in them.

A zip archive says everything twice, and may say it differently; its members may overlap, so that a
small file unpacks to any size. Here the members lie uncompressed one behind the other, from the
first byte of the file to the table of contents, and both say the same of them. So reading takes
time and memory in proportion to the file.
"""

from collections.abc import Iterator
from io import SEEK_END
from struct import Struct
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

from sknpcnn.brief import brief

# Honest files have about ten.
MAX_MEMBERS = 64
# The longest name, with what else may stand beside it in the table of contents.
MAX_NAME = 1000

_LOCAL = Struct("<4s5H3I2H")
_CENTRAL = Struct("<4s6H3I5H2I")
_END = Struct("<4s4H2IH")
_END_64 = Struct("<4sQ2H2I4Q")
_LOCATOR_64 = Struct("<4sIQI")
_UTF_8 = 0x800  # the only flag: of the encoding of a name
_LARGE = 0xFFFFFFFF  # stands for a number that is written elsewhere, in 64 bits


class _Header(NamedTuple):
    """What an archive says of a member, in two places."""

    name: str
    size: int
    checksum: int


class Member(NamedTuple):
    """One file in the archive: where its bytes lie, and their checksum."""

    start: int
    size: int
    checksum: int


def members(file: BinaryIO) -> dict[str, Member]:
    """Read which members an archive has; raise a ValueError if it is of another form."""
    table, start, count = _table(file)
    found: dict[str, Member] = {}
    end = 0
    for said, offset in _entries(table):
        _demand(offset == end, "its members do not lie one behind the other")
        begin, told = _local(file, offset)
        _demand(told == said, "it says different things of the same member")
        _demand(said.name not in found, f"it holds {brief(said.name)} twice")
        found[said.name] = Member(begin, said.size, said.checksum)
        end = begin + said.size
        _demand(end <= start, f"{brief(said.name)} is longer than the file")
    _demand(end == start and len(found) == count, "its table of contents is incomplete")
    return found


def read_into(file: BinaryIO, member: Member, buffer: Any, offset: int, checksum: int) -> None:
    """Fill a buffer with the end of a member, from ``offset`` on, and check the whole of it.

    ``checksum`` is that of the bytes before ``offset``.
    """
    file.seek(member.start + offset)
    view, filled = memoryview(buffer), 0
    while filled < len(view) and (n := file.readinto(view[filled:])):  # type: ignore[attr-defined]
        filled += n
    _demand(filled == len(view) == member.size - offset, "it has become shorter")
    _demand(crc32(view, checksum) == member.checksum, "its bytes and their checksum disagree")


def head(file: BinaryIO, member: Member, size: int) -> bytes:
    """Read the first bytes of a member, or all of them where there are fewer."""
    return _bytes(file, member.start, min(size, member.size))


def _table(file: BinaryIO) -> tuple[bytes, int, int]:
    """Read the table of contents; return also where it starts, and how many members it has."""
    place = file.seek(0, SEEK_END) - _END.size
    _demand(place >= 0, "it is no archive")
    mark, *disks, n_here, n, length, start, n_comment = _unpack(
        _END, _bytes(file, place, _END.size)
    )
    _demand((mark, *disks, n_comment) == (b"PK\5\6", 0, 0, 0), "it is no archive")
    before = place - _LOCATOR_64.size
    if before >= _END_64.size and _bytes(file, before, 4) == b"PK\6\7":
        place = before - _END_64.size
        locator = _unpack(_LOCATOR_64, _bytes(file, before, _LOCATOR_64.size))
        mark, room, _, _, *disks, n_here, n, large_length, large_start = _unpack(
            _END_64, _bytes(file, place, _END_64.size)
        )
        sound = (mark, room, *disks) == (b"PK\6\6", _END_64.size - 12, 0, 0)
        sound = sound and locator == (b"PK\6\7", 0, place, 1)
        same = (length, start) == (min(large_length, _LARGE), min(large_start, _LARGE))
        _demand(sound and same, "it is no archive")
        length, start = large_length, large_start
    _demand(n_here == n <= MAX_MEMBERS, f"it has {n} members; needed: {MAX_MEMBERS} at most")
    _demand(start + length == place, "its table of contents lies elsewhere")
    _demand(length <= n * (_CENTRAL.size + MAX_NAME), "its table of contents is too long")
    return _bytes(file, start, length), start, n


def _entries(table: bytes) -> Iterator[tuple[_Header, int]]:
    """Read the table of contents: what it says of each member, and where that begins."""
    place = 0
    while place < len(table):
        entry = _unpack(_CENTRAL, table[place : place + _CENTRAL.size])
        mark, _, _, flags, method, _, _, checksum, packed, size, *lengths = entry[:13]
        disk, _, _, offset = entry[13:]
        n_name, n_extra, n_comment = lengths
        _demand(mark == b"PK\1\2" and n_comment == disk == 0, "its table of contents is damaged")
        place += _CENTRAL.size
        name, extra = table[place : place + n_name], table[place + n_name :][:n_extra]
        _demand(len(name) + len(extra) == n_name + n_extra, "its table of contents is damaged")
        place += n_name + n_extra
        size, packed, offset = _large(extra, size, packed, offset)
        yield _header(name, flags, method, checksum, size, packed), offset


def _local(file: BinaryIO, offset: int) -> tuple[int, _Header]:
    """Read what stands before a member; return also where its bytes start."""
    header = _unpack(_LOCAL, _bytes(file, offset, _LOCAL.size))
    mark, _, flags, method, _, _, checksum, packed, size, n_name, n_extra = header
    _demand(mark == b"PK\3\4" and n_name + n_extra <= MAX_NAME, "a member is damaged")
    rest = _bytes(file, offset + _LOCAL.size, n_name + n_extra)
    size, packed = _large(rest[n_name:], size, packed)
    said = _header(rest[:n_name], flags, method, checksum, size, packed)
    return offset + _LOCAL.size + len(rest), said


def _large(extra: bytes, *numbers: int) -> list[int]:
    """Read in the extra field those numbers for which there was no room; it may hold no others."""
    count = sum(number == _LARGE for number in numbers)
    form = Struct(f"<HH{count}Q")
    if not extra and not count:
        return list(numbers)
    kind, length, *values = _unpack(form, extra)
    _demand((kind, length) == (1, 8 * count), "a member has fields that are not used here")
    return [values.pop(0) if number == _LARGE else number for number in numbers]


def _header(raw: bytes, flags: int, method: int, checksum: int, size: int, packed: int) -> _Header:
    name = raw.decode("utf-8" if flags == _UTF_8 else "ascii")
    if method != 0 or packed != size or flags not in (0, _UTF_8):
        raise ValueError(f"{brief(name)} is packed in a way that is not used here")
    return _Header(name, size, checksum)


def _bytes(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    found = b""
    while len(found) < size and (more := file.read(size - len(found))):
        found += more
    _demand(len(found) == size, "it has become shorter")
    return found


def _unpack(form: Struct, raw: bytes) -> tuple[Any, ...]:
    _demand(len(raw) == form.size, "it is cut short")
    return form.unpack(raw)


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
