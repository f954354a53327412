"""Archives with false metadata: none of it is trusted, and small files take little memory."""

from struct import pack

import numpy as np
import pytest

import sknpcnn
from sknpcnn._storage import storage
from tests.fuzz import archives
from tests.saving.model_files import content, members, refused


@pytest.fixture
def whole(tmp_path):
    return content(tmp_path, warm_start=True)


def test_an_archive_built_by_hand_is_loaded(whole, tmp_path):
    """So what is refused below is refused for what is wrong with it."""
    (tmp_path / "model.npz").write_bytes(archives.archive(members(*whole)))
    assert sknpcnn.load(tmp_path / "model.npz").n_iter_ == 1


# Members and their table

TOLD = {
    "compressed": {"method": 8},
    "encrypted": {"flags": 1},
    "size after the content": {"flags": 8},
    "unknown flag": {"flags": 0x2000},
    "packed in fewer bytes": {"packed": 5},
    "longer than the file": {"size": 10**6, "packed": 10**6},
    "shorter than it is": {"size": 5, "packed": 5},
    "longer in the table": {"only_table": {"size": 10**6, "packed": 10**6}},
    "another size in the table": {"only_table": {"size": 5, "packed": 5}},
    "another size before it": {"only_local": {"size": 5, "packed": 5}},
    "another checksum": {"checksum": 5},
    "another checksum before it": {"only_local": {"checksum": 5}},
    "another name before it": {"only_local": {"name": b"classes_.npy"}},
    "unknown field": {"extra": pack("<HHQ", 7, 8, 0)},
    "unknown field before it": {"local_extra": pack("<HHQ", 7, 8, 0)},
    "a field cut short": {"extra": b"\1\0"},
    "a comment": {"only_table": {"comment": b"hello"}},
    "another disk": {"only_table": {"disk": 1}},
    "another mark": {"only_table": {"mark": b"PK\3\4"}},
    "another mark before it": {"only_local": {"local_mark": b"PK\1\2"}},
    "a long name": {"name": b"n" * 10**4},
    "a long field": {"extra": b"\1\0" + bytes(2**15)},
    "a name that is no text": {"name": b"\xff\xfe"},
    "a size of 64 bits": {
        "size": 2**32 - 1,
        "packed": 2**32 - 1,
        "extra": pack("<HHQQ", 1, 16, 2**63, 2**63),
        "local_extra": pack("<HHQQ", 1, 16, 2**63, 2**63),
    },
    "elsewhere": {"only_table": {"offset": 7}},
    "far away": {"only_table": {"offset": 2**32 - 2}},
}


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
def test_what_an_archive_says_of_a_member_must_be_true(whole, tmp_path, told):
    for i in (0, 2):
        spoiled = archives.archive(members(*whole), {i: told})
        assert "is not an intact file" in refused(tmp_path / "model.npz", spoiled)


ENDS = {
    "fewer members": {"n": 3},
    "more members": {"n": 100},
    "a comment": {"comment": b"hello"},
    "another disk": {"disk": 1},
    "a table at the start": {"start": 0},
    "a table without an end": {"length": 2**32 - 2},
    "a table that is empty": {"length": 0},
    "64 bits that are not there": {"start": 2**32 - 1, "length": 2**32 - 1},
}


@pytest.mark.parametrize("told", ENDS.values(), ids=ENDS)
def test_what_an_archive_says_of_its_table_must_be_true(whole, tmp_path, told):
    spoiled = archives.archive(members(*whole), told_end=told)
    assert "is not an intact file" in refused(tmp_path / "model.npz", spoiled)


def test_members_that_overlap_are_refused(whole, tmp_path):
    """A thousand names for the same bytes: a small file would become a large one in memory."""
    inner = archives.npy(np.zeros(1000))
    first = archives.local("theta.npy", inner)
    table = b"".join(archives.entry(f"{i}.npy", inner, 0) for i in range(1000))
    spoiled = first + table + archives.end(1000, len(table), len(first))
    assert "it has 1000 members" in refused(tmp_path / "model.npz", spoiled)
    nested = first
    for i in range(10):  # each contains all that follow it
        nested = archives.local(f"{i}.npy", nested)
    parts, table, offset = [], b"", 0
    for i in reversed(range(10)):
        header = len(archives.local(f"{i}.npy", b""))
        parts.append(nested[offset + header :])
        table += archives.entry(f"{i}.npy", parts[-1], offset)
        offset += header
    spoiled = nested + table + archives.end(10, len(table), len(nested))
    assert "are not contiguous" in refused(tmp_path / "model.npz", spoiled)


