"""Weights from PyTorch and back give the same outputs as PyTorch."""

import json
import subprocess
import sys

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import (
    GELU,
    AvgPool2D,
    BatchNorm,
    Branches,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    GroupNorm,
    MaxPool2D,
    PReLU,
    ReLU,
    ReLU6,
    Residual,
    Scale,
    Sequential,
    SqueezeExcite,
    Tanh,
)
from sknpcnn.weights import from_torch, to_torch_state_dict


def images(made, n=6, seed=0):
    channels, h, w = made.image
    return np.random.default_rng(seed).standard_normal((n, h, w, channels)).astype(np.float32)


def block(channels, filters, stride):
    same = stride == 1 and channels == filters
    through = [Conv2D(filters, 3, stride, 1, bias=False), BatchNorm(), ReLU()]
    through += [Conv2D(filters, 3, 1, 1, bias=False), BatchNorm()]
    around = Sequential([Conv2D(filters, 1, stride, 0, bias=False), BatchNorm()])
    return [Residual(through, None if same else around), ReLU()]


def inverted(channels, filters, stride, ratio):
    hidden = channels * ratio
    layers = [Conv2D(hidden, 1, bias=False), BatchNorm(), ReLU6()] if ratio > 1 else []
    layers += [Conv2D(hidden, 3, stride, 1, groups=hidden, bias=False), BatchNorm(), ReLU6()]
    layers += [Conv2D(filters, 1, bias=False), BatchNorm()]
    return [Residual(layers)] if stride == 1 and channels == filters else layers


def fire(squeezed, expanded):
    wide = Branches([[Conv2D(expanded, 1), ReLU()], [Conv2D(expanded, 3), ReLU()]])
    return [Conv2D(squeezed, 1), ReLU(), wide]


POOL = MaxPool2D(3, 2, ceil_mode=True)
SAME = {  # the networks of tests/onnx/torch_models.py
    "LeNet": lambda: [
        *(Conv2D(6, 5, padding=2), ReLU(), MaxPool2D()),
        *(Conv2D(16, 5, padding=0), Tanh(), MaxPool2D()),
        *(Flatten(), Dense(120), ReLU(), Dense(84), ReLU()),
    ],
    "VGG": lambda: [
        *(
            layer
            for width in (16, "M", 32, "M", 64, 64, "M", 128, 128, "M")
            for layer in ([MaxPool2D()] if width == "M" else [Conv2D(width), BatchNorm(), ReLU()])
        ),
        *(AvgPool2D(1), Flatten(), Dense(64), ReLU(), Dropout()),
    ],
    "ResNet18": lambda: [
        *(Conv2D(16, 7, 2, 3, bias=False), BatchNorm(), ReLU(), MaxPool2D(3, 2, 1)),
        *(*block(16, 16, 1), *block(16, 16, 1), *block(16, 32, 2), *block(32, 32, 1)),
        *(*block(32, 64, 2), *block(64, 64, 1), *block(64, 128, 2), *block(128, 128, 1)),
        GlobalAvgPool2D(),
    ],
    "MobileNetV2": lambda: [
        *(Conv2D(16, 3, 2, 1, bias=False), BatchNorm(), ReLU6()),
        *(*inverted(16, 8, 1, 1), *inverted(8, 12, 2, 6), *inverted(12, 12, 1, 6)),
        *(*inverted(12, 16, 2, 6), *inverted(16, 16, 1, 6)),
        *(Conv2D(64, 1, bias=False), BatchNorm(), ReLU6(), GlobalAvgPool2D(), Dropout(0.2)),
    ],
}


@pytest.fixture(params=SAME)
def pair(request):
    """A network of PyTorch, and the same layers here."""
    pytest.importorskip("torch")
    from tests.onnx import torch_models

    return torch_models.model(request.param), SAME[request.param]()


def logits(made, X):
    import torch

    with torch.no_grad():
        return made(torch.tensor(X.transpose(0, 3, 1, 2).copy())).numpy()


def classifier(layers, weights, made):
    X, y = images(made, 10), np.arange(10)
    clf = NumpyCNNClassifier(layers=layers, standardize=False, max_iter=0, random_state=0)
    return clf.fit(X, y).set_weights(weights)


def assert_same_logits(clf, made):
    X = images(made, seed=1)
    expected, found = logits(made, X), clf.decision_function(X)
    if type(made).__name__ == "LeNet":
        found = clf.predict_log_proba(X)
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(np.abs(expected).max(), 1))


def image_of(made):
    channels, h, w = made.image
    return h, w, channels


def test_outputs_are_those_of_pytorch(pair):
    made, layers = pair
    assert_same_logits(classifier(layers, from_torch(made, layers, image_of(made)), made), made)
    by_name = from_torch(made.state_dict(), layers, image_of(made))
    assert_same_logits(classifier(layers, by_name, made), made)


def test_weights_that_go_back_give_the_same_outputs(pair):
    made, layers = pair
    X, y = images(made, 10), np.arange(10)
    clf = NumpyCNNClassifier(layers=layers, standardize=False, max_iter=2, random_state=0)
    clf.fit(X, y)
    import torch

    made.load_state_dict(to_torch_state_dict(clf, made))
    assert all(isinstance(tensor, torch.Tensor) for tensor in made.state_dict().values())
    assert_same_logits(clf, made)


def test_gradients_of_losses_are_those_of_pytorch(pair):
    import torch

    made, layers = pair
    X, y = images(made, seed=1), np.arange(6)
    x = torch.tensor(X.transpose(0, 3, 1, 2).copy(), requires_grad=True)
    # LeNet ends in log_softmax, which changes nothing if it is applied twice
    torch.nn.functional.cross_entropy(made(x), torch.tensor(y), reduction="sum").backward()
    expected = x.grad.numpy().transpose(0, 2, 3, 1)
    clf = classifier(layers, from_torch(made, layers, image_of(made)), made)
    np.testing.assert_allclose(
        clf.input_gradient(X, y), expected, atol=1e-4 * np.abs(expected).max()
    )


