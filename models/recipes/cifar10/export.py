"""Trained networks as files: QONNX for the compiler in `fpga/`, the data-center rung folded."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.recipes.cifar10.large import Airbench, Block
from models.recipes.cifar10.nets import QuantResNet

_OPSET = 17
SIDE = 32


def write_qonnx(net: QuantResNet, path: Path) -> None:
    """Export the network in evaluation mode."""
    from brevitas.export import export_qonnx

    export_qonnx(
        net.eval(),
        torch.zeros(1, 3, SIDE, SIDE),
        export_path=str(path),
        opset_version=_OPSET,
        dynamo=False,
    )


class FoldedAirbench(nn.Module):
    """The data-center rung for (x - 128) / 64: normalisation and batch norm are in the weights."""

    def __init__(self, net: Airbench) -> None:
        super().__init__()
        mean, deviation = net.mean.reshape(1, 3, 1, 1), net.deviation.reshape(1, 3, 1, 1)
        self.white = nn.Conv2d(3, net.white.out_channels, 2)
        weight = net.white.weight.detach()
        self.white.weight = nn.Parameter(weight * 64 / deviation)
        assert net.white.bias is not None
        shift = (weight * (128 - mean) / deviation).sum(dim=(1, 2, 3))
        self.white.bias = nn.Parameter(net.white.bias.detach() + shift)
        self.blocks = nn.Sequential(*(_FoldedBlock(block) for block in net.blocks))
        self.head = nn.Linear(net.head.in_features, net.head.out_features, bias=False)
        self.head.weight = nn.Parameter(net.head.weight.detach() / 9)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N,classes] of float [N,3,32,32]."""
        x = self.blocks(functional.gelu(self.white(x)))
        logits: Tensor = self.head(functional.max_pool2d(x, 3).flatten(1))
        return logits


class _FoldedBlock(nn.Module):
    """Batch norm stands behind a max pool; its gain is positive, so it may as well come before."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv1 = _folded(block.conv1, block.norm1)
        self.conv2 = _folded(block.conv2, block.norm2)
        third = block.third
        self.conv3 = None if third is None else _folded(third.conv, third.norm)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.gelu(self.conv2(x))
        return x if self.conv3 is None else functional.gelu(self.conv3(x) + x)


def _folded(layer: nn.Module, norm: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None and norm.running_mean is not None
    gain = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    out = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
    out.weight = nn.Parameter(layer.weight.detach() * gain.reshape(-1, 1, 1, 1))
    out.bias = nn.Parameter(norm.bias.detach() - norm.running_mean * gain)
    return out