def test_bytes_that_no_member_owns_are_refused(whole, tmp_path):
    good = archives.archive(members(*whole))
    place = good.index(b"PK\1\2")
    for spoiled in (
        b"#!/bin/sh\n" + good,
        good + b"more",
        good[:place] + b"more" + good[place:-6] + pack("<IH", place + 4, 0),
    ):
        assert "is not an intact file" in refused(tmp_path / "model.npz", spoiled)


DOUBLE = {
    "the same name": ("theta.npy", "twice"),
    "a name without its ending": ("theta", "which is not an array"),
    "another case": ("Theta.npy", "are unknown"),
    "a way to it": ("./theta.npy", "are unknown"),
    "a way out": ("../theta.npy", "are unknown"),
    "the same name with an end within": ("theta\0.npy", "are unknown"),
    "two endings": ("theta.npy.npy", "are unknown"),
    "values": ("values.json", "twice"),
    "values that are an array": ("values.json.npy", "are unknown"),
    "a memory": ("memory.squares.npy", "twice"),
    "a memory of another kind": ("memory.other.npy", "memory is incomplete"),
}


@pytest.mark.parametrize(("name", "reason"), DOUBLE.values(), ids=DOUBLE)
def test_nothing_is_there_twice_and_nothing_that_nobody_reads(whole, tmp_path, name, reason):
    inside = members(*whole)
    inside.append((name, dict(inside)["memory.squares.npy"]))
    assert reason in refused(tmp_path / "model.npz", archives.archive(inside))


def test_labels_as_an_array_and_as_a_list_are_refused(whole, tmp_path):
    values, arrays = whole
    values["classes_"] = ["a", "b"]
    spoiled = archives.archive(members(values, arrays))
    assert "it holds ['classes_'] twice" in refused(tmp_path / "model.npz", spoiled)


def test_a_file_beyond_two_gigabytes_is_read(whole, tmp_path, monkeypatch):
    """Archives of that size are written in another way; the limit is lowered, to see that way."""
    import zipfile

    values, arrays = whole
    arrays["large"] = np.arange(5000)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10_000)
    storage.write(tmp_path / "model.npz", values, arrays)
    assert b"PK\6\6" in (tmp_path / "model.npz").read_bytes()
    found = storage.read(tmp_path / "model.npz")
    assert found[0] == values
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[1][name], array)


# Arrays

FLOATS = bytes(4 * 40)
HEADERS = {
    "objects": b"{'descr': '|O8', 'fortran_order': False, 'shape': (40,), }\n",
    "records": b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (40,), }\n",
    "other order": b"{'descr': '<f4', 'fortran_order': True, 'shape': (40,), }\n",
    "items without bytes": b"{'descr': '<U0', 'fortran_order': False, 'shape': (40,), }\n",
    "too many": b"{'descr': '<f4', 'fortran_order': False, 'shape': (41,), }\n",
    "far too many": b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }\n",
    "nothing times all": b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9999999999), }\n",
    "negative": b"{'descr': '<f4', 'fortran_order': False, 'shape': (-40,), }\n",
    "a sum": b"{'descr': '<f4', 'fortran_order': False, 'shape': (39+1,), }\n",
    "deep": b"{'descr': '<f4', 'fortran_order': False, 'shape': "
    + b"(" * 500
    + b")" * 500
    + b"}\n",
    "long": b"{'descr': '<f4', 'fortran_order': False, 'shape': (40,), }" + b" " * 60000 + b"\n",
    "a name of old": b"{'descr': '<a4', 'fortran_order': False, 'shape': (40,), }\n",
    "nothing": b"",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_headers_of_arrays_are_taken_at_no_word(whole, tmp_path, header):
    inside = dict(members(*whole))
    inside["theta.npy"] = archives.npy_with_header(header, FLOATS)
    spoiled = archives.archive(inside.items())
    assert "theta" in refused(tmp_path / "model.npz", spoiled)
