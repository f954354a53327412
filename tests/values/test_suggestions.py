"""Errors suggest what was probably meant if a name or an option is misspelled."""

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, architectures, losses, optimizers
from sknpcnn import schedules as all_schedules
from sknpcnn._estimator import blocks
from sknpcnn._values.suggestions import (
    INSTANCES,
    KEYWORDS,
    MAX_LISTED,
    SYNONYMS,
    nearest,
    suggest_keyword,
)
from sknpcnn.augmentation import Affine, HorizontalFlip, RandomCrop
from sknpcnn.layers import Conv2D, Dropout, MaxPool2D, ReLU
from sknpcnn.optimizers import SGD, Adam
from sknpcnn.schedules import OneCycle

X = np.random.default_rng(0).normal(size=(6, 8, 8))
y = np.arange(6) % 2


def made(**params):
    return NumpyCNNClassifier(**params)


def fit(labels=y, images=X, **params):
    return NumpyCNNClassifier(**params).fit(images, labels)


def lenet():
    return NumpyCNNClassifier(layers=architectures.lenet())


# what is done, and what the error says
MEANT = {
    # keywords of the classifier
    "epochs": (lambda: made(epochs=5), r"NumpyCNNClassifier\(\) got an unexpected keyword argument 'epochs'\. Did you mean max_iter=5\?"),
    "lr": (lambda: made(lr=0.1), r"'lr'\. Did you mean learning_rate_init=0\.1\?"),
    "validation_data": (lambda: made(validation_data=(X, y)), r"Did you mean fit\(X, y, X_val=\.\.\., y_val=\.\.\.\)\?"),
    "optimizer": (lambda: made(optimizer="adam"), r"Did you mean solver='adam'\?"),
    "momentum": (lambda: made(momentum=0.9), r"Did you mean solver=SGD\(momentum=0\.9\)\?"),
    "misspelled": (lambda: made(conv_filter=3), r"'conv_filter'\. Did you mean conv_filters\?"),
    "like nothing": (lambda: made(zzz=3), r"'zzz'; needed: one of the 35 names that get_params\(\) lists\."),
    "features": (lambda: NumpyCNNFeatures(layers="a"), r"NumpyCNNFeatures\(\) .* 'layers'\. Did you mean layer\?"),
    # keywords of fit
    "fit epochs": (lambda: made().fit(X, y, epochs=5), r"NumpyCNNClassifier\.fit\(\) .* 'epochs'\. Did you mean max_iter=5, a parameter of the estimator\?"),
    "fit validation_data": (lambda: made().fit(X, y, validation_data=(X, y)), r"Did you mean fit\(X, y, X_val=\.\.\., y_val=\.\.\.\)\?"),
    "fit misspelled": (lambda: made().fit(X, y, x_val=X), r"'x_val'\. Did you mean X_val\?"),
    "partial_fit misspelled": (lambda: made().partial_fit(X, y, class_=[0, 1]), r"NumpyCNNClassifier\.partial_fit\(\) .* Did you mean classes\?"),
    # keywords of layers and the like
    "layer activation": (lambda: Conv2D(32, activation="relu"), r"Conv2D\(\) got an unexpected keyword argument 'activation'\. Did you mean ReLU\(\) as a separate layer after it\?"),
    "layer activation of another name": (lambda: Conv2D(32, activation="sigmoid"), r"Did you mean Sigmoid\(\) as a separate layer"),
    "layer strides": (lambda: Conv2D(32, strides=2), r"Did you mean stride=2\?"),
    "layer input_shape": (lambda: Conv2D(32, input_shape=(8, 8, 1)), r"Did you mean nothing: fit infers the shape"),
    "pool_size": (lambda: MaxPool2D(pool_size=2), r"Did you mean size=2\?"),
    "Dropout": (lambda: Dropout(p=0.3), r"Did you mean rate=0\.3\?"),
    "layer without parameters": (lambda: ReLU(inplace=True), r"'inplace'; needed: none, it has no parameters"),
    "layer like nothing": (lambda: Conv2D(3, zzz=1), r"'zzz'; needed: one of bias, dilation, filters, groups, kernel_size, lr_scale, padding, stride\."),
    "Adam lr": (lambda: Adam(lr=0.01), r"Adam\(\) .* 'lr'\. Did you mean learning_rate_init=0\.01 in the classifier, beside solver\?"),
    "Adam learning_rate": (lambda: Adam(learning_rate=0.01), r"Did you mean learning_rate_init=0\.01 in the classifier"),
    "SGD misspelled": (lambda: SGD(momentun=0.9), r"Did you mean momentum\?"),
    "flip": (lambda: HorizontalFlip(p=0.5), r"Did you mean rate=0\.5\?"),
    "Affine": (lambda: Affine(angle=10), r"Did you mean degrees=10\?"),
    "OneCycle": (lambda: OneCycle(max_lr=0.1), r"Did you mean learning_rate_init=0\.1 in the classifier\?"),
    # words
    "learning_rate": (lambda: fit(learning_rate=0.01), r"Got 0\.01 instead\. Did you mean learning_rate_init=0\.01\? learning_rate names how the rate changes"),
    "sigmoid": (lambda: fit(activation="sigmoid"), r"Got 'sigmoid' instead\. Did you mean 'logistic'\?"),
    "ReLU": (lambda: fit(activation="ReLU"), r"Got 'ReLU' instead\. Did you mean 'relu'\?"),
    "LeakyReLU": (lambda: fit(activation="LeakyReLU"), r"Did you mean 'leaky_relu'\?"),
    "solver": (lambda: fit(solver="Adam"), r"Got 'Adam' instead\. Did you mean 'adam'\?"),
    "solver class": (lambda: fit(solver=Adam), r"Did you mean solver=Adam\(\)\?"),
    "solver like nothing": (lambda: fit(solver="lbfgs"), r"Got 'lbfgs' instead\.$"),
    "padding": (lambda: fit(padding="SAME"), r"Got 'SAME' instead\. Did you mean 'same'\?"),
    "padding of a block": (lambda: fit(conv_filters=(8, 8), padding=["same", "VALID"]), r"padding=\['same', 'VALID'\]; needed: .* Did you mean 'valid'\?"),
    "padding of a layer": (lambda: Conv2D(3, padding="SAME"), r"padding='SAME'; needed: .*\. Did you mean 'same'\?"),
    "border": (lambda: RandomCrop(2, "Reflect"), r"Did you mean 'reflect'\?"),
    "class_weight": (lambda: fit(class_weight="balance"), r"Did you mean 'balanced'\?"),
    # networks
    "layers word": (lambda: fit(layers="lenet"), r"Got 'lenet' instead\. Did you mean sknpcnn\.architectures\.lenet\(\)\?"),
    "layers function": (lambda: fit(layers=architectures.lenet), r"Did you mean layers=lenet\(\)\?"),
    "layers one": (lambda: fit(layers=Conv2D(3)), r"Put it into a list\."),
    "layers of a function": (lambda: fit(layers=[architectures.lenet]), r"Call the function: lenet\(\)\."),
    "layers of a list": (lambda: fit(layers=[architectures.lenet()]), r"Take it out of its list"),
    "layers of a word": (lambda: fit(layers=["relu"]), r"layers holds 'relu' .* Did you mean ReLU\(\)\?"),
    # nested names
    "grid": (lambda: GridSearchCV(lenet(), {"conv2d__filters": [3]}, cv=2, error_score="raise").fit(X, y), r"Invalid parameter 'conv2d__filters' for NumpyCNNClassifier\. Did you mean conv2d_\d__filters or conv2d_\d__filters or conv_filters\?$"),
    "set epochs": (lambda: made().set_params(epochs=3), r"Did you mean max_iter=3\?"),
    "set lr of a solver": (lambda: made(solver=Adam()).set_params(solver__lr=3), r"Invalid parameter 'lr' for Adam\. Did you mean learning_rate_init=3"),
    "inside of a word": (lambda: made().set_params(solver__momentum=0.9), r"solver='adam' has no parameters\. Give an instance, such as Adam\(\)\."),
    "set like nothing": (lambda: lenet().set_params(zzz=3), r"Invalid parameter 'zzz' for NumpyCNNClassifier; needed: one of the \d\d names that get_params\(\) lists\.$"),
    "replace": (lambda: Conv2D(3).replace(strides=3), r"Invalid parameter 'strides' for Conv2D\. Did you mean stride=3\?"),
    # labels
    "one-hot": (lambda: fit(np.eye(2)[y]), r"y has the shape \(6, 2\), and every row holds a single 1: it is one-hot.*; needed: one label for each sample, y\.argmax\(axis=1\)\."),
    "one-hot list": (lambda: fit(np.eye(2)[y].tolist()), r"needed: one label for each sample, numpy\.argmax\(y, axis=1\)\."),
    "one-hot frame": (lambda: fit(pd.get_dummies(pd.Series(y))), r"needed: one label for each sample, numpy\.argmax\(y, axis=1\)\."),
    "one-hot y_val": (lambda: made().fit(X, y, X_val=X, y_val=np.eye(2)[y]), r"y_val: y_val has the shape|y_val has the shape \(6, 2\)"),
    "label None": (lambda: fit(["a", None, "b"] * 2), r"y\[1\] is None, and 2 of 6 labels are missing; needed: a label for each sample"),
    "label nan": (lambda: fit(pd.Series(["a", np.nan, "b"] * 2, dtype=object)), r"y\[1\] is nan, and 2 of 6 labels are missing"),
    "label NA": (lambda: fit(pd.Series(["a", pd.NA, "b"] * 2, dtype="string")), r"y\[1\] is <NA>, and 2 of 6"),
    "labels of two types": (lambda: fit(np.array([1, "a", 2, 3, 4, "b"], object)), r"y holds labels of several types, such as y\[0\]=1 of type int and y\[1\]='a' of type str; needed: one type"),
    "labels of two types in a list": (lambda: fit(["a", 1, 2, 3, 4, "b"]), r"such as y\[0\]='a' of type str and y\[1\]=1 of type int"),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANT)
