"""The large network of CIFAR-10, after airbench95 and airbench96 (Jordan, arXiv 2404.00498)."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (128, 384, 384)
CONVS = {"teacher": 2, "dc": 3}
"""Convolutions in each block, by the generation of the network."""
_STEM = 24


class BatchNorm(nn.BatchNorm2d):
    """Without a gain of its own: the weights of the convolution have one."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=0.4)
        self.weight.requires_grad = False


def _conv(channels: int, out: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, out, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight[:channels])
    return layer


class Block(nn.Module):
    """Convolution, pool, convolution; `convs` = 3 adds a third with a way around it."""

    def __init__(self, channels: int, out: int, convs: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(channels, out), BatchNorm(out)
        self.conv2, self.norm2 = _conv(out, out), BatchNorm(out)
        self.third: nn.Sequential | None = None
        if convs == 3:
            self.third = nn.Sequential(
                OrderedDict(conv=_conv(out, out), norm=BatchNorm(out)),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Half as high and wide."""
        x = functional.gelu(self.norm1(functional.max_pool2d(self.conv1(x), 2)))
        x = functional.gelu(self.norm2(self.conv2(x)))
        return x if self.third is None else functional.gelu(self.third(x) + x)


class Airbench(nn.Module):
    """uint8 or float pixels 0 to 255 [N,3,32,32] to logits [N,classes]; normalises by itself."""

    def __init__(self, generation: str, classes: int = 10) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([125.3, 123.0, 113.9]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([63.0, 62.1, 66.7]).view(1, 3, 1, 1))
        self.white = nn.Conv2d(3, _STEM, 2, bias=True)
        self.white.weight.requires_grad = False
        nn.init.zeros_(self.white.bias)
        widths = zip((_STEM, *WIDTHS), WIDTHS, strict=False)
        self.blocks = nn.Sequential(*(Block(*pair, CONVS[generation]) for pair in widths))
        self.head = nn.Linear(WIDTHS[-1], classes, bias=False)

    def normalise(self, x: Tensor) -> Tensor:
        """Zero mean, unit deviation."""
        out = (x.float() - self.mean) / self.deviation
        return out.contiguous(memory_format=torch.channels_last)

    def whiten(self, x: Tensor) -> None:
        """Set the stem to the principal components of the 2x2 patches of uint8 `x`."""
        patches = self.normalise(x).unfold(2, 2, 1).unfold(3, 2, 1).transpose(1, 3)
        flat = patches.reshape(-1, 12)
        values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
        scaled = vectors.T.reshape(-1, 3, 2, 2) / torch.sqrt(values.view(-1, 1, 1, 1) + 5e-4)
        self.white.weight.data.copy_(torch.cat([scaled.flip(0), -scaled.flip(0)]))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.blocks(functional.gelu(self.white(self.normalise(x))))
        logits: Tensor = self.head(functional.max_pool2d(x, 3).flatten(1)) / 9
        return logits


def load_large(folder: Path, generation: str) -> Airbench:
    """The trained network (the mean of its weights) of a folder in evaluation mode."""
    net = Airbench(generation)
    state = torch.load(folder / f"{generation}.pt", weights_only=False)
    net.load_state_dict({**state["net"], **state["mean"]})
    return net.to(memory_format=torch.channels_last).eval().requires_grad_(False)
