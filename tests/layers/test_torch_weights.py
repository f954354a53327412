"""Weights of PyTorch imported by the lines that the user guide gives."""

import numpy as np
import pytest

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import Conv2D, Dense, Flatten, MaxPool2D, ReLU

torch = pytest.importorskip("torch")


def test_a_network_of_pytorch_predicts_the_same_here():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Flatten(), torch.nn.Linear(4 * 5 * 3, 7), torch.nn.ReLU()),
        torch.nn.Linear(7, 2),
    )
    state = {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    X = np.random.default_rng(0).normal(size=(6, 10, 6, 3)).astype(np.float32)
    clf = NumpyCNNClassifier(
        layers=[Conv2D(4), ReLU(), MaxPool2D(), Flatten(), Dense(7), ReLU()],
        standardize=False,
        max_iter=0,
    ).fit(X, [0, 1, 0, 1, 0, 1])
    h, w, c = 5, 3, 4  # of the images that Flatten is given, as summary() shows
    dense = state["4.weight"].reshape(-1, c, h, w).transpose(2, 3, 1, 0).reshape(h * w * c, -1)
    clf.set_weights(
        {
            "conv2d_1.W": state["0.weight"].transpose(2, 3, 1, 0),
            "conv2d_1.b": state["0.bias"],
            "dense_1.W": dense,
            "dense_1.b": state["4.bias"],
            "output.W": state["6.weight"].T,
            "output.b": state["6.bias"],
        }
    )
    with torch.no_grad():
        logits = net(torch.tensor(X.transpose(0, 3, 1, 2))).numpy()
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(clf.predict_proba(X), wanted, rtol=1e-4)
