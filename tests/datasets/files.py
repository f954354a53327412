"""Files of data sets, and what goes wrong in them."""

import gzip
import re
import struct

import numpy as np
import pytest

from sknpcnn.datasets import load_cifar10


def idx(array):
    """What is in the IDX file of an array of bytes."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(folder, n_train=20, n_test=10, suffix="", sign="-"):
    """Write the four files, with each digit as often as any other; return what is in them."""
    rng = np.random.default_rng(0)
    parts = {}
    for part, stem, n in [("train", "train", n_train), ("test", "t10k", n_test)]:
        X, y = rng.integers(256, size=(n, 28, 28)).astype(np.uint8), rng.permutation(n) % 10
        for kind, array in [(f"images{sign}idx3", X), (f"labels{sign}idx1", y)]:
            content = gzip.compress(idx(array)) if suffix else idx(array)
            (folder / f"{stem}-{kind}-ubyte{suffix}").write_bytes(content)
        parts[part] = X, y
    return parts


def said(path, problem):
    """A pattern for an error that names a file and what is wrong with it."""
    return f"^{re.escape(str(path))}: .*{problem}"


def outcome(call):
    """What a call returns, and an empty string; or nothing, and what its ValueError says."""
    try:
        return call(), ""
    except ValueError as error:
        return None, str(error)


def spoilt(content, rng):
    """Flip some bytes, or cut the end off, or repeat a part."""
    content = bytearray(content)
    kind = rng.integers(4)
    if kind == 0:
        return content[: rng.integers(len(content))]
    if kind == 1:
        return content + content[rng.integers(len(content)) :]
    for _ in range(1 if kind == 2 else 4):
        content[rng.integers(len(content))] = rng.integers(256)
    return content


NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def python2_pickle(rows, labels):
    """A batch as the original ones are: written by Python 2 and protocol 2."""
    n, m = rows.shape

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def put(i):
        return b"q" + bytes([i])

    return b"".join(
        [
            b"\x80\x02}" + put(1) + b"(" + text(b"batch_label") + put(2),
            text(b"training batch 1 of 5") + put(3) + text(b"labels") + put(4) + b"]" + put(5),
            b"(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e",
            text(b"data") + put(6) + b"cnumpy.core.multiarray\n_reconstruct\n" + put(7),
            b"cnumpy\nndarray\n" + put(8) + b"K\x00\x85" + put(9) + text(b"b") + put(10),
            b"\x87" + put(11) + b"R" + put(12) + b"(K\x01",
            b"J" + struct.pack("<i", n) + b"J" + struct.pack("<i", m) + b"\x86" + put(13),
            b"cnumpy\ndtype\n" + put(14) + text(b"u1") + put(15) + b"K\x00K\x01\x87" + put(16),
            b"R" + put(17) + b"(K\x03" + text(b"|") + put(18) + b"NNN",
            b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t" + put(19) + b"b\x89",
            b"T" + struct.pack("<i", n * m) + rows.tobytes() + b"t" + put(20) + b"b",
            text(b"filenames") + put(21) + b"](" + text(b"a.png") * n + b"eu.",
        ]
    )


def write_cifar10(folder, binary=False):
    """Write six small batches; return what is in them."""
    rng = np.random.default_rng(0)
    found = {"train": [], "test": []}
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        n = 7 if i == 5 else 3
        rows = rng.integers(256, size=(n, 3072)).astype(np.uint8)
        labels = rng.integers(10, size=n)
        if binary:
            table = np.hstack([labels[:, None].astype(np.uint8), rows])
            (folder / f"{name}.bin").write_bytes(table.tobytes())
        else:
            (folder / name).write_bytes(python2_pickle(rows, labels))
        images = np.stack([rows[:, k : k + 1024].reshape(-1, 32, 32) for k in (0, 1024, 2048)], -1)
        found["test" if i == 5 else "train"].append((images, labels))
    return {
        part: tuple(map(np.concatenate, zip(*batches, strict=True)))
        for part, batches in found.items()
    }


def loaded(tmp_path, content):
    """Load a folder in which the test batch has some content."""
    (tmp_path / "test_batch").write_bytes(content)
    return load_cifar10(tmp_path, split="test")


def refused(tmp_path, content, problem):
    """Assert that a test batch is refused, with an error that names it and the problem."""
    with pytest.raises(ValueError, match=said(tmp_path / "test_batch", problem)):
        loaded(tmp_path, content)


def batch(n=3, **changed):
    rows = np.random.default_rng(n).integers(256, size=(n, 3072)).astype(np.uint8)
    return {"batch_label": "testing", "labels": [k % 10 for k in range(n)], "data": rows, **changed}


def write(path, pixels, **options):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)
