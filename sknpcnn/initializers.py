"""How a weight is drawn: uniformly, so that about the variance is kept of what it is given."""

import numpy as np


def he_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    """He et al. 2015: for weights before a rectifier, which lets half of the variance through."""
    bound = np.sqrt(6.0 / fan_in)
    return rng.uniform(-bound, bound, shape)


def glorot_uniform(
    rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int
) -> np.ndarray:
    """Glorot and Bengio 2010: for all other weights."""
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape)
