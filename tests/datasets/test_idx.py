"""IDX files: read as they were written, and never trusted."""

import gzip
import re
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from sknpcnn.datasets import load_fashion_mnist, load_idx, load_mnist
from tests.datasets.files import idx, outcome, said, spoilt, write_mnist

pytestmark = pytest.mark.thread_unsafe(reason="all write the same files")


@pytest.fixture
def pair(tmp_path):
    """The paths of a small pair of files: five images of 3 x 2 pixels, and their labels."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(idx(np.arange(30).reshape(5, 3, 2)))
    labels.write_bytes(idx(np.array([3, 1, 200, 1, 0])))
    return images, labels


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("sign", ["-", "."])
def test_files_may_be_compressed_and_spelt_in_two_ways(tmp_path, sign, suffix):
    parts = write_mnist(tmp_path, suffix=suffix, sign=sign)
    for part, (X, y) in parts.items():
        found = load_mnist(tmp_path, split=part)
        np.testing.assert_array_equal(found.data, X)
        np.testing.assert_array_equal(found.target, y)
    assert found.target_names == list("0123456789")


def test_fashion_has_the_files_of_mnist_and_names_of_its_own(tmp_path):
    parts = write_mnist(tmp_path)
    clothes = load_fashion_mnist(tmp_path)
    np.testing.assert_array_equal(clothes.data, parts["train"][0])
    assert clothes.target_names == [
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ]
    assert "Fashion" in clothes.DESCR


def test_name_says_nothing_about_compression(tmp_path):
    """Some servers and browsers unpack on the way, and keep the name."""
    parts = write_mnist(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(f"{path}.gz")
    np.testing.assert_array_equal(load_mnist(tmp_path).data, parts["train"][0])


def test_folder_of_the_same_name_is_not_taken_for_the_file(tmp_path):
    parts = write_mnist(tmp_path, suffix=".gz")
    (tmp_path / "train-images-idx3-ubyte").mkdir()
    np.testing.assert_array_equal(load_mnist(tmp_path).data, parts["train"][0])


def test_any_pair_keeps_its_labels(pair):
    found = load_idx(*pair)
    np.testing.assert_array_equal(found.data, np.arange(30).reshape(5, 3, 2))
    assert found.data.dtype == np.uint8
    assert found.target.tolist() == [3, 1, 200, 1, 0]
    assert found.target.dtype == np.int64
    assert found.target_names == ["0", "1", "3", "200"]
    assert str(pair[0]) in found.DESCR
    X, y = load_idx(*pair, return_X_y=True)
    np.testing.assert_array_equal(X, found.data)
    np.testing.assert_array_equal(y, found.target)


def test_images_of_a_pair_may_have_channels(pair):
    pair[0].write_bytes(idx(np.arange(60).reshape(5, 2, 2, 3)))
    np.testing.assert_array_equal(load_idx(*pair).data, np.arange(60).reshape(5, 2, 2, 3))


def test_missing_file_is_named_with_its_folder(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    message = re.escape(f"{tmp_path} holds no train-labels-idx1-ubyte or train-labels.idx1-ubyte")
    with pytest.raises(FileNotFoundError, match=message):
        load_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_idx(tmp_path / "nowhere", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", r"begins with the bytes \(none\)"),
        (b"\0\0\x08", "begins with the bytes 00 00 08"),
        (b"<html>Not found</html>", "begins with the bytes 3c 68 74 6d; needed: an IDX file"),
        (b"\0\0\x0d\x03" + bytes(40), "begins with the bytes 00 00 0d 03"),  # floats
        (idx(np.zeros((5, 6))), "array of 2 dimensions; needed: images, which have 3 or 4"),
        (idx(np.zeros(5)), "array of 1 dimensions; needed: images.*swapped"),
        (b"\0\0\x08\xff" + b"\xff" * 2000, "array of 255 dimensions"),
        (idx(np.zeros((5, 3, 2)))[:15], r"have the shape \(5, 3\); needed: 3 sizes"),
        (idx(np.zeros((0, 3, 2))), r"have the shape \(0, 3, 2\); needed: 3 sizes above 0"),
        (idx(np.zeros((5, 3, 2)))[:16], r"declares.*\(5, 3, 2\), 30 bytes, but only 0 follow"),
        (idx(np.zeros((5, 3, 2)))[:-1], "but only 29 follow; needed: a fresh copy"),
        (idx(np.zeros((5, 3, 2))) + b"\0", "30 bytes, but more follow"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "compressed"])
def test_file_that_is_no_images_is_refused(pair, content, problem, pack):
    pair[0].write_bytes(pack(content))
    with pytest.raises(ValueError, match=said(pair[0], problem)):
        load_idx(*pair)


def test_exchanged_images_and_labels_are_noticed(pair):
    with pytest.raises(ValueError, match=said(pair[1], "1 dimensions; needed: images.*swapped")):
        load_idx(pair[1], pair[0])
    with pytest.raises(ValueError, match=said(pair[0], "3 dimensions; needed: labels.*swapped")):
        load_idx(pair[0], pair[0])


def test_images_and_labels_of_different_sets_are_noticed(pair):
    pair[1].write_bytes(idx(np.array([1, 2, 3])))
    message = (
        f"{re.escape(str(pair[0]))} holds 5 images, but {re.escape(str(pair[1]))} holds 3 labels"
    )
    with pytest.raises(ValueError, match=message):
        load_idx(*pair)


def header(*shape):
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def peak_of_refusal(pair, problem):
    """Refuse a pair of files; return how much memory that took at most, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=problem):
            load_idx(*pair)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("shape", "plain", "compressed"),
    [
        ((2**32 - 1,) * 3, "holds 4294967295 images, but .* holds 5 labels", ""),
        ((5, 2**32 - 1, 2**32 - 1), "but only 100 follow", "from 33 compressed ones; needed"),
        ((5, 2**32 - 1, 1), "but only 100 follow", "from [0-9]+ compressed ones; needed"),
        ((5, 3000, 3000), "but only 100 follow", "but only 100 follow"),
    ],
)
def test_header_that_promises_too_much_costs_no_memory(pair, shape, plain, compressed):
    pair[0].write_bytes(header(*shape) + bytes(100))
    assert peak_of_refusal(pair, plain) < 2_000_000
    pair[0].write_bytes(gzip.compress(header(*shape) + bytes(100)))
    assert peak_of_refusal(pair, compressed or plain) < 2_000_000


