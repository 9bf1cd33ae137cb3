"""Several products in one DSP block, as numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fpga.network.packing import digits, lanes_per_block, spacing
from tests.fpga.networks import conv_for


@pytest.mark.parametrize(
    ("bits", "signed", "lanes"), [(4, False, 3), (8, True, 2), (8, False, 1), (2, False, 4)]
)
def test_stored_weights_hold_the_products_apart(bits: int, signed: bool, lanes: int) -> None:
    rng = np.random.default_rng(bits)
    x = np.zeros((1, 4, 4, 2), np.int64)
    conv = conv_for(x, 2, rng, weight_bits=bits, in_bits=max(bits, 4), in_signed=signed)
    apart, largest = spacing(conv), (1 << bits - 1) - 1
    most = 1 << conv.in_bits - 1 if signed else (1 << conv.in_bits) - 1
    assert lanes_per_block(conv) == lanes
    for weights in itertools.product((-largest, 0, largest), repeat=lanes):
        wide = sum(value << lane * apart for lane, value in enumerate(weights))
        stored = digits(weights)
        fields = [value & ((1 << apart) - 1) for value in stored[:-1]]
        assembled = sum(value << lane * apart for lane, value in enumerate(fields))
        assert assembled + (stored[-1] << (lanes - 1) * apart) == wide
        assert all(-(1 << bits - 1) <= value <= largest for value in stored)
        assert abs(wide) < 1 << 24  # the operand of a DSP48E1 has 25 bits
    assert 4 * most * largest < 1 << apart - 1
