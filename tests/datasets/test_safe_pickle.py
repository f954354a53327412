"""Pickles that come from the internet: nothing in them is executed, and none takes Python down."""

import io
import os
import pickle
import pickletools
import struct
import tracemalloc

import numpy as np
import pytest

from sknpcnn.datasets import cifar_pickle, safe_pickle
from sknpcnn.datasets.safe_pickle import interpret
from tests.datasets.files import batch, loaded, python2_pickle, refused

pytestmark = pytest.mark.thread_unsafe(reason="memory is measured, which all threads take")


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
        (b"cos\nsystem\n(S'true'\ntR.", "'os.system'"),
        (b"cnumpy\ndtype\n(S'true'\ntR.", "byte 14 is b'S'"),
        (b"(S'true'\nios\nsystem\n.", "byte 1 is b'S'"),
        (b"\x80\x02(U\x04trueios\nsystem\n.", "byte 9 is b'i'"),
        (b"\x80\x02(cnumpy\ndtype\nU\x04trueo.", "byte 22 is b'o'"),
        (b"\x80\x02cnumpy\ndtype\n)\x81.", "is b'.x81'"),  # NEWOBJ
        (b"\x80\x02\x82\x01.", "byte 2 is b'.x82'"),  # an extension, by its number
        (b"Pwhatever\n.", "byte 0 is b'P'"),  # persistent ids
        (b"\x80\x02K\x01Q.", "byte 4 is b'Q'"),
        (b"\x80\x05\x97.", "byte 2 is b'.x97'"),  # a buffer that was to be given apart
        (b"\x80\x09}.", "unsupported pickle protocol: 9"),
        (b"\x80\x02c_codecs\nencode\nX\x01\0\0\0xX\x05\0\0\0rot13\x86R.", "an unexpected encoding"),
        (b"\x80\x02c_codecs\nencode\nU\x01xX\x06\0\0\0latin1\x86R.", "an unexpected encoding"),
        (b"\x80\x02c_codecs\nencode\n)R.", "not an intact pickle"),
        (b"\x80\x02h\x05.", "not an intact pickle"),
        (b"\x80\x02e.", "not an intact pickle"),
        (b"\x80\x02}]K\x01s.", "keys are not strings"),
        (b"\x80\x02}K\x01NK\x02Nu.", "missing mark"),
        (b"\x80\x02}(U\x01xu.", "sets keys of an object"),
        (b"\x80\x02]U\x01xK\x01s.", "sets keys of an object"),
        (b"\x80\x02}K\x01a.", "appends to an object that is not a list"),
        (b"\x80\x02}(0.", "byte 4 is b'0'"),  # POP
        (b"\x80\x02](a.", "byte 4 pops from an empty stack"),  # from under a mark
        (b"\x80\x02(.", "byte 3 pops from an empty stack"),
        (b"\x80\x02.", "byte 2 pops from an empty stack"),
        (b"\x80\x02K\x01)R.", "calls an object that is not a function"),
        (b"\x80\x02cnumpy\ndtype\n)R)R.", "calls an object that is not a function"),
        (b"\x80\x02cnumpy\ndtype\n]R.", "calls an object that is not a function"),
        (b"\x80\x02}Nb.", "sets a state of an object that has none"),
        (b"\x80\x02cnumpy\ndtype\nNb.", "sets a state of an object that has none"),
        (b"\x80\x04NN\x93.", "a name that is not text"),
        (b"\x80\x02cnumpy\ndtype", "truncated"),
        (b"\x80\x02}(U\x01xK\x01X\x01\0\0\0xK\x02u.", "a key twice"),
        (b"\x80\x02cnumpy\ndtype\n.", "not hold a dictionary"),
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
    refused(tmp_path, b"\x80\x02" + name + b"N" + state + b"\x86b.", "a state of an object")
    refused(tmp_path, b"\x80\x02" + name + b")RN" + state + b"\x86b.", "not hold a dictionary")
    assert loaded(tmp_path, pickle.dumps(batch(), number)).data.shape == (3, 32, 32, 3)


