"""The named networks: their sizes are what their docstrings say, and they learn."""

from doctest import DocTestParser

import numpy as np
import pytest

from benchmarks.recipes import RECIPES
from sknpcnn import NumpyCNNClassifier, architectures

NAMES = architectures.__all__
GRAY = ("convnet_5x5", "keras_twin", "lenet", "network_1", "network_2", "three_stage")


def image_of(name):
    return (28, 28, 1) if name in GRAY else (32, 32, 3)


def fitted(name, **params):
    """Fit a network to twenty images: one of each class in two noisy versions."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, *image_of(name)))
    X = np.concatenate([X, X + 0.1 * rng.normal(size=X.shape)]).astype(np.float32)
    y = np.tile(np.arange(10), 2)
    clf = NumpyCNNClassifier(layers=getattr(architectures, name)(), random_state=0, **params)
    return clf.fit(X, y), X, y


POOL, ENDS = "maxpool 2x2/2 valid", "flatten, dense {}, relu"
HALVE = "maxpool 3x3/2 valid, rounded up"


def normed(convolution):
    return f"conv {convolution} unbiased, batchnorm"


def residual_stage(filters, first):
    """Three residual blocks: each with two convolutions, and a shortcut in the first of some."""
    same = normed(f"3x3x{filters} 1")
    later = 2 * [f"residual [{same}, relu, {same}], relu"]
    return ", ".join([first, *later])


def larger_stage(filters):
    halved, same = normed(f"3x3x{filters} 1 step 2"), normed(f"3x3x{filters} 1")
    shortcut = f"maxpool 1x1/2 valid, zeros 0, {filters // 4} channels"
    return residual_stage(filters, f"residual [{halved}, relu, {same}] around [{shortcut}], relu")


def inverted(kernel, expanded, filters, activation, *, step="", units=0, expand=True):
    depthwise = f"{kernel}x{kernel}x{expanded} {kernel // 2}{step} in {expanded} groups"
    return ", ".join(
        [
            *([normed(f"1x1x{expanded} 0"), activation] if expand else []),
            *(normed(depthwise), activation),
            *([f"squeeze {units} hard"] if units else []),
            normed(f"1x1x{filters} 0"),
        ]
    )


def fire(squeezed, expanded):
    wide = f"[conv 1x1x{expanded} same | conv 3x3x{expanded} same]"
    return f"conv 1x1x{squeezed} same, relu, {wide}, relu"


WRITTEN = {
    "network_1": f"conv 3x3x4 same unbiased, relu, {POOL}, {ENDS.format(128)}",
    "network_2": ", ".join(2 * ["conv 3x3x16 same rate 2, relu, maxpool 2x2/2 same"])
    + f", {ENDS.format(200)}",
    "network_3": f"conv 3x3x8 same, relu, {POOL}, conv 3x3x16 same, relu, conv 3x3x32 same, relu, "
    f"{POOL}, {ENDS.format(256)}",
    "network_4": f"conv 3x3x32 same, relu, conv 3x3x32 same, relu, {POOL}, "
    f"conv 3x3x64 same, relu, conv 3x3x64 same, relu, {POOL}, {ENDS.format(256)}",
    "network_4_improved": ", ".join(
        f"conv 3x3x{n} same unbiased, batchnorm, relu, "
        f"conv 3x3x{2 * n} same unbiased, {POOL}, batchnorm, relu"
        for n in (32, 64, 128)
    )
    + ", conv 3x3x256 same unbiased, batchnorm, relu, globalavgpool",
    "keras_twin": f"conv 3x3x32 valid, relu, conv 3x3x64 valid, relu, {POOL}, {ENDS.format(128)}",
    "convnet_5x5": f"conv 5x5x32 2, relu, {POOL}, conv 5x5x64 2, relu, {POOL}, {ENDS.format(1024)}",
    "lenet": f"conv 5x5x6 valid, relu, {POOL}, conv 5x5x16 valid, relu, {POOL}, {ENDS.format(128)}",
    "three_stage": "conv 3x3x16 same biased by position, relu, maxpool 3x3/2 same, "
    "conv 3x3x32 same biased by position, relu, maxpool 3x3/2 same, "
    f"conv 3x3x64 same, relu, {ENDS.format(100)}",
    "resnet20": ", ".join(
        [
            f"{normed('3x3x16 1')}, relu",
            residual_stage(
                16, f"residual [{normed('3x3x16 1')}, relu, {normed('3x3x16 1')}], relu"
            ),
            *(larger_stage(32), larger_stage(64), "globalavgpool"),
        ]
    ),
    "mobilenet_small": ", ".join(  # Table 2 of the paper
        [
            f"{normed('3x3x16 1')}, hardswish",
            f"residual [{inverted(3, 16, 16, 'relu', units=8, expand=False)}]",
            inverted(3, 72, 24, "relu", step=" step 2"),
            f"residual [{inverted(3, 88, 24, 'relu')}]",
            inverted(5, 96, 40, "hardswish", step=" step 2", units=24),
            *2 * [f"residual [{inverted(5, 240, 40, 'hardswish', units=64)}]"],
            inverted(5, 120, 48, "hardswish", units=32),
            f"residual [{inverted(5, 144, 48, 'hardswish', units=40)}]",
            inverted(5, 288, 96, "hardswish", step=" step 2", units=72),
            *2 * [f"residual [{inverted(5, 576, 96, 'hardswish', units=144)}]"],
            f"{normed('1x1x576 0')}, hardswish, globalavgpool, dense 1024, hardswish, dropout 0.2",
        ]
    ),
    "squeezenet_small": ", ".join(
        [
            *("conv 3x3x64 same, relu", HALVE, fire(16, 64), fire(16, 64), HALVE),
            *(fire(32, 128), fire(32, 128), HALVE),
            *(fire(48, 192), fire(48, 192), fire(64, 256), fire(64, 256)),
            *("dropout 0.5", "globalavgpool"),
        ]
    ),
}
BIASES = {True: "", False: " unbiased", "position": " biased by position"}


def in_words(layer):
    """Write a layer as people do."""
    kind = type(layer).__name__.lower()
    if kind == "conv2d":
        assert layer.dilation == 1
        k, rate = layer.kernel_size, "" if layer.lr_scale == 1 else f" rate {layer.lr_scale}"
        step = "" if layer.stride == 1 else f" step {layer.stride}"
        groups = "" if layer.groups == 1 else f" in {layer.groups} groups"
        words = f"conv {k}x{k}x{layer.filters} {layer.padding}{step}{groups}"
        return words + BIASES[layer.bias] + rate
    if kind == "maxpool2d":
        k, rounded = layer.size, ", rounded up" if layer.ceil_mode else ""
        return f"maxpool {k}x{k}/{layer.stride or k} {layer.padding}{rounded}"
    if kind == "dense":
        assert layer.lr_scale == 1
        return f"dense {layer.units}"
    if kind == "squeezeexcite":
        return f"squeeze {layer.units}{' hard' if layer.hard else ''}"
    if kind == "residual":
        around = "" if layer.shortcut is None else f" around [{in_words(layer.shortcut)}]"
        return f"residual [{all_in_words(layer.layers)}]{around}"
    if kind == "branches":
        return f"[{' | '.join(in_words(branch) for _, branch in layer.layers)}]"
    if kind == "sequential":
        return all_in_words(layer.layers)
    words = {
        "dropout": lambda: f"dropout {layer.rate}",
        "globalavgpool2d": lambda: "globalavgpool",
        "zeropad2d": lambda: f"zeros {layer.border}, {layer.channels} channels",
    }
    return words.get(kind, lambda: kind)()


def all_in_words(steps):
    return ", ".join(in_words(layer) for _, layer in steps)


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_those_that_were_written(name):
    assert ", ".join(map(in_words, getattr(architectures, name)())) == WRITTEN[name]


@pytest.mark.parametrize(
    ("name", "head", "published"),
    [
        ("resnet20", (), 269_722),
        ("mobilenet_small", ("dense", "output"), 927_008),
        ("squeezenet_small", ("output",), 722_496),
    ],
)
def test_as_many_parameters_as_published(name, head, published):
    """Counted as elsewhere: without running averages; of two, without their dense layers."""
    clf, *_ = fitted(name, max_iter=0)
    counted = {
        path: array.size
        for path, array in clf.get_weights().items()
        if not path.startswith(head or "no layer") and not path.endswith((".mean", ".var"))
    }
    assert sum(counted.values()) == published


@pytest.mark.parametrize("name", NAMES)
def test_example_trains_it_as_the_results_were_made(name):
    examples = DocTestParser().get_examples(getattr(architectures, name).__doc__)
    made = {}
    exec("".join(example.source for example in examples), made)
    recipe = RECIPES[name].classifier(seed=0).set_params(verbose=0, random_state=None)
    recipe.set_params(n_iter_no_change=made["clf"].n_iter_no_change)
    assert repr(made["clf"]) == repr(recipe)


@pytest.mark.parametrize("name", NAMES)
def test_docstring_counts_the_parameters(name):
    clf, *_ = fitted(name, max_iter=0)
    text = " ".join(getattr(architectures, name).__doc__.split())
    assert f"{clf.summary()['parameters'].sum():,} parameters" in text
    assert f"{image_of(name)[0]}x{image_of(name)[1]}" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_network_learns_a_few_images_by_heart(name):
    # a step an epoch: more than the running averages of batch normalization take to arrive
    clf, X, y = fitted(name, learning_rate="constant", n_iter_no_change=np.inf, max_iter=100)
    assert clf.score(X, y) == 1


def test_every_call_makes_a_list_of_its_own():
    layers = architectures.lenet()
    layers.pop()
    assert len(architectures.lenet()) == len(layers) + 1


def test_no_name_is_missing():
    public = {name for name, thing in vars(architectures).items() if callable(thing)}
    functions = {n for n in public if not isinstance(getattr(architectures, n), type)}
    assert functions == set(NAMES)


def test_three_stage_has_a_bias_for_every_pixel_of_its_first_two_convolutions():
    clf, *_ = fitted("three_stage", max_iter=1)
    shapes = {name: array.shape for name, array in clf.get_weights().items()}
    assert shapes["conv2d_1.b"] == (28, 28, 16)
    assert shapes["conv2d_2.b"] == (14, 14, 32)
    assert shapes["conv2d_3.b"] == (64,)


def test_pooling_of_network_2_pads_what_is_no_multiple_of_the_window():
    X, y = np.random.default_rng(0).random((20, 27, 27)), np.arange(20) % 10
    clf = NumpyCNNClassifier(layers=architectures.network_2(), max_iter=1).fit(X, y)
    pooled = clf.summary().set_index("name").loc[["maxpool2d_1", "maxpool2d_2"], "output_shape"]
    assert pooled.tolist() == [(14, 14, 16), (7, 7, 16)]
