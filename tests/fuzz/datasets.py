"""What the fuzzers of data sets share: a folder, changes of bytes, and the run under atheris."""

import random
import sys
import tempfile
import tracemalloc
import warnings
from contextlib import nullcontext
from functools import cache
from itertools import count
from pathlib import Path

NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63)
_calls = count()


def instrumented():
    """Have atheris follow what is imported, in a module that is run as a program."""
    if not Path(sys.argv[0]).stem.startswith("fuzz_"):
        return nullcontext()
    import atheris

    return atheris.instrument_imports(include=["sknpcnn.datasets", "PIL"])


@cache
def folder():
    """Make a folder, where files cost nothing if there is such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))


def result_of(load, max_memory):
    """Return what a loader returns, or None if it refuses; raise for anything else.

    Memory is measured in the first of each 8 calls: that makes them three times as slow.
    """
    measured = next(_calls) % 8 == 0
    if measured:
        tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = load()
    except ValueError as error:
        if type(error) is not ValueError or not str(error).startswith(str(folder())):
            raise AssertionError("an error that does not name the file") from error
        found = None
    finally:
        peak = tracemalloc.get_traced_memory()[1] if measured else 0
        tracemalloc.stop()
    if peak > max_memory:
        raise AssertionError(f"it took {peak} bytes; allowed: {max_memory}")
    return found


def changed(data, rng):
    """Change some bytes: one, some in a row, a number, or the end."""
    data = bytearray(data)
    place = rng.randrange(len(data) + 1)
    match rng.randrange(7):
        case 0:
            return bytes(data[:place])
        case 1:
            data[place : place + rng.randrange(9)] = b""
        case 2:
            data[place:place] = data[place : place + rng.randrange(99)] * rng.randrange(1, 4)
        case 3:
            n = rng.choice([1, 2, 4, 8])
            number = rng.choice(NUMBERS) % 256**n
            data[place : place + n] = number.to_bytes(n, rng.choice(["little", "big"]))
        case 4:
            data[place:place] = rng.randbytes(rng.randrange(5))
        case _:
            data[place : place + 1] = rng.randbytes(1)
    return bytes(data)


def cases(seeds, mutate, n, seed=0):
    """Make n inputs by one to four changes of a seed, the same ones every time."""
    rng = random.Random(seed)
    for _ in range(n):
        data = rng.choice(seeds)
        for _ in range(rng.randrange(1, 5)):
            data = mutate(data, rng)
        yield data


def run(check, seeds, mutate):
    """Check inputs that atheris chooses, most of them changed by our own means."""
    import atheris

    def mutated(data, max_size, seed):
        rng = random.Random(seed)
        if rng.randrange(4) == 0:
            return atheris.Mutate(data, max_size)
        data = rng.choice(seeds) if not data or rng.randrange(20) == 0 else data
        for _ in range(rng.randrange(1, 4)):
            data = mutate(data, rng)
        return data[:max_size]

    corpus = folder() / "corpus"
    corpus.mkdir()
    for i, data in enumerate(seeds):
        (corpus / str(i)).write_bytes(data)
    limits = ["-max_len=30000", "-timeout=60", "-rss_limit_mb=1500", "-len_control=0"]
    arguments = [sys.argv[0], *limits, f"-artifact_prefix={folder()}/", *sys.argv[1:]]
    if not any(Path(argument).is_file() for argument in sys.argv[1:]):  # inputs to try again
        arguments.append(str(corpus))
    atheris.Setup(arguments, check, custom_mutator=mutated)
    atheris.Fuzz()
