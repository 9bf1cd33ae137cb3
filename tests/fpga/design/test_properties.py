"""Blocks of any shape in Amaranth's own simulator against numpy, with stalls at any moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from fpga.design.blocks.convolution import ConvUnit
from fpga.design.blocks.framer import WidthConverter
from fpga.design.blocks.head import HeadUnit
from fpga.design.blocks.requant import TableRequant
from fpga.design.blocks.streams import Fifo, ResidualAdd
from fpga.network.folding import cycles, legal
from fpga.network.layers import Head, Requant
from tests.fpga.networks import conv_for

few = settings(
    max_examples=24, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
stalls = st.integers(0, 60)
seeds = st.integers(0, 2**31)


def run(
    unit: Any,
    inputs: dict[str, list[int]],
    outputs: int,
    *,
    limit: int,
    stall: tuple[int, int] = (0, 0),
    seed: int = 1,
) -> tuple[list[int], int]:
    """Feed each named stream, take `outputs` values from `o`; fail after `limit` cycles."""
    rng = np.random.default_rng(seed)
    found: list[int] = []
    used = 0

    async def bench(ctx: Any) -> None:
        nonlocal used
        left = {name: list(values) for name, values in inputs.items()}
        offered = dict.fromkeys(inputs, False)
        for _ in range(limit):
            for name, values in left.items():
                port = getattr(unit, name)
                if not offered[name]:
                    offered[name] = bool(values and rng.integers(100) >= stall[0])
                ctx.set(port.valid, int(offered[name]))
                ctx.set(port.payload, values[0] if offered[name] else 0)
            ctx.set(unit.o.ready, int(rng.integers(100) >= stall[1]))
            if ctx.get(unit.o.valid) and ctx.get(unit.o.ready):
                found.append(ctx.get(unit.o.payload))
            for name, values in left.items():
                if offered[name] and ctx.get(getattr(unit, name).ready):
                    values.pop(0)
                    offered[name] = False
            await ctx.tick()
            used += 1
            if len(found) == outputs:
                return
        raise AssertionError(f"{len(found)} of {outputs} outputs in {limit} cycles")

    top, beat = Module(), Signal()
    top.submodules.unit = unit
    top.d.sync += beat.eq(~beat)  # a clock, also for what needs none
    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return found, used


def signed(values: list[int], bits: int) -> np.ndarray:
    array = np.array(values)
    return np.where(array >= 1 << (bits - 1), array - (1 << bits), array)


@st.composite
def convolutions(draw: Any) -> dict[str, Any]:
    kernel, stride = draw(st.sampled_from([(1, 1), (1, 2), (3, 1), (3, 2)]))
    wide = draw(st.booleans())
    return {
        "side": draw(st.integers(2, 6)),
        "channels": draw(st.sampled_from([1, 2, 3, 4, 6])),
        "out": draw(st.sampled_from([1, 2, 4, 6])),
        "kernel": kernel,
        "stride": stride,
        "weight_bits": 8 if wide else draw(st.sampled_from([2, 4])),
        "in_bits": 8 if wide else 4,
        "in_signed": wide and draw(st.booleans()),
        "out_bits": draw(st.sampled_from([4, 8, 10])),
        "out_signed": draw(st.booleans()),
    }


@few
@given(
    shape=convolutions(),
    pick=st.integers(0, 99),
    share=st.integers(0, 4),
    into=stalls,
    out=stalls,
    seed=seeds,
)
def test_any_convolution_with_any_legal_folding(
    shape: dict[str, Any], pick: int, share: int, into: int, out: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    side, channels, bits = shape.pop("side"), shape.pop("channels"), shape["in_bits"]
    low = -(1 << (bits - 1)) if shape["in_signed"] else 0
    x = rng.integers(low, low + (1 << bits), (2, side, side, channels))
    x[0] = low + (1 << bits) - 1
    conv = conv_for(x, shape.pop("out"), rng, **shape)
    choices = list(legal(conv))
    pe, simd = choices[pick % len(choices)]
    packed = share * simd // 4
    expected = conv(x).ravel()
    ideal = 2 * max(cycles(conv, side, pe, simd), side * side * channels)
    found, _ = run(
        ConvUnit(conv, side, pe, simd, packed=packed),
        {"i": [int(value) & ((1 << bits) - 1) for value in x.ravel()]},
        len(expected),
        limit=12 * ideal + 400,
        stall=(into, out),
        seed=seed,
    )
    assert np.array_equal(
        signed(found, conv.requant.bits) if conv.requant.signed else found, expected
    )


@few
@given(
    classes=st.sampled_from([2, 4, 6]),
    pe=st.sampled_from([1, 2]),
    channels=st.integers(1, 6),
    side=st.integers(1, 3),
    into=stalls,
    out=stalls,
    seed=seeds,
)
def test_any_head(
    classes: int, pe: int, channels: int, side: int, into: int, out: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (classes, channels)).astype(np.int8)
    head = Head(weights, rng.integers(-5000, 5000, classes), 1.0)
    x = rng.integers(0, 256, (3, side, side, channels))
    found, _ = run(
        HeadUnit(head, side * side, pe),
        {"i": x.ravel().tolist()},
        3 * classes,
        limit=4000,
        stall=(into, out),
        seed=seed,
    )
    assert np.array_equal(signed(found, 32), head(x).ravel())


@few
@given(bits=st.integers(2, 10), skip=st.integers(2, 10), is_signed=st.booleans(), seed=seeds)
def test_any_residual_add(bits: int, skip: int, is_signed: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    branch = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), 40)
    low = -(1 << (skip - 1)) if is_signed else 0
    other = rng.integers(low, low + (1 << skip), 40)
    found, _ = run(
        ResidualAdd(bits, skip, is_signed, 8),
        {
            "branch": (branch & ((1 << bits) - 1)).tolist(),
            "skip": (other & ((1 << skip) - 1)).tolist(),
        },
        40,
        limit=1000,
        stall=(seed % 50, seed % 40),
        seed=seed,
    )
    assert found == np.clip(branch + other, 0, 255).tolist()


@few
@given(
    multiplier=st.integers(1, 1 << 17),
    bias=st.integers(-(1 << 20), 1 << 20),
    shift=st.integers(0, 24),
    bits=st.integers(1, 8),
)
def test_any_table(multiplier: int, bias: int, shift: int, bits: int) -> None:
    requant = Requant(np.array([multiplier]), np.array([bias]), shift, bits)
    x = np.arange(256)
    found, _ = run(TableRequant(requant, 8), {"i": x.tolist()}, 256, limit=600)
    assert found == requant(x[:, None])[:, 0].tolist()


@few
@given(depth=st.integers(2, 12), ratio=st.integers(1, 5), into=stalls, out=stalls, seed=seeds)
def test_any_fifo_and_width_converter_keep_order(
    depth: int, ratio: int, into: int, out: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, 30 * ratio)
    found, _ = run(
        Fifo(8, depth),
        {"i": values.tolist()},
        len(values),
        limit=4000,
        stall=(into, out),
        seed=seed,
    )
    assert found == values.tolist()
    words = [
        sum(int(value) << (8 * lane) for lane, value in enumerate(word))
        for word in values.reshape(-1, ratio)
    ]
    found, used = run(
        WidthConverter(8, ratio),
        {"i": words},
        len(values),
        limit=4000,
        stall=(into, out),
        seed=seed,
    )
    assert found == values.tolist()
    assert used < len(values) + 20 or into or out
