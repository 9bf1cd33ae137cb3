"""Blocks and networks in Verilator against numpy: every bit, with and without stalls."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.design.blocks.convolution import ConvUnit, check_folding
from fpga.design.blocks.head import HeadUnit
from fpga.design.blocks.requant import TableRequant
from fpga.design.blocks.streams import Fifo
from fpga.design.generate import NetworkUnit
from fpga.network.folding import cycles, fold, legal
from fpga.network.layers import Head, Requant
from fpga.network.packing import digits, lanes_per_block, spacing
from fpga.network.plan import Plan, generous_skip_depths
from fpga.tools.simulate import Simulation
from hawkvision.errors import EngineError
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import conv_for, images, random_network

pytestmark = needs_verilator
STALLS = [(0, 0), (40, 0), (0, 40), (30, 30)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verilator")


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


def test_a_small_network_is_bit_exact_back_to_back_and_under_stalls(cache: Path) -> None:
    network = random_network(8, (4, 8), 2, seed=1)
    folding = fold(network, 640)
    plan = Plan(network, folding, generous_skip_depths(network))
    simulation = Simulation(NetworkUnit(plan), cache=cache)
    pictures = images(12, 8, np.random.default_rng(7))
    expected = network(pictures).ravel()
    for seed, (stall_in, stall_out) in enumerate(STALLS * 2):
        run = simulation.run(
            pictures,
            len(expected),
            limit=60_000,
            stall_in=stall_in,
            stall_out=stall_out,
            seed=seed,
        )
        assert np.array_equal(run.outputs, expected)
    quick = simulation.run(pictures, len(expected), limit=60_000)
    leaving = quick.given_at[network.classes - 1 :: network.classes]
    assert np.diff(leaving).max() <= 640 + 8


def test_a_skip_fifo_that_is_too_small_is_found_as_a_deadlock(cache: Path) -> None:
    network = random_network(8, (4,), 1, seed=2)
    plan = Plan(network, fold(network, 1000), {0: 8})
    simulation = Simulation(NetworkUnit(plan), cache=cache)
    pictures = images(1, 8, np.random.default_rng(1))
    with pytest.raises(EngineError, match="deadlock"):
        simulation.run(pictures, network.classes, limit=50_000)


def test_illegal_foldings_cannot_be_made() -> None:
    rng = np.random.default_rng(1)
    conv = conv_for(rng.integers(0, 16, (1, 4, 4, 6)), 4, rng)
    for pe, simd in legal(conv):
        assert conv.out_channels % pe == 0 and conv.in_channels % simd == 0
        assert cycles(conv, 4, pe, simd) >= 16 * conv.out_channels
    for pe, simd, named in ((3, 2, "PE 3"), (2, 4, "SIMD 4")):
        with pytest.raises(ValueError, match=named):
            check_folding(conv, pe, simd)
    network = random_network(8, (4, 8), 1, seed=1)
    with pytest.raises(EngineError, match="cannot take a picture in 10 cycles"):
        fold(network, 10)


def test_fewer_cycles_take_more_multipliers() -> None:
    network = random_network(16, (4, 8), 1, seed=1)
    products = [
        sum(pe * simd for name, (pe, simd) in fold(network, interval).items() if name != "head")
        for interval in (20_000, 5000, 2500)
    ]
    assert products == sorted(products) and products[0] < products[-1]