def test_message_says_what_was_probably_meant(name):
    action, message = MEANT[name]
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        action()


def test_signatures_and_clones_are_what_they_were():
    """Editors and scikit-learn read the parameters from ``__init__``."""
    assert next(iter(inspect.signature(Conv2D).parameters)) == "filters"
    assert next(iter(inspect.signature(NumpyCNNClassifier).parameters)) == "conv_filters"
    assert len(inspect.signature(NumpyCNNClassifier.fit).parameters) == 7
    assert clone(made(max_iter=3)).max_iter == 3


def test_subclass_may_have_parameters_of_its_own():
    class Mine(NumpyCNNClassifier):
        def __init__(self, extra=1, max_iter=2):
            super().__init__(max_iter=max_iter)
            self.extra = extra

    class Anything(ReLU):
        def __init__(self, **settings):
            object.__setattr__(self, "settings", settings)

    assert Mine(extra=5).extra == 5
    assert Anything(color="red").settings == {"color": "red"}
    with pytest.raises(TypeError, match=r"Mine\(\) .* 'epochs'\. Did you mean max_iter=3\?"):
        Mine(epochs=3)


def test_what_words_stand_for_is_so():
    for words in (blocks.ACTIVATIONS, optimizers.NAMED, all_schedules.NAMED, losses.NAMED):
        assert {word: f"{type(value).__name__}()" for word, value in words.items()}.items() <= (
            INSTANCES.items()
        )


