"""The residual network of the FPGA rung, in floats and as it is trained for 4 bits (Brevitas).

Weights of 4 bits in [-7, 7], activations of 4 bits, one 8-bit stream for each stage, first and last
layer 8 bits. Blocks of a stage share the stream's quantizer, so the sum of a block is one rounding,
and integers can do the same.
"""

from __future__ import annotations

import brevitas.nn as qnn
import torch
from brevitas.function.ops_ste import round_ste
from brevitas.quant import (
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Uint8ActPerTensorFloat,
)
from torch import Tensor, nn

WIDTHS = {1: (16, 40, 80), 2: (16, 40, 80)}
"""Channels of the three stages, by the blocks of a stage."""
_WATCHED = 60
"""Batches over which an activation quantizer finds its first step; each is slow."""


def _conv(channels: int, out: int, kernel: int, stride: int, bits: int) -> nn.Module:
    return qnn.QuantConv2d(
        channels,
        out,
        kernel,
        stride,
        kernel // 2,
        bias=False,
        weight_quant=Int8WeightPerChannelFloat,
        weight_bit_width=bits,
    )


def _relu(bits: int) -> nn.Module:
    return qnn.QuantReLU(
        act_quant=Uint8ActPerTensorFloat, bit_width=bits, collect_stats_steps=_WATCHED
    )


def scale_of(quantizer: nn.Module) -> Tensor:
    """The step of an activation quantizer, a scalar; known once it has seen data."""
    return torch.as_tensor(quantizer.act_quant.scale())


class FloatBlock(nn.Module):
    """Two 3x3 convolutions and a way around them, in floats; names as in `QuantBlock`."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.skip: nn.Sequential | None = None
        if stride != 1 or channels != out:
            around = nn.Conv2d(channels, out, 1, stride, bias=False)
            self.skip = nn.Sequential(around, nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Stream in, stream out."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.skip is None else self.skip(x)))


class FloatResNet(nn.Module):
    """The same network in floats, from which `QuantResNet` starts; the same parameters."""

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        widths = WIDTHS[blocks]
        self.conv0 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn0 = nn.BatchNorm2d(widths[0])
        layers: list[nn.Module] = []
        channels = widths[0]
        for stage, width in enumerate(widths):
            for index in range(blocks):
                stride = 2 if stage and index == 0 else 1
                layers.append(FloatBlock(channels, width, stride))
                channels = width
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(x - 128) / 64 as float [N,3,32,32] to logits [N,classes]."""
        x = torch.relu(self.bn0(self.conv0(x)))
        logits: Tensor = self.head(self.blocks(x).mean(dim=(2, 3)))
        return logits


class QuantBlock(nn.Module):
    """As `fpga.network.Block`. `stream` quantizes what leaves the block; the network owns it."""

    def __init__(self, channels: int, out: int, stride: int, stream: nn.Module) -> None:
        super().__init__()
        self._stream = [stream]
        self.inq = _relu(4)
        self.conv1, self.bn1 = _conv(channels, out, 3, stride, 4), nn.BatchNorm2d(out)
        self.act1 = _relu(4)
        self.conv2, self.bn2 = _conv(out, out, 3, 1, 4), nn.BatchNorm2d(out)
        self.skip: nn.Sequential | None = None
        if stride != 1 or channels != out:
            self.skip = nn.Sequential(_conv(channels, out, 1, stride, 4), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Stream in, stream out."""
        stream = self._stream[0]
        narrow = self.inq(x)
        branch = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(narrow)))))
        if self.skip is None:
            return stream(branch + x)
        step = stream.act_quant.scale()
        around = self.skip(narrow)
        if step is not None:
            around = round_ste(around / step.detach()) * step.detach()
        return stream(branch + around)


class QuantResNet(nn.Module):
    """ResNet-8 with one block a stage, ResNet-14 with two."""

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        widths = WIDTHS[blocks]
        self.conv0, self.bn0 = _conv(3, widths[0], 3, 1, 8), nn.BatchNorm2d(widths[0])
        self.streams = nn.ModuleList(_relu(8) for _ in widths)
        layers: list[nn.Module] = []
        channels = widths[0]
        for stage, width in enumerate(widths):
            for index in range(blocks):
                stride = 2 if stage and index == 0 else 1
                layers.append(QuantBlock(channels, width, stride, self.streams[stage]))
                channels = width
        self.blocks = nn.Sequential(*layers)
        self.blocks_per_stage = blocks
        self.head = qnn.QuantLinear(
            channels,
            classes,
            bias=True,
            weight_quant=Int8WeightPerTensorFloat,
            weight_bit_width=8,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(x - 128) / 64 as float [N,3,32,32] to logits [N,classes]."""
        x = self.streams[0](self.bn0(self.conv0(x)))
        logits: Tensor = self.head(self.blocks(x).mean(dim=(2, 3)))
        return logits
