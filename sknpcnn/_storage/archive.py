"""A strict reader for the one form of zip archive that is written here; it trusts no content.

A zip archive describes each member twice, possibly in contradiction; its members may overlap, so
that a small file unpacks to any size. Here members must be uncompressed and contiguous, from the
first byte of the file to the table of contents, and both descriptions must agree. So reading takes
time and memory in proportion to the file.
"""

from collections.abc import Iterator
from io import SEEK_END, BufferedIOBase
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

from sknpcnn._values.brief import brief

# Regular files have about ten.
MAX_MEMBERS = 64
# The longest name and extra fields of a member, together.
MAX_NAME = 1000

_LOCAL = Struct("<4s5H3I2H")
_CENTRAL = Struct("<4s6H3I5H2I")
_END = Struct("<4s4H2IH")
_END_64 = Struct("<4sQ2H2I4Q")
_LOCATOR_64 = Struct("<4sIQI")
_UTF_8 = 0x800  # the only flag: the encoding of the name
_LARGE = 0xFFFFFFFF  # stands for a value that is stored elsewhere in 64 bits


class _Header(NamedTuple):
    """The description of a member, which an archive holds in two places."""

    name: str
    size: int
    checksum: int


class Member(NamedTuple):
    """One file in the archive: the position of its bytes, and their checksum."""

    start: int
    size: int
    checksum: int


def members(file: BufferedIOBase) -> dict[str, Member]:
    """Return the members of an archive; raise ValueError if it has another form."""
    table, start, count = _table(file)
    found: dict[str, Member] = {}
    end = 0
    for described, offset in _entries(table):
        _demand(offset == end, "its members are not contiguous")
        begin, header = _local(file, offset)
        _demand(header == described, "its descriptions of a member disagree")
        _demand(header.name not in found, f"it holds {brief(header.name)} twice")
        found[header.name] = Member(begin, header.size, header.checksum)
        end = begin + header.size
        _demand(end <= start, f"{brief(header.name)} is longer than the file")
    _demand(end == start and len(found) == count, "its table of contents is incomplete")
    return found


def read_into(
    file: BufferedIOBase, member: Member, buffer: Any, offset: int, checksum: int
) -> None:
    """Fill a buffer with a member from ``offset`` on, and verify the checksum of the member.

    ``checksum`` is that of the bytes before ``offset``.
    """
    file.seek(member.start + offset)
    view, filled = memoryview(buffer), 0
    while filled < len(view) and (n := file.readinto(view[filled:])):
        filled += n
    _demand(filled == len(view) == member.size - offset, "it has been truncated")
    _demand(crc32(view, checksum) == member.checksum, "its bytes and their checksum disagree")


def head(file: BufferedIOBase, member: Member, size: int) -> bytes:
    """Return the first bytes of a member, or all if there are fewer."""
    return _bytes(file, member.start, min(size, member.size))


def _table(file: BufferedIOBase) -> tuple[bytes, int, int]:
    """Return the table of contents, its position, and the number of members."""
    position = file.seek(0, SEEK_END) - _END.size
    _demand(position >= 0, "it is not an archive")
    mark, *disks, n_here, n, length, start, n_comment = _unpack(
        _END, _bytes(file, position, _END.size)
    )
    _demand((mark, *disks, n_comment) == (b"PK\5\6", 0, 0, 0), "it is not an archive")
    before = position - _LOCATOR_64.size
    if before >= _END_64.size and _bytes(file, before, 4) == b"PK\6\7":
        position = before - _END_64.size
        locator = _unpack(_LOCATOR_64, _bytes(file, before, _LOCATOR_64.size))
        mark, record_size, _, _, *disks, n_here, n, large_length, large_start = _unpack(
            _END_64, _bytes(file, position, _END_64.size)
        )
        valid = (mark, record_size, *disks) == (b"PK\6\6", _END_64.size - 12, 0, 0)
        valid = valid and locator == (b"PK\6\7", 0, position, 1)
        same = (length, start) == (min(large_length, _LARGE), min(large_start, _LARGE))
        _demand(valid and same, "it is not an archive")
        length, start = large_length, large_start
    _demand(n_here == n <= MAX_MEMBERS, f"it has {n} members; needed: {MAX_MEMBERS} at most")
    _demand(start + length == position, "its table of contents is elsewhere")
    _demand(length <= n * (_CENTRAL.size + MAX_NAME), "its table of contents is too long")
    return _bytes(file, start, length), start, n


def _entries(table: bytes) -> Iterator[tuple[_Header, int]]:
    """Iterate over the table of contents: the header of each member, and its position."""
    position = 0
    while position < len(table):
        entry = _unpack(_CENTRAL, table[position : position + _CENTRAL.size])
        mark, _, _, flags, method, _, _, checksum, packed, size, *lengths = entry[:13]
        disk, _, _, offset = entry[13:]
        n_name, n_extra, n_comment = lengths
        _demand(mark == b"PK\1\2" and n_comment == disk == 0, "its table of contents is damaged")
        position += _CENTRAL.size
        name, extra = table[position : position + n_name], table[position + n_name :][:n_extra]
        _demand(len(name) + len(extra) == n_name + n_extra, "its table of contents is damaged")
        position += n_name + n_extra
        size, packed, offset = _large(extra, size, packed, offset)
        yield _header(name, flags, method, checksum, size, packed), offset


def _local(file: BufferedIOBase, offset: int) -> tuple[int, _Header]:
    """Return the position of the bytes of a member, and the header before them."""
    fields = _unpack(_LOCAL, _bytes(file, offset, _LOCAL.size))
    mark, _, flags, method, _, _, checksum, packed, size, n_name, n_extra = fields
    _demand(mark == b"PK\3\4" and n_name + n_extra <= MAX_NAME, "a member is damaged")
    rest = _bytes(file, offset + _LOCAL.size, n_name + n_extra)
    size, packed = _large(rest[n_name:], size, packed)
    header = _header(rest[:n_name], flags, method, checksum, size, packed)
    return offset + _LOCAL.size + len(rest), header


def _large(extra: bytes, *values: int) -> list[int]:
    """Replace values that are stored in the extra field, which may hold nothing else."""
    count = sum(value == _LARGE for value in values)
    form = Struct(f"<HH{count}Q")
    if not extra and not count:
        return list(values)
    kind, length, *large = _unpack(form, extra)
    _demand((kind, length) == (1, 8 * count), "a member has unexpected extra fields")
    return [large.pop(0) if value == _LARGE else value for value in values]


def _header(raw: bytes, flags: int, method: int, checksum: int, size: int, packed: int) -> _Header:
    name = raw.decode("utf-8" if flags == _UTF_8 else "ascii")
    if method != 0 or packed != size or flags not in (0, _UTF_8):
        raise ValueError(f"{brief(name)} is stored in an unsupported way")
    return _Header(name, size, checksum)


def _bytes(file: BufferedIOBase, start: int, size: int) -> bytes:
    file.seek(start)
    found = b""
    while len(found) < size and (more := file.read(size - len(found))):
        found += more
    _demand(len(found) == size, "it has been truncated")
    return found


def _unpack(form: Struct, raw: bytes) -> tuple[Any, ...]:
    _demand(len(raw) == form.size, "it is truncated")
    return form.unpack(raw)


def _demand(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)
