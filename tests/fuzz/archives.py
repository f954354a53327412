"""Zip archives built by hand: every number in them may be wrong while the checksums hold."""

import io
from struct import pack
from zlib import crc32

import numpy as np


def npy(array):
    """The bytes of an ``.npy`` file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), allow_pickle=True)
    return stream.getvalue()


def npy_with_header(header, content):
    """The bytes of an ``.npy`` file whose header may say anything."""
    return b"\x93NUMPY\x01\x00" + pack("<H", len(header) % 2**16) + header + content


def local(name, content, /, **told):
    """One member, as it lies in the archive."""
    said = _said(name, content) | told
    return (
        said["local_mark"]
        + pack(
            "<5H3I2H",
            *(said["version"], said["flags"], said["method"], 0, 0x21),
            *(said["checksum"], said["packed"], said["size"]),
            *(len(said["name"]), len(said["local_extra"])),
        )
        + said["name"]
        + said["local_extra"]
        + content
    )


def entry(name, content, offset, /, **told):
    """What the table of contents says of a member."""
    said = _said(name, content) | {"offset": offset} | told
    return (
        said["mark"]
        + pack(
            "<6H3I5H2I",
            *(20, said["version"], said["flags"], said["method"], 0, 0x21),
            *(said["checksum"], said["packed"], said["size"]),
            *(len(said["name"]), len(said["extra"]), len(said["comment"])),
            *(said["disk"], 0, 0, said["offset"]),
        )
        + said["name"]
        + said["extra"]
        + said["comment"]
    )


def end(n, length, start, /, **told):
    """The end of an archive, which says where the table of contents lies."""
    said = {"mark": b"PK\5\6", "n": n, "length": length, "start": start, "comment": b"", "disk": 0}
    said |= told
    numbers = (said["disk"], said["disk"], said["n"], said["n"], said["length"], said["start"])
    return said["mark"] + pack("<4H2IH", *numbers, len(said["comment"])) + said["comment"]


def archive(members, told=(), told_end=()):
    """A whole archive of (name, content); ``told`` are other words about some of them, by index."""
    told = dict(told)
    whole, table = b"", b""
    for i, (name, content) in enumerate(members):
        words = told.get(i, {})
        both = {k: v for k, v in words.items() if k not in ("only_local", "only_table")}
        offset = len(whole)
        whole += local(name, content, **both, **words.get("only_local", {}))
        table += entry(name, content, offset, **both, **words.get("only_table", {}))
    return whole + table + end(len(members), len(table), len(whole), **dict(told_end))


def _said(name, content):
    return {
        "name": name.encode("utf-8", "replace"),
        "local_mark": b"PK\3\4",
        "mark": b"PK\1\2",
        "version": 20,
        "flags": 0,
        "method": 0,
        "checksum": crc32(content),
        "packed": len(content),
        "size": len(content),
        "local_extra": b"",
        "extra": b"",
        "comment": b"",
        "disk": 0,
    }