def rewritten(protocol):
    """A batch as Python 2 wrote it, loaded with its bytes kept, and written again by Python 3."""
    given = python2_pickle(batch()["data"], batch()["labels"])
    return pickle.dumps(pickle.loads(given, encoding="bytes"), protocol)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_original_batch_that_python_3_has_written_again_is_read(tmp_path, protocol):
    """With protocol 2, each of its names is a call that encodes text."""
    found = loaded(tmp_path, rewritten(protocol))
    rows = found.data.transpose(0, 3, 1, 2).reshape(3, 3072)
    np.testing.assert_array_equal(rows, batch()["data"])


def test_batch_of_many_images_written_with_protocol_2_is_read(tmp_path):
    names = [f"image_{i}.png".encode() for i in range(1000)]
    content = {b"filenames": names, **{k.encode(): v for k, v in batch(1000).items()}}
    assert loaded(tmp_path, pickle.dumps(content, 2)).data.shape == (1000, 32, 32, 3)


VALUES = [
    {},
    {"a": [1, -1, 255, 256, 65536, -(2**31), 2**31 - 1], b"b": ()},
    {"": [[]], "deep": [[[{"x": (1, (2, (3, (4, 5, 6, 7))))}]]]},
    {"text": ["", "\u00e9", "\U0001f438", "x" * 300], b"bytes": [b"\0\xff", b"\x80" * 300]},
    {"all": [True, False, None], "many": list(range(900))},
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", VALUES)
def test_machine_reads_what_pickle_writes(protocol, value):
    assert interpret(pickle.dumps(value, protocol)) == value


def test_pixels_are_not_copied_from_the_file():
    content = python2_pickle(batch(100)["data"], [0] * 100)
    tracemalloc.start()
    try:
        interpret(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000


def test_neither_pickle_nor_its_tools_are_used():
    for module in safe_pickle, cifar_pickle:
        assert not any(value is pickle or value is pickletools for value in vars(module).values())


def framed(first, second):
    """What is read one way if frames are followed, and in another way if they are not.

    The first frame ends in another one, which begins after it, and in the head of some bytes, which
    that frame passes over. So the second part is content of bytes, or instructions.
    """
    head = b"B" + struct.pack("<I", len(second))
    inner = b"\x95" + struct.pack("<Q", len(second))
    outer = b"\x95" + struct.pack("<Q", len(first + inner + head))
    return b"\x80\x04" + outer + first + inner + head + second + b"."


@pytest.mark.parametrize(
    "hidden",
    [
        b"r" + struct.pack("<I", 2**26) + b".",  # room for as many values in the memo
        b"cos\ngetcwd\n)R.",
        b"\x82\x01.",
    ],
)
def test_frame_hides_nothing(tmp_path, hidden):
    content = framed(b"}", hidden)
    assert len(list(pickletools.genops(content))) == 6, "the tools see bytes"
    peak = peak_of_refusal(tmp_path, content, "a frame that reaches beyond")
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "frame", [2, 2**31, 2**63, 2**64 - 1], ids=["too long", "2**31", "2**63", "2**64 - 1"]
)
def test_frame_beyond_the_end_is_refused(tmp_path, frame):
    content = b"\x80\x04\x95" + struct.pack("<Q", frame)
    refused(tmp_path, content + b".", "a frame that reaches beyond the file")
    refused(tmp_path, b"\x80\x04\x95\x01\0\0", "truncated")


def test_large_batch_of_several_frames_is_read(tmp_path):
    content = pickle.dumps(batch(200), 4)
    assert content.count(b"\x95") > 2
    assert loaded(tmp_path, content).data.shape == (200, 32, 32, 3)


def peak_of_refusal(tmp_path, content, problem):
    """Refuse a batch; return how much memory that took at most, in bytes."""
    tracemalloc.start()
    try:
        refused(tmp_path, content, problem)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def many(code, n=1_000_000):
    return b"\x80\x02}]" + code * n + b"K\x01s."


def chain(n=50_000):
    """Records in the states of records."""
    out = io.BytesIO()
    out.write(b"\x80\x04cnumpy\ndtype\n)R\x94")
    for i in range(n):
        out.write(b"cnumpy\ndtype\n)R\x94j" + struct.pack("<I", i) + b"b")
    return out.getvalue() + b"."


def filled(content, size=5_000_000):
    """The same with bytes before it, so that more instructions are allowed."""
    return b"\x80\x02B" + struct.pack("<I", size) + bytes(size) + content


FEW = "holds more than [0-9]+ instructions, too many for"
ENCODE = b"c_codecs\nencode\nq\x01X\x10'\0\0" + b"x" * 10_000 + b"X\x06\0\0\0latin1\x86q\x02R"
# For each what a file of its kind takes most of: containers, values, the memo, marks, calls.
GREEDY = {
    "tuples in tuples": (many(b"\x85"), FEW),
    "lists in lists": (b"\x80\x02" + b"]" * 200_000 + b"a" * 200_000 + b".", FEW),
    "dicts": (b"\x80\x02" + b"}U\x01x" * 99_999 + b"}" + b"s" * 99_999 + b".", FEW),
    "marks": (b"\x80\x02" + b"(" * 200_000 + b".", FEW),
    "values": (b"\x80\x02](" + b"N" * 999_999 + b"e.", FEW),
    "stored values": (b"\x80\x04}" + b"\x94" * 999_999 + b".", FEW),
    "records in records": (chain(), FEW),
    "deep tuples": (filled(b")" + b"\x85" * 50_000 + b"."), "not hold a dictionary"),
    "deep lists": (filled(b"]" * 25_000 + b"a" * 24_999 + b"."), "not hold a dictionary"),
    "deep records": (filled(chain(6000)[2:]), "not hold a dictionary"),
    "deep key": (filled(b"}" + b")" + b"\x85" * 40_000 + b"K\x01s."), "keys are not strings"),
    "a list in itself": (b"\x80\x02]q\x01h\x01a.", "not hold a dictionary"),
    "a key that doubles": (
        b"\x80\x02}K\x01" + b"q\x01h\x01\x86" * 40 + b"K\x01s.",
        "keys are not strings",
    ),
    "a far place": (b"\x80\x02}r\xff\xff\xff\x7f.", "holds nothing; needed: data and labels"),
    "a far place, read": (b"\x80\x02}j\xff\xff\xff\x7f.", "refers to value 2147483647"),
    "long str": (b"\x80\x02}T\xff\xff\xff\x7f.", "truncated"),
    "str of negative length": (b"\x80\x02}T\xff\xff\xff\xff.", "truncated"),
    "long text": (b"\x80\x02}X\xff\xff\xff\x7f.", "truncated"),
    "long bytes": (b"\x80\x03}B\xff\xff\xff\xff.", "truncated"),
    "long bytearray": (b"\x80\x05}\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "truncated"),
    "the same text": (b"\x80\x02" + ENCODE + b"h\x01h\x02R" * 100 + b".", "encodes more than"),
    "a long shape": (filled(b"(" + b"J\xff\xff\xff\x7f" * 40_000 + b"t."), "not hold a dictionary"),
}


@pytest.mark.parametrize("kind", GREEDY)
def test_pickle_takes_no_more_than_a_small_multiple_of_its_length(tmp_path, kind):
    content, problem = GREEDY[kind]
    assert peak_of_refusal(tmp_path, content, problem) < 3 * len(content) + 1_000_000


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    "shape",
    [(2**30, "xxxx"), ("xxxx", 2**30), (3, 3072, 1), (3.0, 3072), (True, 3072), (-3, -3072), 3072],
)
def test_shape_that_is_no_pair_of_sizes_is_refused(tmp_path, shape, protocol):
    """A number times text is long text, and a product of millions of numbers never ends."""

    class Lie:
        def __reduce__(self):
            rows = batch()["data"]
            make, args, *state = rows.__reduce_ex__(protocol)
            if protocol == 5:
                return make, (bytes(rows), args[1], shape, "C")
            version, _, *rest = state[0]
            return make, args, (version, shape, *rest)

    content = pickle.dumps(batch(data=Lie()), protocol)
    problem = "not 2-D|disagree" if shape != (3.0, 3072) else "byte [0-9]+ is b'G'"
    assert peak_of_refusal(tmp_path, content, problem) < 1_000_000


@pytest.mark.parametrize("n", [0, 1_000_000, 2_000_000])
def test_number_of_instructions_is_linear_in_the_length_of_the_file(n):
    """So is time: an instruction handles only values that others have pushed since a mark."""
    with pytest.raises(ValueError, match=f"more than {1000 + (n + 2000) // 100} instructions"):
        interpret(b"N" * (n + 2000))
