"""Plumbing between blocks: fork, FIFO, residual add."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out


class Fork(wiring.Component):
    """One stream to two; a value leaves each output once, when that output takes it.

    Ports: `i`, `a`, `b`: streams of `bits`. Combinational; no output waits for the other.
    """

    def __init__(self, bits: int) -> None:
        one = stream.Signature(unsigned(bits))
        super().__init__({"i": In(one), "a": Out(one), "b": Out(one)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        took = {"a": Signal(name="a_took"), "b": Signal(name="b_took")}
        done = {}
        for name, port in (("a", self.a), ("b", self.b)):
            m.d.comb += [
                port.valid.eq(self.i.valid & ~took[name]),
                port.payload.eq(self.i.payload),
            ]
            done[name] = took[name] | port.ready
        m.d.comb += self.i.ready.eq(done["a"] & done["b"])
        with m.If(self.i.valid):
            for name, port in (("a", self.a), ("b", self.b)):
                m.d.sync += took[name].eq(Mux(self.i.ready, 0, took[name] | port.ready))
        return m


class Fifo(wiring.Component):
    """A FIFO of `depth` values of `bits`, in block RAM where it is deep; two cycles of latency.

    Ports: `i`, `o`: streams; `level` (out): values inside.
    """

    def __init__(self, bits: int, depth: int) -> None:
        self.bits, self.depth = bits, depth
        one = stream.Signature(unsigned(bits))
        super().__init__({"i": In(one), "o": Out(one), "level": Out(range(depth + 1))})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=self.bits, depth=self.depth)
        m.d.comb += [
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            self.o.payload.eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
            self.level.eq(fifo.level),
        ]
        return m


class ResidualAdd(wiring.Component):
    """`clip(branch + skip)` to unsigned `bits`; a register at the output.

    Ports: `branch`, stream of signed `branch_bits`; `skip`, stream of `skip_bits`, signed or not;
    `o`, stream of `bits`.
    """

    def __init__(self, branch_bits: int, skip_bits: int, skip_signed: bool, bits: int) -> None:
        self.skip_shape = signed(skip_bits) if skip_signed else unsigned(skip_bits)
        self.branch_bits, self.bits = branch_bits, bits
        super().__init__(
            {
                "branch": In(stream.Signature(unsigned(branch_bits))),
                "skip": In(stream.Signature(unsigned(skip_bits))),
                "o": Out(stream.Signature(unsigned(bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        go, both = Signal(), Signal()
        skip = self.skip.payload
        other = skip.as_signed() if self.skip_shape.signed else skip
        total = Signal(signed(max(self.branch_bits, self.skip_shape.width) + 2))
        high = (1 << self.bits) - 1
        m.d.comb += [
            go.eq(~self.o.valid | self.o.ready),
            both.eq(self.branch.valid & self.skip.valid),
            self.branch.ready.eq(go & both),
            self.skip.ready.eq(go & both),
            total.eq(self.branch.payload.as_signed() + other),
        ]
        with m.If(go):
            m.d.sync += [
                self.o.valid.eq(both),
                self.o.payload.eq(Mux(total < 0, 0, Mux(total > high, high, total))),
            ]
        return m
