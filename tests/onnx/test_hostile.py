"""Models from somebody who means ill: a clear error, little memory, and nothing else is read."""

import tracemalloc
from contextlib import suppress

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper

from sknpcnn.layers import (
    GELU,
    BatchNorm,
    Branches,
    Conv2D,
    Dense,
    Flatten,
    HardSwish,
    MaxPool2D,
    Residual,
    SiLU,
    SqueezeExcite,
    ZeroPad2D,
)
from sknpcnn.onnx import from_onnx, to_onnx
from tests.onnx.test_exporting import untrained
from tests.onnx.test_importing import W33, model_of, node, single

MEMORY = 50 * 2**20


def refuse(model, message, error=ValueError):
    """Assert that a model is refused, without much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(error, match=message):
            from_onnx(model)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def plain():
    return model_of([node("Conv", "x W", "y")], W33)


def test_cycles():
    nodes = [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]
    refuse(model_of(nodes, {}), r"Node '\w+' \(\w+\) is part of a cycle")
    itself = [node("Add", "x y", "y")]
    refuse(model_of(itself, {}), r"is part of a cycle")


def test_very_many_nodes():
    nodes = [node("Relu", "x", "t0")]
    nodes += [node("Relu", f"t{i}", f"t{i + 1}") for i in range(100_000)]
    refuse(model_of(nodes, {}, output="t100000"), r"The model has 100001 nodes; needed: 10000 at")


def test_a_long_sequence_is_no_problem():
    nodes = [node("Conv", "x W", "t0")]
    nodes += [node("Relu", f"t{i}", f"t{i + 1}") for i in range(2000)]
    layers, _ = from_onnx(model_of(nodes, W33, output="t2000"))
    assert len(layers) == 2001


def test_deep_nesting():
    nodes, last = [], "x"
    for i in range(200):  # each block lies within the next one
        nodes += [node("Relu", last, f"r{i}"), node("Add", f"r{i} x", f"a{i}")]
        last = f"a{i}"
    refuse(model_of(nodes, {}, output=last), "nested deeper than 32 levels")


def test_a_branch_that_is_doubled_again_and_again():
    nodes, last = [node("Conv", "x W", "t")], "t"
    for i in range(60):
        nodes += [node("Relu", last, f"r{i}"), node("Add", f"{last} r{i}", f"a{i}")]
        last = f"a{i}"
    layers, _ = from_onnx(model_of(nodes, W33, output=last))
    assert len(layers) == 61


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ((2**40, 2**40, 3, 3), "holds 216 bytes; needed"),
        ((-3, 2, 3, 3), r"has the shape \(-3, 2, 3, 3\), which is impossible"),
        ((3, 2, 3, 4), "holds 216 bytes; needed: 288"),
        ((1,) * 60, "which is impossible"),
    ],
)
def test_tensors_that_lie_about_their_size(dims, message):
    model = plain()
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend(dims)
    refuse(model, message)


def test_tensors_of_other_types():
    model = plain()
    model.graph.initializer[0].data_type = TensorProto.STRING
    refuse(model, "has the type STRING; needed: numbers")


def test_elements_that_are_missing():
    model = plain()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0, 2.0])
    refuse(model, "holds 2 elements; needed: 54")


def test_constants_that_grow():
    huge = node("ConstantOfShape", "s", "big", value=helper.make_tensor("v", 1, [1], [0.0]))
    nodes = [huge, node("Mul", "big big", "more"), node("Add", "x more", "y")]
    model = model_of(nodes, {"s": np.array([2**20, 2**20])})
    refuse(model, "makes a constant of 1099511627776 elements|result would have")


def test_images_that_are_too_large():
    model = model_of([node("Flatten", "x", "y")], {}, shape=("n", 2**20, 2**20, 2**20))
    refuse(model, "which is too large")
    pads = np.array([0, 0, 2**19, 2**19, 0, 0, 0, 0])
    refuse(model_of([node("Pad", "x p", "y")], {"p": pads}), r"\(Pad\): .* too large")


@pytest.mark.parametrize("size", [0, -5])
def test_images_of_no_size(size):
    refuse(model_of([node("Relu", "x", "y")], {}, shape=("n", 2, size, 4)), "needed: positive")


@pytest.mark.parametrize("attribute", ["strides", "dilations", "pads", "group"])
@pytest.mark.parametrize("value", [-1, 0, 2**40])
def test_attributes_that_make_no_sense(attribute, value):
    counts = {"strides": 2, "dilations": 2, "pads": 4}
    given = [value] * counts[attribute] if attribute in counts else value
    if (attribute, value) == ("pads", 0):
        return  # which does
    refuse(model_of([node("Conv", "x W", "y", **{attribute: given})], W33), r"'make_y' \(Conv\)")


def test_names_that_are_used_twice_or_not_at_all():
    refuse(model_of([node("Relu", "x", "y"), node("Tanh", "x", "y")], {}), "'y' twice")
    refuse(model_of([node("Add", "x ghost", "y")], {}), "'ghost', which nobody makes")
    refuse(model_of([node("Relu", "x", "x")], {}, output="x"), "'x' twice")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x08" * 100, bytes(range(256)) * 40])
def test_files_that_are_no_models(content, tmp_path):
    refuse(content, ".")
    (tmp_path / "model.onnx").write_bytes(content)
    refuse(tmp_path / "model.onnx", ".")


def test_a_file_that_is_cut_off(tmp_path):
    whole = plain().SerializeToString()
    for n in range(0, len(whole), 7):
        (tmp_path / "model.onnx").write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"."):
            from_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize("kind", ["a layer", "many layers"])
def test_bytes_that_are_changed(kind):
    rng, whole = np.random.default_rng(0), plain().SerializeToString()
    if kind == "many layers":
        stack = [Conv2D(2, stride=2), BatchNorm(), SiLU(), MaxPool2D(2, padding="same")]
        stack += [Residual([Conv2D(2), HardSwish()]), Branches([Conv2D(2, 1), MaxPool2D(3, 1, 1)])]
        stack += [SqueezeExcite(2), ZeroPad2D(), GELU(), Flatten(), Dense(3), GELU(True)]
        whole = to_onnx(untrained(stack, (6, 6, 2))).SerializeToString()
    for _ in range(300):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] = rng.integers(256)
        with suppress(ValueError):  # any other error is a bug
            from_onnx(bytes(changed))


class TestExternalData:
    """Weights in a file beside the model."""

    @pytest.fixture
    def folder(self, tmp_path):
        home = tmp_path / "home"
        home.mkdir()
        (tmp_path / "secret").write_bytes(bytes(1000))
        (home / "weights").write_bytes(b"12345678" + W33["W"].tobytes())
        return home

    def model(self, folder, **entries):
        made = plain()
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        (folder / "model.onnx").write_bytes(made.SerializeToString())
        return folder / "model.onnx"

    def test_is_read(self, folder):
        for entries in ({"offset": 8}, {"offset": 8, "length": 216}):
            _, weights = from_onnx(self.model(folder, location="weights", **entries))
            np.testing.assert_array_equal(weights["conv2d_1.W"].transpose(3, 2, 0, 1), W33["W"])

    @pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "", "weights/../../secret"])
    def test_outside_of_the_folder_is_not(self, folder, location):
        refuse(self.model(folder, location=location), "in the model's folder")

    def test_behind_a_link_is_not(self, folder):
        (folder / "link").symlink_to(folder.parent / "secret")
        refuse(self.model(folder, location="link"), "in the model's folder")

    @pytest.mark.parametrize(
        "entries", [{"offset": -1}, {"length": 2**40}, {"length": 8}, {"offset": "x"}]
    )
    def test_of_another_size_is_not(self, folder, entries):
        refuse(self.model(folder, location="weights", **entries), "takes 216 bytes, but has")

    def test_beyond_the_end_of_the_file_is_not(self, folder):
        path = self.model(folder, location="weights", offset=100)
        refuse(path, "takes 216 bytes; 'weights' holds 124 there")

    def test_that_is_missing(self, folder):
        refuse(self.model(folder, location="nothing"), "nothing", error=FileNotFoundError)

    def test_without_a_folder_is_not(self, folder):
        content = self.model(folder, location="weights").read_bytes()
        refuse(content, "lies in another file, 'weights'. Give the path of the model")


def test_weights_that_are_not_finite():
    kernels = single((3, 2, 3, 3))
    kernels[0, 0, 0, 0] = np.nan
    from sknpcnn import NumpyCNNClassifier

    model = model_of(
        [node("Conv", "x W", "c"), node("Flatten", "c", "y")], {"W": kernels}, output="y"
    )
    with pytest.raises(ValueError, match="not finite numbers"):
        NumpyCNNClassifier.from_onnx(model)
