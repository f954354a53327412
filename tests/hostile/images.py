"""Recipes for X: ``make`` builds it, for it cannot be printed in a line."""

import tempfile
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse
from hypothesis import strategies as st

from tests.hostile.numbers import TOO_LARGE_FOR_A_FLOAT


class Images(NamedTuple):
    """How to make X."""

    shape: tuple[int, ...]
    values: str
    dtype: str
    dress: str
    seed: int = 0

    def make(self) -> Any:
        """Make values, give them a type, and put them into some kind of container."""
        with np.errstate(all="ignore"):
            numbers = np.asarray(VALUES[self.values](self._normal()))
            if self.dtype == "structured":
                numbers = numbers.astype([("r", "f4"), ("g", "f4")])
            else:
                numbers = numbers.astype(self.dtype)
        return DRESSES[self.dress](numbers)

    def _normal(self) -> np.ndarray:
        return np.random.default_rng(self.seed).normal(size=self.shape)


def with_one(value):
    """Put a value at the first position, if there is one."""

    def change(x):
        x = np.array(x)
        x[(slice(None, 1),) * x.ndim] = value
        return x

    return change


VALUES = {
    "normal": lambda x: x,
    "bytes": lambda x: np.clip(128 + 50 * x, 0, 255).round(),
    "zeros": np.zeros_like,
    "constant": lambda x: np.full_like(x, 7.7),
    "all alike but one": lambda x: with_one(1.0)(np.zeros_like(x)),
    "far from zero": lambda x: x + 1e6,
    "nan": with_one(np.nan),
    "inf": with_one(np.inf),
    "-inf": with_one(-np.inf),
    "one 1e30": with_one(1e30),
    "one 1e300": with_one(1e300),
    "about 1e18": lambda x: x * 1e18,
    "about 1e38": lambda x: np.clip(x * 1e38, -3e38, 3e38),
    "about 1e160": lambda x: x * 1e160,
    "about 1e308": lambda x: np.clip(x, -1, 1) * 1.7e308,
    "about 1e-20": lambda x: x * 1e-20,
    "about 1e-42": lambda x: x * 1e-42,
    "about 1e-160": lambda x: x * 1e-160,
    "about 1e-310": lambda x: x * 1e-310,
    "least": lambda x: np.sign(x) * 5e-324,
}
NUMBERS = [
    *("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"),
    *("f2", "f4", "f8", ">f4", ">f8", ">i2", ">u4", "g"),
]
NO_NUMBERS = ["O", "c8", "c16", "U8", "S8", "M8[s]", "m8[s]", "structured"]


class Tagged(np.ndarray):
    """An array of a user's own class."""


def fortran(x):
    return np.asfortranarray(x)


def backwards(x):
    """Reverse the values in memory: all strides are negative."""
    turned = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[turned])[turned] if x.ndim else x


def every_other(x):
    """Leave gaps between the values."""
    return np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x


def read_only(x):
    x.flags.writeable = False
    return x


def mapped(x):
    """Put the values into a file, if there are any."""
    if x.size == 0 or x.dtype.hasobject:
        return x
    with tempfile.TemporaryFile() as file:
        on_disk = np.memmap(file, x.dtype, "w+", shape=x.shape)
    on_disk[...] = x
    return on_disk


def masked(x):
    return np.ma.masked_array(x, mask=np.indices(x.shape).sum(axis=0) % 3 == 0)


def sparse(kind):
    def make(x):
        return kind(x.reshape(len(x), -1)) if may_be_sparse(x) else x

    return make


def sparse_images(x):
    return scipy.sparse.coo_array(x) if may_be_sparse(x) else x


def may_be_sparse(x):
    return x.ndim > 1 and x.size > 0 and x.dtype.isnative and x.dtype.char in "?bhilBHILfdFD"


def frame(kind):
    def make(x):
        if x.ndim < 2 or x.size == 0 or x.dtype.kind in "VS" or x.dtype.str[1:] in ("f2", "f16"):
            return x
        rows = x.reshape(len(x), -1).astype(x.dtype.newbyteorder("="))
        if kind is pl.DataFrame and x.dtype.kind in "cOMm":
            return x
        columns = [f"pixel {i}" for i in range(rows.shape[1])]
        return kind(dict(zip(columns, rows.T, strict=True)))

    return make


DRESSES = {
    "plain": lambda x: x,
    "fortran": fortran,
    "backwards": backwards,
    "every other": every_other,
    "read-only": read_only,
    "memory map": mapped,
    "list": lambda x: x.tolist(),
    "tuple": lambda x: tuple(x.tolist()) if x.ndim else x.tolist(),
    "list of arrays": lambda x: list(x) if x.ndim else x,
    "rows": lambda x: x.reshape(len(x), -1) if x.ndim and x.size else x,
    "masked": masked,
    "subclass": lambda x: x.view(Tagged),
    "object": lambda x: x.astype(object),
    "enormous integer": lambda x: with_one(TOO_LARGE_FOR_A_FLOAT)(x.astype(object)),
    "csr matrix": sparse(scipy.sparse.csr_matrix),
    "coo array": sparse(scipy.sparse.coo_array),
    "coo array of images": sparse_images,
    "pandas": frame(pd.DataFrame),
    "polars": frame(pl.DataFrame),
    "ragged": lambda x: [*x.tolist(), []] if x.ndim else x,
}
NO_IMAGES = [None, "text", 5, 1.5, {}, set(), object(), [], [[]], [[[]]], ["a", "b"], b"raw"]

side = st.integers(1, 6)
few = st.integers(1, 9)
sound_shapes = st.one_of(
    st.tuples(few, side, side),
    st.tuples(few, side, side, st.integers(1, 3)),
    st.tuples(few, st.integers(1, 36)),
)
odd_shapes = st.one_of(
    st.just(()),
    st.tuples(st.integers(0, 9)),
    st.lists(st.integers(0, 3), min_size=2, max_size=6).map(tuple),
)


def sound_images_of(shapes):
    return st.builds(
        Images,
        shapes,
        st.sampled_from(["normal", "normal", "bytes", "constant", "far from zero"]),
        st.sampled_from(["f4", "f8", "u1"]),
        st.just("plain"),
        st.integers(0, 3),
    )


@st.composite
def images_of(draw, shapes):
    """Images that are odd in up to two respects: in what they hold, in their type, or in form."""
    odd = draw(st.sets(st.sampled_from(["values", "dtype", "dress"]), max_size=2))
    return Images(
        draw(shapes),
        draw(st.sampled_from(list(VALUES))) if "values" in odd else "normal",
        draw(st.sampled_from([*NUMBERS, *NO_NUMBERS] if "dtype" in odd else ["f4", "f8"])),
        draw(st.sampled_from(list(DRESSES))) if "dress" in odd else "plain",
        draw(st.integers(0, 3)),
    )


sound_images = sound_images_of(sound_shapes)
hostile_images = images_of(st.one_of(sound_shapes, sound_shapes, sound_shapes, odd_shapes))
shapes_6_by_6 = st.tuples(few, st.just(6), st.just(6))
sound_6_by_6 = sound_images_of(shapes_6_by_6)
hostile_6_by_6 = images_of(st.one_of(shapes_6_by_6, shapes_6_by_6, shapes_6_by_6, sound_shapes))


class Thing(NamedTuple):
    """Something that is no data at all."""

    value: Any

    def make(self, n: int = 0) -> Any:
        """Return it."""
        return self.value


anything_as_images = st.one_of(
    hostile_images, hostile_images, hostile_images, st.sampled_from(NO_IMAGES).map(Thing)
)
