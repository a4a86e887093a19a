# SPDX-License-Identifier: MIT
"""The image classifiers of trials/models/ in Python: the same layers in the same order, so that weights can be exchanged."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, which may have weights where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, projection: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.more, self.projection = outputs - inputs, None
        if projection and (self.more or stride > 1):
            self.projection = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.projection:
            x = self.projection(x)
        elif self.more:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(y + x)


class Pooled(nn.Module):
    """Layers, the mean over the image, and a linear layer."""

    def __init__(self, layers: list[nn.Module], channels: int, classes: int) -> None:
        super().__init__()
        self.layers, self.linear = nn.Sequential(*layers), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.layers(x).mean((2, 3)))


def resnet(blocks: list[int], channels: int, projection: bool, classes: int) -> nn.Module:
    layers: list[nn.Module] = [conv(3, channels), nn.BatchNorm2d(channels), nn.ReLU()]
    inputs = channels
    for stage, count in enumerate(blocks):
        for i in range(count):
            layers.append(Block(inputs, channels << stage, 2 if i == 0 and stage else 1, projection))
            inputs = channels << stage
    return Pooled(layers, inputs, classes)


class DenseLayer(nn.Module):
    """Puts new channels before those that it is given."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, 4 * growth, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), conv(4 * growth, growth)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x)))))), x], 1)


def densenet121(classes: int, width: float = 1) -> nn.Module:
    growth = round(32 * width)
    channels = 2 * growth
    layers: list[nn.Module] = [conv(3, channels)]
    for count in (6, 12, 24, 16):
        layers += [DenseLayer(channels + i * growth, growth) for i in range(count)]
        channels += count * growth
        layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        if count != 16:
            layers += [conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
    return Pooled(layers, channels, classes)


def vgg11(classes: int, width: float = 1) -> nn.Module:
    layers: list[nn.Module] = []
    inputs = 3
    for channels, pooled in zip((64, 128, 256, 256, 512, 512, 512, 512), (1, 1, 0, 1, 0, 1, 0, 1), strict=True):
        outputs = round(channels * width)
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        nn.init.normal_(layers[-2].weight, 0, math.sqrt(2 / (9 * outputs)))
        nn.init.zeros_(layers[-2].bias)
        if pooled:
            layers.append(nn.MaxPool2d(2))
        inputs = outputs
    layers.append(nn.Flatten())
    for _ in range(2):
        layers += [nn.Dropout(), nn.Linear(inputs, inputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def resnet20(classes: int, width: float = 1) -> nn.Module:
    net = resnet([3, 3, 3], round(16 * width), False, classes)
    for module in net.modules():  # He et al., arXiv:1502.01852, equation 10
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    return net


def resnet34(classes: int, width: float = 1) -> nn.Module:
    return resnet([3, 4, 6, 3], round(64 * width), True, classes)


def resnet18(classes: int, width: float = 1) -> nn.Module:
    channels = round(64 * width)
    net = resnet([2, 2, 2, 2], channels, True, classes)
    net.layers[0] = nn.Conv2d(3, channels, 7, 2, padding=3, bias=False)
    net.layers.insert(3, nn.MaxPool2d(3, 2, padding=1))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def fashion_mnist_cnn(classes: int, width: float = 1) -> nn.Module:
    a, b, c = (round(channels * width) for channels in (16, 32, 64))
    convolutions = [nn.Conv2d(1, a, 5, 2, padding=2), nn.ReLU(), nn.Conv2d(a, b, 3, 2, padding=1), nn.ReLU()]
    linears = [nn.Flatten(), nn.Linear(b * 7 * 7, c), nn.ReLU(), nn.Linear(c, classes)]
    return nn.Sequential(*convolutions, *linears)


class PooledStage(nn.Module):
    """A convolution with pooling, and one beside a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pooled = nn.Sequential(conv(inputs, outputs), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.ReLU())
        self.residual = nn.Sequential(conv(outputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU())
        nn.init.dirac_(self.pooled[0].weight.data[:inputs])

    def forward(self, x: Tensor) -> Tensor:
        y = self.pooled(x)
        return y + self.residual(y)


class WhitenedResNet(nn.Module):
    """Begins with a fixed convolution of 2 x 2 patches, which is left at its initialization here."""

    def __init__(self, channels: list[int], classes: int) -> None:
        super().__init__()
        self.register_buffer("whitening", torch.randn(24, 3, 2, 2))
        self.bias = nn.Parameter(torch.zeros(24))
        pairs = zip([24, *channels], channels, strict=False)
        self.stages = nn.Sequential(*(PooledStage(*pair) for pair in pairs))
        self.linear = nn.Linear(channels[-1], classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stages(F.relu(F.conv2d(x, self.whitening, self.bias)))
        return self.linear(y.amax((2, 3))) / 8


def whitened_resnet(classes: int, width: float = 1) -> nn.Module:
    return WhitenedResNet([round(channels * width) for channels in (48, 96, 192)], classes)


MODELS: dict[str, Callable[..., nn.Module]] = {
    "resnet20": resnet20,
    "vgg11": vgg11,
    "resnet34": resnet34,
    "resnet18": resnet18,
    "fashion_mnist_cnn": fashion_mnist_cnn,
    "densenet121": densenet121,
    "whitened_resnet": whitened_resnet,
}