def test_no_name_of_another_library_is_one_of_ours_and_no_word():
    parameters = set(inspect.signature(NumpyCNNClassifier).parameters)
    assert not parameters & set(KEYWORDS["NetworkMixin"])
    assert not set(INSTANCES) & set(SYNONYMS)


def test_nearest_names_come_first_and_are_few():
    names = [f"conv2d_{i}__filters" for i in range(1, 9)]
    assert len(nearest("conv2d__filters", names)) == 3
    assert nearest("Conv2D_1__Filters", names) == ["conv2d_1__filters"]
    assert nearest("zzz", names) == []
    many = [f"name_{i}" for i in range(MAX_LISTED + 1)]
    assert (
        suggest_keyword("q", 1, many, {})
        == f"; needed: one of the {len(many)} names that get_params() lists."
    )


def test_tensor_that_numpy_cannot_read_says_what_to_call():
    torch = pytest.importorskip("torch")
    images = torch.tensor(X)
    with pytest.raises(TypeError, match=r"BFloat16.*: X\.float\(\)\.$"):
        fit(images=images.bfloat16())
    with pytest.raises(TypeError, match=r": X\.detach\(\)\.float\(\)\.$"):
        fit(images=images.bfloat16().requires_grad_())
    with pytest.raises(TypeError, match=r": X\.to_dense\(\)\.$"):
        fit(images=images.to_sparse())