def test_layers_of_other_kinds():
    torch = pytest.importorskip("torch")
    from torch import nn

    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)

        def forward(self, x):
            gates = self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True))))
            return x * torch.sigmoid(gates)

    torch.manual_seed(0)
    made = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.GELU(), Gate()),
        *(nn.Conv2d(8, 4, (2, 3), stride=2), nn.PReLU(4), nn.Flatten()),
        *(nn.BatchNorm1d(36), nn.PReLU(36), nn.Linear(36, 10, bias=False)),
    ).eval()
    for part in made:
        if isinstance(part, (nn.GroupNorm, nn.BatchNorm1d, nn.PReLU)):
            nn.init.uniform_(part.weight, 0.2, 1)
    made[7].running_mean.uniform_(-1, 1)
    made.image = (3, 6, 8)
    layers = [
        *(Conv2D(8), GroupNorm(2), GELU(), SqueezeExcite(units=2)),
        *(Conv2D(4, (2, 3), 2, 0), PReLU(), Flatten(), BatchNorm(), PReLU()),
    ]
    weights = from_torch(made, layers, (6, 8, 3))
    weights["output.b"] = np.zeros(10)
    clf = classifier(layers, weights, made)
    assert_same_logits(clf, made)
    with pytest.raises(ValueError, match=r"Layer 'output' needs tensors .*'bias'"):
        to_torch_state_dict(clf, made)


def test_the_first_tensor_that_does_not_fit_is_named():
    state = {"a.weight": np.zeros((4, 1, 3, 3)), "a.bias": np.zeros(4)}
    state |= {"b.weight": np.zeros((3, 64)), "b.bias": np.zeros(3)}
    image = 4, 4, 1
    assert len(from_torch(state, [Conv2D(4), Flatten()], image)) == 4
    with pytest.raises(ValueError, match=r"Layer 'conv2d_1' needs .*next one is a\.weight \(4, 1"):
        from_torch(state, [Conv2D(5), Flatten()], image)
    more = {**state, "c.weight": np.zeros(7)}
    with pytest.raises(ValueError, match=r"tensor 'c\.weight' of shape \(7,\) is left over"):
        from_torch(more, [Conv2D(4), Flatten()], image)
    for layer in (Scale(), Conv2D(4, bias="position")):
        with pytest.raises(ValueError, match="has no counterpart in PyTorch"):
            from_torch(state, [Conv2D(4), layer, Flatten()], image)
    with pytest.raises(ValueError, match="no matrices among the tensors"):
        from_torch({"a.bias": np.zeros(3)}, [Flatten()], image)
    with pytest.raises(ValueError, match=r"needed: one that ends in \.safetensors"):
        from_torch("model.pt", [Flatten()], image)


def write_safetensors(path, arrays, **changes):
    """Write a file as the format says: the size of the header, the header, and the bytes."""
    header, content = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, array) in sorted(arrays.items()):
        raw = array.tobytes()
        entry = {"dtype": dtype, "shape": list(array.shape)}
        header[name] = {**entry, "data_offsets": [len(content), len(content) + len(raw)]}
        header[name] |= changes.get(name, {})
        content += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


def test_safetensors_files(tmp_path):
    rng = np.random.default_rng(0)
    single = rng.standard_normal((4, 1, 3, 3)).astype(np.float32)
    brain = (single.view(np.uint32) >> 16).astype(np.uint16)  # bfloat16
    arrays = {"conv.weight": ("BF16", brain), "conv.bias": ("F16", np.ones(4, np.float16))}
    arrays |= {"fc.weight": ("F64", np.ones((3, 64))), "fc.bias": ("F32", np.ones(3, "f4"))}
    write_safetensors(tmp_path / "a.safetensors", arrays)
    weights = from_torch(tmp_path / "a.safetensors", [Conv2D(4), Flatten()], (4, 4, 1))
    kernels = weights["conv2d_1.W"].transpose(3, 2, 0, 1)
    np.testing.assert_allclose(kernels, single, rtol=1e-2)
    assert (weights["conv2d_1.b"] == 1).all()


def test_safetensors_files_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    made = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 3))
    safetensors.save_file(made.state_dict(), tmp_path / "a.safetensors")
    layers = [Conv2D(4, padding="valid"), Flatten()]
    found = from_torch(tmp_path / "a.safetensors", layers, (4, 4, 1))
    for name, array in from_torch(made, layers, (4, 4, 1)).items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [2**40, 2**40]},
        {"shape": [-1]},
        {"shape": "4"},
        {"data_offsets": [0, 2**50]},
        {"data_offsets": [-16, 0]},
        {"data_offsets": [0]},
        {"dtype": "F7"},
    ],
)
def test_safetensors_files_that_lie(tmp_path, change):
    file = tmp_path / "a.safetensors"
    write_safetensors(file, {"a": ("F32", np.ones(4, "f4"))}, a=change)
    with pytest.raises(ValueError, match=r"a\.safetensors: is not an intact"):
        from_torch(file, [Flatten()], (2, 2, 1))


@pytest.mark.parametrize("content", [b"", b"\x05", b"\xff" * 40, b"\x02" + bytes(7) + b"[]"])
def test_files_that_are_no_safetensors(tmp_path, content):
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.safetensors: "):
        from_torch(file, [Flatten()], (2, 2, 1))


def test_neither_library_is_imported():
    code = (
        "import sys, sknpcnn.weights; "
        "print([m for m in ('torch', 'keras', 'onnx', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
