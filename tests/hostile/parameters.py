"""Values for the classifier's parameters, sound or not."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from sknpcnn.augmentation import (
    Affine,
    Brightness,
    Contrast,
    Cutout,
    HorizontalFlip,
    RandomCrop,
    Shift,
)
from sknpcnn.layers import (
    ELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
)
from sknpcnn.losses import CrossEntropy, Focal, Huber
from sknpcnn.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from sknpcnn.schedules import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    ReduceOnPlateau,
    StepDecay,
)
from tests.hostile.numbers import GIANT, TOO_LARGE_FOR_A_FLOAT, TOO_MANY


def no_score(estimator, X, y):
    return np.nan


def refuses_to_score(estimator, X, y):
    raise ValueError("I will not score that.")


def scores_in_words(estimator, X, y):
    return "good"


# name: (values that fit images of 6 x 6 pixels, others)
PARAMETERS: dict[str, tuple[list[Any], list[Any]]] = {
    "conv_filters": (
        [(), 1, (2,), (3, 2), [2, 2], np.array([2, 3]), range(1, 3)],
        [
            "8",
            (0,),
            (2, -1),
            (2.5,),
            ((2, 3),),
            [[2], [3]],
            (True,),
            GIANT,
            TOO_MANY,
            (np.nan,),
            {2: 3},
        ],
    ),
    "kernel_size": (
        [1, 3, (1, 3), [2], np.array([3]), np.int8(3)],
        ["3", 0, (3, 0), (3, 3, 3), [3, 3, 3], [(3, 3), 3], [[[3]]], 2.5, GIANT, [None]],
    ),
    "pool_size": (
        [1, 2, (2, 1), [2], [(1, 2)]],
        [0, 7, "2", (2,), [2, 2, 2], (2.0, 2.0), GIANT, [[]]],
    ),
    "padding": (
        ["same", "valid", 0, 1, (1, 0), ["valid"], [(1, 1)], [1]],
        [
            "full",
            -1,
            [-1],
            ("same", "valid"),
            ["same", "all"],
            [["same"]],
            1.5,
            GIANT,
            TOO_MANY,
            np.array([]),
        ],
    ),
    "hidden_layer_sizes": (
        [(), 4, (3, 2), [5], np.array([2])],
        ["5", (0,), -3, (2.0,), [[3]], GIANT, TOO_MANY, (None,), {3}],
    ),
    "activation": (
        ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "logistic", "identity"],
        ["rleu", ReLU(), np.tanh],
    ),
    "residual": ([True, False, "auto"], ["yes", 1, [True], [0, 1], (), np.array([True] * 9)]),
    "batch_norm": ([True, False, np.True_], ["yes", 1, 2]),
    "dropout": ([0.0, 0.5, 0.999, np.float32(0.25)], [1.0, -0.1, True, 5e-324, "0.5"]),
    "layers": (
        [[], [Conv2D(2), ReLU()], [Flatten()], (("a", Conv2D(2)), ("b", BatchNorm()))],
        [
            [Flatten(), Conv2D(2)],
            [Dense(3)],
            [Conv2D],
            ["relu"],
            Conv2D(2),
            "conv",
            [[Conv2D(2)]],
            [("a", ReLU()), ("a", ReLU())],
            [("a__b", ReLU())],
            [("output", ReLU())],
            [("solver", ReLU())],
            [Adam()],
            [("a", ReLU(), 3)],
            [MaxPool2D(9)],
            [Conv2D(GIANT)],
            [Conv2D(2, 10**7), GlobalAvgPool2D()],
            [Conv2D(2, stride=GIANT)],
            [Conv2D(2, dilation=GIANT)],
            [Conv2D(2, padding=GIANT)],
            [Conv2D(2, padding=10**7), GlobalAvgPool2D()],
            [MaxPool2D(GIANT, padding="same")],
            [AvgPool2D((1, GIANT), 1, padding="same")],
            [MaxPool2D(GIANT, 1, padding=GIANT - 1)],
            [AvgPool2D(2, GIANT)],
            [Residual([Conv2D(4)])],
            [ELU(1e300), BatchNorm(epsilon=1e300), LeakyReLU(5e-324)],
            [BatchNorm(epsilon=5e-324), Conv2D(2, lr_scale=1e300)],
            [Conv2D(2), BatchNorm(), Dropout(1 - 1e-16)],
        ],
    ),
    "image_shape": (
        [(6, 6), [6, 6, 1], np.array([6, 6])],
        [
            (36, 1),
            (3, 4, 3),
            (7, 7),
            (6,),
            (0, 36),
            (-6, -6),
            (6.0, 6.0),
            ((6,), 6),
            (6, 6, 1, 1),
            np.array([[6, 6]]),
            np.array(6),
            (GIANT, 6),
            "66",
            36,
            (),
        ],
    ),
    "solver": (
        ["sgd", "adam", "adamw", "rmsprop", "adadelta", "adagrad", SGD(0.9, nesterov=True)],
        [
            SGD(1 - 1e-16),
            Adam(0.0, 0.0),
            Adam(1 - 1e-16, 1 - 1e-16),
            Adam(epsilon=1e300),
            Adam(epsilon=5e-324),
            AdamW(1e300),
            RMSprop(0.0, 0.999),
            RMSprop(epsilon=5e-324),
            Adadelta(0.0, 1e300),
            Adagrad(1e300),
            SGD,
            "lbfgs",
            OneCycle(),
            None,
        ],
    ),
    "learning_rate": (
        ["constant", "adaptive", StepDecay(1), CosineDecay(), OneCycle(), Constant(warmup=1)],
        [
            StepDecay((1, 2), 5e-324),
            ExponentialDecay(1e-300),
            OneCycle(start=0.0, final=0.0),
            ReduceOnPlateau(1e-300, 1, 1e300, 0.0),
            Constant(warmup=1e300),
            CosineDecay(warmup=5e-324),
            0.1,
            "fast",
            StepDecay,
            SGD(),
        ],
    ),
    "learning_rate_init": (
        ["auto", 0.01, np.float32(0.1), 1],
        [1e-300, 5e-324, 1e3, 1e10, 1e18, 1e30, 1e37, 1e100, 1e300, 0, -1, np.inf, np.nan, "low"],
    ),
    "alpha": ([0.0, 0.1, 1], [1e-300, 1e10, 1e38, 1e300, -1, np.inf, np.nan, "strong"]),
    "batch_size": (["auto", 1, 2, 3, 1000], [0, -1, 2.5, "all", GIANT, TOO_LARGE_FOR_A_FLOAT]),
    "max_iter": ([1, 2, 3], [0, -1, 1.5, np.inf, "many", None]),
    "shuffle": ([True, False], ["yes", None]),
    "standardize": ([True, False], ["yes", None, 1]),
    "augment": (
        [None, [], [Shift(1)], [HorizontalFlip(), Brightness(1.0)], (("a", RandomCrop(1)),)],
        [
            [Affine(180, 0.9, 1e3, 1e3, fill=1e30)],
            [Affine(180, 1 - 1e-16, 2.0**20, 2.0**20)],
            [Contrast(1.0), Cutout(1, fill=-3e38)],
            [Shift(5, fill=3e38)],
            [Shift(6)],
            [Cutout(99)],
            [1],
            [Shift],
            Shift(1),
            "flip",
            [ReLU()],
            [("a", Shift(1)), ("a", Shift(1))],
            [("dropout", Shift(1))],
        ],
    ),
    "class_weight": (
        [None, "balanced", {0: 2.0}, {0: 1, 1: 3}, {}],
        [
            {0: 0.0},
            {0: 0, 1: 0},
            {0: -1},
            {0: np.nan},
            {0: np.inf},
            {0: 1e308, 1: 1e308},
            {0: 5e-324},
            {0: TOO_LARGE_FOR_A_FLOAT},
            {0: "a"},
            {0: None},
            {0: np.array([1.0, 2.0])},
            {"no": 2.0},
            {None: 1, (): 2},
            "heavy",
            [1, 2],
        ],
    ),
    "loss": (
        ["auto", "cross_entropy", "focal", CrossEntropy(0.1), CrossEntropy(0.999), Focal(0.5)],
        ["mse", "squared_error", "binary_cross_entropy", Huber(), CrossEntropy, None, 0.1],
    ),
    "clip_norm": ([None, 1.0, 5], [1e-300, 5e-324, 1e300, 0, -1, np.inf, np.nan, "short"]),
    "early_stopping": ([True, False], ["yes", None]),
    "validation_fraction": ([0.1, 0.5], [5e-324, 1 - 1e-16, 0.0, 1.0, -1, np.nan, 1, "tenth"]),
    "n_iter_no_change": ([10, 1, np.inf], [0, -1, 1.5, -np.inf, np.nan, TOO_LARGE_FOR_A_FLOAT]),
    "tol": ([0.0, 1e-4, 1], [1e300, np.inf, -1, np.nan, TOO_LARGE_FOR_A_FLOAT]),
    "scoring": (
        ["loss", None, "accuracy", "neg_log_loss", "f1_macro"],
        ["acuracy", "r2", "roc_auc", no_score, refuses_to_score, scores_in_words, 5],
    ),
    "warm_start": ([True, False], ["yes", None]),
    "checkpoint_dir": ([None], ["\0", "\ud800", "x" * 5000, __file__, f"{__file__}/x", 3, b"here"]),
    "random_state": (
        [None, 0, 2**32 - 1, np.int64(5)],
        [-1, 2**32, 0.5, "seed", np.random.default_rng(0)],
    ),
    "n_jobs": ([None, 1, 2, -1], [0, -100, GIANT, 1.5, "all", True]),
    "dtype": (
        [None, "float32", "float64", np.float32, np.dtype("f8")],
        ["float16", "f4", np.float16, np.dtype("i4"), np.dtype(">f4"), int, 32],
    ),
    "verbose": ([0, 1, 2, True], [-1, 1.5, "loud", GIANT]),
}
for _name in ("learning_rate_init", "alpha", "clip_norm", "dropout"):
    PARAMETERS[_name][1].append(TOO_LARGE_FOR_A_FLOAT)

BLOCKS = (
    *("conv_filters", "kernel_size", "pool_size", "padding", "hidden_layer_sizes"),
    *("activation", "residual", "batch_norm", "dropout"),
)
TRAINING = tuple(name for name in PARAMETERS if name not in (*BLOCKS, "layers"))


@st.composite
def parameters(draw, names=TRAINING, most_odd=1):
    """Sound values for some of the parameters, others for a few."""
    sound = draw(st.lists(st.sampled_from(names), unique=True, max_size=5))
    odd = draw(st.lists(st.sampled_from(names), unique=True, max_size=most_odd))
    chosen = {name: draw(st.sampled_from(PARAMETERS[name][0])) for name in sound}
    return chosen | {name: draw(st.sampled_from(PARAMETERS[name][1])) for name in odd}


@st.composite
def mostly_sound(draw, **strategies):
    """Draw something for each name, given as (sound, hostile): hostile for two names at most."""
    odd = draw(st.sets(st.sampled_from(sorted(strategies)), max_size=2))
    return {
        name: draw(hostile if name in odd else sound)
        for name, (sound, hostile) in strategies.items()
    }


odd_layers = st.sampled_from(PARAMETERS["layers"][1])
sound_parameters = parameters(most_odd=0)
