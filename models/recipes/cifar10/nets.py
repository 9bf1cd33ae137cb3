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

WIDTHS = (16, 32, 64)
INPUT_SCALE = 1 / 64
"""Networks take (x - 128) / 64 for 8-bit x."""


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
    return qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=bits)


def scale_of(quantizer: nn.Module) -> Tensor:
    """The step of an activation quantizer, a scalar; known once it has seen data."""
    return torch.as_tensor(quantizer.act_quant.scale())


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
        self.conv0, self.bn0 = _conv(3, WIDTHS[0], 3, 1, 8), nn.BatchNorm2d(WIDTHS[0])
        self.streams = nn.ModuleList(_relu(8) for _ in WIDTHS)
        layers: list[nn.Module] = []
        channels = WIDTHS[0]
        for stage, width in enumerate(WIDTHS):
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
