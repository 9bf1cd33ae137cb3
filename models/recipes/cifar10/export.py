"""Trained networks as files: QONNX for the compiler in `fpga/`, the data-center rung folded."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.recipes.cifar10.nets import QuantResNet
from models.recipes.cifar10.teach import Airbench

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
    """The data-center rung for (x - 128) / 64: normalisation and batch norm are in the weights.

    Batch norm stands behind a max pool; its gain is positive, so it may as well come before.
    """

    def __init__(self, net: Airbench) -> None:
        super().__init__()
        mean, deviation = net.mean.reshape(1, 3, 1, 1), net.deviation.reshape(1, 3, 1, 1)
        self.white = nn.Conv2d(3, net.white.out_channels, 2)
        weight = net.white.weight.detach()
        self.white.weight = nn.Parameter(weight * 64 / deviation)
        assert net.white.bias is not None
        shift = (weight * (128 - mean) / deviation).sum(dim=(1, 2, 3))
        self.white.bias = nn.Parameter(net.white.bias.detach() + shift)
        layers: list[nn.Module] = []
        found = list(net.body)
        for index, layer in enumerate(found):
            if isinstance(layer, nn.Conv2d):
                norm = next(one for one in found[index:] if isinstance(one, nn.BatchNorm2d))
                layers.append(_folded(layer, norm))
            elif not isinstance(layer, nn.BatchNorm2d):
                layers.append(layer)
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(net.head.in_features, net.head.out_features, bias=False)
        self.head.weight = nn.Parameter(net.head.weight.detach() / 9)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N,classes] of float [N,3,32,32]."""
        x = self.body(functional.gelu(self.white(x)))
        logits: Tensor = self.head(functional.max_pool2d(x, 3).flatten(1))
        return logits


def _folded(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert norm.running_var is not None and norm.running_mean is not None
    gain = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    out = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
    out.weight = nn.Parameter(layer.weight.detach() * gain.reshape(-1, 1, 1, 1))
    out.bias = nn.Parameter(norm.bias.detach() - norm.running_mean * gain)
    return out
