"""Well-known networks as people write them in PyTorch, with random weights, for small images."""

import pytest

torch = pytest.importorskip("torch")
from torch import nn
from torch.nn import functional


class LeNet(nn.Module):
    """After PyTorch's own example: dynamic flattening, dropout, a functional style."""

    image = (1, 28, 28)

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(torch.tanh(self.conv2(x)), (2, 2))
        x = x.view(x.size(0), -1)
        x = functional.dropout(functional.relu(self.fc1(x)), 0.5, training=self.training)
        return functional.log_softmax(self.fc3(functional.relu(self.fc2(x))), dim=1)


class VGG(nn.Module):
    """VGG with batch normalization, a quarter as wide."""

    image = (3, 32, 32)

    def __init__(self):
        super().__init__()
        layers, channels = [], 3
        for width in (16, "M", 32, "M", 64, 64, "M", 128, 128, "M"):
            if width == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                convolution = nn.Conv2d(channels, width, 3, padding=1)
                layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(512, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 10)
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Block(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride > 1 or channels != filters:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """Torchvision's, a quarter as wide."""

    image = (3, 64, 64)

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False)
        self.bn1, self.maxpool = nn.BatchNorm2d(16), nn.MaxPool2d(3, 2, 1)
        blocks, channels = [], 16
        for filters, stride in ((16, 1), (32, 2), (64, 2), (128, 2)):
            blocks += [Block(channels, filters, stride), Block(filters, filters, 1)]
            channels = filters
        self.layers = nn.Sequential(*blocks)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(128, 10)

    def forward(self, x):
        x = self.layers(self.maxpool(functional.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class InvertedResidual(nn.Module):
    def __init__(self, channels, filters, stride, ratio):
        super().__init__()
        hidden = channels * ratio
        self.same = stride == 1 and channels == filters
        layers = []
        if ratio > 1:
            layers += [nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden)]
            layers.append(nn.ReLU6())
        layers += [
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, filters, 1, bias=False),
            nn.BatchNorm2d(filters),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv(x) if self.same else self.conv(x)


class MobileNetV2(nn.Module):
    """Torchvision's, half as wide and with fewer repeats."""

    image = (3, 64, 64)

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()]
        channels = 16
        for ratio, filters, repeats, stride in ((1, 8, 1, 1), (6, 12, 2, 2), (6, 16, 2, 2)):
            for i in range(repeats):
                layers.append(InvertedResidual(channels, filters, stride if i == 0 else 1, ratio))
                channels = filters
        layers += [nn.Conv2d(channels, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU6()]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


class Fire(nn.Module):
    def __init__(self, channels, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x):
        x = functional.relu(self.squeeze(x))
        both = [functional.relu(self.expand1x1(x)), functional.relu(self.expand3x3(x))]
        return torch.cat(both, 1)


class SqueezeNet(nn.Module):
    """Torchvision's version 1.1, half as wide: classified by a convolution."""

    image = (3, 64, 64)

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 32, 3, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, ceil_mode=True)),
            *(Fire(32, 8, 32), Fire(64, 8, 32), nn.MaxPool2d(3, 2, ceil_mode=True)),
            *(Fire(64, 16, 64), Fire(128, 16, 64)),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(128, 10, 1), nn.ReLU(True), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x):
        return torch.flatten(self.classifier(self.features(x)), 1)


class Gate(nn.Module):
    def __init__(self, channels, hard):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)
        self.gate = nn.Hardsigmoid() if hard else nn.Sigmoid()

    def forward(self, x):
        means = functional.adaptive_avg_pool2d(x, 1)
        return x * self.gate(self.fc2(functional.relu(self.fc1(means))))


class Modern(nn.Module):
    """Gates, and activations that become several nodes."""

    image = (3, 24, 24)

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), Gate(8, hard=False)),
            *(nn.Conv2d(8, 8, 3, 2, 1, groups=2), nn.Hardswish(), Gate(8, hard=True)),
            *(nn.Conv2d(8, 12, (3, 1), padding="same"), nn.GELU(), nn.AvgPool2d(3, 2, 1)),
            *(nn.Conv2d(12, 12, 3, padding=2, dilation=2), nn.GELU("tanh"), nn.PReLU(12)),
            *(nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(12, 6, 2), nn.ELU(0.7), nn.LeakyReLU(0.2)),
            *(nn.Softplus(), nn.Flatten(), nn.BatchNorm1d(6 * 7 * 6), nn.Linear(252, 10)),
        )

    def forward(self, x):
        return torch.softmax(self.body(x), dim=1)


MODELS = {kind.__name__: kind for kind in (LeNet, VGG, ResNet18, MobileNetV2, SqueezeNet, Modern)}


def model(name, seed=0):
    """Make a network with random weights, running averages included."""
    torch.manual_seed(seed)
    made = MODELS[name]()
    for part in made.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.BatchNorm1d)):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return made.eval()


def exported(made, path, dynamo):
    """Write a network by one of the two exporters of PyTorch."""
    x = torch.zeros(2, *made.image)
    if dynamo:
        axes = {"x": {0: torch.export.Dim("n")}}
        torch.onnx.export(made, (x,), path, dynamo=True, dynamic_shapes=axes, verbose=False)
    else:
        torch.onnx.export(
            made, (x,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}}
        )
