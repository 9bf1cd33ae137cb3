"""The residual network of the FPGA rung, in floats and as it is trained for 4 bits (Brevitas).

Weights of 4 bits in [-7, 7], activations of 4 bits, one 8-bit stream for each stage, first and last
layer 8 bits. Blocks of a stage share the stream's quantizer, so the sum of a block is one rounding,
and integers can do the same.
"""

from __future__ import annotations

import re
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.function.ops_ste import round_ste
from brevitas.quant import (
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Uint8ActPerTensorFloat,
)
from torch import Tensor, nn

WIDTHS = (16, 40, 80)
"""Channels of the three stages."""
BLOCKS = {"accurate": (2, 2, 2), "fast": (1, 2, 1)}
"""Residual blocks of each stage, by the profile that the network is built for."""
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


class _Quantize(torch.autograd.Function):
    """As Brevitas computes it with straight-through rounding, in a few passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, most: int) -> Tensor:
        steps = (x / step.to(x.dtype)).clamp_(0, most + 0.5)
        rounded = steps.round().clamp_(max=most)
        ctx.save_for_backward(steps, rounded)
        ctx.most = most
        return rounded * step.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        steps, rounded = ctx.saved_tensors
        passed = torch.ops.aten.hardtanh_backward(grads[0], steps, 0, ctx.most + 0.5)
        saturated = (grads[0] - passed).mul_(rounded)
        step = saturated.addcmul_(passed, rounded - steps).sum()
        return passed, step.float(), None


class QuantReLU(qnn.QuantReLU):  # type: ignore[misc]
    """Brevitas' layer, with a shorter way to the same values and gradients while it trains."""

    def __init__(self, bits: int) -> None:
        super().__init__(
            act_quant=Uint8ActPerTensorFloat, bit_width=bits, collect_stats_steps=_WATCHED
        )
        self._most = 2**bits - 1

    def forward(self, x: Tensor) -> Tensor:
        """Steps of the quantizer, float, as `x`."""
        quantizer = self.act_quant.fused_activation_quant_proxy.tensor_quant
        scaling = quantizer.scaling_impl
        if not self.training or scaling.counter <= scaling.collect_stats_steps:
            plain: Tensor = super().forward(x)
            return plain
        levels = quantizer.int_scaling_impl(quantizer.msb_clamp_bit_width_impl())
        out: Tensor = _Quantize.apply(x, scaling(x, levels), self._most)  # type: ignore[no-untyped-call]
        return out


def _relu(bits: int) -> nn.Module:
    return QuantReLU(bits)


def _pool(x: Tensor, training: bool) -> Tensor:
    """The mean over the picture; in training by a way whose gradient keeps channels last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2).mean(1) if training else x.mean(dim=(2, 3))


def _forms(blocks: tuple[int, ...]) -> list[tuple[int, tuple[int, int, int]]]:
    """Of each residual block its stage and its channels in, channels out, stride."""
    forms = []
    channels = WIDTHS[0]
    for stage, (width, count) in enumerate(zip(WIDTHS, blocks, strict=True)):
        for index in range(count):
            forms.append((stage, (channels, width, 2 if stage and index == 0 else 1)))
            channels = width
    return forms


def without_blocks(
    state: dict[str, Tensor], had: tuple[int, ...], keeps: tuple[int, ...]
) -> dict[str, Tensor]:
    """The parameters of a network that keeps only the first `keeps` of `had` blocks of a stage."""
    first = [sum(had[:stage]) for stage in range(len(had))]
    kept = [first[stage] + index for stage, count in enumerate(keeps) for index in range(count)]
    renamed = {f"blocks.{old}.": f"blocks.{new}." for new, old in enumerate(kept)}
    out = {}
    for name, value in state.items():
        block = re.match(r"blocks\.\d+\.", name)
        if block is None:
            out[name] = value
        elif block[0] in renamed:
            out[renamed[block[0]] + name.removeprefix(block[0])] = value
    return out


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

    def __init__(self, blocks: tuple[int, ...], classes: int = 10) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn0 = nn.BatchNorm2d(WIDTHS[0])
        self.blocks = nn.Sequential(*(FloatBlock(*form) for _, form in _forms(blocks)))
        channels = WIDTHS[-1]
        self.head = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(x - 128) / 64 as float [N,3,32,32] to logits [N,classes]."""
        x = torch.relu(self.bn0(self.conv0(x)))
        logits: Tensor = self.head(_pool(self.blocks(x), self.training))
        return logits


class QuantBlock(nn.Module):
    """As `Block` in hardware. `stream` quantizes what leaves the block; the network owns it."""

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
    """ResNet-14 with two blocks in each stage."""

    def __init__(self, blocks: tuple[int, ...], classes: int = 10) -> None:
        super().__init__()
        self.conv0, self.bn0 = _conv(3, WIDTHS[0], 3, 1, 8), nn.BatchNorm2d(WIDTHS[0])
        self.streams = nn.ModuleList(_relu(8) for _ in WIDTHS)
        self.blocks = nn.Sequential(
            *(QuantBlock(*form, self.streams[stage]) for stage, form in _forms(blocks))
        )
        channels = WIDTHS[-1]
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
        logits: Tensor = self.head(_pool(self.blocks(x), self.training))
        return logits
