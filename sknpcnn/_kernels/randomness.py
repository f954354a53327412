"""Counter-based random numbers, which do not depend on the order in which they are drawn.

What a stateful generator returns depends on earlier draws. Here every number is a hash of a key
(seed, training step and layer), of the *content* of the sample and of the position within it. So it
depends neither on batches, chunks and threads nor on order, and two copies of one sample draw the
same numbers, as one sample of weight two does. The mixing is that of MurmurHash3.
"""

import numpy as np

_GOLDEN = np.uint32(0x9E3779B9)


def mix(h: np.ndarray) -> np.ndarray:
    """Scramble uint32 values in place so that every bit depends on every other."""
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h


def row_ids(rows: np.ndarray) -> np.ndarray:
    """Hash the content of every row of a 2-D array to uint32; different rows rarely collide."""
    # as float64, so that equal bytes and floats have equal hashes; -0.0 + 0 is 0.0
    values = np.ascontiguousarray(rows, np.float64) + 0
    words = values.view(np.uint32).astype(np.uint64)
    odd = np.arange(words.shape[1], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    odd = (odd ^ (odd >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9) | np.uint64(1)
    words *= odd  # a different odd factor for each position
    words ^= words >> np.uint64(29)
    total = words.sum(axis=1, dtype=np.uint64) * np.uint64(0x94D049BB133111EB)
    bits: np.ndarray = (total >> np.uint64(32)).astype(np.uint32)
    return bits


def keyed(ids: np.ndarray, key: int) -> np.ndarray:
    """Scramble ids with a key; each key gives another order."""
    return mix((ids + np.uint32(1)) * _GOLDEN ^ np.uint32(key & 0xFFFFFFFF))


def sample_bits(ids: np.ndarray, shape: tuple[int, ...], key: int) -> np.ndarray:
    """Compute random uint32 for images (h, w, n, c) or vectors (n, features) from sample ids."""
    axis = 2 if len(shape) == 4 else 0
    sample = (*shape[:axis], 1, *shape[axis + 1 :])
    positions = np.arange(np.prod(sample), dtype=np.uint32) * _GOLDEN
    samples = keyed(ids, key).reshape((1,) * axis + (-1,) + (1,) * (len(shape) - axis - 1))
    bits = mix(positions).reshape(sample) ^ samples
    return mix(bits)
