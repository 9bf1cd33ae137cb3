"""Plain-convolution residual networks, sized for int8 on CPUs.

No depthwise convolutions: they have too little arithmetic per byte for vector units (measured
3.8x slower than dense 3x3 at equal accuracy). After ResNet (arXiv 1512.03385) with the
average-pool shortcut of ResNet-D (arXiv 1812.01187).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class NetSpec:
    """Geometry of one residual net: channels of the stem and of each stage, blocks per stage."""

    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    dropout: float = 0.0


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the shortcut pools before its 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        shortcut: list[nn.Module] = []
        if stride != 1:
            # Without padding this changes nothing, but ONNX Runtime's fused int8 pooling (1.31)
            # divides windows that overhang an odd side wrongly when padding counts.
            shortcut.append(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
        if in_channels != out_channels:
            shortcut.append(nn.Conv2d(in_channels, out_channels, 1, bias=False))
            shortcut.append(nn.BatchNorm2d(out_channels))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,C,H,W] to [N,C',H/stride,W/stride]."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResidualNet(nn.Module):
    """Two strided stem convolutions (to 1/4 resolution), residual stages, one linear layer."""

    def __init__(self, spec: NetSpec, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in (spec.stem, spec.widths[0]):
            layers += [
                nn.Conv2d(channels, width, 3, 2, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            channels = width
        for stage, (width, depth) in enumerate(zip(spec.widths, spec.depths, strict=True)):
            for block in range(depth):
                stride = 2 if block == 0 and stage > 0 else 1
                layers.append(ResidualBlock(channels, width, stride))
                channels = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(channels, classes)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised float images [N,3,H,W] to logits [N,classes]."""
        pooled = self.features(x).mean(dim=(2, 3))
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, ResidualBlock):
        nn.init.zeros_(module.bn2.weight)


def count_parameters(net: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(parameter.numel() for parameter in net.parameters())


def count_macs(net: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of the convolutions and linear layers for one image of `shape` (C,H,W)."""
    total = 0

    def add(module: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)
        total += output.numel() * weight[0].numel()

    hooks = [
        module.register_forward_hook(add)
        for module in net.modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    was_training = net.training
    net.eval()
    with torch.no_grad():
        net(torch.zeros(1, *shape))
    net.train(was_training)
    for hook in hooks:
        hook.remove()
    return total
