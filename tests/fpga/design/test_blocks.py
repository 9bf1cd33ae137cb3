"""Blocks and networks in Verilator against numpy: every bit, with and without stalls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.design.blocks.convolution import ConvUnit
from fpga.design.blocks.framer import WidthConverter
from fpga.design.blocks.head import HeadUnit
from fpga.design.blocks.requant import TableRequant
from fpga.design.blocks.streams import Fifo
from fpga.network.folding import cycles
from fpga.network.layers import Head, Requant
from fpga.tools.simulate import Simulation
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import conv_for

pytestmark = needs_verilator
STALLS = [(0, 0), (40, 0), (0, 40), (30, 30)]


@pytest.mark.parametrize(
    ("side", "channels", "out", "kernel", "stride", "weight_bits", "in_bits", "signed", "folding"),
    [
        (8, 4, 8, 3, 1, 4, 4, False, (4, 2)),
        (8, 3, 4, 3, 1, 8, 8, True, (2, 3)),
        (8, 4, 4, 3, 2, 4, 4, False, (4, 4)),
        (7, 2, 4, 3, 2, 4, 4, False, (1, 1)),
        (6, 4, 8, 1, 2, 4, 4, False, (1, 4)),
        (5, 8, 2, 1, 1, 4, 4, False, (2, 8)),
    ],
)
def test_a_convolution_is_bit_exact(
    cache: Path,
    side: int,
    channels: int,
    out: int,
    kernel: int,
    stride: int,
    weight_bits: int,
    in_bits: int,
    signed: bool,
    folding: tuple[int, int],
) -> None:
    rng = np.random.default_rng(side * channels + out)
    low = -(1 << (in_bits - 1)) if signed else 0
    x = rng.integers(low, low + (1 << in_bits), (4, side, side, channels))
    x[0], x[1] = low, low + (1 << in_bits) - 1
    conv = conv_for(
        x,
        out,
        rng,
        kernel=kernel,
        stride=stride,
        weight_bits=weight_bits,
        in_bits=in_bits,
        in_signed=signed,
        out_bits=10,
        out_signed=True,
    )
    expected = conv(x).ravel()
    simulation = Simulation(ConvUnit(conv, side, *folding), cache=cache)
    ideal = 4 * max(cycles(conv, side, *folding), side * side * channels)
    for stall_in, stall_out in STALLS:
        run = simulation.run(
            x, len(expected), limit=20 * ideal, stall_in=stall_in, stall_out=stall_out
        )
        assert np.array_equal(run.outputs, expected)
        if not stall_in and not stall_out and stride <= kernel:
            assert run.cycles < 1.1 * ideal + 120


@pytest.mark.parametrize(
    ("out", "channels", "folding", "packed", "bits"),
    [
        (8, 6, (8, 6), 3, 4),  # groups of 3, 3, 2; half of the channels in look-up tables
        (4, 4, (4, 4), 4, 8),  # two lanes of 8 bits
    ],
)
def test_products_that_share_a_dsp_block_are_bit_exact(
    cache: Path, out: int, channels: int, folding: tuple[int, int], packed: int, bits: int
) -> None:
    rng = np.random.default_rng(out)
    x = rng.integers(0, 1 << bits, (3, 6, 6, channels)) - (128 if bits == 8 else 0)
    x[0] = x.max()
    conv = conv_for(
        x,
        out,
        rng,
        weight_bits=bits,
        in_bits=bits,
        in_signed=bits == 8,
        out_bits=10,
        out_signed=True,
    )
    weights = conv.weights.copy()
    weights[: out // 2] = 1 - (1 << bits - 1)
    conv = replace(conv, weights=weights)
    simulation = Simulation(ConvUnit(conv, 6, *folding, packed=packed), cache=cache)
    expected = conv(x).ravel()
    for stall in (0, 30):
        run = simulation.run(x, len(expected), limit=60_000, stall_in=stall, stall_out=stall)
        assert np.array_equal(run.outputs, expected)


@pytest.mark.parametrize("pe", [1, 2])
def test_the_head_is_bit_exact(cache: Path, pe: int) -> None:
    rng = np.random.default_rng(pe)
    head = Head(rng.integers(-127, 128, (4, 6)).astype(np.int8), rng.integers(-999, 999, 4), 1.0)
    x = rng.integers(0, 256, (5, 3, 3, 6))
    simulation = Simulation(HeadUnit(head, 9, pe), cache=cache)
    for stall_in, stall_out in STALLS:
        run = simulation.run(x, 20, limit=5000, stall_in=stall_in, stall_out=stall_out)
        assert np.array_equal(run.outputs, head(x).ravel())


def test_the_table_and_the_fifo_keep_order_and_values(cache: Path) -> None:
    requant = Requant(np.array([3000]), np.array([1 << 15]), 16, 4)
    x = np.arange(256)
    for unit, expected in (
        (TableRequant(requant, 8), requant(x[:, None])[:, 0]),
        (Fifo(8, 5), x),
    ):
        run = Simulation(unit, cache=cache).run(
            x, 256, limit=4000, stall_in=20, stall_out=50, signed=False
        )
        assert np.array_equal(run.outputs, expected)


def test_words_are_taken_apart_lowest_byte_first(cache: Path) -> None:
    words = np.random.default_rng(6).integers(0, 1 << 32, 50, np.uint64).astype(np.int64)
    simulation = Simulation(WidthConverter(8, 4), cache=cache)
    expected = words.astype("<u4").view(np.uint8)
    for stall in (0, 40):
        run = simulation.run(words, 200, limit=2000, stall_in=stall, stall_out=stall, signed=False)
        assert np.array_equal(run.outputs, expected)
    assert simulation.run(words, 200, limit=2000).cycles < 210
