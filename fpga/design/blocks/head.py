"""The end of the network: sums over the picture, then the dense layer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpga.network.layers import STREAM_BITS, Head

LOGIT_BITS = 32


class HeadUnit(wiring.Component):
    """`fpga.network.layers.Head`, bit for bit.

    Parameters: the head, `pixels` of a picture, `pe` classes at a time, which divide the classes.

    Ports: `i`, stream of 8 bits, channels within pixels; `o`, stream of signed 32-bit logits, in
    the order of the classes. While one picture's logits are computed (channels * classes / pe
    cycles) the next one's sums are already taken.
    """

    def __init__(self, head: Head, pixels: int, pe: int) -> None:
        self.head, self.pixels, self.pe = head, pixels, pe
        self.classes, self.channels = head.weights.shape
        if self.classes % pe:
            raise ValueError(f"PE {pe} does not divide {self.classes} classes")
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(STREAM_BITS))),
                "o": Out(stream.Signature(unsigned(LOGIT_BITS))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        channels = self.channels
        sum_bits = STREAM_BITS + (self.pixels - 1).bit_length()
        # Two banks of sums in distributed memory: one is filled while the other is multiplied.
        channel, pixel = Signal(range(max(2, channels))), Signal(range(max(2, self.pixels)))
        m.submodules.sums = sums = Memory(shape=sum_bits, depth=2 << len(channel), init=[])
        old, new = sums.read_port(domain="comb"), sums.write_port()
        full = Signal(2)
        into, out_of = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(into, 1)),
            old.addr.eq(Cat(channel, into)),
            new.addr.eq(Cat(channel, into)),
            new.data.eq(Mux(pixel == 0, 0, old.data) + self.i.payload),
            new.en.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            last = channel == channels - 1
            m.d.sync += channel.eq(Mux(last, 0, channel + 1))
            with m.If(last):
                m.d.sync += pixel.eq(Mux(pixel == self.pixels - 1, 0, pixel + 1))
                with m.If(pixel == self.pixels - 1):
                    m.d.sync += [full.bit_select(into, 1).eq(1), into.eq(~into)]
        self._dense(m, sums.read_port(domain="comb"), full, out_of)
        return m

    def _dense(self, m: Module, sums: Any, full: Signal, out_of: Signal) -> None:
        """Multiply the full bank by the weights, `pe` classes at a time, and send them out."""
        channels, pe = self.channels, self.pe
        groups = self.classes // pe
        w = self.head.weights.astype(int)
        rows = [
            sum((int(w[g * pe + lane, c]) & 0xFF) << (8 * lane) for lane in range(pe))
            for g in range(groups)
            for c in range(channels)
        ]
        m.submodules.weights = rom = Memory(shape=8 * pe, depth=max(2, len(rows)), init=rows)
        read = rom.read_port(domain="sync")
        biases = Array(
            Cat(
                *(
                    Signal(signed(LOGIT_BITS), init=int(b), name=f"bias_{i}")
                    for i, b in enumerate(self.head.bias[g * pe : (g + 1) * pe].tolist(), g * pe)
                )
            )
            for g in range(groups)
        )
        address, channel = Signal(range(max(2, len(rows)))), Signal(range(max(2, channels)))
        group = Signal(range(max(2, groups)))
        held, left = Signal(LOGIT_BITS * pe), Signal(range(pe + 1))
        totals = [Signal(signed(LOGIT_BITS), name=f"total_{lane}") for lane in range(pe)]
        ready_bank = full.bit_select(out_of, 1)
        # Three stages: address, operands, products into totals.
        m.d.comb += read.addr.eq(address)
        value, fresh, closing, active = Signal(len(sums.data)), Signal(), Signal(), Signal()
        drained = Signal()
        m.d.comb += drained.eq(left == 0)
        running, waiting = Signal(), Signal()
        m.d.comb += running.eq(ready_bank & ~waiting)
        m.d.sync += [
            active.eq(running),
            fresh.eq(channel == 0),
            closing.eq(channel == channels - 1),
        ]
        m.d.comb += sums.addr.eq(Cat(channel, out_of))
        m.d.sync += value.eq(sums.data)
        with m.If(running):
            m.d.sync += [
                channel.eq(Mux(channel == channels - 1, 0, channel + 1)),
                address.eq(Mux(address == len(rows) - 1, 0, address + 1)),
            ]
            with m.If(channel == channels - 1):
                m.d.sync += waiting.eq(1)  # until this group's totals have left
        finished = Signal()
        m.d.sync += finished.eq(active & closing)
        for lane, total in enumerate(totals):
            weight = read.data[8 * lane : 8 * lane + 8].as_signed()
            with m.If(active):
                m.d.sync += total.eq(Mux(fresh, 0, total) + weight * value)
        pending = Signal()
        with m.If(finished):
            m.d.sync += pending.eq(1)
        with m.If(pending & drained):
            m.d.sync += [
                held.eq(
                    Cat(
                        *(
                            (total + biases[group].word_select(lane, LOGIT_BITS).as_signed())[
                                :LOGIT_BITS
                            ]
                            for lane, total in enumerate(totals)
                        )
                    )
                ),
                left.eq(pe),
                pending.eq(0),
                waiting.eq(0),
                group.eq(Mux(group == groups - 1, 0, group + 1)),
            ]
            with m.If(group == groups - 1):
                m.d.sync += [full.bit_select(out_of, 1).eq(0), out_of.eq(~out_of)]
        m.d.comb += [self.o.valid.eq(~drained), self.o.payload.eq(held[:LOGIT_BITS])]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [held.eq(held >> LOGIT_BITS), left.eq(left - 1)]
