"""Random numbers as a function of what they are for, not of when they are drawn.

A stream of random numbers depends on who drew before. Here every number is computed from a key (the
seed, the training step, the layer), from the *content* of the sample and from the position within
it. So a number does not depend on batches, chunks or threads, and two copies of one sample draw the
same, as one sample of weight two does. The mixing is that of MurmurHash3: multiply, fold, multiply.
"""

import numpy as np

_GOLDEN = np.uint32(0x9E3779B9)


def mix(h: np.ndarray) -> np.ndarray:
    """Scramble uint32 numbers in place so that every bit depends on every other."""
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h


def row_ids(rows: np.ndarray) -> np.ndarray:
    """Hash the content of every row of a 2-D array to uint32; others are equal by chance only."""
    # in one type, so that bytes and floats of the same value are the same; and -0.0 + 0 is 0.0
    numbers = np.ascontiguousarray(rows, np.float64) + 0
    words = numbers.view(np.uint32).astype(np.uint64)
    odd = np.arange(words.shape[1], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    odd = (odd ^ (odd >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9) | np.uint64(1)
    words *= odd  # a different odd factor for each place
    words ^= words >> np.uint64(29)
    total = words.sum(axis=1, dtype=np.uint64) * np.uint64(0x94D049BB133111EB)
    return (total >> np.uint64(32)).astype(np.uint32)


def keyed(ids: np.ndarray, key: int) -> np.ndarray:
    """Scramble ids with a key: another key, another order."""
    return mix((ids + np.uint32(1)) * _GOLDEN ^ np.uint32(key & 0xFFFFFFFF))


def sample_bits(ids: np.ndarray, shape: tuple[int, ...], key: int) -> np.ndarray:
    """Draw uint32 for a batch of images (h, w, n, c) or vectors (n, features), by the ids."""
    axis = 2 if len(shape) == 4 else 0
    place = (*shape[:axis], 1, *shape[axis + 1 :])
    places = np.arange(np.prod(place), dtype=np.uint32) * _GOLDEN
    samples = keyed(ids, key).reshape((1,) * axis + (-1,) + (1,) * (len(shape) - axis - 1))
    bits = mix(places).reshape(place) ^ samples
    return mix(bits)
