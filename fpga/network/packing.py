"""Several products in one DSP block: one value times the weights of several output channels.

A DSP48E1 multiplies signed 25 by signed 18 bits (AMD UG479). Weights that lie far enough apart in
the wide operand give products that do not mix, and neither do sums of a few of them: three weights
of 4 bits, two of 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

from fpga.network.layers import Conv

_OPERAND_BITS = 25
ADDENDS = 4
"""Packed products that can be summed before they are taken apart."""


def spacing(conv: Conv) -> int:
    """Bits from one weight to the next: those of a signed sum of `ADDENDS` products."""
    largest = (1 << conv.in_bits - 1) if conv.in_signed else (1 << conv.in_bits) - 1
    return 1 + (((1 << conv.weight_bits - 1) - 1) * largest * ADDENDS).bit_length()


def lanes_per_block(conv: Conv) -> int:
    """Output channels that one DSP block serves."""
    return 1 + (_OPERAND_BITS - conv.weight_bits) // spacing(conv)


def blocks_per_column(conv: Conv, pe: int) -> int:
    """DSP blocks that multiply one input channel with the weights of `pe` output channels."""
    return -(-pe // lanes_per_block(conv))


def digits(weights: Sequence[int]) -> list[int]:
    """Weights as they are stored: each is one less where the one below it, so stored, is negative.

    The sign of a stored weight is extended up to the next one, which takes one from it. Weights
    are symmetric (`fpga.network.layers.Conv`), so one less still has their bits.
    """
    stored: list[int] = []
    for weight in weights:
        stored.append(weight - (1 if stored and stored[-1] < 0 else 0))
    return stored
