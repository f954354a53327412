"""Resolves ``"auto"``: defaults that depend on the size of images and the number of samples.

The values were chosen by experiment: ``docs/defaults.md`` shows what was compared, and
``benchmarks/defaults.py`` compares more.
"""

from math import ceil, log2

from sknpcnn.augmentation.base import Image
from sknpcnn.schedules import Constant, OneCycle, ReduceOnPlateau, Schedule

MAX_LAST_SIDE = 4
"""Blocks halve an image until its shorter side has at most this many pixels. Small images are
halved once more; means of all positions of large ones were worse when there were fewer of them."""
MIN_BLOCKS = 2
MAX_FIRST_FILTERS, MAX_FILTERS, MIN_FIRST_FILTERS = 32, 128, 8
"""Limits of the filters per block: each block has twice as many as the previous one, and the first
block has fewer for large images, as pixels cost time."""
MAX_GRAY_FILTERS = 64
"""The limit for small images of one channel. Without colors to tell apart, twice as many were
hardly better: 0.990 instead of 0.989 on 10,000 images of MNIST, in twice the time."""
MIN_SIDE_TO_POOL = 33
"""In images of at least this size an object may be anywhere, so that averaging over all positions
helps; smaller images are filled by one object."""
MAX_RESIDUAL_SIDE = 64
"""In large images, blocks whose input is at most this large are residual; with more pixels, that
costs more time than it is worth: a third more for 128 pixels, more than twice as much for 224."""
TABLE_HIDDEN_LAYERS = (100,)
"""The dense layers for a table, as in MLPClassifier."""
MAX_BATCH_SIZE = 64
MIN_BATCHES, MIN_BATCH_SIZE = 4, 10
"""The fewest mini-batches per epoch, and their smallest size: full-batch steps lack noise. 50
photos of 128x128 pixels reached an accuracy of 0.40 with one, and of 0.61 with four."""
TARGET_STEPS = 600
"""The number of training steps, unless that makes too few or too many epochs."""
MIN_EPOCHS, MAX_EPOCHS = 8, 100
MAX_EPOCHS_ONE_ROW = 200
"""Tables and signals of one row are fast to train on, but few samples need many epochs."""


def filters(image: Image, table: bool) -> tuple[int, ...]:
    """Choose the filters of the convolution blocks, each of which halves the image."""
    sides = [side for side in image[:2] if side > 1]  # a signal has only one
    if table or not sides:
        return ()
    n_halvings = ceil(log2(min(sides) / MAX_LAST_SIDE))
    n_blocks = max(n_halvings + (not _is_large(image)), MIN_BLOCKS)
    few = len(sides) == 2 and not _is_large(image) and image[2] == 1
    most = MAX_GRAY_FILTERS if few else MAX_FILTERS
    first = min(max(most * 2 // 2**n_halvings, MIN_FIRST_FILTERS), MAX_FIRST_FILTERS)
    return tuple(min(first * 2**i, most) for i in range(n_blocks))


def global_pooling(image: Image, n_blocks: int) -> bool:
    """Choose whether global pooling follows the last of the given number of blocks."""
    return n_blocks > 0 and _is_large(image)


def residual(image: Image, n_blocks: int) -> list[bool]:
    """Choose which of the blocks, each of which halves the image, are residual."""
    large, side = _is_large(image), min(image[:2])
    return [large and side / 2**i <= MAX_RESIDUAL_SIDE for i in range(n_blocks)]


def hidden_layers(n_blocks: int) -> tuple[int, ...]:
    """Choose the dense layers after the given number of convolution blocks."""
    return () if n_blocks else TABLE_HIDDEN_LAYERS


def batch_size(n_samples: int) -> int:
    """Choose the number of samples in a mini-batch, so that all batches have nearly the same size.

    A last batch of a single sample would have no meaningful statistics.
    """
    min_batches = MIN_BATCHES if n_samples >= MIN_BATCHES * MIN_BATCH_SIZE else 1
    return max(ceil(n_samples / max(ceil(n_samples / MAX_BATCH_SIZE), min_batches)), 1)


def epochs(image: Image, n_samples: int, batch_size: int) -> int:
    """Choose the number of epochs."""
    max_epochs = MAX_EPOCHS if image[0] > 1 else MAX_EPOCHS_ONE_ROW
    n_batches = max(ceil(n_samples / batch_size), 1)
    return min(max(round(TARGET_STEPS / n_batches), MIN_EPOCHS), max_epochs)


def schedule(endless: bool, early_stopping: bool, n_iter_no_change: float, tol: float) -> Schedule:
    """Choose the learning rate schedule: one cycle, if the number of epochs is known.

    With early stopping, the rate is lowered twice within ``n_iter_no_change`` epochs, which may
    lead to another improvement.
    """
    if endless:
        return Constant()
    if not early_stopping:
        return OneCycle()
    patience = max(int(min(n_iter_no_change / 2, ReduceOnPlateau.patience)), 1)
    return ReduceOnPlateau(patience=patience, tol=tol, min_factor=ReduceOnPlateau.factor**2)


def _is_large(image: Image) -> bool:
    return min(image[:2]) >= MIN_SIDE_TO_POOL
