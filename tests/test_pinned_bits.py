"""The bits of ten fits, while the house is rebuilt around them; this file goes when that is done.

Other processors and other versions of NumPy add in another order: there it is skipped.
"""

import hashlib

import numpy as np
import pytest
import scipy
from numpy._core._multiarray_umath import __cpu_features__
from sklearn.datasets import load_digits, load_iris
from threadpoolctl import threadpool_info

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import Affine, Brightness, Cutout, HorizontalFlip, RandomCrop, Shift
from sknpcnn.layers import (
    GELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    SiLU,
    Tanh,
)
from sknpcnn.losses import CrossEntropy
from tests.estimator.private import vector_of

X, y = load_digits(return_X_y=True)
X, y = X[:600].astype(np.float32), y[:600]
COLOR = np.random.default_rng(0).integers(0, 256, (200, 14, 11, 3), dtype=np.uint8)
WEIGHTS = np.random.default_rng(1).uniform(0, 2, len(X))
BLOCK = [Conv2D(8, bias=False), BatchNorm(), ReLU(), Conv2D(8), BatchNorm()]
SHORTCUT = Conv2D(16, kernel_size=1, stride=2)
TABLE = load_iris(return_X_y=True)


def classes(n):
    return np.arange(n) % 3


FITS = {
    "defaults": (X, y, {}, {}),
    "dropout": (
        X,
        y,
        {"conv_filters": (8, 16), "dropout": 0.4, "batch_norm": False, "hidden_layer_sizes": (32,)},
        {},
    ),
    "residuals": (
        X,
        y,
        {
            "layers": [
                *(Conv2D(8), BatchNorm(), ReLU(), Residual(BLOCK), ReLU()),
                Residual([Conv2D(16, stride=2), ReLU(), Conv2D(16)], shortcut=SHORTCUT),
                *(Dropout(0.2), GlobalAvgPool2D()),
            ]
        },
        {},
    ),
    "position bias": (
        COLOR,
        classes(len(COLOR)),
        {"layers": [Conv2D(9, 5, bias="position"), Tanh(), MaxPool2D(3), Flatten(), Dense(12)]},
        {},
    ),
    "weights": (
        X,
        y,
        {"conv_filters": (8,), "class_weight": "balanced", "dropout": 0.2},
        {"sample_weight": WEIGHTS},
    ),
    "augmentation": (
        COLOR,
        classes(len(COLOR)),
        {
            "conv_filters": (6, 12),
            "augment": [
                *(Shift(1), RandomCrop(1), HorizontalFlip()),
                *(Affine(10), Brightness(0.2), Cutout(3)),
            ],
        },
        {},
    ),
    "early stopping": (
        X,
        y,
        {"conv_filters": (8,), "early_stopping": True, "max_iter": 8, "n_iter_no_change": 2},
        {},
    ),
    "double, clipped, decayed": (
        X.astype(np.float64),
        y,
        {"conv_filters": (4,), "solver": "sgd", "alpha": 0.01, "clip_norm": 0.5, "n_jobs": 2},
        {},
    ),
    "sequences": (
        X,
        y,
        {
            "layers": [
                Sequential([Conv2D(8), GELU(), Sequential([Conv2D(8, 5), BatchNorm(), SiLU()])]),
                *(AvgPool2D(2), Residual([Dropout(0.3), Conv2D(8), MaxPool2D(1)]), Flatten()),
                *(Dense(20), BatchNorm(), ReLU()),
            ],
            "solver": "adamw",
            "loss": CrossEntropy(0.1),
        },
        {},
    ),
    "a table": (*TABLE, {"hidden_layer_sizes": (16, 8), "activation": "tanh"}, {}),
}

BLAS = {str(found.get("architecture")) for found in threadpool_info()} - {"None"}
VECTORS = {name for name in ("AVX2", "FMA3", "AVX512F", "AVX512_SKX") if __cpu_features__[name]}
MACHINE = (np.__version__, scipy.__version__, sorted(BLAS), sorted(VECTORS))
PINNED_ON = ("2.4.6", "1.17.1", ["Haswell"], ["AVX2", "FMA3"])
PINNED = {
    "defaults": "d8db4a55893538e7",
    "dropout": "609f7be913159df1",
    "residuals": "c6d00a49f2894145",
    "position bias": "0ee072cf9cdb08fd",
    "weights": "80878a59a6c614c0",
    "augmentation": "8604439778a89b3f",
    "early stopping": "351d1cf299193fa0",
    "double, clipped, decayed": "57a81329bdafd00f",
    "sequences": "43db5a84f2651849",
    "a table": "3b5fffcd25101400",
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.skipif(MACHINE != PINNED_ON, reason=f"the bits are those of {PINNED_ON}")
@pytest.mark.parametrize("name", FITS)
def test_the_bits_of_a_fit_are_those_of_before(name):
    data, target, params, options = FITS[name]
    params = {"max_iter": 3, "random_state": 7} | params
    clf = NumpyCNNClassifier(**params).fit(data, target, **options)
    p = clf.predict_proba(data[:30])
    found = hashlib.sha256(vector_of(clf).tobytes() + p.tobytes()).hexdigest()[:16]
    assert found == PINNED[name]
