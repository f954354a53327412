"""What ``"auto"`` stands for: what suits an image of this size, and so many samples of it.

The numbers were chosen by trying: ``docs/defaults.md`` says what was compared, and
``benchmarks/defaults.py`` compares more.
"""

from math import ceil, log2

from sknpcnn.layout import Image
from sknpcnn.schedules import Constant, OneCycle, ReduceOnPlateau, Schedule

FEW_PIXELS = 4
"""An image is halved, block by block, until its shorter side has no more pixels than these."""
MIN_BLOCKS = 2
FIRST_FILTERS, LAST_FILTERS, MIN_FILTERS = 32, 128, 8
"""How many filters the first block has at most, any block at most, and the first at least: each has
twice as many as the one before it, and large images begin with fewer, as pixels cost time."""
POOLED_FROM = 33
"""Images of so many pixels show things that may be anywhere in them; small ones are filled by one.
"""
RESIDUAL_UP_TO = 32
"""Blocks of large images that are given so many pixels or fewer are residual; more, pixels cost
too much time."""
HIDDEN = (100,)
"""The dense layers of a table, as in MLPClassifier."""
MAX_BATCH = 64
MIN_BATCHES, MIN_BATCH = 4, 10
"""An epoch has so many mini-batches at least, if these are no smaller: steps on all samples at once
have no noise, and 50 photos of 128x128 pixels came to 0.40 with them, to 0.61 in four parts."""
STEPS = 600
"""How many steps a network is trained for, unless that makes too few or too many epochs."""
MIN_EPOCHS, MAX_EPOCHS = 8, 100
MAX_EPOCHS_OF_ROWS = 200
"""Tables, and signals of one row, take little time, and few samples of them many epochs."""


def filters(image: Image, table: bool) -> tuple[int, ...]:
    """Choose the convolution blocks: each halves the image, and has twice as many filters."""
    sides = [side for side in image[:2] if side > 1]  # of a signal there is one
    if table or not sides:
        return ()
    n_blocks = max(ceil(log2(min(sides) / FEW_PIXELS)), MIN_BLOCKS)
    first = min(max(LAST_FILTERS // 2 ** (n_blocks - 1), MIN_FILTERS), FIRST_FILTERS)
    return tuple(min(first * 2**i, LAST_FILTERS) for i in range(n_blocks))


def global_pooling(image: Image, n_blocks: int) -> bool:
    """Choose whether the places of the last of so many blocks are averaged."""
    return n_blocks > 0 and min(image[:2]) >= POOLED_FROM


def residual(image: Image, n_blocks: int) -> list[bool]:
    """Choose which of the blocks, each of which halves the image, are residual."""
    side = min(image[:2])
    large = side >= POOLED_FROM
    return [large and side / 2**i <= RESIDUAL_UP_TO for i in range(n_blocks)]


def hidden_layers(n_blocks: int) -> tuple[int, ...]:
    """Choose the dense layers behind so many convolution blocks."""
    return () if n_blocks else HIDDEN


def batch_size(n_samples: int) -> int:
    """Choose the number of samples in a mini-batch, so that all have nearly as many.

    Statistics of a last one with a single sample would be none.
    """
    least = MIN_BATCHES if n_samples >= MIN_BATCHES * MIN_BATCH else 1
    return max(ceil(n_samples / max(ceil(n_samples / MAX_BATCH), least)), 1)


def epochs(image: Image, n_samples: int, batch_size: int) -> int:
    """Choose how often training goes through the samples."""
    most = MAX_EPOCHS if image[0] > 1 else MAX_EPOCHS_OF_ROWS
    n_batches = max(ceil(n_samples / batch_size), 1)
    return min(max(round(STEPS / n_batches), MIN_EPOCHS), most)


def schedule(endless: bool, early_stopping: bool, n_iter_no_change: float, tol: float) -> Schedule:
    """Choose how the learning rate changes: one cycle, if it is known when training ends.

    Where training stops when nothing has improved for some epochs, the rate is lowered twice in
    them, which may bring another improvement.
    """
    if endless:
        return Constant()
    if not early_stopping:
        return OneCycle()
    patience = max(int(min(n_iter_no_change / 2, ReduceOnPlateau.patience)), 1)
    return ReduceOnPlateau(patience=patience, tol=tol, min_factor=ReduceOnPlateau.factor**2)
