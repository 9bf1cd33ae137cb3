"""A trained `QuantResNet` as an integer network: batch norm and all scales become requantizers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from fpga.network import STREAM_BITS, Block, Conv, Head, Network, Requant
from models.recipes.cifar10.nets import INPUT_SCALE, QuantResNet, scale_of

_MULTIPLIER_BITS = 17
_SUM_BITS = 10
"""Of a block's branch and way around, in steps of the stream, before they are added."""

Doubles = npt.NDArray[np.float64]


def requantizer(multiplier: Doubles, bias: Doubles, bits: int, *, signed: bool) -> Requant:
    """Real multipliers and biases [C], in output steps, in fixed point; rounds to nearest."""
    largest = (1 << _MULTIPLIER_BITS) - 1
    shift = int(np.clip(np.floor(np.log2(largest / np.abs(multiplier).max())), 0, 30))
    return Requant(
        np.round(multiplier * 2.0**shift).astype(np.int64),
        np.round((bias + 0.5) * 2.0**shift).astype(np.int64),
        shift,
        bits,
        signed,
    )


def _weights(layer: nn.Module) -> tuple[npt.NDArray[np.int8], Doubles]:
    quantized = layer.quant_weight()
    scale = quantized.scale.detach().double().numpy().reshape(-1)
    value = quantized.value.detach().double().numpy()
    steps = scale.reshape(-1, *[1] * (value.ndim - 1)) if scale.size > 1 else scale
    return np.round(value / steps).astype(np.int8), scale


def _conv(
    name: str,
    layer: nn.Module,
    norm: nn.BatchNorm2d,
    steps: tuple[float, float],
    bits: tuple[int, int, int],
    *,
    in_signed: bool = False,
    signed: bool = False,
) -> Conv:
    """`steps` of input and output; `bits` of weights, input and output."""
    weights, scale = _weights(layer)
    inverse = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    offset = norm.bias.detach().double() - norm.running_mean.double() * inverse
    multiplier = scale * steps[0] * inverse.numpy() / steps[1]
    requant = requantizer(multiplier, offset.numpy() / steps[1], bits[2], signed=signed)
    stride = int(layer.stride[0])
    return Conv(name, weights, bits[0], stride, bits[1], in_signed, requant)


def to_integer(net: QuantResNet, name: str, side: int = 32) -> Network:
    """The integer network of a trained net in evaluation mode."""
    streams = [float(scale_of(stream)) for stream in net.streams]
    stem = _conv(
        "stem", net.conv0, net.bn0, (INPUT_SCALE, streams[0]), (8, 8, STREAM_BITS), in_signed=True
    )
    blocks: list[Block] = []
    before = streams[0]
    for index, block in enumerate(net.blocks):
        stage, place = divmod(index, net.blocks_per_stage)
        named, after = f"stage{stage}.block{place}", streams[stage]
        narrow, inner = float(scale_of(block.inq)), float(scale_of(block.act1))
        entry = requantizer(np.array([before / narrow]), np.zeros(1), 4, signed=False)
        first = _conv(f"{named}.first", block.conv1, block.bn1, (narrow, inner), (4, 4, 4))
        second = _conv(
            f"{named}.second",
            block.conv2,
            block.bn2,
            (inner, after),
            (4, 4, _SUM_BITS),
            signed=True,
        )
        skip = None
        if block.skip is not None:
            layers = (block.skip[0], block.skip[1])
            around = (narrow, after)
            skip = _conv(f"{named}.skip", *layers, around, (4, 4, _SUM_BITS), signed=True)
        blocks.append(Block(entry, first, second, skip))
        before = after
    weights, scale = _weights(net.head)
    last = side // 2 ** (len(streams) - 1)
    step = float(scale[0]) * before / last**2
    bias = np.round(net.head.bias.detach().double().numpy() / step).astype(np.int64)
    return Network(name, side, stem, tuple(blocks), Head(weights, bias, step))
