"""Recipes for labels and weights."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse
from hypothesis import strategies as st

from tests.hostile.images import backwards, read_only
from tests.hostile.numbers import TOO_LARGE_FOR_A_FLOAT


class PerSample(NamedTuple):
    """How to make labels or weights for so many samples."""

    kind: str

    def make(self, n: int) -> Any:
        """Make them."""
        return {**LABELS, **WEIGHTS}[self.kind](np.arange(n))


def categories(i):
    return pd.Series(np.array(["no", "yes"])[i % 2], dtype="category")


SOUND_LABELS = {
    "two": lambda i: i % 2,
    "three": lambda i: i % 3,
    "all different": lambda i: i,
    "one": np.zeros_like,
    "strings": lambda i: np.array(["no", "yes"])[i % 2],
    "object strings": lambda i: np.array(["no", "yes"], object)[i % 2],
    "bools": lambda i: i % 2 == 0,
    "whole floats": lambda i: i % 2 + 0.0,
    "negative": lambda i: i % 2 * -5,
    "unsigned": lambda i: (i % 2 * 255).astype("u1"),
    "big-endian": lambda i: (i % 2).astype(">i8"),
    "read-only": lambda i: read_only(i % 2),
    "backwards": lambda i: backwards(i % 2),
    "list": lambda i: (i % 2).tolist(),
    "pandas": lambda i: pd.Series(i % 2),
    "categories": categories,
    "polars": lambda i: pl.Series("label", i % 2),
    "column": lambda i: (i % 2)[:, None],
    "largest integers": lambda i: np.where(i % 2, 2**63 - 1, -(2**63)),
}
ODD_LABELS = {
    "bytes": lambda i: np.array([b"no", b"yes"])[i % 2],
    "dates": lambda i: i.astype("M8[D]"),
    "complex": lambda i: i % 2 * 1j,
    "nan": lambda i: np.where(i == 0, np.nan, i % 2),
    "all nan": lambda i: np.full(len(i), np.nan),
    "inf": lambda i: np.where(i == 0, np.inf, i % 2),
    "huge": lambda i: np.where(i % 2, 1e300, 2.0),
    "enormous integers": lambda i: np.array([0, TOO_LARGE_FOR_A_FLOAT], object)[i % 2],
    "continuous": lambda i: i + 0.5,
    "multilabel": lambda i: np.stack([i % 2, i // 2 % 2], axis=1),
    "two columns": lambda i: np.stack([i % 3, i % 2], axis=1),
    "sparse": lambda i: scipy.sparse.csr_array((i % 2)[:, None]),
    "nested": lambda i: [[int(k)] * int(k % 2) for k in i],
    "mixed": lambda i: np.array([None, "a", 1], object)[i % 3],
    "numbers and nan": lambda i: np.array([1, np.nan], object)[i % 2],
    "sets": lambda i: [{int(k)} for k in i],
    "short": lambda i: i[:-1] % 2,
    "long": lambda i: np.arange(len(i) + 1) % 2,
    "none": lambda i: None,
    "a number": lambda i: 1,
    "a string": lambda i: "yes",
    "masked": lambda i: np.ma.masked_array(i % 2, mask=i == 0),
    "structured": lambda i: i.astype([("a", "i4")]),
}
LABELS = SOUND_LABELS | ODD_LABELS

SOUND_WEIGHTS = {
    "no weights": lambda i: None,
    "ones": lambda i: np.ones(len(i)),
    "whole": lambda i: i % 3 + 1,
    "halves": lambda i: i % 3 / 2,
    "only one": lambda i: (i == 0) * 1.0,
    "1e-300": lambda i: np.full(len(i), 1e-300),
    "1e300": lambda i: np.full(len(i), 1e300),
    "largest": lambda i: np.full(len(i), 1.7e308),
    "least": lambda i: np.full(len(i), 5e-324),
    "far apart": lambda i: np.where(i % 2, 1e300, 1e-300),
    "float32": lambda i: (i + 1).astype("f4"),
    "big-endian weights": lambda i: (i + 1).astype(">f8"),
    "read-only weights": lambda i: read_only(i + 1.0),
    "list of weights": lambda i: (i + 1).tolist(),
    "scalar": lambda i: 2.0,
}
ODD_WEIGHTS = {
    "zeros": lambda i: np.zeros(len(i)),
    "a negative one": lambda i: np.where(i == 0, -1.0, 1.0),
    "negative weights": lambda i: np.full(len(i), -1.0),
    "a nan": lambda i: np.where(i == 0, np.nan, 1.0),
    "an inf": lambda i: np.where(i == 0, np.inf, 1.0),
    "enormous weights": lambda i: [TOO_LARGE_FOR_A_FLOAT] * len(i),
    "short weights": lambda i: np.ones(max(len(i) - 1, 0)),
    "matrix": lambda i: np.ones((len(i), 2)),
    "complex weights": lambda i: np.full(len(i), 1j),
    "words": lambda i: ["heavy"] * len(i),
    "nothing": lambda i: [None] * len(i),
    "a word": lambda i: "balanced",
    "sparse weights": lambda i: scipy.sparse.csr_array(np.ones((len(i), 1))),
}
WEIGHTS = SOUND_WEIGHTS | ODD_WEIGHTS

sound_labels = st.sampled_from(list(SOUND_LABELS)).map(PerSample)
hostile_labels = st.sampled_from(list(LABELS)).map(PerSample)
sound_weights = st.sampled_from(["no weights"] * 6 + list(SOUND_WEIGHTS)).map(PerSample)
hostile_weights = st.sampled_from(list(WEIGHTS)).map(PerSample)
