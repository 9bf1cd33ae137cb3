"""Streamline: batch norm and all steps of a quantized model become fixed-point requantizers.

What a layer computes in real numbers, `step_w * step_x * sum * scale + offset`, is divided by the
step of what leaves it, so integers go in and out (Umuroglu and Jahre, arXiv 1709.04060).
"""

from __future__ import annotations

import numpy as np

from fpga.network.layers import STREAM_BITS, Block, Conv, Head, Requant
from fpga.network.network import Network
from fpga.network.qonnx import Floats, QuantConv, Quantizer, QuantModel

INPUT_STEP = 1 / 64
"""Networks take (x - 128) / 64 for 8-bit pixels x."""
_MULTIPLIER_BITS = 24
"""Of a DSP block's wider port. With 17, rounding turned 1 % of a trained network's answers."""
_LARGEST_SHIFT = 44
_SUM_BITS = 10
"""Of a block's branch and way around, in steps of the stream, before they are added."""


def requantizer(multiplier: Floats, bias: Floats, bits: int, *, signed: bool) -> Requant:
    """Real multipliers and biases [C], in output steps, in fixed point; rounds to nearest."""
    largest = (1 << _MULTIPLIER_BITS) - 1
    shift = int(np.clip(np.floor(np.log2(largest / np.abs(multiplier).max())), 0, _LARGEST_SHIFT))
    return Requant(
        np.round(multiplier * 2.0**shift).astype(np.int64),
        np.round((bias + 0.5) * 2.0**shift).astype(np.int64),
        shift,
        bits,
        signed,
    )


def _conv(
    layer: QuantConv, entering: Quantizer, leaving: float, bits: int, *, signed: bool
) -> Conv:
    multiplier = layer.weight_steps * entering.step * layer.scale / leaving
    requant = requantizer(multiplier, layer.offset / leaving, bits, signed=signed)
    return Conv(
        layer.name,
        layer.weights,
        layer.weight_bits,
        layer.stride,
        entering.bits,
        entering.signed,
        requant,
    )


def streamline(model: QuantModel, name: str, side: int) -> Network:
    """The integer network of a quantized model for square pictures of `side` pixels."""
    pixels = Quantizer(INPUT_STEP, 8, True)
    stem = _conv(model.stem, pixels, model.stream.step, STREAM_BITS, signed=False)
    blocks: list[Block] = []
    before, left = model.stream.step, stem.out_side(side)
    for block in model.blocks:
        after = block.stream.step
        ratio = np.array([before / block.entry.step])
        entry = requantizer(ratio, np.zeros(1), block.entry.bits, signed=False)
        first = _conv(block.first, block.entry, block.inner.step, block.inner.bits, signed=False)
        second = _conv(block.second, block.inner, after, _SUM_BITS, signed=True)
        skip = None
        if block.skip is not None:
            skip = _conv(block.skip, block.entry, after, _SUM_BITS, signed=True)
        blocks.append(Block(entry, first, second, skip))
        before, left = after, first.out_side(left)
    step = model.head_step * before / left**2
    bias = np.round(model.head_bias / step).astype(np.int64)
    return Network(name, side, stem, tuple(blocks), Head(model.head_weights, bias, step))
