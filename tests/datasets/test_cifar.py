"""CIFAR-10: read as it was written, in both versions, or refused by name."""

import pickle
import re
import struct

import numpy as np
import pytest

from sknpcnn.datasets import load_cifar10
from tests.datasets.files import (
    NAMES,
    batch,
    loaded,
    outcome,
    python2_pickle,
    refused,
    said,
    spoilt,
    write_cifar10,
)


@pytest.mark.parametrize("binary", [False, True], ids=["python", "binary"])
def test_both_versions_are_read(tmp_path, binary):
    parts = write_cifar10(tmp_path, binary)
    for part, (X, y) in parts.items():
        found = load_cifar10(tmp_path, split=part)
        np.testing.assert_array_equal(found.data, X)
        np.testing.assert_array_equal(found.target, y)
        assert found.target_names == NAMES


def test_small_batches_are_pickled_as_the_original_ones_are(tmp_path):
    """Else the other tests would show little."""
    write_cifar10(tmp_path)
    content = pickle.loads((tmp_path / "test_batch").read_bytes(), encoding="latin1")
    assert content["data"].shape == (7, 3072)
    assert content["data"].dtype == np.uint8


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("keys", [str, str.encode])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batch_written_by_python_3_is_read(tmp_path, protocol, keys, order):
    given = batch()
    content = {keys(key): value for key, value in given.items()}
    content[keys("data")] = np.asarray(given["data"], order=order)
    found = loaded(tmp_path, pickle.dumps(content, protocol))
    rows = found.data.transpose(0, 3, 1, 2).reshape(3, 3072)
    np.testing.assert_array_equal(rows, given["data"])
    assert found.target.tolist() == given["labels"]


def test_batch_written_by_numpy_1_is_read(tmp_path):
    for protocol in (2, 4, 5):
        content = pickle.dumps(batch(), protocol)
        older = content.replace(b"numpy._core", b"numpy.core")
        if protocol > 2:  # lengths of the name and of the frame around it
            older = older.replace(b"\x8c\x16numpy.core", b"\x8c\x15numpy.core")
            older = older.replace(b"\x8c\x13numpy.core", b"\x8c\x12numpy.core")
            size = int.from_bytes(older[3:11], "little") - 1
            older = older[:3] + size.to_bytes(8, "little") + older[11:]
        assert older != content
        assert loaded(tmp_path, older).data.shape == (3, 32, 32, 3)


def test_missing_batch_is_named_with_its_folder(tmp_path):
    write_cifar10(tmp_path)
    (tmp_path / "data_batch_3").unlink()
    message = re.escape(f"{tmp_path} holds no data_batch_3 or data_batch_3.bin")
    with pytest.raises(FileNotFoundError, match=message):
        load_cifar10(tmp_path)
    assert len(load_cifar10(tmp_path, split="test").data) == 7


@pytest.mark.parametrize("protocol", [2, 4])
def test_names_of_the_classes_come_from_the_file_beside_the_batches(tmp_path, protocol):
    names = [f"kind {i}" for i in range(10)]
    meta = pickle.dumps({"num_vis": 3072, "label_names": names}, protocol)
    (tmp_path / "batches.meta").write_bytes(meta)
    assert loaded(tmp_path, pickle.dumps(batch(), 4)).target_names == names


def test_names_of_the_classes_come_from_the_text_beside_the_binary_batches(tmp_path):
    write_cifar10(tmp_path, binary=True)
    path = tmp_path / "batches.meta.txt"
    path.write_text("\n".join(NAMES[::-1]) + "\n\n")
    assert load_cifar10(tmp_path).target_names == NAMES[::-1]
    path.write_text("\n".join(NAMES[:9]))
    with pytest.raises(ValueError, match=said(path, "needed: the names of 10 classes")):
        load_cifar10(tmp_path)


@pytest.mark.parametrize("name", ["batches.meta", "batches.meta.txt"])
def test_long_file_of_names_is_not_read(tmp_path, name):
    write_cifar10(tmp_path, binary=name.endswith("txt"))
    (tmp_path / name).write_bytes(bytes(100_000))
    problem = "has 100000 bytes; needed: at most 65536"
    with pytest.raises(ValueError, match=said(tmp_path / name, problem)):
        load_cifar10(tmp_path)


