"""The network behind standard buses: AXI4-Stream for pictures and logits, AXI4-Lite for control.

Signals and their order follow Arm IHI 0051A (AXI4-Stream) and IHI 0022E (AXI4-Lite).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, In, Out

from fpga.board import registers
from fpga.design.blocks.framer import WORD, Framer, WidthConverter, words_of_picture

LITE = {
    "awaddr": In(12),
    "awvalid": In(1),
    "awready": Out(1),
    "wdata": In(WORD),
    "wstrb": In(4),
    "wvalid": In(1),
    "wready": Out(1),
    "bvalid": Out(1),
    "bready": In(1),
    "araddr": In(12),
    "arvalid": In(1),
    "arready": Out(1),
    "rdata": Out(WORD),
    "rvalid": Out(1),
    "rready": In(1),
}
"""AXI4-Lite without `prot` and the responses, which are always OKAY."""


class ControlPort(wiring.Component):
    """An AXI4-Lite slave over registers that can be read, one scratch register and a reset pulse.

    Ports: those of `LITE`; `values` (in): one word for each entry of `offsets`; `reset` (out): high
    for one cycle. An unknown address reads as zero, and every answer is OKAY.
    """

    def __init__(self, offsets: tuple[int, ...]) -> None:
        self.offsets = offsets
        super().__init__(
            {
                **LITE,
                "values": In(WORD * len(offsets)),
                "reset": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        scratch = Signal(WORD)
        write = Signal()
        m.d.comb += [
            write.eq(self.awvalid & self.wvalid & (~self.bvalid | self.bready)),
            self.awready.eq(write),
            self.wready.eq(write),
        ]
        with m.If(self.bready):
            m.d.sync += self.bvalid.eq(0)
        m.d.sync += self.reset.eq(0)
        with m.If(write):
            m.d.sync += self.bvalid.eq(1)
            with m.Switch(self.awaddr[2:]):
                with m.Case(registers.SCRATCH >> 2):
                    for byte in range(4):
                        with m.If(self.wstrb[byte]):
                            place = slice(8 * byte, 8 * byte + 8)
                            m.d.sync += scratch[place].eq(self.wdata[place])
                with m.Case(registers.CONTROL >> 2):
                    m.d.sync += self.reset.eq(self.wdata[0] & self.wstrb[0])
        m.d.comb += self.arready.eq(~self.rvalid | self.rready)
        with m.If(self.rready):
            m.d.sync += self.rvalid.eq(0)
        with m.If(self.arvalid & self.arready):
            m.d.sync += [self.rvalid.eq(1), self.rdata.eq(0)]
            with m.Switch(self.araddr[2:]):
                with m.Case(registers.SCRATCH >> 2):
                    m.d.sync += self.rdata.eq(scratch)
                for index, offset in enumerate(self.offsets):
                    with m.Case(offset >> 2):
                        m.d.sync += self.rdata.eq(self.values.word_select(index, WORD))
        return m


def bus_units(side: int, classes: int) -> dict[str, Callable[[], wiring.Component]]:
    """What makes the units around the network, by name."""
    return {
        "framer": partial(Framer, words_of_picture(side), classes),
        "width_converter": partial(WidthConverter, 8, 4),
        "control": partial(ControlPort, _READABLE),
    }


_READABLE = (
    registers.STATUS,
    registers.LATENCY,
    registers.INTERVAL,
    registers.PICTURES,
    registers.CYCLES,
    registers.ID,
    registers.VERSION,
    registers.SIDE,
    registers.CLASSES,
    registers.DIGEST,
)
_STREAM_IN = {"tdata": In(WORD), "tkeep": In(4), "tlast": In(1), "tvalid": In(1), "tready": Out(1)}
_STREAM_OUT = {
    "tdata": Out(WORD),
    "tkeep": Out(4),
    "tlast": Out(1),
    "tvalid": Out(1),
    "tready": In(1),
}


class Accelerator(wiring.Component):
    """A network with AXI ports `s_axis`, `m_axis` and `s_axi`.

    Parameters: `network`, a component with a stream `i` of bytes and a stream `o` of 32-bit logits;
    `side`, `classes`, `digest` (32 bits).

    A packet on `s_axis` holds whole pictures, R, G, B by row, four bytes a word; the packet on
    `m_axis` holds their logits, int32.
    """

    def __init__(self, network: wiring.Component, side: int, classes: int, digest: int) -> None:
        self.network, self.side, self.classes, self.digest = network, side, classes, digest
        ports = {f"s_axis_{name}": flow for name, flow in _STREAM_IN.items()}
        ports |= {f"m_axis_{name}": flow for name, flow in _STREAM_OUT.items()}
        ports |= {f"s_axi_{name}": flow for name, flow in LITE.items()}
        ports |= {"s_axi_bresp": Out(2), "s_axi_rresp": Out(2)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        framer = Framer(words_of_picture(self.side), self.classes)
        measured = {
            registers.STATUS: Cat(framer.busy, framer.misframed),
            registers.LATENCY: framer.latency,
            registers.INTERVAL: framer.interval,
            registers.PICTURES: framer.pictures,
            registers.CYCLES: framer.cycles,
            registers.ID: registers.IDENTITY,
            registers.VERSION: registers.CURRENT_VERSION,
            registers.SIDE: self.side,
            registers.CLASSES: self.classes,
            registers.DIGEST: self.digest,
        }
        m.submodules.control = control = ControlPort(_READABLE)
        for index, offset in enumerate(_READABLE):
            m.d.comb += control.values.word_select(index, WORD).eq(measured[offset])
        for name, member in LITE.items():
            inside, outside = getattr(control, name), getattr(self, f"s_axi_{name}")
            into = member.flow is Flow.In
            m.d.comb += inside.eq(outside) if into else outside.eq(inside)

        inner = Module()
        inner.submodules.framer = framer
        inner.submodules.converter = converter = WidthConverter(8, 4)
        inner.submodules.network = self.network
        wiring.connect(inner, framer.feed, converter.i)
        wiring.connect(inner, converter.o, self.network.i)
        wiring.connect(inner, self.network.o, framer.logits)
        m.submodules.inner = ResetInserter(control.reset)(inner)
        # What arrives in the cycle of a reset is not taken: the packet begins anew after it.
        open_ = ~control.reset
        m.d.comb += [
            framer.i.valid.eq(self.s_axis_tvalid & open_),
            framer.i.payload.word.eq(self.s_axis_tdata),
            framer.i.payload.last.eq(self.s_axis_tlast),
            framer.i.payload.whole.eq(self.s_axis_tkeep.all()),
            self.s_axis_tready.eq(framer.i.ready & open_),
            self.m_axis_tvalid.eq(framer.o.valid & open_),
            self.m_axis_tdata.eq(framer.o.payload.word),
            self.m_axis_tlast.eq(framer.o.payload.last),
            self.m_axis_tkeep.eq(0xF),
            framer.o.ready.eq(self.m_axis_tready & open_),
        ]
        return m
