"""Files made of valid ones by a few changes, which are chosen by the bytes of a fuzzer.

Bytes thrown at a reader at random end at the first checksum. Here the changes are made to what the
file says (values, headers, the table of contents), and the file is put together around them.
"""

import json
from math import inf, nan
from struct import pack

import numpy as np

from sknpcnn.saving.plain import SPECS
from tests.fuzz import archives

WORDS = (
    *("", "a", "relu", "adam", "sgd", "same", "valid", "loss", "accuracy", "balanced", "softmax"),
    *("adaptive", "float32", "float64", "position", "shortcut", "layers", "list", "tuple", "dict"),
    *("spec", "fields", "training", "ended", "stopped", "sknpcnn model", "\ud800", "p0", *SPECS),
)
NUMBERS = (
    *(0, 1, -1, 2, 3, 4, 7, 16, 255, 256, 5000, 2**31 - 1, 2**31, 2**53, 2**62, 2**63, 2**64),
    *(10**40, 10**300, 10**309, -(2**63), 0.0, -0.0, 0.5, 1.0, -1.5, 1e-320, 1e-40, 1e38, 1e300),
    *(nan, inf, -inf, True, False, None),
)
EMPTY = ([], {}, {"list": []}, {"tuple": []}, {"dict": []}, {"spec": "ReLU"}, {"fields": {}})
DTYPES = (
    *("f4", "f8", "f2", ">f4", "f16", "i1", "i4", "i8", "u8", "b1", "U3", "S3", "c8", "m8[s]"),
    *("M8[D]", "V4"),
)
TOLD = ("checksum", "packed", "size", "method", "flags", "version", "disk", "offset")
TEXTS = ("[", "]", "{", "}", '"', ",", ":", "\\", "1", "e9", "-", "NaN", "Infinity", "[[[[", "\0")


class Choices:
    """Numbers read from bytes; when these are used up, all of them are 0."""

    def __init__(self, data):
        self._data, self._place = data, 0

    def __bool__(self):
        return self._place < len(self._data)

    def below(self, n):
        size = 1 if n <= 256 else 2 if n <= 65536 else 4
        raw = self._data[self._place : self._place + size]
        self._place += size
        return int.from_bytes(raw, "little") % n

    def of(self, items):
        return items[self.below(len(items))]

    def rest(self):
        rest, self._place = self._data[self._place :], len(self._data)
        return rest


class Base:
    """A valid file, taken apart."""

    def __init__(self, values, arrays):
        self.text, self.arrays = json.dumps(values), dict(arrays)
        self.paths = list(_paths(values))[1:]
        self.whole = archives.archive(self.members(self.text))

    def members(self, text):
        return [("values.json", text.encode("ascii", "replace"))] + [
            (f"{name}.npy", archives.npy(array)) for name, array in self.arrays.items()
        ]


def changed(bases, data):
    """Make a file of one of the bases, or of the bytes themselves."""
    choices = Choices(data)
    base = choices.of(bases)
    kind = choices.below(16)
    if kind == 0:
        return choices.rest()
    if kind == 1:
        return _with_other_bytes(base.whole, choices)
    values = json.loads(base.text)
    text = None
    arrays, told, told_end = dict(base.arrays), {}, {}
    raw = {}
    for _ in range(1 + choices.below(4)):
        what = choices.below(12)
        if what < 7:
            _change_values(values, base.paths, choices)
        elif what < 9:
            _change_array(arrays, choices)
        elif what == 9:
            text = _with_other_text(text or json.dumps(values), choices)
        elif what == 10:
            _change_header(raw, arrays, choices)
        else:
            _tell(told, told_end, choices)
    text = text or json.dumps(values)
    members = {"values.json": text.encode("utf-8", "replace")}
    members |= {f"{name}.npy": archives.npy(array) for name, array in arrays.items()}
    members |= {name: content for name, content in raw.items() if name in members}
    listed = list(members.items())
    if choices.below(16) == 1:
        listed.append(choices.of(listed))
    return archives.archive(listed, told, told_end)


def _paths(values, path=()):
    yield path
    if isinstance(values, dict):
        for key, item in values.items():
            yield from _paths(item, (*path, key))
    elif isinstance(values, list):
        for i, item in enumerate(values):
            yield from _paths(item, (*path, i))


def _at(values, path):
    for key in path:
        values = values[key]
    return values


