"""The layers in PyTorch."""

from sknpcnn.layers import (
    Add,
    AvgPool2D,
    BatchNorm,
    Branches,
    Conv2D,
    Dense,
    GroupNorm,
    LayerNorm,
    MaxPool2D,
    PReLU,
    Residual,
    Scale,
    Sequential,
    SqueezeExcite,
    ZeroPad2D,
)
from tests import reference


def torch_pads(layer, x):
    """Borders for torch.nn.functional.pad: its own ``same`` knows no stride."""
    kernel, stride = getattr(layer, "kernel_size", None), layer.stride
    kernel = layer.size if kernel is None else kernel
    stride = kernel if stride is None else stride
    kernel, stride = reference.pair(kernel), reference.pair(stride)
    dilation = reference.pair(getattr(layer, "dilation", 1))
    pads = []
    for axis in (1, 0):  # PyTorch names the last axis first
        length = x.shape[2 + axis]
        if layer.padding == "same":
            reach = dilation[axis] * (kernel[axis] - 1) + 1
            outputs = -(-length // stride[axis])
            missing = max((outputs - 1) * stride[axis] + reach - length, 0)
            pads += [missing // 2, missing - missing // 2]
        else:
            pads += reference.border(layer.padding)[axis]
    return pads


def torch_forward(torch, layer, params, x):
    """Run a layer in PyTorch, on images (n, c, h, w) or vectors."""
    F = torch.nn.functional
    if isinstance(layer, Sequential):
        for name, step in layer.layers:
            x = torch_forward(torch, step, params.get(name, {}), x)
        return x
    if isinstance(layer, Residual):
        through = torch_forward(torch, Sequential(layer.layers), params, x)
        return through + torch_forward(torch, Sequential(layer.branches[1]), params, x)
    if isinstance(layer, (Add, Branches)):
        outs = [torch_forward(torch, Sequential(steps), params, x) for steps in layer.branches]
        return sum(outs) if isinstance(layer, Add) else torch.cat(outs, 1)
    if isinstance(layer, Conv2D):
        padded = F.pad(x, torch_pads(layer, x))
        W = params["W"].permute(3, 2, 0, 1).contiguous()
        y = F.conv2d(padded, W, None, layer.stride, 0, layer.dilation, layer.groups)
        b = params.get("b")
        if b is None:
            return y
        return y + (b.permute(2, 0, 1) if layer.bias == "position" else b[:, None, None])
    if isinstance(layer, MaxPool2D):
        padded = F.pad(x, torch_pads(layer, x), value=-torch.inf)
        if layer.ceil_mode:  # PyTorch looks at its own padding, which is that of both sides
            return F.max_pool2d(
                x,
                layer.size,
                layer.stride,
                0 if layer.padding == "valid" else layer.padding,
                ceil_mode=True,
            )
        return F.max_pool2d(padded, layer.size, layer.stride)
    if isinstance(layer, AvgPool2D):
        pads = torch_pads(layer, x)
        if layer.count_padding:
            return F.avg_pool2d(F.pad(x, pads), layer.size, layer.stride)
        sums, inside = (
            F.avg_pool2d(F.pad(images, pads), layer.size, layer.stride)
            for images in (x, torch.ones_like(x))
        )
        return sums / inside
    if isinstance(layer, Dense):
        return F.linear(x, params["W"].T, params.get("b"))
    if isinstance(layer, BatchNorm):
        frozen = layer.lr_scale == 0
        moments = [params[name].detach() if frozen else None for name in ("mean", "var")]
        gamma, beta = params["gamma"], params["beta"]
        return F.batch_norm(x, *moments, gamma, beta, not frozen, eps=layer.epsilon)
    if isinstance(layer, GroupNorm):
        return F.group_norm(x, layer.groups, params["gamma"], params["beta"], layer.epsilon)
    if isinstance(layer, LayerNorm):
        last = x.permute(0, 2, 3, 1) if x.ndim == 4 else x
        affine = params["gamma"], params["beta"], layer.epsilon
        y = F.layer_norm(last, last.shape[-1:], *affine)
        return y.permute(0, 3, 1, 2) if x.ndim == 4 else y
    if isinstance(layer, SqueezeExcite):
        # F.hardsigmoid has a sixth in single precision
        gate = (lambda z: (z + 3).clamp(0, 6) / 6) if layer.hard else torch.sigmoid
        hidden = F.linear(x.mean((2, 3)), params["W_squeeze"].T, params["b_squeeze"]).relu()
        return (
            x * gate(F.linear(hidden, params["W_excite"].T, params["b_excite"]))[:, :, None, None]
        )
    if isinstance(layer, Scale):
        gamma, beta = params["gamma"], params["beta"]
        if layer.position:
            gamma, beta = (a.permute(2, 0, 1) for a in (gamma, beta))
        elif x.ndim == 4:
            gamma, beta = gamma[:, None, None], beta[:, None, None]
        return x * gamma + beta
    if isinstance(layer, PReLU):
        return F.prelu(x, params["slope"])
    if isinstance(layer, ZeroPad2D):
        rows, columns = reference.border(layer.border)
        return F.pad(x, [*columns, *rows, *reference.pair(layer.channels)])
    functions = {
        "Dropout": lambda x: x,  # of rate 0
        "ELU": lambda x: F.elu(x, layer.scale),
        "Flatten": lambda x: x.permute(0, 2, 3, 1).flatten(1),
        "GELU": lambda x: F.gelu(x, approximate="tanh" if layer.approximate else "none"),
        "GlobalAvgPool2D": lambda x: x.mean((2, 3)),
        "GlobalMaxPool2D": lambda x: F.adaptive_max_pool2d(x, 1).flatten(1),
        "HardSwish": F.hardswish,
        "Identity": lambda x: x,
        "LeakyReLU": lambda x: F.leaky_relu(x, layer.slope),
        "ReLU": torch.relu,
        "ReLU6": F.relu6,
        "SiLU": F.silu,
        "Sigmoid": torch.sigmoid,
        "Softplus": F.softplus,
        "Tanh": torch.tanh,
    }
    return functions[type(layer).__name__](x)


def to_torch(torch, tree):
    if isinstance(tree, dict):
        return {name: to_torch(torch, branch) for name, branch in tree.items()}
    return torch.tensor(tree, requires_grad=True)