def test_link_to_names_that_leads_nowhere_is_noticed(tmp_path):
    write_cifar10(tmp_path)
    (tmp_path / "batches.meta").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"batches\.meta"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize(
    "meta",
    [
        {"label_names": NAMES[:9]},
        {"label_names": [*NAMES[:9], "cat"]},
        {"label_names": [*NAMES, "cat"]},
        {"label_names": [*NAMES[:9], ""]},
        {"label_names": [*NAMES[:9], 10]},
        {"label_names": [*NAMES[:9], NAMES]},
        {"label_names": "ten names"},
        {"fine_label_names": NAMES},
        NAMES,
    ],
)
def test_names_that_are_not_those_of_ten_classes_are_refused(tmp_path, meta):
    (tmp_path / "batches.meta").write_bytes(pickle.dumps(meta, 2))
    with pytest.raises(ValueError, match=said(tmp_path / "batches.meta", "")):
        loaded(tmp_path, pickle.dumps(batch(), 4))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "holds nothing; needed: data and labels"),
        ({"data": 1, "fine_labels": []}, "holds data, fine_labels; needed: data and labels"),
        (batch(data=None), r"its data are not an array; needed: \(n, 3072\)"),
        (batch(data=np.zeros((3, 3071), np.uint8)), r"shape \(3, 3071\); needed: \(n, 3072\)"),
        (batch(data=np.zeros((3, 32, 96), np.uint8)), "an array that is not 2-D"),
        (batch(data=np.zeros((3, 3072))), "not a byte array"),
        (batch(data=np.dtype("u1")), "not a byte array"),
        (batch(labels=[1, 2]), "3 images and 2 labels"),
        (batch(labels=(1, 2, 3)), "not a list of integers"),
        (batch(labels=[1, 2, None]), "not a list of integers"),
        (batch(labels=[1, 2, True]), "not a list of integers"),
        (batch(labels=[1, 2, 10]), "label 2 is 10; needed: 0 to 9"),
        (batch(labels=[1, -1, 10]), "label 1 is -1; needed: 0 to 9"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, "0 images and 0 labels"),
        ({7: 8}, "keys are not strings"),
        ([1, 2, 3], "not hold a dictionary"),
    ],
)
def test_content_that_is_no_batch_is_refused(tmp_path, content, problem):
    refused(tmp_path, pickle.dumps(content, 4), problem)


def test_pickle_that_is_cut_or_continues_is_refused(tmp_path):
    content = python2_pickle(batch()["data"], [1, 2, 3])
    refused(tmp_path, b"", "truncated")
    refused(tmp_path, content[:-1], "truncated")
    refused(tmp_path, content[:1000], "not an intact pickle")
    refused(tmp_path, content + b"\n", "continues after its end")
    refused(tmp_path, b"<html>Not found</html>", "byte 0 is b'<'")


def test_shape_that_the_bytes_do_not_fill_is_refused(tmp_path):
    content = python2_pickle(batch()["data"], [1, 2, 3])
    for rows in (2, 4, -3, 2**31 - 1):
        changed = content.replace(b"J" + struct.pack("<i", 3), b"J" + struct.pack("<i", rows))
        assert changed != content
        refused(tmp_path, changed, "shape and content disagree")


@pytest.mark.parametrize("size", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_binary_batch_of_another_length_is_refused(tmp_path, size):
    path = tmp_path / "test_batch.bin"
    path.write_bytes(bytes(size))
    with pytest.raises(
        ValueError, match=said(path, f"has {size} bytes; needed: a multiple of 3073")
    ):
        load_cifar10(tmp_path, split="test")


def test_binary_batch_with_another_label_is_refused(tmp_path):
    path = tmp_path / "test_batch.bin"
    path.write_bytes(bytes(3073) + b"\x0a" + bytes(3072))
    with pytest.raises(ValueError, match=said(path, "label 1 is 10; needed: 0 to 9")):
        load_cifar10(tmp_path, split="test")


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("protocol", ["python 2", 2, 4, 5])
def test_spoilt_pickle_is_refused_by_name_or_is_a_batch(tmp_path, protocol, seed):
    rng = np.random.default_rng(seed)
    given = batch(1)
    if protocol == "python 2":
        sound = python2_pickle(given["data"], given["labels"])
    else:
        sound = pickle.dumps(given, protocol)
    pixels = max(sound.find(b"T" + struct.pack("<i", 3072)), 0) or sound.index(b"data") + 200
    refused = 0
    for i in range(100):
        # most of a batch is pixels, where nothing can go wrong: spoil what is around them
        spoil = spoilt(sound[:pixels], rng) + sound[pixels:] if i % 2 else spoilt(sound, rng)
        found, refusal = outcome(lambda spoil=spoil: loaded(tmp_path, spoil))
        if refusal:
            assert str(tmp_path / "test_batch") in refusal
            refused += 1
        else:
            assert found.data.shape == (len(found.target), 32, 32, 3)
            assert (found.data.dtype, found.target.dtype) == (np.uint8, np.int64)
    assert refused > 30


@pytest.mark.parametrize("seed", range(2))
def test_spoilt_binary_batch_is_refused_by_name_or_is_a_batch(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "test_batch.bin"
    for _ in range(100):
        path.write_bytes(spoilt(b"\x03" + bytes(3072), rng))
        found, refusal = outcome(lambda: load_cifar10(tmp_path, split="test", return_X_y=True))
        if refusal:
            assert str(path) in refusal
        else:
            X, y = found
            assert (X.shape, X.dtype) == ((len(y), 32, 32, 3), np.uint8)
            assert set(y) <= set(range(10))


@pytest.mark.parametrize("binary", [False, True])
def test_training_batch_that_is_cut_off_between_two_images_is_refused(tmp_path, binary):
    write_cifar10(tmp_path, binary)
    if binary:
        path = tmp_path / "data_batch_3.bin"
        path.write_bytes(path.read_bytes()[: 2 * 3073])
    else:
        path = tmp_path / "data_batch_3"
        path.write_bytes(python2_pickle(np.zeros((2, 3072), np.uint8), [0, 1]))
    with pytest.raises(ValueError, match=said(path, "holds 2 images, but data_batch_")):
        load_cifar10(tmp_path)
    assert len(load_cifar10(tmp_path, split="test").data) == 7