def _change_values(values, paths, choices):
    *above, key = choices.of(paths)
    how = choices.below(8)
    try:
        place = _at(values, above)
        if how == 0:
            del place[key]
        elif how == 1:
            place[key] = json.loads(json.dumps(_at(values, choices.of(paths))))
        elif how == 2:
            place[key] = {choices.of(("list", "tuple", "dict")): [place[key]] * choices.below(4)}
        elif how == 3:
            fields = {choices.of(WORDS): _scalar(choices)} if choices.below(2) else {}
            place[key] = {"spec": choices.of(list(SPECS)), "fields": fields}
        elif how == 4 and isinstance(place, dict):
            place[choices.of(WORDS)] = place.pop(key)
        elif how == 4:
            place.insert(key, _scalar(choices))
        elif how == 5:
            inner = place[key]
            for _ in range(choices.below(48)):
                inner = {"spec": "Residual", "fields": {"layers": {"list": [inner]}}}
            place[key] = inner
        elif how == 6:
            place[key] = json.loads(json.dumps(choices.of(EMPTY)))
        else:
            place[key] = _scalar(choices)
    except (KeyError, IndexError, TypeError, AttributeError):  # it is not there any more
        pass


def _scalar(choices):
    kind = choices.below(4)
    if kind == 0:
        return choices.of(WORDS)
    if kind == 1:
        return choices.below(256) - 8
    if kind == 2:
        return (choices.below(65536) - 1000) / 256
    return choices.of(NUMBERS)


def _change_array(arrays, choices):
    names = list(arrays)
    if not names:
        return
    name = choices.of(names)
    array, how = arrays[name], choices.below(8)
    if how == 0:
        del arrays[name]
    elif how == 1:
        arrays[choices.of((*WORDS, *names, "memory.velocity", "memory.other", "best"))] = array
    elif how == 2:
        arrays[name] = arrays[choices.of(names)]
    elif how == 3:
        with np.errstate(all="ignore"):
            arrays[name] = np.zeros(array.shape, choices.of(DTYPES))
    elif how == 4:
        arrays[name] = array[: choices.below(len(array) + 1)] if array.ndim else array
    elif how == 5:
        arrays[name] = array.reshape(choices.of(((-1, 1), (1, -1), (-1,))))
    elif array.size and array.dtype.kind in "fiu":
        number = choices.of((0.0, -1.0, 1e30, 1e-40, nan, inf, 3.0))
        with np.errstate(all="ignore"):
            spoiled = array.astype(float)
            spoiled.flat[choices.below(array.size) if how == 6 else slice(None)] = number
            arrays[name] = spoiled.astype(array.dtype)


def _change_header(raw, arrays, choices):
    if not arrays:
        return
    name = choices.of(list(arrays))
    whole = bytearray(archives.npy(arrays[name]))
    for _ in range(1 + choices.below(3)):
        place = choices.below(min(len(whole), 140))
        if choices.below(2):
            whole[place] = choices.below(256)
        else:
            whole[place:place] = choices.of(TEXTS + WORDS).encode("utf-8", "replace")
    if choices.below(2):  # the length that it says of itself is right
        end = whole.find(b"\n") + 1
        whole[8:10] = pack("<H", max(end - 10, 0) % 65536)
    raw[f"{name}.npy"] = bytes(whole)


def _tell(told, told_end, choices):
    number = choices.of((0, 1, 8, 46, 0x800, 65535, 2**16, 2**31, 2**32 - 2, 2**32 - 1))
    if choices.below(4) == 0:
        key = choices.of(("n", "length", "start", "disk"))
        told_end[key] = number % (2**16 if key in ("n", "disk") else 2**32)
        return
    key = choices.of(TOLD)
    number %= 2**16 if key in ("method", "flags", "version", "disk") else 2**32
    where = choices.of(("only_local", "only_table"))
    told.setdefault(choices.below(8), {}).setdefault(where, {})[key] = number
    if choices.below(4) == 0:
        extra = pack("<HHQQ", 1, 16, choices.below(65536), choices.below(65536))
        for words in told.values():
            words.setdefault(where, {}).update(extra=extra, local_extra=extra)


def _with_other_bytes(whole, choices):
    spoiled = bytearray(whole)
    while choices and spoiled:
        place, how = choices.below(65536) % len(spoiled), choices.below(4)
        if how == 0:
            spoiled[place] = choices.below(256)
        elif how == 1:
            spoiled[place] ^= 1 << choices.below(8)
        elif how == 2:
            del spoiled[place : place + choices.below(256)]
        else:
            spoiled[place:place] = spoiled[choices.below(65536) % len(spoiled) :][:64]
    return bytes(spoiled)


def _with_other_text(text, choices):
    for _ in range(1 + choices.below(3)):
        place = choices.below(65536) % (len(text) + 1)
        if choices.below(3):
            text = text[:place] + choices.of(TEXTS) + text[place:]
        else:
            text = text[:place] + text[place + choices.below(64) :]
    return text
