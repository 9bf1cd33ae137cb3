"""Requantizers: sums made narrow again, one value a cycle."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpga.network.layers import Requant


class SerialRequant(wiring.Component):
    """Takes `lanes` sums at once and sends them out one by one, requantized by channel.

    Ports: `valid`, `ready`, `sums` (lanes of signed `in_bits`): taken where both are high; `o`,
    stream of the requantizer's bits. Latency 3 cycles, one value a cycle, one multiplier.
    """

    def __init__(self, requant: Requant, channels: int, lanes: int, in_bits: int) -> None:
        self.requant, self.channels, self.lanes, self.in_bits = requant, channels, lanes, in_bits
        self.sums = Array(Signal(signed(in_bits), name=f"requant_in_{i}") for i in range(lanes))
        super().__init__(
            {
                "valid": In(1),
                "ready": Out(1),
                "o": Out(stream.Signature(unsigned(requant.bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        requant = self.requant
        multiplier = np.broadcast_to(requant.multiplier, (self.channels,)).tolist()
        bias = np.broadcast_to(requant.bias, (self.channels,)).tolist()
        m_bits = max(1, max(int(abs(value)) for value in multiplier).bit_length()) + 1
        b_bits = max(1, max(int(abs(value)) for value in bias).bit_length()) + 1
        m.submodules.rom = rom = Memory(
            shape=m_bits + b_bits,
            depth=max(2, self.channels),
            init=[
                (int(scale) & ((1 << m_bits) - 1)) | (int(add) & ((1 << b_bits) - 1)) << m_bits
                for scale, add in zip(multiplier, bias, strict=True)
            ],
        )
        read = rom.read_port(domain="sync")
        held = Signal(self.lanes * self.in_bits)
        left = Signal(range(self.lanes + 1))
        channel = Signal(range(max(2, self.channels)))
        go = Signal()
        m.d.comb += [
            go.eq(~self.o.valid | self.o.ready),
            self.ready.eq((left == 0) | ((left == 1) & go)),
            read.addr.eq(channel),
            read.en.eq(go),
        ]
        busy = left != 0
        with m.If(go & busy):
            m.d.sync += [
                held.eq(held >> self.in_bits),
                left.eq(left - 1),
                channel.eq(Mux(channel == self.channels - 1, 0, channel + 1)),
            ]
        with m.If(self.valid & self.ready):
            m.d.sync += [held.eq(Cat(*self.sums)), left.eq(self.lanes)]

        value = Signal(signed(self.in_bits))
        product = Signal(signed(self.in_bits + m_bits))
        added = Signal(signed(b_bits))
        valid_0, valid_1 = Signal(), Signal()
        scale, add = read.data[:m_bits].as_signed(), read.data[m_bits:].as_signed()
        shifted = (product + added) >> requant.shift
        low, high = Const(requant.low, signed(requant.bits + 1)), Const(requant.high)
        with m.If(go):
            m.d.sync += [
                value.eq(held[: self.in_bits].as_signed()),
                valid_0.eq(busy),
                product.eq(value * scale),
                added.eq(add),
                valid_1.eq(valid_0),
                self.o.payload.eq(
                    Mux(shifted < low, low, Mux(shifted > high, high, shifted))[: requant.bits]
                ),
                self.o.valid.eq(valid_1),
            ]
        return m


class TableRequant(wiring.Component):
    """A per-tensor requantizer of an unsigned value as a table; combinational.

    Ports: `i`, stream of `in_bits`; `o`, stream of the requantizer's bits.
    """

    def __init__(self, requant: Requant, in_bits: int) -> None:
        self.requant, self.in_bits = requant, in_bits
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(in_bits))),
                "o": Out(stream.Signature(unsigned(requant.bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        values = np.arange(1 << self.in_bits, dtype=np.int64)[:, None]
        table = self.requant(values)[:, 0].tolist()
        m.submodules.table = rom = Memory(
            shape=self.requant.bits, depth=len(table), init=[int(value) for value in table]
        )
        read = rom.read_port(domain="comb")
        m.d.comb += [
            read.addr.eq(self.i.payload),
            self.o.payload.eq(read.data),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m