def bomb(start, n, level=9):
    """A compressed file that holds a start and then n zeros."""
    pack = zlib.compressobj(level, wbits=31)
    parts = [pack.compress(start)]
    parts += [pack.compress(bytes(2**20)) for _ in range(n // 2**20)]
    return b"".join([*parts, pack.compress(bytes(n % 2**20)), pack.flush()])


N_BOMB = 300_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "problem"),
    [
        (header(5, 3, 2), "30 bytes, but more follow"),
        (header(1, 10_000, 30_000), "holds 1 images, but .* holds 5 labels"),
        (header(N_BOMB, 1, 1), "holds 300000000 images, but .* holds 5 labels"),
        (header(5, 6000, 10_000), "300000000 bytes, from [0-9]+ compressed ones; needed: at most"),
    ],
)
def test_images_that_unpack_to_much_more_than_their_labels_are_for_are_refused(
    pair, start, problem
):
    pair[0].write_bytes(bomb(start, N_BOMB))
    assert pair[0].stat().st_size < 400_000
    assert peak_of_refusal(pair, problem) < 4_000_000


def test_labels_that_unpack_to_very_many_are_refused(pair):
    pair[0].write_bytes(bomb(header(N_BOMB, 1, 1), N_BOMB))
    pair[1].write_bytes(bomb(header(N_BOMB), N_BOMB))
    assert peak_of_refusal(pair, "needed: at most 100 times as many") < 4_000_000
    n = 9_000_000  # few for images, but as labels they take eight bytes each
    pair[0].write_bytes(bomb(header(n, 1, 1), n))
    pair[1].write_bytes(bomb(header(n), n))
    assert peak_of_refusal(pair, f"^{re.escape(str(pair[1]))}: .*compressed ones") < 4_000_000


