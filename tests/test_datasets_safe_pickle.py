"""Pickles that come from the internet: nothing in them is executed, and none takes Python down."""

import io
import os
import pickle
import struct

import pytest

from tests.test_datasets_cifar import batch, loaded, python2_pickle, refused


class Calls:
    """Pickles as a call of some function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("inside", ["alone", "data", "labels", "key"])
def test_call_in_a_pickle_is_not_made(tmp_path, protocol, inside):
    marker = tmp_path / "marker"
    attack = Calls(os.mkdir, str(marker))
    content = {
        "alone": attack,
        "data": batch(data=attack),
        "labels": batch(labels=[1, 2, attack]),
        "key": {attack: 1, **batch()},
    }[inside]
    content = pickle.dumps(content, protocol)
    pickle.loads(content)
    assert marker.exists(), "it is an attack"
    marker.rmdir()
    refused(tmp_path, content, "holds '(posix|nt).mkdir', which no CIFAR-10 batch does")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x80\x02cos\nsystem\nU\x04true\x85R.", "'os.system'"),
        (b"\x80\x02c__builtin__\neval\nU\x03{1}\x85R.", "'__builtin__.eval'"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x03{1}\x85R.", "'builtins.eval'"),
        (b"\x80\x02cnumpy\nload\nU\x01x\x85R.", "'numpy.load'"),
        (b"\x80\x02cnumpy.core.multiarray\nndarray\n.", "'numpy.core.multiarray.ndarray'"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.", "'numpy.dtype.__init__'"),
        (b"\x80\x02c__main__\n" + b"x" * 1000 + b"\n.", "'__main__.x+', which"),
        (b"cos\nsystem\n(S'true'\ntR.", r"byte 12 is b'S'"),
        (b"(S'true'\nios\nsystem\n.", "byte 1 is b'S'"),
        (b"\x80\x02(U\x04trueios\nsystem\n.", "byte 9 is b'i'"),
        (b"\x80\x02(cos\nsystem\nU\x04trueo.", "byte 20 is b'o'"),
        (b"\x80\x02cnumpy\ndtype\n)\x81.", "is b'.x81'"),  # NEWOBJ
        (b"\x80\x02\x82\x01.", "byte 2 is b'.x82'"),  # an extension, by its number
        (b"Pwhatever\n.", "byte 0 is b'P'"),  # persistent ids
        (b"\x80\x02K\x01Q.", "byte 4 is b'Q'"),
        (b"\x80\x05\x97.", "byte 2 is b'.x97'"),  # a buffer that was to be given apart
        (b"\x80\x09}.", "unsupported pickle protocol: 9"),
        (b"\x80\x02c_codecs\nencode\nX\x01\0\0\0xX\x05\0\0\0rot13\x86R.", "not encoded as bytes"),
        (b"\x80\x02c_codecs\nencode\nU\x01xX\x06\0\0\0latin1\x86R.", "not encoded as bytes"),
        (b"\x80\x02c_codecs\nencode\n)R.", "not an intact pickle"),
        (b"\x80\x02h\x05.", "not an intact pickle"),
        (b"\x80\x02e.", "not an intact pickle"),
        (b"\x80\x02}]K\x01s.", "unhashable"),
        (b"\x80\x02cnumpy\ndtype\n.", "no dictionary"),
        (b"\x80\x02}X\x01\0\0\0\xffK\x01s.", "decode"),
        (b"\x80\x02}U\x01\xffK\x01s.", "decode"),
    ],
)
def test_pickle_of_anything_else_is_refused(tmp_path, content, problem):
    refused(tmp_path, content, problem)


@pytest.mark.parametrize("number", [2, 5])
def test_state_cannot_be_written_on_what_the_names_stand_for(tmp_path, number):
    """BUILD sets attributes, and on a class or a function they would stay for the next file."""
    name = {2: b"cnumpy\ndtype\n", 5: b"cnumpy.core.multiarray\n_reconstruct\n"}[number]
    state = b"}U\x08__call__K\x01s"
    refused(tmp_path, b"\x80\x02" + name + b"N" + state + b"\x86b.", "no dictionary")
    assert loaded(tmp_path, pickle.dumps(batch(), number)).data.shape == (3, 32, 32, 3)


def many(code, n=1_000_000):
    return b"\x80\x02}]" + code * n + b"K\x01s."


def chain(n=50_000):
    """Records in the states of records."""
    out = io.BytesIO()
    out.write(b"\x80\x04cnumpy\ndtype\n\x94")
    for i in range(n):
        out.write(b"cnumpy\ndtype\n\x94j" + struct.pack("<I", i) + b"b")
    return out.getvalue() + b"."


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (many(b"\x85"), "more than 50 containers and calls"),  # hashed, they would crash Python
        (b"\x80\x02]" + b"]" * 200_000 + b"a" * 200_000 + b".", "more than 50 containers"),
        (b"\x80\x02" + b"}U\x01x" * 99_999 + b"}" + b"s" * 99_999 + b".", "more than 50 cont"),
        (b"\x80\x02" + b"(" * 200_000 + b".", "begins more than 10000 times"),
        (b"\x80\x02]q\x01h\x01a.", "no dictionary"),  # a list in itself
        (chain(), "no dictionary"),
    ],
)
def test_deep_nesting_is_refused(tmp_path, content, problem):
    refused(tmp_path, content, problem)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x80\x02}r\xff\xff\xff\x7f.", "byte 3 stores something far from all else"),
        (b"\x80\x02}T\xff\xff\xff\x7f.", "not an intact pickle"),
        (b"\x80\x03}B\xff\xff\xff\xff.", "not an intact pickle"),
        (b"\x80\x05}\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "not an intact pickle"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.", "not an intact pickle"),
        (
            b"\x80\x02c_codecs\nencode\nq\x01X\x01\0\0\0xX\x06\0\0\0latin1\x86q\x02R"
            + b"h\x01h\x02R" * 1000
            + b".",
            "more than 50 containers and calls",
        ),
    ],
)
def test_pickle_that_asks_for_much_memory_is_refused(tmp_path, content, problem):
    refused(tmp_path, content, problem)


def test_product_of_a_shape_is_not_taken_without_end(tmp_path):
    shape = b"(" + b"J\xff\xff\xff\x7f" * 500_000 + b"t"
    content = python2_pickle(batch()["data"], [1, 2, 3])
    start = content.index(b"J" + struct.pack("<i", 3))
    changed = content[:start] + shape + content[start + 11 :]
    refused(tmp_path, changed, "an array that is no table")
