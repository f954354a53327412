"""Every layer against PyTorch, where it is installed."""

import numpy as np
import pytest

from sknpcnn.layers import BatchNorm
from tests.layers.layer_runs import deterministic_case, example, run
from tests.layers.torch_layers import to_torch, torch_forward


def assert_torch_gradients(found, tensors):
    for name, branch in tensors.items():
        if isinstance(branch, dict):
            assert_torch_gradients(found[name], branch)
        elif name not in ("mean", "var"):  # running averages, which PyTorch does not learn
            np.testing.assert_allclose(found[name], branch.grad.numpy(), rtol=1e-9, atol=1e-9)


@deterministic_case
def test_layer_computes_what_pytorch_does(layer, shape):
    torch = pytest.importorskip("torch")
    params, x, dy = example(layer, shape)
    y, dx, grads = run(layer, params, x, dy)
    tensors, tensor = to_torch(torch, params), to_torch(torch, x)
    images = tensor.permute(0, 3, 1, 2) if x.ndim == 4 else tensor
    out = torch_forward(torch, layer, tensors, images)
    out = out.permute(0, 2, 3, 1) if out.ndim == 4 else out
    out.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, out.detach().numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=1e-9, atol=1e-9)
    assert_torch_gradients(grads, tensors)


def test_batch_norm_averages_as_pytorch_does_but_with_the_biased_variance():
    torch = pytest.importorskip("torch")
    n, features = 6, 3
    layer = BatchNorm(momentum=0.9)
    params, x, dy = example(layer, (features,), n)
    _, _, observed = run(layer, params, x, dy)
    momentum = layer.parameters((features,))["var"].running
    theirs = torch.nn.BatchNorm1d(features, momentum=0.1, dtype=torch.float64)
    with torch.no_grad():
        theirs.running_mean.copy_(torch.tensor(params["mean"]))
        theirs.running_var.copy_(torch.tensor(params["var"]))
    theirs(torch.tensor(x))
    mean = momentum * params["mean"] + (1 - momentum) * observed["mean"]
    unbiased = observed["var"] * n / (n - 1)
    var = momentum * params["var"] + (1 - momentum) * unbiased
    np.testing.assert_allclose(mean, theirs.running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(var, theirs.running_var.numpy(), rtol=1e-12)
