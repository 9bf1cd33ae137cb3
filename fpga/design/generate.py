"""From an integer network and its folding to one streaming design, and to Verilog."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth.back import verilog
from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.design.blocks.axi import bus_parts
from fpga.design.blocks.convolution import ConvUnit
from fpga.design.blocks.head import LOGIT_BITS, HeadUnit
from fpga.design.blocks.requant import TableRequant
from fpga.design.blocks.streams import Fifo, Fork, ResidualAdd
from fpga.network.network import STREAM_BITS, Block, Conv
from fpga.network.plan import Plan


def conv_unit(plan: Plan, conv: Conv, side: int) -> ConvUnit:
    """The hardware of one convolution for an input of this side."""
    return ConvUnit(conv, side, *plan.folding[conv.name], packed=plan.packed.get(conv.name, 0))


class BlockUnit(wiring.Component):
    """`fpga.network.network.Block`: entry, two convolutions, the way around them, and the sum.

    Ports: `i`, `o`: streams of 8 bits; `level` (out), the skip FIFO's filling.
    """

    def __init__(self, plan: Plan, block: Block, side: int, depth: int) -> None:
        self.plan, self.block, self.side, self.depth = plan, block, side, depth
        one = stream.Signature(unsigned(STREAM_BITS))
        super().__init__({"i": In(one), "o": Out(one), "level": Out(range(depth + 1))})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        block, side = self.block, self.side
        entry = TableRequant(block.entry, STREAM_BITS)
        first = conv_unit(self.plan, block.first, side)
        second = conv_unit(self.plan, block.second, block.first.out_side(side))
        skip_bits = STREAM_BITS if block.skip is None else block.skip.requant.bits
        fifo = Fifo(skip_bits, self.depth)
        add = ResidualAdd(block.second.requant.bits, skip_bits, block.skip is not None, STREAM_BITS)
        m.submodules.entry, m.submodules.first, m.submodules.second = entry, first, second
        m.submodules.fifo, m.submodules.add = fifo, add
        if block.skip is None:
            m.submodules.fork = fork = Fork(STREAM_BITS)
            wiring.connect(m, wiring.flipped(self.i), fork.i)
            wiring.connect(m, fork.a, entry.i)
            wiring.connect(m, fork.b, fifo.i)
            wiring.connect(m, entry.o, first.i)
        else:
            m.submodules.fork = fork = Fork(block.entry.bits)
            m.submodules.skip = skip = conv_unit(self.plan, block.skip, side)
            wiring.connect(m, wiring.flipped(self.i), entry.i)
            wiring.connect(m, entry.o, fork.i)
            wiring.connect(m, fork.a, first.i)
            wiring.connect(m, fork.b, skip.i)
            wiring.connect(m, skip.o, fifo.i)
        wiring.connect(m, first.o, second.i)
        wiring.connect(m, second.o, add.branch)
        wiring.connect(m, fifo.o, add.skip)
        wiring.connect(m, add.o, wiring.flipped(self.o))
        m.d.comb += self.level.eq(fifo.level)
        return m


LEVEL_BITS = 32


class NetworkUnit(wiring.Component):
    """The whole network.

    Ports: `i`, stream of 8-bit values (R, G, B, row by row); `o`, stream of logits; with `watched`,
    `levels` (out), the filling of every skip FIFO, 32 bits each.
    """

    def __init__(self, plan: Plan, *, watched: bool = False) -> None:
        self.plan, self.watched = plan, watched
        ports = {
            "i": In(stream.Signature(unsigned(8))),
            "o": Out(stream.Signature(unsigned(LOGIT_BITS))),
        }
        if watched:
            ports["levels"] = Out(LEVEL_BITS * len(plan.network.blocks))
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        network, folding = self.plan.network, self.plan.folding
        stem = conv_unit(self.plan, network.stem, network.side)
        m.submodules.stem = stem
        m.d.comb += [
            stem.i.valid.eq(self.i.valid),
            stem.i.payload.eq(self.i.payload ^ 0x80),  # x - 128 in two's complement
            self.i.ready.eq(stem.i.ready),
        ]
        out, side = stem.o, network.stem.out_side(network.side)
        for index, block in enumerate(network.blocks):
            unit = BlockUnit(self.plan, block, side, self.plan.skip_depths[index])
            m.submodules[f"block_{index}"] = unit
            if self.watched:
                m.d.comb += self.levels.word_select(index, LEVEL_BITS).eq(unit.level)
            wiring.connect(m, out, unit.i)
            out, side = unit.o, block.first.out_side(side)
        head = HeadUnit(network.head, side * side, folding["head"][0])
        m.submodules.head = head
        wiring.connect(m, out, head.i)
        wiring.connect(m, head.o, wiring.flipped(self.o))
        return m


def to_verilog(unit: wiring.Component, name: str) -> str:
    """Verilog of a component with ports `i` and `o`, as module `name`."""
    return str(verilog.convert(unit, name=name, strip_internal_attrs=True))


def parts(plan: Plan) -> Iterator[tuple[str, wiring.Component]]:
    """Every unit of the design on its own, by name, in the order of the data."""
    network, folding = plan.network, plan.folding

    def unit(conv: Conv, side: int) -> tuple[str, wiring.Component]:
        return conv.name, conv_unit(plan, conv, side)

    yield unit(network.stem, network.side)
    side = network.stem.out_side(network.side)
    for index, block in enumerate(network.blocks):
        skip_bits = STREAM_BITS if block.skip is None else block.skip.requant.bits
        yield f"entry{index}", TableRequant(block.entry, STREAM_BITS)
        yield unit(block.first, side)
        if block.skip is not None:
            yield unit(block.skip, side)
        side = block.first.out_side(side)
        yield unit(block.second, side)
        yield f"fifo{index}", Fifo(skip_bits, plan.skip_depths[index])
        signed = block.skip is not None
        bits = block.second.requant.bits
        yield f"add{index}", ResidualAdd(bits, skip_bits, signed, STREAM_BITS)
    yield "head", HeadUnit(network.head, side * side, folding["head"][0])
    yield from bus_parts(network.side, network.classes)
