"""``load_cifar10`` on files that a fuzzer makes up: images and labels, or a ValueError.

    python -m tests.fuzz.fuzz_cifar -runs=1000000

needs atheris. ``check`` does without.
"""

import pickle
import pickletools
import struct

from tests.fuzz.datasets import NUMBERS, changed, folder, instrumented, result_of, run

with instrumented():
    from sknpcnn.datasets import load_cifar10

import numpy as np

from tests.datasets.files import NAMES, batch, python2_pickle

# What a change may put in: instructions with usual and unusual arguments.
NAMES_OF_NUMPY = [
    b"cnumpy\ndtype\n",
    b"cnumpy\nndarray\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"cnumpy._core.numeric\n_frombuffer\n",
    b"c_codecs\nencode\n",
    b"cos\nsystem\n",
]
SINGLE = [bytes([code]) for code in b"N\x88\x89().eu}]as\x85\x86\x87tRb\x93\x94012oi\x81Q\x97"]
SIZED = [(b"q", 1), (b"r", 4), (b"h", 1), (b"j", 4), (b"J", 4), (b"K", 1), (b"M", 2), (b"\x95", 8)]
LONG = [(b"T", 4), (b"U", 1), (b"B", 4), (b"C", 1), (b"X", 4), (b"\x8c", 1), (b"\x96", 8)]


def packed(binary, meta, content):
    """Put the two files of a folder into one input."""
    return bytes([binary]) + struct.pack("<H", len(meta)) + meta + content


def check(data):
    """Load two files made of these bytes; raise an AssertionError if it is not as promised."""
    binary, size = (
        bool(data[:1] > b"\x7f" or data[:1] == b"\1"),
        int.from_bytes(data[1:3], "little"),
    )
    meta, content = data[3 : 3 + size], data[3 + size :]
    for name in ("test_batch", "test_batch.bin", "batches.meta", "batches.meta.txt"):
        (folder() / name).unlink(missing_ok=True)
    (folder() / ("test_batch.bin" if binary else "test_batch")).write_bytes(content)
    if meta:
        (folder() / ("batches.meta.txt" if binary else "batches.meta")).write_bytes(meta)
    found = result_of(lambda: load_cifar10(folder(), split="test"), 6 * len(data) + 1_000_000)
    if found is None:
        return False
    n = len(found.target)
    assert found.data.shape == (n, 32, 32, 3)
    assert found.data.dtype == np.uint8
    assert found.target.dtype == np.int64
    assert n > 0
    assert 0 <= found.target.min() <= found.target.max() <= 9
    assert len({*found.target_names}) == 10
    assert all(type(name) is str for name in found.target_names)
    return True


def mutate(data, rng):
    """Change an input: an instruction of one of its pickles, or some bytes."""
    binary, size = data[0] == 1, int.from_bytes(data[1:3], "little")
    meta, content = data[3 : 3 + size], data[3 + size :]
    if rng.randrange(50) == 0:
        return packed(not binary, meta, content)
    change = changed if binary or rng.randrange(4) == 0 else changed_program
    if meta and rng.randrange(4) == 0:
        return packed(binary, change(meta, rng)[:60_000], content)
    return packed(binary, meta, change(content, rng))


def changed_program(content, rng):
    """Change an instruction of a pickle, if it is one."""
    try:
        starts = [start for _, _, start in pickletools.genops(content)]
    except Exception:  # there is hardly one that the tools cannot raise
        return changed(content, rng)
    ends = [*starts[1:], len(content)]
    steps = [content[start:end] for start, end in zip(starts, ends, strict=True)]
    place = rng.randrange(len(steps))
    match rng.randrange(6):
        case 0:
            del steps[place]
        case 1:
            steps[place : place + 3] = steps[place : place + 3] * rng.choice([2, 2, 2, 50, 2000])
        case 2:
            other = rng.randrange(len(steps))
            steps[place], steps[other] = steps[other], steps[place]
        case 3:
            steps[place] = instruction(rng)
        case 4:
            steps[place] = changed(steps[place], rng)
        case _:
            steps.insert(place, instruction(rng))
    return b"".join(steps)


def instruction(rng):
    match rng.randrange(4):
        case 0:
            return rng.choice(SINGLE)
        case 1:
            code, n = rng.choice(SIZED)
            return code + (rng.choice([*NUMBERS, *range(30)]) % 256**n).to_bytes(n, "little")
        case 2:
            code, n = rng.choice(LONG)
            text = rng.choice(
                [b"", b"u1", b"data", b"labels", b"latin1", b"C", b"\xc3\xa9", b"x" * 300]
            )
            size = rng.choice([len(text)] * 8 + [*NUMBERS]) % 256**n
            return code + size.to_bytes(n, "little") + text[: 256**n - 1]
        case _:
            return rng.choice(NAMES_OF_NUMPY)


def _seeds():
    given = batch(2)
    original = python2_pickle(given["data"], given["labels"])
    again = pickle.loads(original, encoding="bytes")
    columns = batch(2, data=np.asfortranarray(given["data"]))
    pickles = [original, *(pickle.dumps(again, protocol) for protocol in (2, 3, 4, 5))]
    pickles += [pickle.dumps(batch(1), 4), pickle.dumps(columns, 5), pickle.dumps(columns, 2)]
    metas = [pickle.dumps({"num_vis": 3072, "label_names": NAMES}, p) for p in (2, 4)]
    metas.append(pickle.dumps({b"label_names": [name.encode() for name in NAMES]}, 2))
    seeds = [
        packed(False, metas[i] if i < 3 else b"", content) for i, content in enumerate(pickles)
    ]
    lines = "\n".join(NAMES).encode()
    return [*seeds, packed(True, b"", bytes(3073)), packed(True, lines, b"\x09" + bytes(3072))]


SEEDS = _seeds()

if __name__ == "__main__":
    run(check, SEEDS, mutate)
