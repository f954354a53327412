"""Bad input ends in an exception that says what was given and what is needed, before training."""

from collections import deque

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn.augmentation import Affine, Cutout, RandomCrop, Shift
from sknpcnn.callbacks import TimeLimit
from sknpcnn.layers import (
    ELU,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
)
from sknpcnn.losses import Huber
from sknpcnn.optimizers import SGD, Adam
from sknpcnn.schedules import OneCycle, StepDecay

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 8, 8))
y = np.arange(20) % 2


def fit(X=X, y=y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None, **params):
    clf = NumpyCNNClassifier(**{"max_iter": 1} | params)
    return clf.fit(
        X,
        y,
        sample_weight,
        X_val=X_val,
        y_val=y_val,
        sample_weight_val=sample_weight_val,
    )


def with_nan(where=np.nan):
    bad = X.copy()
    bad[3, 2, 1] = where
    return bad


# name: (what is done, the exception, what its message has to hold: what was given, what is needed)
BAD = {
    # parameters
    "enormous integer": (lambda: fit(learning_rate_init=10**400), ValueError, r"learning_rate_init is an integer of 1329 bits; needed: one that a floating-point number can hold"),
    "enormous integer in X": (lambda: fit(np.full((20, 4, 4), 10**400, object)), ValueError, r"X holds an integer beyond 1e308; needed: finite numbers"),
    "enormous integer in sample_weight": (lambda: fit(sample_weight=[10**400] * 20), ValueError, r"sample_weight holds an integer beyond 1e308"),
    "enormous integer in class_weight": (lambda: fit(class_weight={0: 10**400}), ValueError, r"class_weight=\{0: <int of 1329 bits, more than a float holds>\}; needed: finite numbers of at least 0"),
    "predict too large pixels": (lambda: fit(X.astype("f4") / 1000).predict(np.stack([X[0] / 1000, np.full((8, 8), 3e38)]).astype("f4")), ValueError, r"X\[1\] makes the network overflow in float32; needed: pixels on the scale of those that it was trained on"),
    "predict features of too large pixels": (lambda: NumpyCNNFeatures(NumpyCNNClassifier(max_iter=1)).fit(X.astype("f4") / 1000, y).transform(np.full((2, 8, 8), 3e38, "f4")), ValueError, r"X\[0\] makes the network overflow in float32"),
    "enormous integer in a layer": (lambda: Conv2D(2, lr_scale=10**400), ValueError, r"lr_scale=<int of 1329 bits, more than a float holds>; needed: a number of at least 0.0"),
    "window beyond any image": (lambda: fit(layers=[MaxPool2D(10**30, padding="same")]), ValueError, r"spans 1e\+30 pixels, more than any image has; needed: a window, a stride and a padding of at most 1048576"),
    "layer beyond any memory": (lambda: fit(layers=[Conv2D(10**20)]), ValueError, r"'conv2d_1': Conv2D\(filters=1\d+\) has 1e\+21 parameters and 6.4e\+21 outputs .* needed: no more than 1.1e\+12"),
    "pixels too far apart": (lambda: fit(np.where(X > 0, 1e300, X)), ValueError, r"standardize=True, but X varies by inf, which float64 cannot scale. Divide X"),
    "partial_fit no classes": (lambda: NumpyCNNClassifier().partial_fit(X, y, classes=[]), ValueError, r"classes=\[\]; needed: all labels that may occur"),
    "partial_fit nan class": (lambda: NumpyCNNClassifier().partial_fit(X, y, classes=[0, np.nan]), ValueError, r"classes=\[0, nan\]; needed: all labels that may occur, without NaN"),
    "conv_filters": (lambda: fit(conv_filters=(8, 0)), ValueError, r"conv_filters=\(8, 0\); needed: an integer of at least 1, or a tuple"),
    "conv_filters text": (lambda: fit(conv_filters="8"), ValueError, r"'conv_filters' parameter .* must be .* Got '8'"),
    "conv_filters float": (lambda: fit(conv_filters=(8.5,)), ValueError, r"conv_filters=\(8.5,\); needed: an integer"),
    "kernel_size": (lambda: fit(kernel_size=0), ValueError, r"'kernel_size' parameter .* Got 0"),
    "kernel_size length": (lambda: fit(conv_filters=(16, 32), kernel_size=[3, 3, 3]), ValueError, r"kernel_size=\[3, 3, 3\] has 3 entries for 2 convolution blocks; give one entry per block"),
    "kernel_size triple": (lambda: fit(kernel_size=(3, 3, 3)), ValueError, r"kernel_size=\(3, 3, 3\); needed: an integer of at least 1, a pair"),
    "pool_size": (lambda: fit(conv_filters=(16, 32), pool_size=[2, -1]), ValueError, r"pool_size=\[2, -1\]; needed: an integer of at least 1"),
    "pool too large": (lambda: fit(pool_size=20), ValueError, r"convolution block 1: pool_size=20 is larger than the 8x8 pixels that are left"),
    "pool too large later": (lambda: fit(conv_filters=(2, 2, 2), pool_size=[2, 2, 5]), ValueError, r"convolution block 3: pool_size=5 is larger than the 2x2 pixels"),
    "kernel too large": (lambda: fit(kernel_size=9, padding="valid"), ValueError, r"convolution block 1: Conv2D.* images of 8x8 pixels, which are smaller than its window of 9x9"),
    "padding": (lambda: fit(padding="full"), ValueError, r"'padding' parameter .* Got 'full'"),
    "padding list": (lambda: fit(conv_filters=(16, 32), padding=["same", "all"]), ValueError, r"padding=\['same', 'all'\]; needed: 'same', 'valid'"),
    "residual word": (lambda: fit(residual="yes"), ValueError, r"'residual' parameter .* Got 'yes'"),
    "residual of other blocks": (lambda: fit(residual=[True, False], conv_filters=(2, 2, 2)), ValueError, r"residual=\[True, False\]; needed: True or False, or a list .* 3 convolution blocks"),
    "residual of no flags": (lambda: fit(residual=[1, 0], conv_filters=(2, 2)), ValueError, r"residual=\[1, 0\]; needed"),
    "global_pooling": (lambda: fit(global_pooling="yes"), ValueError, r"'global_pooling' parameter .* Got 'yes'"),
    "global_pooling of no blocks": (lambda: fit(global_pooling=True, conv_filters=()), ValueError, r"global_pooling=True needs convolution blocks, .*conv_filters"),
    "hidden_layer_sizes": (lambda: fit(hidden_layer_sizes=(10, -3)), ValueError, r"hidden_layer_sizes=\(10, -3\); needed"),
    "activation": (lambda: fit(activation="rleu"), ValueError, r"'activation' parameter .* must be a str among .*'relu'.* Got 'rleu'"),
    "dropout": (lambda: fit(dropout=1.0), ValueError, r"'dropout' parameter .* \[0.0?, 1.0?\).* Got 1.0"),
    "batch_norm": (lambda: fit(batch_norm="yes"), ValueError, r"'batch_norm' parameter .* Got 'yes'"),
    "solver": (lambda: fit(solver="lbfgs"), ValueError, r"'solver' parameter .* Got 'lbfgs'"),
    "solver class": (lambda: fit(solver=SGD), ValueError, r"'solver' parameter .* instance of 'sknpcnn.optimizers.Optimizer'"),
    "learning_rate": (lambda: fit(learning_rate=0.1), ValueError, r"'learning_rate' parameter .* Got 0.1"),
    "learning_rate_init": (lambda: fit(learning_rate_init=0), ValueError, r"'learning_rate_init' parameter .* Got 0"),
    "alpha": (lambda: fit(alpha=-1), ValueError, r"'alpha' parameter .* Got -1"),
    "batch_size": (lambda: fit(batch_size=0), ValueError, r"'batch_size' parameter .* Got 0"),
    "max_iter": (lambda: fit(max_iter=-1), ValueError, r"'max_iter' parameter .* Got -1"),
    "loss": (lambda: fit(loss="mse"), ValueError, r"'loss' parameter .* Got 'mse'"),
    "loss of reals": (lambda: fit(loss=Huber()), ValueError, r"loss=Huber\(\) compares real numbers, but NumpyCNNClassifier predicts classes or labels"),
    "clip_norm": (lambda: fit(clip_norm=0), ValueError, r"'clip_norm' parameter .* Got 0"),
    "validation_fraction": (lambda: fit(validation_fraction=1.0), ValueError, r"'validation_fraction' parameter .* Got 1.0"),
    "scoring": (lambda: fit(scoring="acuracy", early_stopping=True), ValueError, r"acuracy"),
    "n_jobs": (lambda: fit(n_jobs=0), ValueError, r"n_jobs=0; needed: a number of threads"),
    "dtype": (lambda: fit(dtype="float16"), ValueError, r"'dtype' parameter .* Got 'float16'"),
    "class_weight": (lambda: fit(class_weight="balance"), ValueError, r"'class_weight' parameter .* Got 'balance'"),
    "class_weight negative": (lambda: fit(class_weight={0: -1}), ValueError, r"class_weight=\{0: -1\}; needed: finite numbers of at least 0"),
    "class_weight not a number": (lambda: fit(class_weight={0: np.nan}), ValueError, r"class_weight=\{0: nan\}; needed: finite numbers"),
    "class_weight all zero": (lambda: fit(class_weight={0: 0, 1: 0}), ValueError, r"class_weight=\{0: 0, 1: 0\}; needed: a weight above 0"),
    "pool_size single": (lambda: fit(pool_size=(2,)), ValueError, r"pool_size=\(2,\); needed: an integer of at least 1, a pair"),
    "conv_filters matrix": (lambda: fit(conv_filters=np.ones((2, 2), int)), ValueError, r"conv_filters=.*needed: an integer of at least 1"),
    "scoring without validation": (lambda: fit(scoring="acuracy"), ValueError, r"acuracy"),
    "scoring that cannot score": (lambda: fit(X_val=X, y_val=y, scoring=lambda *a: np.nan), ValueError, r"validation data give .* a score of nan"),
    "dtype object": (lambda: fit(dtype=np.dtype("int32")), ValueError, r"dtype=dtype\('int32'\); needed: float32, float64 or None"),
    "image_shape": (lambda: fit(X=X.reshape(20, 64), image_shape=(8, 9)), ValueError, r"X has 64 features, but image_shape=\(8, 9\) needs 72"),
    "image_shape kind": (lambda: fit(image_shape=(8,)), ValueError, r"image_shape=\(8,\); needed: \(height, width\)"),
    "image_shape against X": (lambda: fit(image_shape=(4, 16)), ValueError, r"X holds images of shape \(8, 8, 1\), but image_shape=\(4, 16\)"),
    "augment": (lambda: fit(augment=[1]), TypeError, "augment holds 1 of type int; each item must be an augmentation"),
    "conv_filters as bytes": (lambda: fit(conv_filters=b"\2\2"), ValueError, r"'conv_filters' parameter .* Got b'\\x02\\x02'"),
    "kernel_size as a range": (lambda: fit(kernel_size=range(2, 4)), ValueError, r"'kernel_size' parameter .* Got range\(2, 4\)"),
    "enormous integer for any parameter": (lambda: fit(kernel_size=(10**5000, 3)), ValueError, r"kernel_size=\(<int of 16610 bits, more than a float holds>, 3\); needed"),
    "huge list": (lambda: fit(scoring=[0] * 10**6), ValueError, r"'scoring' parameter .* Got \[0, 0, .*\.\.\. 1000000 in all\]"),
    "checkpoint_dir": (lambda: fit(checkpoint_dir="a\0b"), ValueError, r"checkpoint_dir='a\\x00b'; needed: the path of a folder"),
    "class_weight of no class": (lambda: fit(class_weight={5: "heavy"}), ValueError, r"class_weight=\{5: 'heavy'\}; needed: finite numbers of at least 0"),
    # layers
    "layers and architecture": (lambda: fit(layers=[Flatten()], conv_filters=(4,), dropout=0.2), ValueError, r"layers spells the whole network out, so conv_filters, dropout cannot be set"),
    "layers class": (lambda: fit(layers=[ReLU]), TypeError, r"layers holds the class ReLU; give an instance, ReLU\(...\)"),
    "layers other": (lambda: fit(layers=["relu"]), TypeError, r"layers holds 'relu' of type str; each item must be a layer"),
    "layers optimizer": (lambda: fit(layers=[Adam()]), TypeError, r"layers holds Adam\(\) of type Adam; each item must be a layer, such as Conv2D\(16\)"),
    "layers names": (lambda: fit(layers=[("a", ReLU()), ("a", ReLU())]), ValueError, r"names two layers 'a'; every name must be unique"),
    "layers name": (lambda: fit(layers=[("a__b", ReLU())]), ValueError, r"names a layer 'a__b'; a name must be a Python identifier without '__'"),
    "layers taken name": (lambda: fit(layers=[("output", ReLU())]), ValueError, r"the name 'output' is taken"),
    "layers hide a parameter": (lambda: fit(layers=[("dropout", ReLU())]), ValueError, r"layers names a layer 'dropout', which is the name of a parameter"),
    "nested layers hide a parameter": (lambda: Sequential([("layers", ReLU())]), ValueError, r"Sequential: layers names a layer 'layers'"),
    "layers single": (lambda: fit(layers=Conv2D(3)), ValueError, r"'layers' parameter .* Got Conv2D"),
    "dense on images": (lambda: fit(layers=[Conv2D(2), Dense(3)]), ValueError, r"layer 'dense_1': Dense\(units=3\) needs vectors, but is given images of shape \(8, 8, 2\). Put Flatten"),
    "conv on vectors": (lambda: fit(layers=[Flatten(), Conv2D(2)]), ValueError, r"layer 'conv2d_1': Conv2D\(filters=2\) needs images .* vectors of shape \(64,\)"),
    "pool larger than image": (lambda: fit(layers=[MaxPool2D(9)]), ValueError, r"layer 'maxpool2d_1': MaxPool2D\(size=9\) is given images of 8x8 pixels, .* window of 9x9"),
    "residual": (lambda: fit(layers=[Residual([Conv2D(4)])]), ValueError, r"layer 'residual_1': Residual: .* \(8, 8, 1\) into \(8, 8, 4\), the shortcut into \(8, 8, 1\)"),
    "nested": (lambda: fit(layers=[Sequential([MaxPool2D(4), Conv2D(2, 5, padding="valid")])]), ValueError, r"layer 'sequential_1': layer 'conv2d_1': .* 2x2 pixels"),
    "Conv2D filters": (lambda: Conv2D(0), ValueError, r"Conv2D: filters=0; needed: an integer of at least 1"),
    "Conv2D kernel": (lambda: Conv2D(2, (3, 3, 3)), ValueError, r"Conv2D: kernel_size=\(3, 3, 3\); needed: an integer of at least 1, or a pair"),
    "Conv2D padding": (lambda: Conv2D(2, padding=-1), ValueError, r"Conv2D: padding=-1; needed: 'same', 'valid'"),
    "Conv2D bias": (lambda: Conv2D(2, bias="pixel"), ValueError, r"Conv2D: bias='pixel'; needed: True, False or 'position'"),
    "Dense units": (lambda: Dense(2.5), ValueError, r"Dense: units=2.5; needed: an integer"),
    "pool padding": (lambda: AvgPool2D(2, padding=2), ValueError, r"AvgPool2D: padding=2; needed: a border smaller than the window"),
    "Dropout": (lambda: Dropout(1.0), ValueError, r"Dropout: rate=1.0; needed: a number of at least 0.0 and below 1.0"),
    "BatchNorm": (lambda: BatchNorm(momentum=2), ValueError, r"BatchNorm: momentum=2; needed"),
    "LeakyReLU": (lambda: LeakyReLU("steep"), ValueError, r"LeakyReLU: slope='steep'; needed: a number"),
    "ELU": (lambda: ELU(0.0), ValueError, r"ELU: scale=0.0; needed: a number above 0.0"),
    "SGD": (lambda: SGD(nesterov=True), ValueError, r"SGD: nesterov=True; needed: a momentum above 0"),
    "Adam": (lambda: Adam(beta_1=1.0), ValueError, r"Adam: beta_1=1.0; needed"),
    "StepDecay none": (lambda: StepDecay(None), ValueError, r"StepDecay: epochs=None; needed: an integer"),
    "Sequential of a layer": (lambda: Sequential(Conv2D(3)), TypeError, r"Sequential: layers is given Conv2D\(filters=3\); needed: a list of layers"),
    "Residual of nothing": (lambda: Residual(None), TypeError, r"Residual: layers is given None; needed: a list of layers"),
    "Conv2D padding array": (lambda: Conv2D(2, padding=np.array([1, 1])), ValueError, r"Conv2D: padding=array\(\[1, 1\]\); needed: 'same'"),
    "Conv2D enormous filters": (lambda: Conv2D(10**400), ValueError, r"Conv2D: filters=<int of 1329 bits, more than a float holds>; needed: an integer of at least 1"),
    "Conv2D enormous kernel": (lambda: Conv2D(2, (3, 10**400)), ValueError, r"Conv2D: kernel_size=\(3, <int of 1329 bits.*; needed: an integer of at least 1, or a pair"),
    "Conv2D enormous stride": (lambda: Conv2D(2, stride=-(10**5000)), ValueError, r"Conv2D: stride=<int of 16610 bits"),
    "MaxPool2D enormous size": (lambda: MaxPool2D(10**400), ValueError, r"MaxPool2D: size=<int of 1329 bits"),
    "Dense enormous units": (lambda: Dense(10**400), ValueError, r"Dense: units=<int of 1329 bits"),
    "StepDecay enormous": (lambda: StepDecay(epochs=10**400), ValueError, r"StepDecay: epochs=<int of 1329 bits"),
    "TimeLimit enormous": (lambda: TimeLimit(10**400), ValueError, r"TimeLimit: seconds=<int of 1329 bits"),
    "sizes whose product is enormous": (lambda: fit(layers=[Flatten(), Dense(10**307)]), ValueError, r"has 2\*\*1025 parameters and 1e\+307 outputs"),
    "Conv2D bias array": (lambda: Conv2D(2, bias=np.array([True, False])), ValueError, r"Conv2D: bias=array\(\[ True, False\]\); needed: True, False or 'position'"),
    "RandomCrop border array": (lambda: RandomCrop(1, np.array([0.0, 1.0])), ValueError, r"RandomCrop: border=array\(.*; needed: 'reflect', 'edge' or a number"),
    "Affine shift": (lambda: Affine(shift=1e300), ValueError, r"Affine: shift=1e\+300; needed: a number of at least 0.0 and at most 1048576.0"),
    "Shift fill": (lambda: Shift(1, fill=1e300), ValueError, r"Shift: fill=1e\+300; needed: a number that float32 can hold"),
    "kernel as bytes": (lambda: Conv2D(2, b"\2\2"), ValueError, r"Conv2D: kernel_size=b'\\x02\\x02'; needed: an integer"),
    "kernel as a deque": (lambda: Conv2D(2, deque([2, 2])), ValueError, r"Conv2D: kernel_size=deque\(\[2, 2\]\); needed: an integer"),
    "kernel as a bytearray": (lambda: Conv2D(2, bytearray(b"\2\2")), ValueError, r"Conv2D: kernel_size=bytearray\("),
    "kernel as a range": (lambda: Conv2D(2, range(2, 4)), ValueError, r"Conv2D: kernel_size=range\(2, 4\); needed: an integer"),
    "Residual of an optimizer": (lambda: Residual([Adam()]), TypeError, r"Residual: layers holds Adam\(\) of type Adam; each item must be a layer"),
    "Sequential of an augmentation": (lambda: Sequential([("a", Shift())]), TypeError, r"Sequential: layers holds \('a', Shift\(\)\) of type tuple; each item must be a layer"),
    "Residual around an optimizer": (lambda: Residual([], shortcut=Adam()), TypeError, r"Residual: shortcut=Adam\(\); needed: None or a layer"),
    "Sequential of a generator": (lambda: Sequential(ReLU() for _ in range(2)), TypeError, r"Sequential: layers is given <generator .*; needed: a list of layers"),
    "Sequential of a dict": (lambda: Sequential({"a": ReLU()}), TypeError, r"Sequential: layers is given \{'a': ReLU\(\)\}; needed: a list of layers"),
    "parameters of no layer": (lambda: NumpyCNNClassifier(layers=[ReLU()]).set_params(relu_1=None, relu_1__slope=1), TypeError, r"relu_1 is set to None, which has no parameters"),
    "augment of a layer": (lambda: fit(augment=[Conv2D(3)]), TypeError, r"augment holds Conv2D\(filters=3\) of type Conv2D; each item must be an augmentation"),
    "StepDecay": (lambda: StepDecay(epochs=(20, 10)), ValueError, r"StepDecay: epochs=\(20, 10\); needed: .* increasing"),
    "Cutout fill": (lambda: Cutout(4, fill=1e300), ValueError, r"Cutout: fill=1e\+300; needed: a number that float32 can hold"),
    "OneCycle": (lambda: OneCycle(rise=0.0), ValueError, r"OneCycle: rise=0.0; needed: a number above 0.0 and below 1.0"),
    "unknown parameter": (lambda: NumpyCNNClassifier().set_params(conv_filtres=3), ValueError, r"Invalid parameter 'conv_filtres'"),
    "unknown, nothing after the name": (lambda: NumpyCNNClassifier(layers=[Conv2D(2)]).set_params(conv2d_1__=3), ValueError, r"Invalid parameter 'conv2d_1__'"),
    "unknown nested": (lambda: NumpyCNNClassifier(layers=[Conv2D(2)]).set_params(conv2d_1__fliters=3), ValueError, r"Invalid parameter 'fliters' for Conv2D\. Did you mean filters\?"),
    # data
    "X with NaN": (lambda: fit(X=with_nan()), ValueError, r"Input X contains NaN"),
    "X with infinity": (lambda: fit(X=with_nan(np.inf)), ValueError, r"Input X contains infinity"),
    "X empty": (lambda: fit(X=X[:0], y=y[:0]), ValueError, r"0 sample\(s\)"),
    "X without pixels": (lambda: fit(X=X[:, :0]), ValueError, r"X has the shape \(20, 0, 8\); needed: images"),
    "X of five dimensions": (lambda: fit(X=X.reshape(20, 2, 2, 4, 4)), ValueError, r"X has the shape \(20, 2, 2, 4, 4\); needed: images"),
    "X of one dimension": (lambda: fit(X=X[:, 0, 0]), ValueError, r"Expected 2D array, got 1D array instead"),
    "X complex": (lambda: fit(X=X + 1j), ValueError, r"Complex data not supported"),
    "X text": (lambda: fit(X=np.full((20, 4), "a")), ValueError, r"could not convert string to float|dtype='numeric' is not compatible"),
    "X of dates": (lambda: fit(X=np.full((20, 4), np.datetime64("2020-01-01"))), (ValueError, TypeError), r"datetime64|dtype"),
    "lengths": (lambda: fit(y=y[:-1]), ValueError, r"inconsistent numbers of samples: \[20, 19\]"),
    "no y": (lambda: fit(y=None), ValueError, r"requires y to be passed"),
    "y of numbers": (lambda: fit(y=np.linspace(0, 1, 20)), ValueError, r"Unknown label type: continuous"),
    "y with NaN": (lambda: fit(y=np.where(y == 0, np.nan, 1.0)), ValueError, r"Input y contains NaN"),
    "y of two columns": (lambda: fit(y=np.stack([y, y + 1], axis=1)), ValueError, r"y should be a 1d array, got an array of shape \(20, 2\)"),
    "weights length": (lambda: fit(sample_weight=np.ones(3)), ValueError, r"sample_weight.shape == \(3,\), expected \(20,\)"),
    "weight nan": (lambda: fit(sample_weight=np.nan), ValueError, r"sample_weight=nan; needed: a finite number of at least 0, or one for each sample"),
    "weight complex": (lambda: fit(sample_weight=2 + 1j), ValueError, r"sample_weight=\(2\+1j\); needed: a finite number"),
    "weight negative": (lambda: fit(sample_weight=-1), ValueError, r"sample_weight=-1; needed: a finite number of at least 0"),
    "weight text": (lambda: fit(sample_weight="heavy"), ValueError, r"sample_weight: could not convert string to float: 'heavy'"),
    "weights of validation nan": (lambda: fit(X_val=X, y_val=y, sample_weight_val=np.nan), ValueError, r"sample_weight_val=nan; needed"),
    "weights of validation text": (lambda: fit(X_val=X, y_val=y, sample_weight_val=["a"] * 20), ValueError, r"sample_weight_val: could not convert string"),
    "weights of validation negative": (lambda: fit(X_val=X, y_val=y, sample_weight_val=-np.ones(20)), ValueError, r"sample_weight_val: Negative values"),
    "X_val empty": (lambda: fit(X_val=X[:0], y_val=y[:0]), ValueError, r"X_val: Found array with 0 sample"),
    "X_val of other features": (lambda: fit(X_val=X.reshape(20, 64)[:, :60], y_val=y), ValueError, r"X_val: X has 60 features"),
    "X_val of five dimensions": (lambda: fit(X_val=X.reshape(20, 2, 2, 4, 4), y_val=y), ValueError, r"X_val: X has the shape"),
    "y_val of numbers": (lambda: fit(X_val=X, y_val=np.linspace(0, 1, 20)), ValueError, r"y_val: Unknown label type: continuous"),
    "X of a long text": (lambda: fit(X=np.full((20, 4), "x" * 10**5, object)), ValueError, r"X: could not convert string to float: 'xxx+\.\.\.xxx+'$"),
    "partial_fit a number as classes": (lambda: NumpyCNNClassifier().partial_fit(X, y, classes=3), ValueError, r"classes: Expected array-like"),
    "partial_fit dates as classes": (lambda: NumpyCNNClassifier().partial_fit(X, y, classes=np.array(["2020-01-01", "2021-01-01"], "M8[D]")), ValueError, r"y holds \[0, 1\], which is not among the classes"),
    "weights negative": (lambda: fit(sample_weight=-np.ones(20)), ValueError, r"Negative values in data passed to `sample_weight`"),
    "weights all zero": (lambda: fit(sample_weight=np.zeros(20)), ValueError, r"[Ss]ample weights must contain at least one non-zero"),
    "X_val without y_val": (lambda: fit(X_val=X), ValueError, r"X_val is provided, but y_val was not provided"),
    "y_val without X_val": (lambda: fit(y_val=y), ValueError, r"y_val is provided, but X_val was not provided"),
    "X_val of another shape": (lambda: fit(X_val=X[:, :4], y_val=y), ValueError, r"images of shape \(4, 8, 1\), but NumpyCNNClassifier was fitted on images of shape \(8, 8, 1\)"),
    "y of mixed kinds": (lambda: fit(y=np.array([None, "a"] * 10, dtype=object)), ValueError, r"y\[0\] is None, and 10 of 20 labels are missing; needed: a label for each sample"),
    "X_val and weights": (lambda: fit(X_val=X, y_val=y, sample_weight_val=np.ones(3)), ValueError, r"X_val holds 20 samples, but sample_weight_val 3"),
    "X_val extreme": (lambda: fit(X=X.astype("f"), X_val=X * 1e300, y_val=y), ValueError, r"validation data give a loss of (nan|inf)|infinity"),
    "X_val and y_val": (lambda: fit(X_val=X, y_val=y[:5]), ValueError, r"X_val holds 20 samples, but y_val 5"),
    "y_val unknown": (lambda: fit(X_val=X, y_val=y + 5), ValueError, r"y_val holds \[5, 6\], which is not among the classes \[0, 1\]"),
    "early stopping on one sample": (lambda: fit(X=X[:1], y=y[:1], early_stopping=True), ValueError, r"early_stopping=True needs .* n_samples = 1 given"),
    "predict other features": (lambda: fit().predict(X.reshape(20, 64)[:, :60]), ValueError, r"X has 60 features, but NumpyCNNClassifier is expecting 64"),
    "predict other images": (lambda: fit().predict(X.reshape(20, 4, 16)), ValueError, r"images of shape \(4, 16, 1\), but NumpyCNNClassifier was fitted on images of shape \(8, 8, 1\)"),
    "predict NaN": (lambda: fit().predict(with_nan()), ValueError, r"Input X contains NaN"),
    "partial_fit without classes": (lambda: NumpyCNNClassifier().partial_fit(X, y), ValueError, r"classes must be passed on the first call to partial_fit"),
    "partial_fit unknown label": (lambda: NumpyCNNClassifier().partial_fit(X, y, classes=[1, 2]), ValueError, r"y holds \[0\], which is not among the classes \[1, 2\]"),
    "partial_fit other features": (lambda: fit().partial_fit(X.reshape(20, 64)[:, :9], y), ValueError, r"X has 9 features, but NumpyCNNClassifier is expecting 64"),
    "warm start other labels": (lambda: fit(warm_start=True).fit(X, y + 1), ValueError, r"y holds \[2\], which is not among the classes \[0, 1\]"),
    "warm start other network": (lambda: fit(warm_start=True).set_params(conv_filters=(3,)).fit(X, y), ValueError, r"The network has changed since the previous fit"),
    "warm start other dtype": (lambda: fit(warm_start=True).set_params(dtype="float32").fit(X, y), ValueError, r"dtype='float32' cannot be changed when training resumes"),
    "warm start other standardize": (lambda: fit(warm_start=True).set_params(standardize=False).fit(X, y), ValueError, r"standardize=False cannot be changed"),
    "warm start other image_shape": (lambda: fit(warm_start=True).set_params(image_shape=(4, 16)).fit(X, y), ValueError, r"image_shape=\(4, 16\)"),
    "weights too large": (lambda: fit(X=X.astype("f")).set_weights({"output.b": [1e300, 0]}), ValueError, r"not finite numbers in float32"),
    "weights of a variance": (lambda: fit(conv_filters=16).set_weights({"batchnorm_1.var": -np.ones(16)}), ValueError, r"values below 0; needed: 0 or more"),
    "weights unknown": (lambda: fit().set_weights({"conv_1.W": 0}), ValueError, r"weights holds 'conv_1.W', but the network has no such array. Its arrays are: conv2d_1.W"),
    "weights shape": (lambda: fit(conv_filters=16).set_weights({"conv2d_1.W": np.ones((16, 1, 3, 3))}), ValueError, r"weights\['conv2d_1.W'\] has the shape \(16, 1, 3, 3\); needed: \(3, 3, 1, 16\)"),
    "weights not finite": (lambda: fit(conv_filters=16).set_weights({"output.b": [0.0, np.nan]}), ValueError, r"holds values that are not finite numbers"),
    "weights kind": (lambda: fit().set_weights([1, 2]), TypeError, r"weights is a list; needed: a dict"),
    "too many units for memory": (lambda: fit(conv_filters=(16, 32), hidden_layer_sizes=2**31, batch_norm=False), ValueError, r"2.8\de\+11 parameters, 2.7\de\+11 of them in the layer 'dense_1': Dense\(units=2147483648\). There is not enough memory; needed: .*hidden_layer_sizes"),
    "diverging by alpha": (lambda: fit(alpha=1e308, max_iter=1), ValueError, r"Training diverged: the loss is inf .* learning rate of 0.003 and with alpha=1e\+308. Lower learning_rate_init or alpha, "),
    "diverging in one step": (lambda: fit(learning_rate_init=1e38, batch_size=len(X), max_iter=1, dtype="float32").predict(X), ValueError, r"makes the network overflow in float32; needed: .* trained at a usual learning rate"),
    "diverging": (lambda: fit(solver="sgd", learning_rate_init=1e300, max_iter=9), ValueError, r"Training diverged: .* learning rate of 1e\+300. Lower learning_rate_init"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_message_says_what_was_given_and_what_is_needed(name):
    action, exception, message = BAD[name]
    with pytest.raises(exception, match=f"(?s){message}"):
        action()


def test_nothing_is_trained_before_bad_input_is_refused(monkeypatch):
    from sknpcnn._network.network import Network

    def learn(*args, **kwargs):
        raise AssertionError("training has begun")

    monkeypatch.setattr(Network, "learn", learn)
    for name, (action, exception, _) in BAD.items():
        before_training = not any(
            word in name for word in ("predict", "warm start", "weights ", "diverging")
        )
        if before_training and "partial_fit other" not in name:
            with pytest.raises(exception):
                action()