def test_images_are_not_unpacked_before_their_labels_are_read(pair):
    """Which are few, and tell how many images there must be."""
    pair[0].write_bytes(bomb(header(5, 3000, 4000), 60_000_000))
    pair[1].write_bytes(gzip.compress(idx(np.arange(5)))[:-9])
    assert peak_of_refusal(pair, f"^{re.escape(str(pair[1]))}: is truncated") < 4_000_000


def test_black_images_are_read_though_they_are_small_when_compressed(pair):
    pair[0].write_bytes(gzip.compress(idx(np.zeros((5, 1000, 1000)))))
    assert pair[0].stat().st_size < 10_000
    assert load_idx(*pair).data.shape == (5, 1000, 1000)


def test_file_of_several_compressed_members_is_read(pair):
    """As programs write them that compress with several threads."""
    content = pair[0].read_bytes()
    parts = [content[:3], content[3:20], b"", content[20:]]
    pair[0].write_bytes(b"".join(map(gzip.compress, parts)))
    np.testing.assert_array_equal(load_idx(*pair).data, np.arange(30).reshape(5, 3, 2))


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        (gzip.compress(b"\0"), "30 bytes, but more follow"),
        (gzip.compress(b"\0")[:-1], "30 bytes, but more follow|truncated"),
        (b"\x1f\x8b", "truncated or corrupt"),
        (b"<html>", "truncated or corrupt"),
        (b"\0\0<html>", "truncated or corrupt"),
    ],
    ids=["another stream", "half of another", "a mark", "text", "zeros and text"],  # no time of day
)
def test_compressed_file_that_continues_is_refused(pair, end, problem):
    pair[0].write_bytes(gzip.compress(pair[0].read_bytes()) + end)
    with pytest.raises(ValueError, match=said(pair[0], problem)):
        load_idx(*pair)


def test_zeros_after_a_compressed_file_are_padding(pair):
    """As the gzip program has it, since tapes have blocks."""
    pair[0].write_bytes(gzip.compress(pair[0].read_bytes()) + bytes(100))
    assert len(load_idx(*pair).data) == 5


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist])
def test_labels_of_mnist_are_digits(tmp_path, load):
    write_mnist(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[8 + 13] = 10
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said(path, "label 13 is 10; needed: 0 to 9")):
        load(tmp_path)


def test_images_of_mnist_are_of_its_size(tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(idx(np.zeros((20, 32, 32))))
    with pytest.raises(ValueError, match=said(path, r"shape \(32, 32\); needed: \(28, 28\)")):
        load_mnist(tmp_path)


@pytest.mark.parametrize("left", [2, 9, 12, 30, -9, -1])
def test_compressed_file_that_is_cut_short_is_refused(pair, left):
    content = gzip.compress(pair[0].read_bytes())
    pair[0].write_bytes(content[:left])
    with pytest.raises(ValueError, match=said(pair[0], "truncated or corrupt")):
        load_idx(*pair)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-8] + bytes(4) + packed[-4:],  # the checksum
        lambda packed: packed[:-4] + bytes(4),  # the length
        lambda packed: packed[:2] + b"\x09" + packed[3:],  # the method
        lambda packed: packed[:10] + b"\xff" * 10 + packed[20:],
        lambda packed: packed + b"and more",
    ],
)
def test_compressed_file_that_is_corrupt_is_refused(pair, spoil):
    pair[0].write_bytes(spoil(gzip.compress(pair[0].read_bytes())))
    with pytest.raises(ValueError, match=said(pair[0], "truncated or corrupt")) as caught:
        load_idx(*pair)
    assert isinstance(caught.value.__cause__, (EOFError, gzip.BadGzipFile, zlib.error))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "compressed"])
def test_spoilt_file_is_refused_by_name_or_is_an_array(pair, pack, seed):
    rng = np.random.default_rng(seed)
    sound = [pack(path.read_bytes()) for path in pair]
    refused = 0
    for i in range(100):
        path = pair[i % 2]
        path.write_bytes(spoilt(sound[i % 2], rng))
        found, refusal = outcome(lambda: load_idx(*pair, return_X_y=True))
        if refusal:
            assert str(path) in refusal
            refused += 1
        else:
            X, y = found
            assert X.ndim in (3, 4)
            assert (X.dtype, y.dtype, y.shape) == (np.uint8, np.int64, (len(X),))
        path.write_bytes(sound[i % 2])
    assert refused > 30
