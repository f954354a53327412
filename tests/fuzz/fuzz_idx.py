"""``load_idx`` and ``load_mnist`` on files that a fuzzer makes up: arrays, or a ValueError.

    python -m tests.fuzz.fuzz_idx -runs=1000000

needs atheris. ``check`` does without.
"""

import gzip
import struct

from tests.fuzz.datasets import changed, folder, instrumented, result_of, run

with instrumented():
    from sknpcnn.datasets import load_idx, load_mnist

import numpy as np

from tests.datasets.files import idx

PACK_IMAGES, PACK_LABELS, FILL, AS_MNIST = 1, 2, 4, 8
MAX_FILLED = 2**19


def packed(flags, images, labels):
    """Put two files into one input."""
    return bytes([flags]) + struct.pack("<H", len(labels)) + labels + images


def check(data):
    """Load two files made of these bytes; raise an AssertionError if it is not as promised."""
    flags, size = (data or b"\0")[0], int.from_bytes(data[1:3], "little")
    labels, images = data[3 : 3 + size], data[3 + size :]
    if flags & FILL:  # a great deal that takes little room when it is compressed
        images += bytes(MAX_FILLED)
    held = len(images) + len(labels)
    if flags & PACK_IMAGES:
        images = gzip.compress(images, 1)
    if flags & PACK_LABELS:
        labels = gzip.compress(labels, 1)
    paths = [folder() / f"train-{name}-ubyte" for name in ("images-idx3", "labels-idx1")]
    paths[0].write_bytes(images)
    paths[1].write_bytes(labels)
    # A file that is compressed by the fuzzer itself can hold a thousand times its length.
    allowed = 4_000_000 + 20 * held + 2100 * len(data)
    load = (lambda: load_mnist(folder())) if flags & AS_MNIST else (lambda: load_idx(*paths))
    found = result_of(load, allowed)
    if found is None:
        return False
    assert found.data.ndim in (3, 4)
    assert found.data.dtype == np.uint8
    assert found.target.dtype == np.int64
    assert found.target.shape == (len(found.data),)
    assert found.data.size > 0
    assert found.data.size <= held * (1 if flags & PACK_IMAGES else 1100)
    assert 0 <= found.target.min() <= found.target.max() <= 255
    if flags & AS_MNIST:
        assert found.data.shape[1:] == (28, 28)
        assert found.target.max() <= 9
    return True


def mutate(data, rng):
    """Change an input: one of its files, how they are packed, or a size in both headers."""
    flags, size = data[0], int.from_bytes(data[1:3], "little")
    labels, images = data[3 : 3 + size], data[3 + size :]
    match rng.randrange(8):
        case 0:
            flags ^= rng.choice([PACK_IMAGES, PACK_LABELS, FILL, AS_MNIST])
        case 1 | 2:
            labels = changed(labels, rng)
        case 3:
            n = struct.pack(">I", rng.choice([0, 1, 2, 3, 2**16, 2**19, 2**32 - 1]))
            images, labels = images[:4] + n + images[8:], labels[:4] + n + labels[8:]
        case 4:
            images = images[:4] + changed(images[4:20], rng) + images[20:]
        case 5 if images[:2] == b"\x1f\x8b":
            images = rng.choice([images + images, images + gzip.compress(b"x"), images + b"\0\0"])
        case _:
            images = changed(images, rng)
    return packed(flags, images, labels[:60_000])


def _seeds():
    images, labels = idx(np.arange(30).reshape(5, 3, 2)), idx(np.array([3, 1, 200, 1, 0]))
    colored = idx(np.arange(60).reshape(5, 2, 2, 3))
    digits = idx(np.arange(2 * 784).reshape(2, 28, 28)), idx(np.array([3, 9]))
    black = bytes([0, 0, 8, 3]) + struct.pack(">3I", 1, 512, 1024), idx(np.array([1]))
    return [
        packed(0, images, labels),
        packed(0, colored, labels),
        packed(PACK_IMAGES | PACK_LABELS, images, labels),
        packed(0, gzip.compress(images), gzip.compress(labels)),
        packed(AS_MNIST, *digits),
        packed(AS_MNIST | PACK_IMAGES, *digits),
        packed(FILL | PACK_IMAGES, *black),
    ]


SEEDS = _seeds()

if __name__ == "__main__":
    run(check, SEEDS, mutate)
